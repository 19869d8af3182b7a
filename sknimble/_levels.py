"""Columns of levels (categories): which level, or pool of levels, has which matrix column."""

import datetime
import numbers

import numpy as np

from ._columns import NUMBER_TYPES, TIME_TYPES, is_missing

# The indicators of up to so many levels are 0 or 1, of k levels 0 or 1 / sqrt(k). With 1, levels
# with few rows would influence the network as much as others, and be regularised as little.
_LEVELS_OF_FULL_HEIGHT = 2


class Levels:
    """One column of levels."""

    def __init__(self, name):
        self.name = name

    def fit(self, values, weight, max_levels):
        """Learn the levels from a list of values; missing ones may be None, NaN or NA."""
        codes, distinct, self.times = _factorise(values, self.name)
        totals = {}
        for level, total in zip(distinct, np.bincount(codes, weight), strict=True):
            totals[level] = totals.get(level, 0.0) + total
        self.has_missing = totals.pop(None, None) is not None
        # stable: ties stay in order of appearance
        ordered = sorted(totals, key=totals.get, reverse=True)
        self.pooled = len(ordered) > max_levels
        self.kept = ordered[: max_levels - 1] if self.pooled else ordered
        self.width = len(self.kept) + self.pooled + self.has_missing
        return self

    def code(self, values):
        """Return the number of each value's column, -1 if it has none."""
        if self.width == 1:
            return -1  # a single level carries no information
        codes, distinct, times = _factorise(values, self.name)
        self._check_kind(distinct, times)
        columns = {level: k for k, level in enumerate(self.kept)}
        columns[None] = self.width - 1 if self.has_missing else -1
        other = len(self.kept) if self.pooled else -1
        return np.array([columns.get(level, other) for level in distinct])[codes]

    def _check_kind(self, distinct, times):
        """Raise if all levels are unknown and of another kind than when fitted."""
        levels = [level for level in distinct if level is not None]
        if times != self.times and levels and not set(levels) & set(self.kept):
            raise ValueError(
                f"Column {self.name!r} holds {levels[0]!r} for a level, which is unknown as are "
                "all others; dates and times should be what they were when fitted, or strings as "
                "they were."
            )
        before, now = (
            {"strings" if isinstance(level, str) else "numbers" for level in of_column}
            for of_column in (self.kept, levels)
        )
        if len(before) == len(now) == 1 and before != now:
            raise ValueError(
                f"Column {self.name!r} should hold {before.pop()} for levels, as when fitted, and "
                f"holds {now.pop()}, none of which is known: convert them."
            )

    def expand(self, code, out):
        """Fill the block of a transposed matrix that holds the indicators of the levels."""
        np.equal(code, np.arange(self.width, dtype=code.dtype)[:, None], out=out)
        if self.width > _LEVELS_OF_FULL_HEIGHT:
            out *= self.width**-0.5


def _factorise(values, name):
    """Return codes of the values, the level of each code (None: missing), and if any is a time.

    Bytes count as times here: both become strings, which may not be the strings meant.
    """
    code_of = {}
    try:
        codes = [code_of.setdefault(value, len(code_of)) for value in values]
    except TypeError as error:
        message = f"Column {name!r}: argument must be a string or a number, {error}."
        raise TypeError(message) from error
    times = any(isinstance(value, (*TIME_TYPES, bytes)) for value in code_of)
    return np.array(codes, dtype=np.intp), [_plain(value) for value in code_of], times


def _plain(value):
    """Return a level as a string or a number: the same one for all levels that are equal."""
    if is_missing(value):
        return None
    if isinstance(value, np.datetime64 | np.timedelta64):
        value = value.astype(f"{value.dtype.kind}8[us]").item()
    try:
        if isinstance(value, numbers.Integral):
            return int(value)
        if isinstance(value, NUMBER_TYPES):
            return float(value)
        if isinstance(value, datetime.datetime) and value.tzinfo:
            value = value.astimezone(datetime.UTC)
    except OverflowError:  # a fraction too large, or a time next to year 1 or 9999
        pass
    if type(value).__name__ == "Interval" and isinstance(value.left, numbers.Real):
        value = type(value)(float(value.left), float(value.right), value.closed)
    text = str.__str__(value) if isinstance(value, str) else str(value)  # not the name of an Enum
    return text.removesuffix(" 00:00:00")  # midnight: pandas writes it, or leaves it out
