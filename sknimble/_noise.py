"""The variance of targets around predictions, learned from held-out rows.

By the law of total variance, with K networks that predict m_k(x), and m(x) on average,

    Var[y | x] = noise(m(x)) + (1 / K) sum_k (m_k(x) - m(x))^2.

The second term is the variance of the networks. The first is a piecewise-linear function of the
prediction: on rows held out from network k, ``(y - m_k)^2`` is on average the whole variance, and
what exceeds the second term is noise.
"""

import numpy as np

ROWS_PER_BIN, MOST_BINS = 40, 12


def learn_noise(prediction, excess, weight):
    """Return the noise as a function of the prediction, one per output.

    Parameters
    ----------
    prediction : ndarray of shape (n, o)
        m(x).
    excess : ndarray of shape (n, o)
        Squared error of a network from which the row was held out, less the variance of the
        networks; may be negative.
    weight : ndarray of shape (n,)

    Returns
    -------
    list of (ndarray of shape (b,), ndarray of shape (b,))
        For every output: predictions, ascending, and the variance of the noise there.
    """
    outputs = zip(prediction.T, excess.T, strict=True)
    return [_of_one_output(*columns, weight) for columns in outputs]


def _of_one_output(prediction, excess, weight):
    """Return the weighted means of prediction and excess in bins of about equal weight."""
    order = np.argsort(prediction, kind="stable")
    prediction, excess, weight = prediction[order], excess[order], weight[order]
    n_bins = int(np.clip(len(order) // ROWS_PER_BIN, 1, MOST_BINS))
    middle = (np.cumsum(weight) - 0.5 * weight) / weight.sum()
    number = np.minimum(middle * n_bins, n_bins - 1).astype(int)
    number = number[np.searchsorted(prediction, prediction)]  # equal predictions: one bin
    total = np.bincount(number, weight)
    used = total > 0.0
    at, variance = (
        np.bincount(number, weight * column)[used] / total[used] for column in (prediction, excess)
    )
    return at, np.maximum(variance, 0.0)


def noise_at(noise, prediction):
    """Return the variance of the noise at these predictions, both of shape (n, o)."""
    columns = zip(prediction.T, noise, strict=True)
    return np.stack([np.interp(column, *one) for column, one in columns], axis=1)
