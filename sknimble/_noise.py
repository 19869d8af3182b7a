"""How far targets lie from predictions, learned on rows that the networks have not seen.

By the law of total variance, with K networks that predict m_k(x), and m(x) on average,

    Var[y | x] = noise(m(x)) + (1 / K) sum_k (m_k(x) - m(x))^2.

The second term is how far the networks are apart. The first is drawn by straight lines over the
prediction: where network k has not learned from a row, ``(y - m_k)^2`` is the whole variance on
average, and what exceeds the second term is noise.
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
        Squared error of a network that has not learned from the row, less the variance of the
        networks; may be negative.
    weight : ndarray of shape (n,)

    Returns
    -------
    list of (ndarray of shape (b,), ndarray of shape (b,))
        Of every output predictions, ascending, and the variance of the noise there.
    """
    outputs = zip(prediction.T, excess.T, strict=True)
    return [_of_one_output(*columns, weight) for columns in outputs]


def _of_one_output(prediction, excess, weight):
    """Return the weighted means of both in bins of equal weight."""
    order = np.argsort(prediction, kind="stable")
    prediction, excess, weight = prediction[order], excess[order], weight[order]
    n_bins = int(np.clip(len(order) // ROWS_PER_BIN, 1, MOST_BINS))
    middle = (np.cumsum(weight) - 0.5 * weight) / weight.sum()
    number = np.minimum(middle * n_bins, n_bins - 1).astype(int)
    total = np.bincount(number, weight)
    used = total > 0.0
    at, variance = (
        np.bincount(number, weight * column)[used] / total[used] for column in (prediction, excess)
    )
    return at, np.maximum(variance, 0.0)


def noise_at(noise, prediction):
    """Return the variance of the noise where the networks predict this, shape (n, o)."""
    columns = zip(prediction.T, noise, strict=True)
    return np.stack([np.interp(column, *one) for column, one in columns], axis=1)
