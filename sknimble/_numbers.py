"""Columns of numbers: centred, scaled, smoothly clipped and cut into pieces.

The knots between pieces are quantiles of the column: the quartiles, and more where the
distribution function bends. These knots do not depend on y. So the means of y in narrow bins are
compared with the best piecewise-linear function with these knots, and a column gets more pieces if
the error is much larger than noise explains.
"""

from copy import copy
from itertools import pairwise

import numpy as np
from scipy.sparse import csr_array

from ._losses import ROUNDING

_TO_DEVIATION = 1.5  # standard deviation over median distance from the median, if normal
CLIP = 4.0  # where the smooth clip levels off
FAR = 1e18  # scaled numbers are clipped there, so that float32 holds their squares
_FEW_VALUES = 16  # a column with no more distinct values has no pieces, unless for the sake of y
_FEWEST_PIECES = 4  # per column with pieces
_PIECES_OF_A_TABLE = 8  # at least, over all columns: a single column needs more than four
_PIECES_IN_ALL = 2**11  # at most, over all columns: every piece is a weight of every neuron
_VALUES_PER_PIECE = 8  # distinct values, at least, for more than the fewest pieces
_REPEATS = 4  # from so many rows per distinct value on, a column has the most pieces
_SHARE_ERROR = 0.05  # pieces are added while the error in the distribution function is larger
# Up to so many pieces, each rises from 0 to 1. Of more, each rises to sqrt(8 / pieces).
_PIECES_OF_FULL_HEIGHT = 8
_BEYOND = 1.0  # scales, at most, that pieces go on beyond the range of a column
_FINER = 4  # factor on the most pieces of a column if y needs more
_ROWS_PER_PIECE = 40  # at least, for more pieces
_ROWS_PER_VALUE = 20  # at least, for a piece between any two adjacent values of few
_BINS = 128  # at most, in which means of y are compared with the pieces
_ROWS_PER_BIN = 4  # on average, at least
_MISSED_SHARE = 0.05  # of the variance of y, that pieces must miss for y to need more
_MISSED_NOISE = 6.0  # ... and in standard deviations of the part that noise adds
_ROWS_ASKED = 2**15  # rows, at most, that decide whether y needs more pieces


class Numbers:
    """Columns of numbers: centres, scales, knots, and which columns have missing values."""

    def fit(self, table, weight, most_pieces, target=None):
        """Learn from columns of numbers.

        Parameters
        ----------
        table : ndarray of shape (n_samples, n_numbers)
            NaN where a value is missing.
        weight : ndarray of shape (n_samples,) or None
        most_pieces : int
            Most pieces of a column; below two there are none.
        target : ndarray of shape (n_samples, n_outputs) or None
            If given, a column may have `_FINER` times as many pieces to follow it.
        """
        n_columns = max(1, (np.fmin.reduce(table) < np.fmax.reduce(table)).sum())
        fewest = max(_FEWEST_PIECES, _PIECES_OF_A_TABLE // n_columns)
        most = min(most_pieces, _PIECES_IN_ALL // n_columns)
        summaries = [_summarise(column, weight, fewest, most) for column in table.T]
        self.center = np.array([center for center, _, _ in summaries])
        self.scale = np.array([scale for _, scale, _ in summaries])
        self.knots = [np.unique(in_units(knots, center, scale)).astype(np.float64)
                      for center, scale, knots in summaries]  # fmt: skip
        finest = min(_FINER * most, _PIECES_IN_ALL // n_columns)
        if target is not None and most > 1 and n_columns > 1:
            self._refine(table, weight, target, finest)
        n_missing = np.array([np.isnan(column).sum() for column in table.T], dtype=int)
        # the indicator of a column that is always missing would be constant
        self.incomplete = np.flatnonzero((n_missing > 0) & (n_missing < len(table)))
        self.n_plain = len(self.center) + len(self.incomplete)
        self.pieces = _Pieces(self.knots)
        return self

    def _refine(self, table, weight, target, finest):
        """Give more knots to columns whose pieces cannot follow the means of y."""
        asked = slice(None, None, -(-len(table) // _ROWS_ASKED))
        weight = np.ones(len(table[asked])) if weight is None else weight[asked]
        target = _standardised(target[asked], weight)
        columns = zip(table[asked].T, self.center, self.scale, strict=True)
        self.knots = [
            _refined(knots, column, center, scale, weight, target, finest)
            for knots, (column, center, scale) in zip(self.knots, columns, strict=True)
        ]

    @property
    def unscaled(self):
        """Positions of the columns with a single value so far, or none."""
        return np.flatnonzero(np.isinf(self.scale))

    def rescaled(self, table):
        """Return these columns, or a copy with the scales of `unscaled` columns that now vary.

        Parameters
        ----------
        table : ndarray of shape (n_samples, n_unscaled)
            Later values of those columns.
        """
        later = copy(self)
        later.center, later.scale = self.center.copy(), self.scale.copy()
        for j, column in zip(self.unscaled, table.T, strict=True):
            values = np.append(column, self.center[j])
            later.center[j], later.scale[j], _ = _summarise(values, None, 0, 0)
        same = np.array_equal(later.center, self.center, equal_nan=True)
        return self if same and np.array_equal(later.scale, self.scale) else later

    def recoded(self, Z, before):
        """Return earlier rows, encoded by ``before``, with the scales that these columns have now.

        A column without a scale has had one value, its centre, wherever it was not missing.
        """
        n, Z = len(self.center), Z.copy()
        late = np.isinf(before.scale) & np.isfinite(self.scale) & np.isfinite(before.center)
        Z[:, :n][:, late] = _squash(in_units(before.center, self.center, self.scale)[late])
        for gap, j in enumerate(self.incomplete):
            Z[Z[:, n + gap] > 0.0, j] = 0.0
        return Z

    def code(self, table):
        """Return numbers in units of their scale, 0 where missing, and which are missing."""
        missing = np.isnan(table[:, self.incomplete])
        return np.hstack([in_units(table, self.center, self.scale), missing])

    def expand(self, codes, plain, pieces):
        """Fill the blocks of a transposed matrix that hold plain numbers and pieces."""
        n = len(self.center)
        _squash(codes[:n], out=plain[:n])
        plain[n:] = codes[n:]
        if len(pieces):
            self.pieces.expand(codes[:n], pieces)

    def __getstate__(self):
        # All knots in one array: the overhead of a small array exceeds its numbers.
        lengths = np.array([len(knots) for knots in self.knots], dtype=int)
        state = {**vars(self), "knots": (np.concatenate([np.empty(0), *self.knots]), lengths)}
        del state["pieces"]
        return state

    def __setstate__(self, state):
        knots, lengths = state["knots"]
        vars(self).update(state, knots=np.split(knots, np.cumsum(lengths))[:-1])
        self.pieces = _Pieces(self.knots)


class _Pieces:
    """The pieces of all columns: column, start, length and height of each.

    How far along a piece a number is lies between 0 and 1, but the outer pieces of a column go on
    beyond its range: between ``low`` and ``high``.
    """

    def __init__(self, knots):
        counts = [max(len(ends) - 1, 0) for ends in knots]
        self.column = np.repeat(np.arange(len(knots)), counts)
        self.start = np.concatenate([np.empty(0), *(ends[:-1] for ends in knots)])
        self.length = np.concatenate([np.empty(0), *map(np.diff, knots)])
        self.height = np.sqrt(_PIECES_OF_FULL_HEIGHT / np.repeat(counts, counts)).clip(max=1.0)
        first = np.diff(self.column, prepend=-1) > 0
        last = np.diff(self.column, append=len(knots)) > 0
        beyond = np.minimum(1.0, _BEYOND / self.length)  # or inputs might become huge
        self.low, self.high = np.where(first, -beyond, 0.0), np.where(last, 1.0 + beyond, 1.0)

    def __len__(self):
        return len(self.column)

    def expand(self, z, out):
        """Fill ``out``, (n_pieces, n), with the piecewise-linear encoding of z, (n_numbers, n)."""
        columns = self.start, 1.0 / self.length, self.low, self.high
        start, slope, low, high = (a.astype(z.dtype)[:, None] for a in columns)
        np.take(z, self.column, axis=0, out=out, mode="clip")  # this mode needs no buffer
        out -= start
        out *= slope
        np.maximum(out, low, out=out)  # with arrays, np.clip takes twice as long
        np.minimum(out, high, out=out)
        out -= np.clip(-start * slope, 0.0, 1.0)
        if (self.height < 1.0).any():
            out *= self.height.astype(z.dtype)[:, None]


@np.errstate(over="ignore")
def _summarise(values, weight, fewest, most):
    """Return the centre, the scale and the knots of a column of numbers."""
    present = ~np.isnan(values)
    weight = None if weight is None else weight[present]
    values, weight = _sort(values[present], weight)  # float32 sorts twice as fast
    values = values.astype(np.float64, copy=False)
    if not len(values):
        return np.nan, np.inf, np.empty(0)
    center = float(_quantiles(values, weight, 0.5))
    farthest = max(abs(values[0]), abs(values[-1]))
    if values[-1] - values[0] <= ROUNDING * farthest:
        return center, np.inf, np.empty(0)
    n_distinct = 1 + np.count_nonzero(values[1:] != values[:-1])
    typical = _typical_distance(values, weight, center)
    knots = np.empty(0)
    if most > 1 and n_distinct > _FEW_VALUES:
        most = min(most, max(fewest, n_distinct // _VALUES_PER_PIECE))
        n_rows = len(values) if weight is None else weight.sum()
        fewest = most if n_rows >= _REPEATS * n_distinct else min(fewest, most)
        knots = _knots(values, weight, fewest, most)
    return center, typical if n_distinct == 2 else _TO_DEVIATION * typical, knots


def _typical_distance(ordered, weight, center):
    """Return the median distance from the centre among values other than the centre."""
    low, high = (np.searchsorted(ordered, center, side) for side in ("left", "right"))
    distance = np.append(center - ordered[:low], ordered[high:] - center)
    weight = None if weight is None else np.append(weight[:low], weight[high:])
    # both halves are sorted, and a stable sort merges them in one pass
    return _quantiles(*_sort(distance, weight, kind="stable"), 0.5)


def _knots(ordered, weight, fewest, most):
    """Return as few quantiles of a column as draw its distribution function to within 0.05.

    ``fewest`` equal shares come first, then, one by one, the multiple of 1/32 with the largest
    error of linear interpolation. The rows of one value count for one piece at most, or a column
    of mostly zeros would have most of its knots at zero.
    """
    first = np.append(True, ordered[1:] != ordered[:-1])  # the first row of every value
    starts = np.flatnonzero(first)
    if weight is None:
        mass = np.diff(starts, append=len(ordered)).astype(float)
    else:
        mass = np.add.reduceat(weight, starts)
    del starts
    np.minimum(mass, mass.sum() / most, out=mass)
    levels = np.linspace(0.0, 1.0, 33)
    quantiles = _quantiles(ordered[first], mass, levels)
    values, lowest = np.unique(quantiles, return_index=True)
    share = levels[lowest]  # the lowest level of each value; it jumps after a frequent value
    even = np.linspace(0, len(levels) - 1, fewest + 1, dtype=int)
    chosen = np.unique(np.searchsorted(values, quantiles[even]))
    while len(chosen) <= most:
        error = np.abs(np.interp(values, values[chosen], share[chosen]) - share)
        error = error.round(9)  # ties go to the first, whatever the unit of the column
        if error.max() <= _SHARE_ERROR:
            break
        chosen = np.sort(np.append(chosen, error.argmax()))
    return values[chosen]


def _standardised(target, weight):
    """Return targets of mean 0 and deviation 1, so that squares of all can be added up."""
    largest = np.abs(target).max(axis=0)
    target = target / np.where(largest > 0.0, largest, 1.0)  # or squares might overflow
    target -= np.average(target, axis=0, weights=weight)
    deviation = np.sqrt(np.average(target**2, axis=0, weights=weight))
    return target / np.where(deviation > 0.0, deviation, 1.0)


def _refined(knots, column, center, scale, weight, target, finest):
    """Return the knots of a column, in units of its scale, or more if y needs them."""
    present = ~np.isnan(column)
    z = in_units(column[present], center, scale).astype(np.float64)
    if not present.all():
        weight, target = weight[present], target[present]
    ordered, mass = _sort(z, weight)
    distinct = np.unique(ordered)
    few = len(distinct) <= _FEW_VALUES
    finest = int(min(finest, weight.sum() / (_ROWS_PER_VALUE if few else _ROWS_PER_PIECE)))
    finer = [len(distinct) - 1] if few else [finest // 2, finest]
    finer = [n for n in finer if max(1, len(knots) - 1) < n <= finest]
    bins = _bins(z, ordered, mass, distinct, weight, target) if finer else None
    for n_pieces in finer:
        more = distinct if few else _knots(ordered, mass, n_pieces, n_pieces)
        if len(more) > len(knots):
            if not _pieces_miss(knots, *bins):
                break
            knots = more
    return knots


def _bins(z, ordered, mass, distinct, weight, target):
    """Cut a column into bins of one value each or, if it has many values, of equal mass.

    Returns
    -------
    middle, mass : ndarray of shape (n_bins,)
        Mean and weight of the rows of each bin.
    means : ndarray of shape (n_bins, n_outputs)
        Means of y in the bins.
    within : float
        Sum of squares of y around these means.
    """
    ends, n_bins = distinct, min(_BINS, int(weight.sum() / _ROWS_PER_BIN))
    if len(distinct) > n_bins:
        ends = np.unique(_quantiles(ordered, mass, np.arange(1, n_bins + 1) / n_bins))
    own = np.searchsorted(ends, z)  # the bin of each row ends at or above its value
    mass = np.bincount(own, weight)
    middle = np.bincount(own, weight * z) / mass
    rows = np.arange(len(own) + 1)
    sums = csr_array((weight, own, rows), shape=(len(own), len(mass))).T @ target
    means = sums / mass[:, None]
    within = weight @ np.einsum("ij,ij->i", target, target) - (sums * means).sum()
    return middle, mass, means, within


def _pieces_miss(knots, middle, mass, means, within):
    """Tell whether the means of y lie farther from the best fit of the pieces than noise explains.

    An analysis of variance: the sum of squares between the means of y and the best function with
    these knots, less its expectation under noise alone. The bins are those of `_bins`.
    """
    ramps = [np.clip((middle - low) / (high - low), 0.0, 1.0) for low, high in pairwise(knots)]
    lines = np.column_stack([np.ones(len(mass)), _squash(middle), *ramps])
    root = np.sqrt(mass)[:, None]
    best, _, rank, _ = np.linalg.lstsq(root * lines, root * means)
    noise = within / (mass.sum() - len(mass))
    freedom = len(mass) - rank
    missed = (mass[:, None] * (means - lines @ best) ** 2).sum() - freedom * noise
    total = within + (mass[:, None] * means**2).sum()
    return missed > max(_MISSED_SHARE * total, _MISSED_NOISE * noise * np.sqrt(2 * freedom))


def _sort(values, weight, kind="quicksort"):
    """Return values and weights in order of the values; without weights, sort in place."""
    if weight is None:
        values.sort(kind=kind)
        return values, None
    order = np.argsort(values, kind=kind)
    return values[order], weight[order]


def _quantiles(ordered, weight, levels):
    """Return the smallest values that have at least these shares of the weight at or below them.

    With this definition, repeating a row and doubling its weight are the same. Where exactly half
    the weight lies on either side, rounding errors do not decide between the two values.
    """
    below = np.arange(1.0, len(ordered) + 1.0) if weight is None else np.cumsum(weight)
    below /= below[-1]
    return ordered[np.searchsorted(below, (1.0 - 1e-12) * np.asarray(levels))]


@np.errstate(over="ignore", invalid="ignore")
def in_units(x, center, scale):
    """Return numbers in units of their scale, rounded to float32; missing values are zero.

    Without rounding, the last bits would depend on the units of X, and so would the training.
    """
    z = np.subtract(x, center, dtype=np.float64)
    z /= scale
    np.clip(z, -FAR, FAR, out=z)
    z = z.astype(np.float32)
    np.copyto(z, 0.0, where=np.isnan(z))
    return z


def _squash(z, out=None):
    """Return scaled numbers, smoothly clipped."""
    out = np.multiply(z, z, out=out)
    out *= 1.0 / CLIP**2
    out += 1.0
    np.sqrt(out, out=out)
    return np.divide(z, out, out=out)
