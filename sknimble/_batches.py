"""Which rows each network learns from, and in what order, cut into batches of equal size.

Networks that learn from the same rows are a *group*. The networks of a single group share every
batch, X of shape (B, d). With several groups, as with folds, each has batches of its own rows: the
same batches that its networks would get if they were trained alone. X is gathered a *slab* of
several batches at a time and never copied whole.
"""

from copy import copy
from dataclasses import dataclass
from itertools import chain, pairwise, repeat
from typing import NamedTuple

import numpy as np
import scipy.sparse as sp
import torch

from ._late import read

SLAB_ROWS = 16384  # rows gathered at a time, over all groups
SLAB_CELLS = 2**18  # ... and numbers of X: larger slabs leave the cache and cost page faults
POSITION = np.int32  # type of row numbers: half the memory of the default
DENSE_ROWS = 2048  # held-out rows made dense at a time
SPARSE_SHARE = 0.05  # share of nonzeros from which dense products are as fast
COPIED_CELLS = 150_000  # fewer numbers are copied for every network, not multiplied group by group


@dataclass
class Rows:
    """Encoded rows: X with ones, target, and the weight of every row.

    Shapes are (n, d), (n, o) and (K, n) for K networks, or groups of them. Where networks have
    rows of their own, targets are (K, n, o) and X is (K, n, d), or a list of pairs: a slice of
    networks, and the rows (n, d) that they share. A weight of None means 1 for all rows.
    """

    X: torch.Tensor
    target: torch.Tensor
    weight: torch.Tensor | None = None

    def __len__(self):
        return self.X.shape[-2]

    def stays_sparse(self):
        """Tell whether X is a scipy matrix that is multiplied as such, without making it dense."""
        if not sp.issparse(self.X) or self.target.device.type != "cpu":
            return False
        return self.X.nnz < SPARSE_SHARE * self.X.shape[0] * self.X.shape[1]

    def ready(self):
        """Return the rows with X ready for products: a tensor, unless it stays sparse."""
        if isinstance(self.X, torch.Tensor) or self.stays_sparse():
            return self
        return Rows(_like(self.target, self.X.toarray()), self.target, self.weight)

    def take(self, index):
        """Return a copy of the rows at the given positions."""
        if isinstance(self.X, torch.Tensor):
            X = _take(self.X, index)
        else:
            X = read(self.X, index)
            X = _like(self.target, X) if isinstance(X, np.ndarray) else X
        weight = None if self.weight is None else _take(self.weight, index, dim=1)
        return Rows(X, _take(self.target, index), weight)

    def slice(self, start, stop):
        """Return a view of consecutive rows."""
        weight = None if self.weight is None else self.weight[:, start:stop]
        return Rows(self.X[start:stop], self.target[start:stop], weight)

    def split(self, sizes):
        """Return views of consecutive rows of these sizes; cheaper than `slice` for each."""
        if not isinstance(self.X, torch.Tensor):
            return [self.slice(*ends) for ends in pairwise(np.cumsum([0, *sizes]).tolist())]
        weight = repeat(None) if self.weight is None else self.weight.split(sizes, dim=1)
        return map(Rows, self.X.split(sizes, dim=-2), self.target.split(sizes), weight)

    def of(self, networks):
        """Return the rows of some of the networks, by position."""
        if self.X.ndim == 2:
            return self
        return Rows(self.X[networks], self.target[networks], self.weight[networks])

    def blocks(self):
        """Yield slices and their rows, ready: all at once, or a few at a time if made dense."""
        here = isinstance(self.X, torch.Tensor) or self.stays_sparse()
        step = len(self) if here else DENSE_ROWS
        for start in range(0, len(self), step):
            cut = slice(start, start + step)
            yield cut, (self if step == len(self) else self.slice(cut.start, cut.stop)).ready()

    def averaging(self, scale):
        """Return weights (K, n), divided by the number of rows, times ``scale`` of shape (K,)."""
        each = _like(self.target, scale / len(self))[:, None]
        return each.expand(-1, len(self)) if self.weight is None else self.weight * each


class _Cuts(NamedTuple):
    """The rows of each group, cut into batches that are padded to the longest."""

    starts: np.ndarray  # (n_groups, n_batches): where the batches of each group begin
    sizes: torch.Tensor  # (n_batches, K): rows of each batch that are not padding
    longest: int  # rows of a batch, padding included
    share: torch.Tensor  # (n_batches, K): the scale divided by the rows of the batch
    slot: torch.Tensor  # (K,): position of each network's group
    runs: list | None  # slices of adjacent networks of a group; None if each copies its rows


class Batches:
    """The rows of K networks, epoch after epoch.

    Parameters
    ----------
    rows : Rows
        X (n, d), targets (n, o) or (G, n, o) and weights (G, n) or None, for G groups. A row does
        not belong to a group for which its weight is zero.
    groups : ndarray of int, shape (1, K) or (2, K)
        Which group each network belongs to and, in the last row, which when it finishes.
    batch_size : int
        Most rows per batch and network, before it finishes.
    scale : ndarray of shape (K,)
        Factor on the loss of each network.

    Attributes
    ----------
    n_batches : int
        Batches per epoch, for all networks.
    """

    def __init__(self, rows, groups, batch_size, scale):
        self.rows = rows
        if rows.weight is None:
            self.own = [np.arange(len(rows), dtype=POSITION)] * (groups.max() + 1)
        else:
            used = (rows.weight > 0).cpu().numpy()
            self.own = [np.flatnonzero(one).astype(POSITION) for one in used]
            self.rows = Rows(rows.X, rows.target, _relative(rows.weight, rows.target.dtype))
        self._sparse = rows.stays_sparse()
        self.n_batches = -(-max(len(self.own[group]) for group in groups[0]) // batch_size)
        self.group_of = groups
        self._set_groups(groups[0], scale)

    def of(self, networks, finishing):
        """Return the batches of some of the networks, by position; ``finishing`` is a mask."""
        batches = copy(self)
        before, after = self.group_of[0, networks], self.group_of[-1, networks]
        batches._set_groups(np.where(finishing, after, before), self.scale[networks])
        return batches

    def _set_groups(self, group, scale):
        """Set the group and the scale of every network, and clear what was cached."""
        self.scale = scale
        self.groups, self.slot = np.unique(group, return_inverse=True)
        self._uniform, self._whole, self._cuts = {}, None, None

    def epoch(self, rng):
        """Yield the batches of one pass, with weights scaled and divided by the rows of the batch.

        Parameters
        ----------
        rng : numpy.random.RandomState
            Not drawn from when a batch holds all rows.

        Yields
        ------
        Rows
        """
        if self.n_batches > 1:
            yield from self._batches_of(self._orders(rng.randint(np.iinfo(np.int32).max)))
            return
        if self._whole is None:
            own = [self.own[group] for group in self.groups]
            self._whole = next(self._batches_of([(one, np.arange(len(one))) for one in own]))
        yield self._whole

    def _batches_of(self, orders):
        """Return the batches of one pass, from the rows of each group and their order."""
        return self._shared(*orders[0]) if len(orders) == 1 else self._separate(orders)

    def _orders(self, seed):
        """Return each group's rows and their random order, which depends on their number alone."""
        own = [self.own[group] for group in self.groups]
        orders = {}
        for n in set(map(len, own)):
            generator = torch.Generator("cpu").manual_seed(seed)
            order = torch.randperm(n, generator=generator, dtype=torch.int32, device="cpu")
            orders[n] = order.numpy()
        return [(rows, orders[len(rows)]) for rows in own]

    def _rows_of(self, group):
        """Return all rows, with the targets and weights of one group."""
        target, weight = self.rows.target, self.rows.weight
        return Rows(
            self.rows.X,
            target if target.dim() == 2 else target[group],
            None if weight is None else weight[group][None],
        )

    # ---------------------------------------------------------------- the same rows for all
    def _shared(self, own, order):
        """Yield batches, shared by all networks, of the rows ``own`` in the given order."""
        n, rows = len(order), self._rows_of(self.groups[0])
        per_slab = max(1, self._slab_rows() * self.n_batches // n)
        edges = np.linspace(0, n, self.n_batches + 1).astype(int)
        for first in range(0, self.n_batches, per_slab):
            cuts = edges[first : first + per_slab + 1]
            slab, sizes = rows.take(own[order[cuts[0] : cuts[-1]]]), np.diff(cuts).tolist()
            if isinstance(slab.X, torch.Tensor):  # a view per network, made once for all batches
                slab.X = slab.X.expand(len(self.slot), -1, -1)
            for n, batch in zip(sizes, slab.split(sizes), strict=True):
                weight = self._equal_weights(n)
                batch.weight = weight if batch.weight is None else batch.weight * weight
                yield batch.ready()

    def _slab_rows(self):
        """Return how many rows a slab has."""
        few = SLAB_ROWS if self._sparse else SLAB_CELLS // self.rows.X.shape[1]
        return min(SLAB_ROWS, few)

    def _equal_weights(self, n):
        """Return the weights of n equal rows, shape (K, n)."""
        if n not in self._uniform:
            self._uniform[n] = self._tensor(self.scale / n)[:, None].expand(-1, n)
        return self._uniform[n]

    # ---------------------------------------------------------------- rows of its own for each
    def _separate(self, orders):
        """Yield batches with rows of each group, in its order; shorter ones are padded."""
        if self._cuts is None:
            self._cuts = self._cut()
        cuts, runs = self._cuts, self._cuts.runs
        gathered = cuts.slot[[run.start for run in runs]] if runs else cuts.slot
        n_rows = cuts.longest * len(gathered)
        per_part, per_slab = (max(1, n // n_rows) for n in (SLAB_ROWS, self._slab_rows()))
        within = torch.arange(cuts.longest, device=cuts.slot.device)
        for first in range(0, self.n_batches, per_part):
            part = slice(first, first + per_part)
            index = self._positions(orders, cuts.starts[:, part], cuts.longest)
            target, weight = self._gather_targets(index, cuts.slot)
            weight = weight * cuts.share[part, :, None] * (within < cuts.sizes[part, :, None])
            slabs = index.index_select(1, gathered).split(per_slab)
            X = chain.from_iterable(map(self._gather, slabs))
            for at_X, at_target, at_weight in zip(X, target, weight, strict=True):
                rows = list(zip(runs, at_X, strict=True)) if runs else at_X
                yield Rows(rows, at_target, at_weight)

    def _positions(self, orders, starts, longest):
        """Return the rows of batches, (batches, groups, longest); padding repeats the last one."""
        index = [
            own[order[np.minimum(start[:, None] + np.arange(longest), len(own) - 1)]]
            for (own, order), start in zip(orders, starts, strict=True)
        ]
        return torch.as_tensor(np.stack(index, axis=1), device=self.rows.target.device)

    def _cut(self):
        """Cut the rows of each group into `n_batches` batches."""
        counts = np.array([len(self.own[group]) for group in self.groups])
        edges = np.linspace(0, counts, self.n_batches + 1).astype(int)
        sizes = np.diff(edges, axis=0)
        longest = int(sizes.max())
        slot = torch.as_tensor(self.slot, device=self.rows.target.device)
        share = self._tensor(self.scale / np.maximum(sizes, 1)[:, self.slot])
        sizes = torch.as_tensor(sizes[:, self.slot], device=slot.device)
        return _Cuts(edges[:-1].T, sizes, longest, share, slot, self._runs(longest))

    def _runs(self, n_rows):
        """Return adjacent networks of a group as slices, or None if copying X is cheaper."""
        new = np.flatnonzero(np.diff(self.slot)) + 1
        copies = len(self.slot) - len(new) - 1
        if self._sparse or copies * n_rows * self.rows.X.shape[1] < COPIED_CELLS:
            return None
        return [slice(*ends) for ends in pairwise([0, *new.tolist(), len(self.slot)])]

    def _gather(self, index):
        """Return X of each batch: (K or runs, B, d), or pairs of a network and its CSR rows."""
        X, flat = self.rows.X, index.reshape(-1)
        if self._sparse:
            return [
                [(slice(i, i + 1), X[rows]) for i, rows in enumerate(batch)]
                for batch in index.numpy()
            ]
        if isinstance(X, torch.Tensor):
            return _take(X, flat).view(*index.shape, -1)
        return self._tensor(X[flat.cpu().numpy()].toarray()).view(*index.shape, -1)

    def _gather_targets(self, index, slot):
        """Return targets (batches, K, B, o) and relative weights (batches, K, B) or 1."""
        target, weight = self.rows.target, self.rows.weight
        first = len(self.rows) * torch.as_tensor(self.groups, device=slot.device)[:, None]
        flat = (index if target.dim() == 2 else index + first).reshape(-1)
        target = _take(target.flatten(0, -2), flat).view(*index.shape, -1)
        if weight is not None:
            weight = _take(weight.flatten(), (index + first).reshape(-1))
            weight = weight.view(index.shape).index_select(1, slot)
        return target.index_select(1, slot), 1.0 if weight is None else weight

    def _tensor(self, array):
        """Return an array as a tensor with the dtype and device of the targets."""
        return _like(self.rows.target, array)


def _like(tensor, array):
    """Return an array as a tensor with the dtype and device of another."""
    return torch.as_tensor(array, dtype=tensor.dtype, device=tensor.device)


def _take(tensor, positions, dim=0):
    """Return a copy of rows or columns; on a CPU by numpy, in two thirds of torch's time."""
    if tensor.device.type == "cpu":
        return torch.from_numpy(tensor.numpy().take(positions, axis=dim))
    return tensor.index_select(dim, torch.as_tensor(positions, device=tensor.device))


def _relative(weight, dtype):
    """Return weights whose nonzero values are 1 on average; None if these are all equal."""
    if all(((rows == 0) | (rows == rows.amax())).all() for rows in weight):
        return None
    weight = weight.to(dtype)
    return weight * ((weight > 0).sum(1) / weight.sum(1))[:, None]


def side_by_side(parts):
    """Return held-out rows as one part, with rows for each network, if they are few and dense.

    Parameters
    ----------
    parts : list of (ndarray of int, Rows)
        Positions of networks, each at most once, and the held-out rows that they share.

    Returns
    -------
    list of (ndarray of int, Rows)
    """
    networks = np.concatenate([networks for networks, _ in parts]) if parts else []
    longest = max((len(rows) for _, rows in parts), default=0)
    dense = all(isinstance(rows.X, torch.Tensor) for _, rows in parts)
    if len(parts) < 2 or not dense or len(networks) * longest > SLAB_ROWS:
        return parts
    like = parts[0][1].target
    X = like.new_zeros(len(networks), longest, parts[0][1].X.shape[1])
    target = like.new_zeros(len(networks), longest, like.shape[1])
    weight = like.new_zeros(len(networks), longest)
    first = 0
    for members, rows in parts:
        here, n = slice(first, first + len(members)), len(rows)
        # Padding has weight 0, but its targets must be valid: a copy of the first row.
        X[here], target[here] = rows.X[:1], rows.target[:1]
        X[here, :n], target[here, :n] = rows.X, rows.target
        weight[here, :n] = longest / n * (1.0 if rows.weight is None else rows.weight)
        first += len(members)
    order = np.argsort(networks)
    return [(networks[order], Rows(X, target, weight).of(order))]


def held_out_rows_of(parts, networks, finishing):
    """Return the held-out rows of networks that do not finish, by position among the networks.

    ``networks`` are numbers, in ascending order; ``finishing`` is a mask.
    """
    found = []
    for members, rows in parts:
        kept = np.flatnonzero(np.isin(members, networks[~finishing]))
        if len(kept):
            found.append((np.searchsorted(networks, members[kept]), rows.of(kept)))
    return found
