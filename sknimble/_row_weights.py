"""Weights of rows: their unit, and how they stay finite and positive.

Integer weights count rows: a row of weight two is two rows. Other weights have no unit; before
they are compared with a number of rows, such as a ridge penalty, they are rescaled.
"""

import numpy as np
from sklearn.utils import _safe_indexing


def rows_that_count(X, y, weight):
    """Drop the rows of weight zero."""
    if weight.all():
        return X, y, weight
    rows = np.flatnonzero(weight)
    return _safe_indexing(X, rows), y[rows], weight[rows]


# -------------------------------------------------------------------------- their unit
def for_penalty(weight):
    """Return weights to use with a ridge penalty, rescaled to mean 1 if their mean is below 1.

    Parameters
    ----------
    weight : ndarray of shape (n,)
        Integers count rows; others may have any scale.

    Returns
    -------
    ndarray of shape (n,)
        The positive weights among them are at least 1 on average.
    """
    mean = weight[weight > 0].mean()
    return weight / mean if mean < 1.0 else weight


def for_quantiles(weight):
    """Return weights for quantiles, and for counting the rows between two quantiles.

    Parameters
    ----------
    weight : ndarray of shape (n,) or None
        Positive.

    Returns
    -------
    ndarray of shape (n,) or None
        None if all are equal. Integers stay as they are, and so do weights of which the smallest
        is below 1 and the mean above; all others are rescaled to mean 1.
    """
    if weight is None or not np.ptp(weight):
        return None
    mean = weight.mean()
    if not (weight % 1.0).any() or weight.min() < 1.0 < mean:
        return weight
    return weight / mean


# ----------------------------------------------------------------------- their magnitude
def moderate(weight):
    """Return weights divided by the largest, if this is so extreme that sums might overflow.

    Otherwise they are not rescaled, because with a ridge penalty their scale matters.
    """
    if 1e-20 < weight.max() < 1e20:
        return weight
    return _none_vanished(weight / weight.max(), weight)


def in_precision_of(Z, weight):
    """Return weights in the dtype of Z; positive ones do not become zero."""
    if Z.dtype == np.float64:
        return weight
    weight = moderate(weight)
    if not any(weight.strides):  # a number broadcast to all rows, and so is the result
        return np.broadcast_to(weight[:1].astype(np.float32), weight.shape)
    return _none_vanished(weight.astype(np.float32), weight)


def _none_vanished(new, weight):
    """Return new weights, raised to the least normal number where the old ones were positive."""
    least = np.finfo(new.dtype).tiny
    new[(weight > 0) & (new < least)] = least
    return new
