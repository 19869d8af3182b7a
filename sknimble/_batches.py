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

    def averaging(self, scale):
        """Return weights (K, n) that average over the rows, times ``scale`` of shape (K,)."""
        n = self.X.shape[0]
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
        self._uniform, self._whole = {}, None

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
        seed = rng.randint(np.iinfo(np.int32).max)
        orders = [np.random.default_rng(seed).permutation(own) for own in self.own]
        yield from self._shared(orders[0]) if len(orders) == 1 else self._separate(orders)

    def keep(self, positions):
        """Forget all but the given networks."""
        self.scale, self._uniform, self._whole = self.scale[positions], {}, None
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
        index, share = _padded(orders, self.n_batches)
        per_slab = max(1, SLAB_ROWS // (len(self.group) * index.shape[2]))
        scale = self._tensor(self.scale)[:, None]
        for first in range(0, self.n_batches, per_slab):
            here = slice(first, first + per_slab)
            slab = torch.as_tensor(index[here][:, self.group], device=self.rows.target.device)
            X, target = self._gather(slab), self._gather_targets(slab)
            weight = self._tensor(share[here][:, self.group]) * scale
            if self.weight is not None:
                weight *= self.weight.gather(1, slab.transpose(0, 1).flatten(1)).view(
                    len(self.group), len(slab), -1
                ).transpose(0, 1)
            for batch in zip(X, target, weight, strict=True):
                yield Rows(*batch)

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


def _padded(orders, n_batches):
    """Cut orders of rows into as many batches each, all as long as the longest.

    Returns
    -------
    index : ndarray of int, shape (n_batches, len(orders), B)
    share : ndarray of float, same shape
        One by the rows of the batch, 0 where a batch is padded.
    """
    counts = np.array([len(order) for order in orders])
    edges = np.linspace(0, counts, n_batches + 1).astype(int)
    sizes = np.diff(edges, axis=0)[..., None]
    within = np.arange(sizes.max())
    place = np.minimum(edges[:-1, :, None] + within, counts[:, None] - 1)
    index = np.stack([order[place[:, g]] for g, order in enumerate(orders)], axis=1)
    return index, (within < sizes) / np.maximum(sizes, 1)
