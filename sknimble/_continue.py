"""The state of a training, as numpy, from which a later call can continue it.

If the estimator has kept its `Progress`, a training continues exactly, optimiser and random
numbers included; from the published weights alone, the optimiser starts anew. Either way scales,
categories and classes stay those of the first call, so parameters that they depend on must not
change.
"""

from dataclasses import dataclass
from functools import wraps

import numpy as np

# Parameters on which the weights, scales and categories of the first call depend.
FIXED = {
    "activation", "categorical_features", "early_stopping", "encoding", "loss", "n_estimators",
    "n_hidden_layers", "quantile", "validation_fraction",
}  # fmt: skip
# Factor on the learning rate of `partial_fit` after `fit`: no row of that table can be replayed,
# and at the full rate a few new rows would undo what many rows have taught.
CAUTION = 0.1


@dataclass(frozen=True)
class NetworkProgress:
    """One network in training.

    Parameters
    ----------
    size : float
        The size weight N.
    average_size : float
        Its moving average.
    end : int
        N + W, the neurons that train.
    utility : float
        Moving average of the measured utility, which starts at 0: `Training.biased_utility`.
    data_loss : float
        As last measured on a training batch.
    buffers : ndarray of shape (4, n_parameters)
        Weights, their average and the two moments of the optimiser, flat.
    """

    size: float
    average_size: float
    end: int
    utility: float
    data_loss: float
    buffers: np.ndarray


@dataclass(frozen=True)
class Progress:
    """Networks trained together.

    Parameters
    ----------
    networks : list of NetworkProgress
    step : int
        Steps made so far.
    rng_state : tuple
        Of the generator that shuffles rows, as `numpy.random.RandomState.get_state` returns it.
    earlier : EarlierRows or None
        Rows to learn from again. They are never written to a file.
    after_fit : bool, default=False
        Whether the networks come from `fit`, whose rows cannot be replayed.
    """

    networks: list
    step: int
    rng_state: tuple
    earlier: object = None
    after_fit: bool = False

    def __getstate__(self):
        return {**vars(self), "earlier": None}

    def __deepcopy__(self, memo):
        return self  # it is immutable, and copies in memory may keep the rows


def all_or_nothing(method):
    """Make a method leave its object's attributes as they were if it raises."""

    @wraps(method)
    def guarded(self, *args, **kwargs):
        before = dict(vars(self))
        try:
            return method(self, *args, **kwargs)
        except BaseException:
            for name in vars(self).keys() - before.keys():
                delattr(self, name)
            vars(self).update(before)
            raise

    return guarded


def check_unchanged(before, now):
    """Raise if a parameter of `FIXED` has changed between two calls.

    Parameters
    ----------
    before, now : dict of str to object
        Those parameters in the first call, and in this one.

    Raises
    ------
    ValueError
        Naming the first parameter that differs.
    """
    for name, value in before.items():
        if not np.array_equal(np.asarray(value, object), np.asarray(now[name], object)):
            raise ValueError(
                f"{name} was {value!r} when training began and is {now[name]!r} now: what was "
                "learned cannot be kept. Set it back, or begin anew with warm_start=False"
            )


def epochs_left(max_iter, done):
    """Return how many of ``max_iter`` epochs are left; raise if more are done already."""
    if max_iter < done:
        raise ValueError(
            f"max_iter={max_iter} counts all epochs when warm_start=True, and {done} are done: "
            "raise max_iter"
        )
    return max_iter - done
