"""Our estimator, and itself with its size frozen: what may be compared, and on what."""

import warnings
from contextlib import contextmanager
from dataclasses import dataclass
from unittest.mock import patch

import numpy as np
import tasks
from sklearn.datasets import make_friedman1
from sklearn.exceptions import ConvergenceWarning

from sknimble import NimbleRegressor, _start
from sknimble._network import GrowableNetworks

MAX_ITER = 200  # the same for all, so being cut short is part of the experiment


@dataclass
class Fit:
    """One fit: final N, error on fresh rows in variances of y, and validation losses.

    ``seconds`` are those spent until the end of every epoch.
    """

    size: float
    error: float
    seconds: np.ndarray
    validation: np.ndarray

    def reaches(self, loss):
        """Return epochs and seconds until the validation loss is first that low."""
        there = np.flatnonzero(self.validation <= loss)
        if not len(there):
            return np.inf, np.inf
        return float(there[0] + 1), float(self.seconds[there[0]])


def three_bessel(rng, n_rows):
    """Draw one noisy input-output pair per row."""
    x = rng.uniform(-1, 1, (n_rows, 1))
    return x, tasks.THREE_BESSEL.target(x[:, 0]) + rng.normal(0, 0.05, n_rows)


def friedman(rng, n_rows):
    """Draw ten inputs, five of them of use."""
    return make_friedman1(n_rows, noise=1.0, random_state=int(rng.integers(2**31)))


TABLES = {"J0 + J1 + J2": three_bessel, "friedman1": friedman}


def sized(grows, width, **settings):
    """Return the estimator that ends at ``width``: grown from 0, or there all along."""
    start = 0 if grows else width
    return plain(
        initial_size=start, target_size=width, max_size=width, size_penalty=0.1, **settings
    )


def plain(**settings):
    """Return one network of one layer on unencoded inputs."""
    return NimbleRegressor(
        n_hidden_layers=1, n_estimators=1, encoding="none", max_iter=MAX_ITER, **settings
    )


@contextmanager
def initial_scale(scale):
    """Multiply the initial incoming weights, which is no parameter of the estimator."""

    class Scaled(GrowableNetworks):
        def __init__(self, *args, gain, **options):
            super().__init__(*args, gain=scale * gain, **options)

    with patch.object(_start, "GrowableNetworks", Scaled):
        yield


def fits(estimator, draw, seeds):
    """Fit to 600 rows watched by 200 and judged by 2000, once per seed.

    Parameters
    ----------
    estimator : NimbleRegressor
    draw : callable
        One of `TABLES`.
    seeds : iterable of int
        Of rows and initial weights.

    Returns
    -------
    list of Fit
    """
    results = []
    for seed in seeds:
        rng = np.random.default_rng(seed)
        (X, y), (X_val, y_val), (X_test, y_test) = (draw(rng, n) for n in (600, 200, 2000))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            estimator.set_params(random_state=seed).fit(X, y, X_val=X_val, y_val=y_val)
        error = np.mean((estimator.predict(X_test) - y_test) ** 2) / y_test.var()
        history = estimator.history_
        seconds = np.cumsum([epoch.seconds for epoch in history])
        validation = np.array([epoch.validation_loss for epoch in history])
        results.append(Fit(estimator.size_weight_, float(error), seconds, validation))
    return results
