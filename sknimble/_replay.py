"""Rows that came before, to learn from again while a table comes in pieces.

One pass over a piece leaves most of it unlearnt, and many passes learn it by heart. So while rows
are few, each piece is learnt together with a sample of all rows before it (experience replay, Lin,
"Self-improving reactive agents based on reinforcement learning", Machine Learning 8, 1992).
"""

from dataclasses import dataclass, fields, replace

import numpy as np
import scipy.sparse as sp

from ._late import LateMatrix

MOST_PASSES, ROWS_PER_PASS = 8, 64  # over the rows of one call, so many for every pass
ROWS_PER_NEW_ROW = 16  # learnt from in one call at most, again and again counted
ENOUGH_STEPS = 20_000  # after so many every row is used once
REPLAYED_ROWS = 7  # earlier ones for every new one
KEPT_CELLS = 2**22  # numbers, of encoded earlier rows and their targets


@dataclass(frozen=True)
class EarlierRows:
    """A random sample of the encoded rows that have come so far.

    Parameters
    ----------
    Z : ndarray or CSR matrix of shape (n, d)
    target : ndarray of shape (n, o)
    weight : ndarray of shape (n,)
    key : ndarray of shape (n,)
        Random numbers. The rows kept are those of the smallest, so that every row of any call is
        as likely to be here (Vitter, "Random sampling with a reservoir", ACM TOMS 11, 1985).
    """

    Z: np.ndarray
    target: np.ndarray
    weight: np.ndarray
    key: np.ndarray

    @property
    def n_cells(self):
        """Numbers that these rows are made of."""
        inputs = self.Z.nnz if sp.issparse(self.Z) else self.Z.size
        return inputs + self.target.size

    def joined(self, other):
        """Return these rows and others."""
        pairs = [(getattr(self, one.name), getattr(other, one.name)) for one in fields(self)]
        return EarlierRows(*map(_stack, pairs))

    def smallest(self, n):
        """Return the n rows of the smallest keys, or all if there are no more."""
        if n >= len(self.key):
            return self
        rows = np.argpartition(self.key, n)[:n]
        return EarlierRows(*(getattr(self, one.name)[rows] for one in fields(self)))


def replay(piece, progress):
    """Return what to learn from when a piece of a table comes, and what to keep of it.

    Parameters
    ----------
    piece : tuple of (Z, target, weight)
        New rows, encoded.
    progress : Progress or None
        Of the pieces before; None if there are none, or nothing is known of them.

    Returns
    -------
    rows : tuple of (Z, target, weight)
        The new rows, and up to `REPLAYED_ROWS` earlier ones for each.
    n_passes : int
        How often to go through them.
    earlier : EarlierRows or None
        A sample of all rows so far, of at most `KEPT_CELLS` numbers. None where new rows are
        enough: after many steps, or of a piece too large to be encoded whole.
    """
    Z, n = piece[0], len(piece[1])
    step = progress.step if progress else 0
    if isinstance(Z, LateMatrix) or step >= ENOUGH_STEPS:
        return piece, passes_over(n, n, step), None
    rng = np.random.default_rng(step)  # the same rows whatever the seed of the networks
    target = piece[1].copy()  # it may be the caller's own array
    rows = seen = EarlierRows(Z, target, piece[2], rng.random(n))
    if progress and progress.earlier:
        shuffled = replace(progress.earlier, key=rng.random(len(progress.earlier.key)))
        rows = rows.joined(shuffled.smallest(REPLAYED_ROWS * n))
        seen = seen.joined(progress.earlier)
    kept = seen.smallest(KEPT_CELLS * len(seen.key) // seen.n_cells)
    return (rows.Z, rows.target, rows.weight), passes_over(len(rows.key), n, step), kept


def passes_over(n_rows, n_new, step):
    """Return how often to go through a piece of a table, and earlier rows with it.

    The fewer the more of them are earlier ones. From very few rows, again and again, only
    themselves are learnt.

    Parameters
    ----------
    n_rows, n_new : int
        All rows, and those of the piece.
    step : int
        Steps made so far.

    Returns
    -------
    int
    """
    limits = ROWS_PER_NEW_ROW * n_new // n_rows, n_rows // ROWS_PER_PASS
    return max(1, min(MOST_PASSES, *limits, 2 * ENOUGH_STEPS // (step + 1)))


def _stack(pair):
    """Return two arrays or CSR matrices on top of each other."""
    return sp.vstack(pair, format="csr") if sp.issparse(pair[0]) else np.concatenate(pair)
