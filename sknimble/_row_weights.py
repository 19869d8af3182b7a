"""Weights of rows: what they say, and how they stay numbers.

Whole weights count rows: a row of weight two is two rows. Others have no unit; where they meet
something that counts rows itself, a ridge penalty or the pieces of a column, they get one.
"""

import numpy as np
from sklearn.utils import _safe_indexing


def rows_that_count(X, y, weight):
    """Drop the rows of weight zero."""
    if weight.all():
        return X, y, weight
    rows = np.flatnonzero(weight)
    return _safe_indexing(X, rows), y[rows], weight[rows]


# -------------------------------------------------------------------------- that get a unit
def for_penalty(weight):
    """Return weights that a ridge penalty can be held against: those of mean below 1 have no unit.

    Parameters
    ----------
    weight : ndarray of shape (n,)
        Whole numbers count rows, and zeros none; others may have any scale.

    Returns
    -------
    ndarray of shape (n,)
        Positive ones of which are at least 1 on average.
    """
    mean = weight[weight > 0].mean()
    return weight / mean if mean < 1.0 else weight


def for_quantiles(weight):
    """Return weights of which quantiles are taken, and rows per quantile counted.

    Parameters
    ----------
    weight : ndarray of shape (n,) or None
        Positive.

    Returns
    -------
    ndarray of shape (n,) or None
        Those that are not whole are 1 on average, unless much weight and hardly any mix. Equal
        ones are none.
    """
    if weight is None or not np.ptp(weight):
        return None
    mean = weight.mean()
    if not (weight % 1.0).any() or weight.min() < 1.0 < mean:
        return weight
    return weight / mean


# ----------------------------------------------------------------------- that stay numbers
def moderate(weight):
    """Return weights whose sum is a number in any precision, divided by the largest if need be.

    Only then, since against a ridge penalty their scale counts.
    """
    if 1e-20 < weight.max() < 1e20:
        return weight
    return _none_vanished(weight / weight.max(), weight)


def in_precision_of(Z, weight):
    """Return weights in the dtype of Z, none that is not zero as zero."""
    if Z.dtype == np.float64:
        return weight
    weight = moderate(weight)
    if not any(weight.strides):  # one number for all rows: they stay one
        return np.broadcast_to(weight[:1].astype(np.float32), weight.shape)
    return _none_vanished(weight.astype(np.float32), weight)


def _none_vanished(new, weight):
    """Return new weights; those that were positive are at least the least normal number."""
    least = np.finfo(new.dtype).tiny
    new[(weight > 0) & (new < least)] = least
    return new
