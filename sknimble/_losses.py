"""One class per loss: its value, gradient, link and baseline.

A loss sees the *raw* output of a network, ``raw`` of shape (K, o, B) for K networks, o
outputs and a batch of B rows, and a target of shape (o, B) on the loss's own scale.

====================  =====================================================================
``fit(y, weight)``    learn the scale of the target from the training rows
``encode(y)``         targets, ndarray of shape (n, o)
``is_constant()``     which columns of y have had one value so far, a bool array
``widen(y)``          a copy whose predictions may reach as far as a later y
``value``             loss of every row, shape (K, B)
``gradient``          derivative of ``value`` in ``raw``, shape (K, o, B)
``baseline``          the best constant raw output, shape (o,): the data loss is divided by its
                      loss, so that a constant prediction has loss 1
``fit_linear``        coefficients (o, d) and intercepts (o,) of the linear model, for a ridge
                      penalty of 1 or any other; it overwrites X
``decode(raw)``       link: raw output (n, o), numpy, to a prediction in the user's units
``link``              name of what `decode` does, for exports: "range" (which reads
                      ``location_``, ``scale_`` and ``range_``, and ``rank`` if there are
                      several quantiles), "exponential" (``mean_``, ``low_`` and ``high_``; has
                      ``covering(losses)``, a copy whose range covers theirs), "sigmoid" or
                      "softmax" (``shift_of``)
``n_outputs_``        raw outputs of a network, o
``least``             a smaller loss of the baseline counts as this: nothing is left to explain
``calibration``       what held-out rows correct: "logits" in scale and place, "quantiles" (of
                      ``levels_``) in place, None nothing
``finishes``          whether networks may in the end learn from their held-out rows too: not
                      where quantiles or probabilities are calibrated by these rows
====================  =====================================================================

Values and gradients use methods of tensors only, so importing this module needs no torch and a
fitted estimator predicts without it.
"""

from copy import copy

import numpy as np
from scipy.special import expit, softmax
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.utils import gen_batches

from ._row_weights import for_penalty

LINEAR_ROUNDS = 12  # ridge regressions that fit the linear start of a robust loss
BLOCK_ROWS = 2**16  # rows scored at a time, in double precision
TINY = float(np.finfo(np.float32).eps)
ROUNDING = 10 * float(np.finfo(np.float64).eps)  # relative difference of equal numbers, at most
PRECISION, MOST_HALVINGS = 1e-12, 100  # of the bisection for a smoothed quantile, in robust scales
FAR = 100.0  # gross outliers lie beyond so many robust scales, and upper quartiles of the distance
FEW = 0.2  # most gross outliers, as a share of the rows on the rarer side of the quantile
MOST_OF_THE_LOSS = 0.9  # least share of gross outliers in the loss of the best constant
SCORING_ROUNDS = 10  # ridge regressions that fit the linear start of a log link
LEAST_PREDICTION = 1e-6  # smallest prediction of a log link, as a share of the mean target
LOWEST_TARGET = 1e-30  # a smaller target counts as this in logarithms, in the same unit


def baseline_loss(loss, target, weight):
    """Return the weighted mean loss of the best constant prediction.

    Parameters
    ----------
    loss : object
        A fitted loss of this module.
    target : ndarray of shape (n, o)
        Encoded targets.
    weight : ndarray of shape (n,)

    Returns
    -------
    float
    """
    raw = np.broadcast_to(loss.baseline(target, weight).astype(target.dtype), target.shape)
    return _mean_loss(loss, raw, target, weight)


def _mean_loss(loss, raw, target, weight):
    """Return the weighted mean loss of raw outputs, shape (n, o)."""
    total = 0.0
    for rows in gen_batches(len(target), BLOCK_ROWS):
        total += (row_losses(loss, raw[rows], target[rows]) * weight[rows]).sum()
    return float(total / weight.sum(dtype=np.float64))


def linear_loss(loss, X, target, weight):
    """Return the loss of the linear model divided by that of the constant, on its training rows.

    Parameters
    ----------
    loss : object
        A fitted loss of this module.
    X : ndarray or CSR matrix of shape (n, d)
    target : ndarray of shape (n, o)
        Encoded targets.
    weight : ndarray of shape (n,)

    Returns
    -------
    float
        0: nothing is left to explain; 1: no better than a constant.
    """
    coef, intercept = loss.fit_linear(X.copy(), target, for_penalty(weight))
    raw = X @ coef.T + intercept
    normaliser = max(baseline_loss(loss, target, weight), loss.least)
    return _mean_loss(loss, raw, target, weight) / normaliser


def row_losses(loss, raw, target):
    """Return the loss of every row, for numpy arrays.

    Parameters
    ----------
    loss : object
        A fitted loss of this module.
    raw, target : ndarray of shape (n, o)
        Raw output and encoded target.

    Returns
    -------
    ndarray of shape (n,)
    """
    import torch

    rows = (array.T.astype(np.float64) for array in (raw, target))
    raw, target = (torch.as_tensor(row, device="cpu") for row in rows)
    return loss.value(raw[None], target)[0].numpy()


class _InRange:
    """Base of losses whose predictions are in the units of y and clipped to its range."""

    link = "range"
    far_ = np.inf  # targets are clipped at this distance, in units of their scale
    least = TINY
    calibration = None
    finishes = True

    def is_constant(self):
        """Tell which outputs have had one value so far, but for rounding."""
        low, high = self.range_
        return high <= low + ROUNDING * np.abs(low)

    def widen(self, y):
        """Return a copy whose predictions may reach as far as y.

        Outputs with a single value so far learn location and scale when a second value comes.
        """
        wider = copy(self)
        alike = self.is_constant() & (y != self.range_[0]).any(axis=0)
        if alike.any():
            together = np.concatenate([self.range_[:1], y])
            begun = copy(self).fit(together, np.ones(len(together)))
            for name in ("location_", "scale_", "far_"):
                setattr(wider, name, np.where(alike, getattr(begun, name), getattr(self, name)))
        wider.range_ = _least_and_largest(np.concatenate([self.range_, _least_and_largest(y)]))
        return wider

    def decode(self, raw):
        """Return predictions in the units of y."""
        return np.clip(raw * self.scale_ + self.location_, *self.range_)


class SquaredError(_InRange):
    """Half the sum over outputs of ``(raw - target)**2``, on a standardised target.

    Predictions are clipped to the range of the training target.
    """

    def fit(self, y, weight):
        """Learn location, scale and range of y, shape (n, o)."""
        self.location_ = np.average(y, axis=0, weights=weight)
        away = y - self.location_
        farthest = np.abs(away).max(axis=0)  # divided by, as squares might under- or overflow
        away /= np.where(farthest > 0.0, farthest, 1.0)
        scale = farthest * np.sqrt(np.average(away**2, axis=0, weights=weight))
        tiny = ROUNDING * np.abs(self.location_)
        self.scale_ = np.where(scale > tiny, scale, 1.0)
        self.range_ = _least_and_largest(y)
        self.n_outputs_ = y.shape[1]
        return self

    def encode(self, y):
        """Standardise y."""
        return (y - self.location_) / self.scale_

    def value(self, raw, target):
        """Return the loss of every row."""
        return (raw - target).square_().sum(dim=1).mul_(0.5)

    def gradient(self, raw, target):
        """Return the derivative of `value` in ``raw``."""
        return raw - target

    def baseline(self, target, weight):
        """Return the weighted mean."""
        return np.average(target, axis=0, weights=weight)

    def fit_linear(self, X, target, weight, penalty=1.0):
        """Fit ridge regression."""
        rows = None if (weight == 1.0).all() else weight  # with weights, Ridge copies X
        model = Ridge(penalty, copy_X=False).fit(X, target, sample_weight=rows)
        return model.coef_.reshape(target.shape[1], -1), np.ravel(model.intercept_)


class _SmoothPinball(_InRange):
    """Pinball loss of the error e = raw - target, its kink smoothed; the mean over outputs.

    With delta > 0 and a level q between 0 and 1 it is ``h(e) / 2 + (1/2 - q) e``, where
    ``h(e)`` is ``e**2 / (2 delta)`` for ``|e| <= delta`` and ``|e| - delta / 2`` beyond: the
    pinball loss of q, its kink smoothed over 2 delta. The unit of e is a robust scale of the
    target. Predictions are clipped to the range of the training target.

    Gross outliers among the targets are clipped. They lie farther from the median than a hundred
    scales and than a hundred times the third quartile of this distance, are few (at most a tenth
    of the rows for the median, a fiftieth for a level of 0.9) and make up more than nine tenths
    of the loss of the best constant. The utility of a neuron is a share of that loss, so with
    these outliers no neuron would seem useful. A clipped target has the same gradient as before,
    because there the loss is linear.

    References
    ----------
    Huber, "Robust estimation of a location parameter", 1964.
    He, Pan, Tan and Zhou, "Smoothed quantile regression", arXiv 2012.05187.
    """

    delta = 0.01
    quantile = 0.5

    def fit(self, y, weight):
        """Learn median, scale and range of y, shape (n, o), and the level of every output."""
        parts = [_median_and_scale(column, weight) for column in y.T]
        self.location_, self.scale_ = np.transpose(parts)
        self.range_ = _least_and_largest(y)
        self.n_outputs_ = max(np.size(self.quantile), y.shape[1])
        self.levels_ = np.broadcast_to(np.asarray(self.quantile, float), self.n_outputs_)
        self.far_ = self._farthest(y, weight)
        return self

    def _farthest(self, y, weight):
        """Return the distance at which each column of targets is clipped, in its scale."""
        distance = np.abs((y - self.location_) / self.scale_)
        typical = _weighted_quantile(distance, weight, 0.75)
        far = FAR * np.maximum(1.0, typical)
        beyond = weight[:, None] * (distance > far)
        share = FEW * np.minimum(self.levels_, 1.0 - self.levels_).min()
        few = beyond.sum(axis=0) <= share * weight.sum()
        dominant = (beyond * distance).sum(axis=0) > MOST_OF_THE_LOSS * (weight @ distance)
        return np.where(few & dominant, far, np.inf)

    def encode(self, y):
        """Centre, scale and clip y; repeat it for every level if there are several."""
        z = ((y - self.location_) / self.scale_).clip(-self.far_, self.far_)
        return np.repeat(z, self.n_outputs_ // z.shape[1], axis=1)

    def value(self, raw, target):
        """Return the loss of every row."""
        error = raw - target
        inside = error.clamp(-self.delta, self.delta)
        row = inside * (error - 0.5 * inside) * (0.5 / self.delta)
        return (row + error * self._tilt(raw)).mean(dim=1)

    def gradient(self, raw, target):
        """Return the derivative of `value` in ``raw``."""
        slope = (raw - target).clamp_(-self.delta, self.delta).mul_(0.5 / self.delta)
        return slope.add_(self._tilt(raw)).mul_(1.0 / raw.shape[1])

    def _tilt(self, raw):
        """Return ``1/2 - q`` of every output, shape (o, 1)."""
        return raw.new_tensor(0.5 - self.levels_)[:, None]

    def baseline(self, target, weight):
        """Return the smoothed quantiles, where the mean slope is zero, by bisection."""
        low, high = target.min(axis=0), target.max(axis=0)
        for _ in range(MOST_HALVINGS):
            if (high - low <= PRECISION).all():
                break
            middle = 0.5 * (low + high)
            inside = np.clip(middle - target, -self.delta, self.delta)
            slope = np.average(inside, axis=0, weights=weight) * (0.5 / self.delta)
            # A slope within rounding of 0 counts as 0, so that the order of rows does not matter.
            right = slope + 0.5 - self.levels_ < -1e-12
            low, high = np.where(right, middle, low), np.where(right, high, middle)
        return 0.5 * (low + high)

    def fit_linear(self, X, target, weight, penalty=1.0):
        """Fit ridge regressions to quadratics that majorise the loss; then exact intercepts."""
        coef = np.zeros((target.shape[1], X.shape[1]))
        errors = self.baseline(target, weight) - target
        for j, tilt in enumerate(2.0 * self.levels_ - 1.0):
            error = errors[:, j]
            for _ in range(LINEAR_ROUNDS):
                distance = np.maximum(np.abs(error), self.delta)
                rows = weight / distance
                rows *= weight.sum() / rows.sum()
                model = Ridge(penalty)
                model.fit(X, target[:, j] + tilt * distance, sample_weight=rows)
                error = model.predict(X) - target[:, j]
            coef[j] = model.coef_
        return coef, self.baseline(target - X @ coef.T, weight)


class AbsoluteError(_SmoothPinball):
    """Half the absolute error, its kink smoothed over 0.02 robust scales of the target."""


class Huber(_SmoothPinball):
    """Squared error up to delta, half a robust scale of the target, absolute error beyond.

    Huber's delta is 1.35 robust scales of the errors. This is half a scale of the target if the
    model explains 86 % of a normal target. With 1.35 scales of the target, gross outliers would
    have too much influence.
    """

    delta = 0.5


class Quantile(_SmoothPinball):
    """Pinball loss: one level for all outputs, or several levels of a single output.

    Several levels never cross: `decode` sorts them, which can only lower their loss.

    Parameters
    ----------
    quantile : float or array-like of float, default=0.5
        Levels, between 0 and 1.

    References
    ----------
    Chernozhukov, Fernandez-Val and Galichon, "Quantile and probability curves without
    crossing", arXiv 0704.3649.
    """

    calibration = "quantiles"
    finishes = False

    def __init__(self, quantile=0.5):
        self.quantile = copy(quantile)  # a list may change later
        levels = np.asarray(quantile)
        numbers = levels.dtype.kind == "f" and levels.ndim < 2 and levels.size
        if not numbers or not (0 < levels.min() and levels.max() < 1):
            raise ValueError(
                f"quantile={quantile!r} must be a number between 0 and 1, or a list of them"
            )

    def fit(self, y, weight):
        """Learn median, scale and range of y, shape (n, o), and the level of every output."""
        if np.ndim(self.quantile) and y.shape[1] > 1:
            raise ValueError(
                f"several quantiles need one target, and y has {y.shape[1]}: give one quantile, "
                "or fit one model for every target"
            )
        return super().fit(y, weight)

    @property
    def rank(self):
        """Position of each level among all in ascending order, shape (o,)."""
        return self.levels_.argsort(kind="stable").argsort(kind="stable")

    def decode(self, raw):
        """Return predictions in the units of y, levels in the order in which they were given."""
        if np.ndim(self.quantile):
            raw = np.sort(raw, axis=1)[:, self.rank]
        return super().decode(raw)


class _LogLink:
    """Half the mean deviance over outputs of ``mean(y) * exp(raw)``; targets are y / mean(y).

    Where a prediction leaves the range of the training targets of all outputs, the exponential
    is continued as a straight line, so that neither value nor gradient overflows; `decode` clips
    each output to the range of its own targets.
    """

    link = "exponential"
    least = TINY
    calibration = None
    finishes = True

    def fit(self, y, weight):
        """Learn mean and range of y, shape (n, o)."""
        mean = np.average(y, axis=0, weights=weight)
        self.mean_ = np.where(mean > 0, mean, 1.0)
        self.n_outputs_ = y.shape[1]
        return self._set_range(*self._range(y))

    def is_constant(self):
        """Tell which outputs have had one value so far, but for rounding."""
        return self.high_ <= self.low_ + ROUNDING

    def widen(self, y):
        """Return a copy whose predictions may reach as far as y.

        Outputs with a single value so far learn their mean when a second value comes.
        """
        wider = copy(self)
        alike = self.is_constant() & (self._range(y) != self.low_).any(axis=0)
        if alike.any():
            together = np.concatenate([self.decode(self.low_)[None], y])
            begun = copy(self).fit(together, np.ones(len(together)))
            wider.mean_ = np.where(alike, begun.mean_, self.mean_)
        shift = np.log(self.mean_ / wider.mean_)
        low, high = wider._range(y)
        least = np.log(LEAST_PREDICTION)
        return wider._set_range(np.minimum((self.low_ + shift).clip(least), low),
                                np.maximum((self.high_ + shift).clip(least), high))  # fmt: skip

    def covering(self, losses):
        """Return a copy of which the range covers the ranges of all these losses."""
        low, high = ([getattr(loss, end) for loss in losses] for end in ("low_", "high_"))
        return copy(self)._set_range(np.min(low, axis=0), np.max(high, axis=0))

    def _range(self, y):
        """Return the logarithms of each output's least and largest target, shape (2, o)."""
        return np.log(_least_and_largest(self.encode(y).clip(LEAST_PREDICTION)))

    def _set_range(self, low, high):
        """Set the range of every output, and that of all together, which every step uses."""
        self.low_, self.high_ = low, high
        self.lowest_, self.highest_ = float(low.min()), float(high.max())
        return self

    def encode(self, y):
        """Divide y by its mean."""
        self._check(y)
        return y / self.mean_

    def decode(self, raw):
        """Return predictions in the units of y, all positive."""
        return np.exp(np.clip(raw, self.low_, self.high_)) * self.mean_

    def baseline(self, target, weight):
        """Return the logarithm of the weighted mean."""
        return np.log(np.average(target, axis=0, weights=weight).clip(LEAST_PREDICTION))

    def fit_linear(self, X, target, weight, penalty=1.0):
        """Fit generalised linear models with a ridge penalty, one for every output."""
        coef, intercept = np.zeros((target.shape[1], X.shape[1])), self.baseline(target, weight)
        for j in np.flatnonzero(target.any(axis=0)):
            start = coef[j], intercept[j]
            coef[j], intercept[j] = self._fisher_scoring(X, target[:, [j]], weight, penalty, start)
        return coef, intercept

    def _fisher_scoring(self, X, target, weight, penalty, best):
        """Improve a coefficient vector and an intercept by Fisher scoring, halving bad steps.

        Every step is a ridge regression of a working target (McCullagh and Nelder, "Generalized
        linear models", section 2.5). scikit-learn's lbfgs finds the same in ten times the time,
        and both its solvers warn on wide tables and heavy tails.
        """
        lowest = _mean_loss(self, np.full_like(target, best[1]), target, weight)
        for _ in range(SCORING_ROUNDS):
            raw = np.clip(X @ best[0] + best[1], self.lowest_, self.highest_)
            rows = weight * self._information(np.exp(raw))
            model = Ridge(penalty)
            model.fit(X, raw + target[:, 0] / np.exp(raw) - 1.0, sample_weight=rows)
            for share in (1.0, 0.5, 0.25, 0.125):
                coef = best[0] + share * (model.coef_ - best[0])
                intercept = best[1] + share * (model.intercept_ - best[1])
                loss = _mean_loss(self, (X @ coef + intercept)[:, None], target, weight)
                loss += 0.5 * penalty * coef @ coef / weight.sum()
                if loss < lowest + 1e-9:  # rounding must not decide how many steps are made
                    break
            else:
                break
            best, lowest = (coef, intercept), loss
        return best


class Poisson(_LogLink):
    """Half the Poisson deviance, ``t log(t / m) - t + m`` with ``m = exp(raw)``; targets >= 0."""

    def _check(self, y):
        """Raise for targets below 0."""
        if y.min() < 0:
            raise ValueError(f"loss='poisson' needs y >= 0, got {y.min():g}")

    def value(self, raw, target):
        """Return the loss of every row."""
        safe = raw.clamp(max=self.highest_)
        mean = safe.exp() * (1.0 + raw - safe)
        return (mean - target * raw + target.xlogy(target) - target).mean(dim=1)

    def gradient(self, raw, target):
        """Return the derivative of `value` in ``raw``."""
        return raw.clamp(max=self.highest_).exp_().sub_(target).mul_(1.0 / raw.shape[1])

    def _information(self, mean):
        """Return the Fisher information of rows about the logarithm of their mean."""
        return mean


class Gamma(_LogLink):
    """Half the gamma deviance, ``log(m / t) + t / m - 1`` with ``m = exp(raw)``; targets > 0."""

    def _check(self, y):
        """Raise for targets that are not above 0."""
        if y.min() <= 0:
            raise ValueError(f"loss='gamma' needs y > 0, got {y.min():g}")

    def encode(self, y):
        """Divide y by its mean; keep it above 0 in float32, so that it has a logarithm."""
        return super().encode(y).clip(LOWEST_TARGET)

    def value(self, raw, target):
        """Return the loss of every row."""
        safe = raw.clamp(min=self.lowest_)
        ratio = target * (-safe).exp_() * (1.0 + safe - raw)
        return (raw - target.log() + ratio - 1.0).mean(dim=1)

    def gradient(self, raw, target):
        """Return the derivative of `value` in ``raw``."""
        ratio = raw.clamp(min=self.lowest_).neg_().exp_().mul_(target)
        return (1.0 - ratio).mul_(1.0 / raw.shape[1])

    def _information(self, mean):
        """Return the Fisher information of rows about the logarithm of their mean."""
        return np.ones_like(mean)


REGRESSION_LOSSES = {
    "squared_error": SquaredError,
    "absolute_error": AbsoluteError,
    "huber": Huber,
    "poisson": Poisson,
    "gamma": Gamma,
    "quantile": Quantile,
}


class _Probabilities:
    """A loss of logits: the Kullback-Leibler divergence from labels to predictions.

    For labels 0 and 1 it is the cross-entropy. For smoothed labels, in between, a perfect
    prediction has divergence 0, but a cross-entropy above 0.
    """

    least = 1e-3  # nats: about the baseline where the rare class has one row in ten thousand
    calibration = "logits"
    finishes = False

    def fit(self, y, weight):
        """Learn the shares of the classes, as logits, from the indicator y, shape (n, o)."""
        self.n_outputs_ = y.shape[1]
        least = 0.5 / (len(y) + 1.0)  # as if a class without rows had half a row
        share = np.average(y, axis=0, weights=weight).clip(least, 1.0 - least)
        self.base_ = self.baseline(share[None], np.ones(1))
        return self

    def is_constant(self):
        """Return False for all: even while y has had one class, others are expected."""
        return np.zeros(self.n_outputs_, dtype=bool)

    def widen(self, y):
        """Return the loss itself: the range of probabilities is known."""
        return self

    def shift_of(self, sharpness):
        """Return what keeps the logits of the shares as they are, if added to sharpened ones."""
        return (1.0 - sharpness) * self.base_

    def encode(self, y):
        """Return y as floats."""
        return y.astype(np.float64)


class BinaryCrossEntropy(_Probabilities):
    """Divergence of one logit per output, the mean over outputs: two classes or several labels."""

    link = "sigmoid"

    def decode(self, raw):
        """Return the probability of 1 for every output."""
        return expit(raw)

    def value(self, raw, target):
        """Return the loss of every row, in nats."""
        row = raw.clamp(min=0.0) - raw * target + (-raw.abs()).exp_().log1p()
        return (row + target.xlogy(target) + (1.0 - target).xlogy(1.0 - target)).mean(dim=1)

    def gradient(self, raw, target):
        """Return the derivative of `value` in ``raw``."""
        return (raw.sigmoid() - target).mul_(1.0 / raw.shape[1])

    def baseline(self, target, weight):
        """Return the log-odds of the class frequencies."""
        share = np.average(target, axis=0, weights=weight.astype(np.float64))
        share = share.clip(1e-12, 1 - 1e-12)
        return np.log(share / (1.0 - share))

    def fit_linear(self, X, target, weight, penalty=1.0):
        """Fit logistic regression, one label at a time."""
        parts = [_logistic(X, column, weight, penalty) for column in target.T]
        return np.concatenate([c for c, _ in parts]), np.concatenate([b for _, b in parts])


class CrossEntropy(_Probabilities):
    """Divergence of a softmax; targets are one-hot rows, or smoothed."""

    link = "softmax"

    def decode(self, raw):
        """Return class probabilities."""
        return softmax(raw, axis=-1)

    def value(self, raw, target):
        """Return the loss of every row, in nats."""
        return raw.logsumexp(dim=1) + (target.xlogy(target) - raw * target).sum(dim=1)

    def gradient(self, raw, target):
        """Return the derivative of `value` in ``raw``."""
        return raw.softmax(dim=1).sub_(target)

    def baseline(self, target, weight):
        """Return the logarithms of the class frequencies."""
        return np.log(np.average(target, axis=0, weights=weight).clip(1e-12))

    def fit_linear(self, X, target, weight, penalty=1.0):
        """Fit multinomial logistic regression."""
        coef, intercept = _logistic(X, target.argmax(axis=1), weight, penalty)
        present = np.flatnonzero(target.any(axis=0))
        if len(present) == target.shape[1]:
            return coef, intercept
        return _for_all_classes(coef, intercept, present, target.shape[1], len(target))


def _least_and_largest(y):
    """Return the least and the largest value of every column, shape (2, o)."""
    return np.stack([y.min(axis=0), y.max(axis=0)])


def _median_and_scale(values, weight):
    """Return the weighted median, and the scale of a normal target of the same spread.

    The spread is the median distance from the median among values that differ from it.
    """
    median = _weighted_quantile(values, weight, 0.5)
    distance = np.abs(values - median)
    away = distance > ROUNDING * np.abs(median)
    if not away.any():
        return median, 1.0
    return median, 1.4826 * _weighted_quantile(distance[away], weight[away], 0.5)


def _weighted_quantile(values, weight, level):
    """Return, per column, the smallest value with at least this share of weight up to it."""
    return np.quantile(values, level, axis=0, weights=weight, method="inverted_cdf")


def _for_all_classes(coef, intercept, present, n_classes, n_rows):
    """Return coefficients and intercepts of all classes, from those of the classes in a fold.

    A class without rows gets coefficients 0, and an intercept below the highest by the log-odds
    of n + 1/2 rows to half a row.
    """
    if len(present) == 2:
        coef, intercept = np.vstack([-coef, coef]) / 2, np.r_[-intercept, intercept] / 2
    lowest = intercept.max() - np.log(2 * n_rows + 1)
    full, offset = np.zeros((n_classes, coef.shape[1])), np.full(n_classes, lowest)
    full[present], offset[present] = coef, intercept
    return full, offset


def _logistic(X, labels, weight, penalty):
    """Fit logistic regression; a single class gets the log-odds of n + 1/2 rows to half a row."""
    if len(np.unique(labels)) < 2:
        logit = np.log(2 * len(labels) + 1)
        return np.zeros((1, X.shape[1])), np.array([logit if labels[0] else -logit])
    model = LogisticRegression(C=1.0 / penalty, max_iter=200, tol=1e-4)
    model.fit(X, labels, sample_weight=weight)
    return model.coef_, model.intercept_
