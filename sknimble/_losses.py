"""One class per loss: what it scores, its gradient, its link and what it is worth.

A loss sees the *raw* output of a network, ``raw`` of shape (K, o, B) for K networks, o
outputs and a batch of B rows, and a target of shape (o, B) on the loss's own scale.

====================  =====================================================================
``fit(y, weight)``    learn the scale of the target from the training rows
``encode(y)``         targets, ndarray of shape (n, o)
``value``             loss of every row, shape (K, B)
``gradient``          derivative of ``value`` in ``raw``, shape (K, o, B)
``baseline``          the best constant raw output, shape (o,): its loss is what the data
                      loss is divided by, so that a constant predictor scores 1
``fit_linear``        coefficients (o, d) and intercepts (o,) of the linear model
``decode(raw)``       link: raw output (n, o), numpy, to a prediction in the user's units
====================  =====================================================================

Values and gradients use methods of tensors only, so this module needs no torch and a fitted
estimator predicts without it.
"""

import numpy as np
from scipy.special import expit, softmax
from sklearn.linear_model import LogisticRegression, Ridge


def normalisation(loss, target, weight):
    """Return the weighted mean loss of the best constant prediction (1.0 if it is zero).

    Parameters
    ----------
    loss : object
        A fitted loss of this module.
    target : ndarray of shape (n, o)
        Encoded targets.
    weight : ndarray of shape (n,)
        Row weights.

    Returns
    -------
    float
        Normaliser of the data loss.
    """
    import torch

    constant = torch.as_tensor(loss.baseline(target, weight))[None, :, None]
    targets = torch.as_tensor(target, dtype=constant.dtype).T
    rows = loss.value(constant.expand(1, -1, targets.shape[1]), targets)[0].numpy()
    mean = float(np.average(rows, weights=weight))
    return mean if mean > np.finfo(np.float32).eps else 1.0


class SquaredError:
    """Mean over outputs of ``(raw - target)**2``, on a standardised target.

    Predictions are clipped to the range of the training target.
    """

    def fit(self, y, weight):
        """Learn location, scale and range of y, shape (n, o)."""
        self.location_ = np.average(y, axis=0, weights=weight)
        scale = np.sqrt(np.average((y - self.location_) ** 2, axis=0, weights=weight))
        tiny = 10 * np.finfo(np.float64).eps * np.abs(self.location_)
        self.scale_ = np.where(scale > tiny, scale, 1.0)
        self.range_ = np.stack([y.min(axis=0), y.max(axis=0)])
        self.n_outputs_ = y.shape[1]
        return self

    def encode(self, y):
        """Standardise y."""
        return (y - self.location_) / self.scale_

    def decode(self, raw):
        """Return predictions in the units of y."""
        return np.clip(raw * self.scale_ + self.location_, *self.range_)

    def value(self, raw, target):
        """Return the loss of every row."""
        return (raw - target).square_().mean(dim=1)

    def gradient(self, raw, target):
        """Return the derivative of `value` in ``raw``."""
        return (raw - target).mul_(2.0 / raw.shape[1])

    def baseline(self, target, weight):
        """Return the weighted mean."""
        return np.average(target, axis=0, weights=weight)

    def fit_linear(self, X, target, weight):
        """Fit ridge regression."""
        model = Ridge().fit(X, target, sample_weight=weight)
        return model.coef_, model.intercept_


class BinaryCrossEntropy:
    """Cross-entropy of one logit per output; targets are 0 or 1.

    The mean over outputs, so that several outputs are several labels.
    """

    def fit(self, y, weight):
        """Learn the number of outputs of the indicator y, shape (n, o)."""
        self.n_outputs_ = y.shape[1]
        return self

    def encode(self, y):
        """Return y as floats."""
        return y.astype(np.float64)

    def decode(self, raw):
        """Return the probability of 1 for every output."""
        return expit(raw)

    def value(self, raw, target):
        """Return the loss of every row, in nats."""
        row = raw.clamp(min=0.0) - raw * target + (-raw.abs()).exp_().log1p_()
        return row.mean(dim=1)

    def gradient(self, raw, target):
        """Return the derivative of `value` in ``raw``."""
        return (raw.sigmoid() - target).mul_(1.0 / raw.shape[1])

    def baseline(self, target, weight):
        """Return the log-odds of the class frequencies."""
        share = np.average(target, axis=0, weights=weight).clip(1e-12, 1 - 1e-12)
        return np.log(share / (1.0 - share))

    def fit_linear(self, X, target, weight):
        """Fit logistic regression, one label at a time."""
        parts = [_logistic(X, column, weight) for column in target.T]
        return np.concatenate([c for c, _ in parts]), np.concatenate([b for _, b in parts])


class CrossEntropy:
    """Multinomial cross-entropy of a softmax; targets are one-hot rows."""

    def fit(self, y, weight):
        """Learn the number of classes of the indicator y, shape (n, o)."""
        self.n_outputs_ = y.shape[1]
        return self

    def encode(self, y):
        """Return y as floats."""
        return y.astype(np.float64)

    def decode(self, raw):
        """Return class probabilities."""
        return softmax(raw, axis=-1)

    def value(self, raw, target):
        """Return the loss of every row, in nats."""
        return raw.logsumexp(dim=1) - (raw * target).sum(dim=1)

    def gradient(self, raw, target):
        """Return the derivative of `value` in ``raw``."""
        return raw.softmax(dim=1).sub_(target)

    def baseline(self, target, weight):
        """Return the logarithms of the class frequencies."""
        return np.log(np.average(target, axis=0, weights=weight).clip(1e-12))

    def fit_linear(self, X, target, weight):
        """Fit multinomial logistic regression."""
        coef, intercept = _logistic(X, target.argmax(axis=1), weight)
        present = np.flatnonzero(target.any(axis=0))
        if len(present) == target.shape[1] and len(coef) == len(present):
            return coef, intercept
        return _spread(coef, intercept, present, target.shape[1])


def _spread(coef, intercept, present, n_classes):
    """Place the rows of the classes a fold has among all classes, the others improbable."""
    if len(coef) == 1 and len(present) == 2:
        coef, intercept = np.vstack([-coef, coef]) / 2, np.r_[-intercept, intercept] / 2
    full, offset = np.zeros((n_classes, coef.shape[1])), np.full(n_classes, -10.0)
    full[present], offset[present] = coef, intercept
    return full, offset


def _logistic(X, labels, weight):
    """Fit logistic regression; a single class gets a large constant logit."""
    if len(np.unique(labels)) < 2:
        return np.zeros((1, X.shape[1])), np.array([10.0 if labels[0] else -10.0])
    model = LogisticRegression(max_iter=200, tol=1e-4)
    model.fit(X, labels, sample_weight=weight)
    return model.coef_, model.intercept_
