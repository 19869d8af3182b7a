"""Which rows each network meets, and in what order: its own, cut into batches of equal size.

Networks that learn from the same rows share every batch, X of shape (B, d). Where they do not,
as with folds, each has a batch of its own, X of shape (K, B, d): a network meets the rows that
it would meet alone, and none that it does not learn from. X is gathered a slab of batches at a
time and never copied whole.
"""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch

SLAB_ROWS = 16384  # rows gathered at a time, over all networks


@dataclass
class Rows:
    """Encoded rows: X with ones, target, and the weight of every row for every network.

    Shapes are (n, d), (n, o) and (K, n), or (K, n, d) and (K, n, o) where every network has
    rows of its own. A weight of None is one for all.
    """

    X: torch.Tensor
    target: torch.Tensor
    weight: torch.Tensor | None = None

    def __len__(self):
        return self.X.shape[0]

    def dense(self):
        """Return the rows with X dense; a scipy matrix becomes a tensor."""
        if isinstance(self.X, torch.Tensor):
            return self
        return Rows(torch.as_tensor(self.X.toarray()).to(self.target), self.target, self.weight)

    def take(self, index):
        """Return a copy of the rows at the given positions."""
        # index_select is several times as fast as indexing
        chosen = torch.as_tensor(index, device=self.target.device)
        dense = isinstance(self.X, torch.Tensor)
        X = self.X.index_select(0, chosen) if dense else self.X[index]
        weight = None if self.weight is None else self.weight.index_select(1, chosen)
        return Rows(X, self.target.index_select(-2, chosen), weight)

    def slice(self, start, stop):
        """Return a view of consecutive rows."""
        weight = None if self.weight is None else self.weight[:, start:stop]
        return Rows(self.X[start:stop], self.target.narrow(-2, start, stop - start), weight)

    def of(self, networks):
        """Return the rows of some of the networks, by position."""
        if self.X.ndim == 2:
            return self
        return Rows(self.X[networks], self.target[networks], self.weight[networks])

    def averaging(self, scale):
        """Return weights (K, n) that average over the rows, times ``scale`` of shape (K,)."""
        n = self.X.shape[-2]
        each = torch.as_tensor(scale / n).to(self.target)[:, None]
        return each.expand(-1, n) if self.weight is None else self.weight * each


class Batches:
    """The rows of K networks, epoch after epoch.

    Parameters
    ----------
    rows : Rows
        Of all networks; a weight of zero says that a row is not the network's.
    batch_size : int
        Most rows per batch and network.
    scale : ndarray of shape (K,)
        What the loss of each network is multiplied by.

    Attributes
    ----------
    n_batches : int
        Batches per epoch, for all networks.
    """

    def __init__(self, rows, batch_size, scale):
        self.rows = Rows(rows.X, rows.target)
        self.scale = scale
        self.weight, self.own, self.group = _own_rows(rows, len(scale))
        self.n_batches = -(-max(map(len, self.own)) // batch_size)
        self._uniform, self._whole, self._places = {}, None, None

    def epoch(self, rng):
        """Yield the batches of one pass, their weights scaled and divided by the rows.

        Parameters
        ----------
        rng : numpy.random.RandomState
            Not drawn from when a batch holds all rows.

        Yields
        ------
        Rows
        """
        if self.n_batches == 1:
            yield self._all_rows()
            return
        orders = self._orders(rng.randint(np.iinfo(np.int32).max))
        yield from self._shared(orders[0]) if len(orders) == 1 else self._separate(orders)

    def _orders(self, seed):
        """Return the rows of each group in random order, which depends on their number alone."""
        orders = {n: np.random.default_rng(seed).permutation(n) for n in set(map(len, self.own))}
        return [own[orders[len(own)]] for own in self.own]

    def keep(self, positions):
        """Forget all but the given networks."""
        self.scale, self._uniform = self.scale[positions], {}
        self._whole = self._places = None
        groups, self.group = np.unique(self.group[positions], return_inverse=True)
        self.own = [self.own[group] for group in groups]
        index = torch.as_tensor(positions, device=self.rows.target.device)
        if self.weight is not None:
            self.weight = self.weight[index]
        if self.rows.target.dim() == 3:
            self.rows = Rows(self.rows.X, self.rows.target[index])

    # ---------------------------------------------------------------- all rows at once
    def _all_rows(self):
        """Return one batch of all rows; if they are many, those of others weigh nothing."""
        if self._whole is None:
            n, counts = len(self.rows), np.array([len(own) for own in self.own])
            if self.weight is None and counts.min() == n:
                weight = self._equal_weights(n)
            elif len(self.own) > 1 and counts.max() * len(self.group) <= SLAB_ROWS:
                self._whole = next(self._separate(self.own))
                return self._whole
            else:
                weight = self._tensor(self._present()[self.group] / counts[self.group, None])
                weight *= self._tensor(self.scale)[:, None]
                weight *= 1.0 if self.weight is None else self.weight
            self._whole = Rows(self.rows.X, self.rows.target, weight)
        return self._whole.dense()

    def _present(self):
        """Return which rows each group of networks has, shape (groups, n)."""
        present = np.zeros((len(self.own), len(self.rows)), dtype=bool)
        for here, own in zip(present, self.own, strict=True):
            here[own] = True
        return present

    # ---------------------------------------------------------------- the same rows for all
    def _shared(self, order):
        """Yield batches that all networks share."""
        n, rows = len(order), Rows(self.rows.X, self.rows.target, self.weight)
        per_slab = max(1, SLAB_ROWS * self.n_batches // n)
        edges = np.linspace(0, n, self.n_batches + 1).astype(int)
        for first in range(0, self.n_batches, per_slab):
            cuts = edges[first : first + per_slab + 1]
            slab = rows.take(order[cuts[0] : cuts[-1]])
            for start, stop in pairwise((cuts - cuts[0]).tolist()):
                batch = slab.slice(start, stop).dense()
                weight = self._equal_weights(stop - start)
                batch.weight = weight if batch.weight is None else batch.weight * weight[:, :1]
                yield batch

    def _equal_weights(self, n):
        """Return the weights of n equal rows, shape (K, n)."""
        if n not in self._uniform:
            self._uniform[n] = self._tensor(self.scale / n)[:, None].expand(-1, n)
        return self._uniform[n]

    # ---------------------------------------------------------------- rows of its own for each
    def _separate(self, orders):
        """Yield batches in which every network has rows of its own; the fewer are padded."""
        if self._places is None:
            self._places = self._cut()
        places, shares = self._places
        index = np.stack([order[place] for order, place in zip(orders, places, strict=True)], 1)
        per_slab = max(1, SLAB_ROWS // shares[0].numel())
        group = torch.as_tensor(self.group, device=self.rows.target.device)
        for first in range(0, self.n_batches, per_slab):
            here = slice(first, first + per_slab)
            slab = torch.as_tensor(index[here], device=group.device).index_select(1, group)
            X, target, weight = self._gather(slab), self._gather_targets(slab), shares[here]
            if self.weight is not None:
                weight = weight * self.weight.gather(1, slab.transpose(0, 1).flatten(1)).view(
                    len(group), len(slab), -1
                ).transpose(0, 1)
            for batch in zip(X, target, weight, strict=True):
                yield Rows(*batch)

    def _cut(self):
        """Cut the rows of each group into as many batches, all as long as the longest.

        Returns
        -------
        places : list of ndarray of int, shape (n_batches, B)
            Per group, which of its rows; where a batch is padded, any.
        shares : Tensor of shape (n_batches, K, B)
            The scale by the rows of the batch; where it is padded, 0.
        """
        counts = np.array([len(own) for own in self.own])
        edges = np.linspace(0, counts, self.n_batches + 1).astype(int)
        sizes = np.diff(edges, axis=0)[..., None]
        within = np.arange(sizes.max())
        places = np.minimum(edges[:-1, :, None] + within, counts[:, None] - 1)
        shares = ((within < sizes) / np.maximum(sizes, 1))[:, self.group] * self.scale[:, None]
        return list(places.swapaxes(0, 1)), self._tensor(shares)

    def _gather(self, index):
        """Return rows of X of shape (batches, K, B, d)."""
        X, flat = self.rows.X, index.reshape(-1)
        if isinstance(X, torch.Tensor):
            return X.index_select(0, flat).view(*index.shape, -1)
        return self._tensor(X[flat.cpu().numpy()].toarray()).view(*index.shape, -1)

    def _gather_targets(self, index):
        """Return targets of shape (batches, K, B, o)."""
        target = self.rows.target
        if target.dim() == 3:
            first = len(self.rows) * torch.arange(len(target), device=target.device)
            index, target = index + first[:, None], target.flatten(0, 1)
        return target.index_select(0, index.reshape(-1)).view(*index.shape, -1)

    def _tensor(self, array):
        """Return an array as a tensor of the targets' kind."""
        return torch.as_tensor(array).to(self.rows.target)


class Judges:
    """The held-out rows of K networks.

    Iterate for pairs of positions, those of the networks that some rows judge, and the `Rows`.

    Parameters
    ----------
    parts : list of (ndarray of int, Rows)
        Positions of networks, each at most once, and the rows that judge all of them.
    """

    def __init__(self, parts):
        self.parts = parts
        n_networks = sum(len(networks) for networks, _ in parts)
        longest = max((len(rows) for _, rows in parts), default=0)
        dense = all(isinstance(rows.X, torch.Tensor) for _, rows in parts)
        if len(parts) > 1 and dense and n_networks * longest <= SLAB_ROWS:
            self.parts = [_side_by_side(parts, longest)]

    def __iter__(self):
        return iter(self.parts)

    def keep(self, positions):
        """Forget all but the given networks."""
        parts, self.parts = self.parts, []
        for networks, rows in parts:
            kept = np.flatnonzero(np.isin(networks, positions))
            if len(kept):
                self.parts.append((np.searchsorted(positions, networks[kept]), rows.of(kept)))


def _side_by_side(parts, longest):
    """Return in one part, in which every network has rows of its own, what several say."""
    networks = np.concatenate([networks for networks, _ in parts])
    like = parts[0][1].target
    X = like.new_zeros(len(networks), longest, parts[0][1].X.shape[1])
    target = like.new_zeros(len(networks), longest, like.shape[1])
    weight = like.new_zeros(len(networks), longest)
    first = 0
    for members, rows in parts:
        here, n = slice(first, first + len(members)), len(rows)
        X[here, :n], target[here, :n] = rows.X, rows.target
        weight[here, :n] = longest / n * (1.0 if rows.weight is None else rows.weight)
        first += len(members)
    order = np.argsort(networks)
    return networks[order], Rows(X, target, weight).of(order)


def _own_rows(rows, n_networks):
    """Return weights of mean 1 over own rows or None, the distinct row sets, and whose each is."""
    if rows.weight is None:
        return None, [np.arange(len(rows))], np.zeros(n_networks, dtype=int)
    used = (rows.weight > 0).cpu().numpy()
    packed = np.packbits(used, axis=1)
    _, first, group = np.unique(packed, axis=0, return_index=True, return_inverse=True)
    own, count = [np.flatnonzero(used[i]) for i in first], used.sum(axis=1)
    weight = rows.weight * (torch.as_tensor(count).to(rows.weight) / rows.weight.sum(1))[:, None]
    even = (rows.weight == 0) | (rows.weight == rows.weight.amax(1, keepdim=True))
    return None if even.all() else weight, own, group.ravel()
