"""Earlier rows, to learn from again while a table comes in chunks.

One pass over a chunk underfits it, and many passes overfit it. So while rows are few, each chunk
is learned together with a sample of all rows before it (experience replay, Lin, "Self-improving
reactive agents based on reinforcement learning", Machine Learning 8, 1992). The number of passes
depends on the loss of the new rows before they are learned. If it is about that of earlier rows,
the networks do not overfit, and more passes pay (Dawid, "Statistical theory: the prequential
approach", Journal of the Royal Statistical Society A 147, 1984). If it is far higher than that of
the chunk before, for two chunks in succession, the earlier rows no longer describe the data and
are forgotten.
"""

from dataclasses import dataclass, replace

import numpy as np
import scipy.sparse as sp
from sklearn.preprocessing import StandardScaler
from sklearn.utils.sparsefuncs import min_max_axis

from ._late import LateMatrix

ROWS_PER_PASS, MOST_PASSES = 192, 16  # n rows are passed over at most n / 192 times, and 16 times
ENOUGH_STEPS = 20_000  # from this step on large chunks are learned without earlier rows
FULL_ROWS = 256  # ... and smaller chunks are filled up to so many rows
LASTING_ROWS = 2**12  # ... from a sample of so many, in which old rows become fewer
REPLAYED_ROWS = 15  # most earlier rows per new one
KEPT_CELLS = 2**22  # numbers in the sample of earlier rows, their targets included
FIRST_EFFORT = 8  # rows times passes per new row, for the first chunk
EFFORTS = 16, 256  # ... for later chunks, fewest and most
MOST_SURPRISE = 0.1  # excess loss of new rows from which passes are halved, see `next_effort`
SLACK = 1e-6  # of a mean of encoded numbers, for rounding
# Drift is suspected if new rows cost more than the factor times the last chunk's, plus the offset.
DRIFT_FACTOR, DRIFT_OFFSET = 4.0, 0.05


@dataclass(frozen=True)
class EarlierRows:
    """A random sample of the encoded rows that have come so far.

    Parameters
    ----------
    Z : ndarray or CSR matrix of shape (n, d)
    target : ndarray of shape (n, o)
    weight : ndarray of shape (n,)
    key : ndarray of shape (n,)
        Random numbers. The rows with the smallest are kept, so that the rows of all calls are
        equally likely to be here (Vitter, "Random sampling with a reservoir", ACM TOMS 11, 1985).
        After `ENOUGH_STEPS` they are drawn anew in every call, so that old rows become fewer.
    effort : int, default=FIRST_EFFORT
        Rows times passes per new row, in the last call.
    cost : float, default=inf
        Mean loss of the new rows of the last call before they were learned, as a share of a
        constant's loss; of the call before, if the last one is suspected.
    suspected : bool, default=False
        Whether the last call's rows cost so much that the data may have changed.
    alike : bool, default=True
        Whether the inputs of suspected rows are where earlier ones were.
    anew : bool, default=False
        Whether in the last call data had changed for sure, and inputs had not: what the networks
        know is wrong there, not only elsewhere, and training begins anew.
    """

    Z: np.ndarray
    target: np.ndarray
    weight: np.ndarray
    key: np.ndarray
    effort: int = FIRST_EFFORT
    cost: float = np.inf
    suspected: bool = False
    alike: bool = True
    anew: bool = False

    @property
    def rows(self):
        """Inputs, targets and weights."""
        return self.Z, self.target, self.weight

    @property
    def n_cells(self):
        """How many numbers are stored."""
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


def replay(chunk, progress, losses_of, classes):
    """Return the rows to learn from when a chunk comes, the number of passes, and rows to keep.

    Parameters
    ----------
    chunk : tuple of (Z, target, weight)
        New rows, encoded.
    progress : Progress or None
        After the chunks before; None if there are none, or it is unknown.
    losses_of : callable
        Takes inputs and targets, returns the networks' loss on each row, as a share of the loss of
        a constant.
    classes : bool
        Whether targets are classes. Rows of a class that is new, or not learned yet, have a high
        loss although nothing has changed: they are compared with earlier rows of the same class.

    Returns
    -------
    rows : tuple of (Z, target, weight)
        The new rows, and up to `REPLAYED_ROWS` earlier ones for each, unless these are forgotten.
    n_passes : int
        Passes over them.
    earlier : EarlierRows or None
        A sample of all rows so far, mostly recent ones after `ENOUGH_STEPS`, of at most
        `KEPT_CELLS` numbers; its ``anew`` says whether training begins anew. None where chunks
        are so large that they are encoded late.
    """
    Z, target, weight = chunk
    n = len(target)
    step = progress.step if progress else 0
    late = step >= ENOUGH_STEPS
    if isinstance(Z, LateMatrix):
        return chunk, passes_over(n, n, step, FIRST_EFFORT), None
    rng = np.random.default_rng(step)  # independent of the seeds of the networks
    own = target.copy()  # it may be the caller's array
    rows = seen = EarlierRows(Z, own, weight, rng.random(n))
    effort, cost, suspected, alike, anew = FIRST_EFFORT, np.inf, False, True, False
    earlier = progress.earlier if progress else None
    if earlier and late and n >= FULL_ROWS:  # learned alone
        seen, cost = seen.joined(earlier), earlier.cost
    elif earlier:
        losses = losses_of(Z, target)
        cost, error = mean_and_error(losses, weight)
        suspected = far_above(losses, weight, earlier.cost)
        if suspected and classes:
            of_class = mean_of_class(losses_of(earlier.Z, earlier.target), earlier, target)
            known = np.isfinite(of_class)
            expected, _ = mean_and_error(of_class[known], weight[known])
            suspected = far_above(losses[known], weight[known], expected)
        alike = not suspected or are_alike(Z, earlier.Z)
        if suspected and earlier.suspected:
            suspected = False  # but certain: earlier rows are forgotten
            anew = alike and earlier.alike
        else:  # a single such chunk may have new inputs only, and earlier rows are kept
            n_again = min(REPLAYED_ROWS * n, FULL_ROWS - n if late else np.inf)
            again = replace(earlier, key=rng.random(len(earlier.key))).smallest(n_again)
            expected, _ = mean_and_error(losses_of(again.Z, again.target), again.weight)
            effort = next_effort(earlier.effort, cost + 2.0 * error - expected)
            rows, seen = rows.joined(again), seen.joined(earlier)
            if np.isfinite(earlier.cost):  # a few rows alone say little
                share = 0.0 if suspected else min(1.0, n / ROWS_PER_PASS)
                cost = earlier.cost + share * (cost - earlier.cost)
    if late:
        seen = replace(seen, key=rng.random(len(seen.key))).smallest(LASTING_ROWS)
    kept = seen.smallest(KEPT_CELLS * len(seen.key) // seen.n_cells)
    n_passes = passes_over(len(rows.key), n, step, effort)
    kept = replace(kept, effort=effort, cost=cost, suspected=suspected, alike=alike, anew=anew)
    return rows.rows, n_passes, kept


def are_alike(Z, known):
    """Tell whether the mean of new rows is among earlier ones, about a spread from their mean."""
    mean, column = np.ravel(Z.mean(axis=0)), StandardScaler(with_mean=False).fit(known)
    low, high = min_max_axis(known, axis=0) if sp.issparse(known) else (known.min(0), known.max(0))
    among = (mean >= low - SLACK) & (mean <= high + SLACK)
    near = np.abs(mean - column.mean_) < (1.0 + 3.0 / np.sqrt(Z.shape[0])) * column.scale_
    return bool((among & near).all())  # few rows are far by chance


def far_above(losses, weight, earlier):
    """Tell whether new rows cost so much, for sure, that earlier rows may no longer hold."""
    if len(losses) < 2:
        return False
    cost, error = mean_and_error(losses, weight)
    return cost - 2.0 * error > DRIFT_FACTOR * earlier + DRIFT_OFFSET


def next_effort(effort, surprise):
    """Return the rows times passes per new row: twice those of the last call, or half.

    Parameters
    ----------
    effort : int
        That of the last call.
    surprise : float
        Upper bound of the excess loss of new rows over that of earlier ones, as a share of a
        constant's loss: high if the networks have overfitted.

    Returns
    -------
    int
    """
    fewest, most = EFFORTS
    return min(2 * effort, most) if surprise < MOST_SURPRISE else max(effort // 2, fewest)


def passes_over(n_rows, n_new, step, effort):
    """Return the number of passes over a chunk and the earlier rows learned with it.

    The more earlier rows, the fewer passes; very few rows get few, or they would be overfitted.

    Parameters
    ----------
    n_rows, n_new : int
        All rows, and those of the chunk.
    step : int
        Steps made so far.
    effort : int
        Most rows times passes, per row of the chunk.

    Returns
    -------
    int
    """
    limits = effort * n_new // n_rows, n_rows // ROWS_PER_PASS, 4 * ENOUGH_STEPS // (step + 1)
    return max(1, min(MOST_PASSES, *limits))


def mean_of_class(losses, earlier, target):
    """Return, for each target, the mean loss of earlier rows of its class; inf if there are none.

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
    new, old = np.split(label.ravel(), [len(target)])  # NumPy 2.0.0 returns a column
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
