"""Rows that came before, to learn from again while a table comes in pieces.

One pass over a piece leaves most of it unlearnt, and many passes learn it by heart. So while rows
are few, each piece is learnt together with a sample of all rows before it (experience replay, Lin,
"Self-improving reactive agents based on reinforcement learning", Machine Learning 8, 1992). How
often is asked of the piece, before it is learnt: where the networks know new rows as well as old
ones there is nothing by heart, and more to learn (Dawid, "Statistical theory: the prequential
approach", Journal of the Royal Statistical Society A 147, 1984). And where they cost far more than
what came just before them, twice, what came before no longer holds and is forgotten.
"""

from dataclasses import dataclass, replace

import numpy as np
import scipy.sparse as sp

from ._late import LateMatrix

ROWS_PER_PASS, MOST_PASSES = 192, 16  # over the rows of one call, so many for every pass
ENOUGH_STEPS = 20_000  # after so many every row is used once, alone if its piece is large
FULL_ROWS = 256  # ... and smaller ones are filled up to so many
LASTING_ROWS = 2**12  # ... of a sample of so many, in which old rows fade
REPLAYED_ROWS = 15  # earlier ones for every new one
KEPT_CELLS = 2**22  # numbers, of encoded earlier rows and their targets
FIRST_EFFORT = 8  # rows learnt from for each new one, again and again counted: of the first piece
EFFORTS = 16, 256  # ... of later ones, fewest and most
KNOWN = 0.1  # of what a constant loses: by less, new rows cost no more than earlier ones
CHANGED, CHANGE = 4.0, 0.05  # times what the last new rows cost, and more, twice: it is over


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
        as likely to be here (Vitter, "Random sampling with a reservoir", ACM TOMS 11, 1985). After
        `ENOUGH_STEPS` they are drawn anew with every call, so that the older ones are fewer.
    effort : int, default=FIRST_EFFORT
        Rows learnt from, when the last of these came, for each that was new.
    cost : float, default=inf
        What those that were new lost before they were learnt, as a share of a constant's loss.
    suspected : bool, default=False
        Whether that was so much that the past may be over.
    """

    Z: np.ndarray
    target: np.ndarray
    weight: np.ndarray
    key: np.ndarray
    effort: int = FIRST_EFFORT
    cost: float = np.inf
    suspected: bool = False

    @property
    def rows(self):
        """Inputs, targets and weights."""
        return self.Z, self.target, self.weight

    @property
    def n_cells(self):
        """Numbers that these rows are made of."""
        inputs = self.Z.nnz if sp.issparse(self.Z) else self.Z.size
        return inputs + self.target.size

    def joined(self, other):
        """Return these rows and others."""
        pairs = zip((*self.rows, self.key), (*other.rows, other.key), strict=True)
        return EarlierRows(*map(_stack, pairs))

    def smallest(self, n):
        """Return the n rows of the smallest keys, or all if there are no more."""
        if n >= len(self.key):
            return self
        rows = np.argpartition(self.key, n)[:n]
        return EarlierRows(*(array[rows] for array in (*self.rows, self.key)))


def replay(piece, progress, losses_of, classes):
    """Return what to learn from when a piece of a table comes, and what to keep of it.

    Parameters
    ----------
    piece : tuple of (Z, target, weight)
        New rows, encoded.
    progress : Progress or None
        Of the pieces before; None if there are none, or nothing is known of them.
    losses_of : callable
        Takes inputs and targets, returns what the networks lose on each row, as a share of what a
        constant loses.
    classes : bool
        Whether targets are classes. One that is new, or not learnt yet, costs much and contradicts
        nothing: new rows must cost more than earlier ones of the same class.

    Returns
    -------
    rows : tuple of (Z, target, weight)
        The new rows, and up to `REPLAYED_ROWS` earlier ones for each, unless the past is over.
    n_passes : int
        How often to go through them.
    earlier : EarlierRows or None
        A sample of all rows so far, or mostly of those of late, of at most `KEPT_CELLS` numbers.
        None where new rows are enough: many, after many steps, or too many to be encoded whole.
    """
    Z, target, weight = piece
    n = len(target)
    step = progress.step if progress else 0
    late = step >= ENOUGH_STEPS
    if isinstance(Z, LateMatrix) or (late and n >= FULL_ROWS):
        return piece, passes_over(n, n, step, FIRST_EFFORT), None
    rng = np.random.default_rng(step)  # the same rows whatever the seed of the networks
    own = target.copy()  # it may be the caller's array
    rows = seen = EarlierRows(Z, own, weight, rng.random(n))
    effort, cost, suspected = FIRST_EFFORT, np.inf, False
    if progress and progress.earlier:
        earlier = progress.earlier
        cost, error = mean_and_error(losses_of(Z, target), weight)
        least = cost - 2.0 * error
        suspected = n > 1 and least > CHANGED * earlier.cost + CHANGE
        if suspected and classes:
            known = mean_of_class(losses_of(earlier.Z, earlier.target), earlier, target)
            suspected = least > CHANGED * mean_and_error(known, weight)[0] + CHANGE
        if suspected and earlier.suspected:
            suspected = False  # but sure: what no longer holds is forgotten
        else:  # one such piece may be of inputs that are new, and is learnt with the others
            n_again = min(REPLAYED_ROWS * n, FULL_ROWS - n if late else np.inf)
            again = replace(earlier, key=rng.random(len(earlier.key))).smallest(n_again)
            expected, _ = mean_and_error(losses_of(again.Z, again.target), again.weight)
            effort = next_effort(earlier.effort, cost + 2.0 * error - expected)
            rows, seen = rows.joined(again), seen.joined(earlier)
            cost = earlier.cost if suspected else cost
    if late:
        seen = replace(seen, key=rng.random(len(seen.key))).smallest(LASTING_ROWS)
    kept = seen.smallest(KEPT_CELLS * len(seen.key) // seen.n_cells)
    n_passes = passes_over(len(rows.key), n, step, effort)
    return rows.rows, n_passes, replace(kept, effort=effort, cost=cost, suspected=suspected)


def next_effort(effort, surprise):
    """Return how many rows to learn from for each new one: twice as many as last time, or half.

    Parameters
    ----------
    effort : int
        Rows last time.
    surprise : float
        What new rows cost beyond earlier ones, at most, as a share of what a constant costs.
        Networks that have learnt rows by heart are surprised.

    Returns
    -------
    int
    """
    fewest, most = EFFORTS
    return min(2 * effort, most) if surprise < KNOWN else max(effort // 2, fewest)


def passes_over(n_rows, n_new, step, effort):
    """Return how often to go through a piece of a table, and earlier rows with it.

    The fewer the more of them are earlier ones. From very few rows, again and again, only
    themselves are learnt.

    Parameters
    ----------
    n_rows, n_new : int
        All rows, and those of the piece.
    step : int
        Steps made so far.
    effort : int
        Rows to learn from for each of the piece.

    Returns
    -------
    int
    """
    limits = effort * n_new // n_rows, n_rows // ROWS_PER_PASS, 4 * ENOUGH_STEPS // (step + 1)
    return max(1, min(MOST_PASSES, *limits))


def mean_of_class(losses, earlier, target):
    """Return the mean loss of earlier rows of the class of each target, inf where there are none.

    Parameters
    ----------
    losses : ndarray of shape (n,)
        Of the earlier rows.
    earlier : EarlierRows
    target : ndarray of shape (m, o)

    Returns
    -------
    ndarray of shape (m,)
    """
    _, label = np.unique(np.concatenate([target, earlier.target]), axis=0, return_inverse=True)
    new, old = np.split(label, [len(target)])
    count, total = (np.bincount(old, w, label.max() + 1) for w in (None, losses))
    return np.where(count, total / np.maximum(count, 1), np.inf)[new]


@np.errstate(over="ignore", invalid="ignore")
def mean_and_error(losses, weight):
    """Return the weighted mean of losses, shape (n,), and its standard error.

    Both are nan where no row has a weight.
    """
    total = weight.sum()
    mean = np.divide(weight @ losses, total)
    return mean, np.sqrt((weight**2 * (losses - mean) ** 2).sum()) / total


def _stack(pair):
    """Return two arrays or CSR matrices on top of each other."""
    return sp.vstack(pair, format="csr") if sp.issparse(pair[0]) else np.concatenate(pair)
