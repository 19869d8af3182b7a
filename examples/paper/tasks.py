"""The paper's tasks: what is to be learned, from how many points, for how long.

Every target is rescaled to [-1, 1] on both axes.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from auxiliary_network import AuxiliaryNetwork, CrossEntropy, SquaredError
from scipy.special import jv


def rescaled(function, low, high):
    """Map [low, high] and the function's range on it to [-1, 1]."""
    values = function(np.linspace(low, high, 10_001))
    bottom, top = values.min(), values.max()

    def target(x):
        stretched = low + (high - low) * (x + 1) / 2
        return 2 * (function(stretched) - bottom) / (top - bottom) - 1

    return target


def cubic(x):
    """Pass through (-1, 1), (1/3, -2/3) with slope 0, and (1, 1)."""
    return np.polyval(CUBIC_COEFFICIENTS, x)


def quadratic(x):
    """Pass through (-1, 1), (0, -1/5) and (1, -1)."""
    return 0.2 * x**2 - x - 0.2


def other_quadratic(x):
    """Pass through (-1, 1) and (1, -1/2) with slope 0 at 1/2."""
    return 0.75 * x**2 - 0.75 * x - 0.5


def one_bessel(x):
    """Bessel function of order 0."""
    return jv(0, x)


def three_bessel(x):
    """Sum of the Bessel functions of orders 0, 1 and 2."""
    return jv(0, x) + jv(1, x) + jv(2, x)


def two_bands(x):
    """Class 0 or 1: the floor of 1 + sin(2 pi x)."""
    return np.minimum(np.floor(1 + np.sin(2 * np.pi * x)), 1.0)


CUBIC_COEFFICIENTS = np.linalg.solve(
    [[-1, 1, -1, 1], [1, 1, 1, 1], [1 / 27, 1 / 9, 1 / 3, 1], [1 / 3, 2 / 3, 1, 0]],
    [1, 1, -2 / 3, 0],
)


@dataclass(frozen=True)
class Task:
    """One experiment of the paper.

    Parameters
    ----------
    name : str
        Title in figures and tables.
    target : callable
        Function of x in [-1, 1].
    n_epochs : int
        Full-batch gradient steps.
    n_train, n_test : int
        Numbers of points, drawn uniformly from (-1, 1).
    learning_rate, size_penalty : float
        eta and lambda.
    n_neurons : int
        Neurons there are, awake or not.
    loss : type
        Data loss.
    one_draw : bool
        Whether all trials share one data set; otherwise each draws its own.
    """

    name: str
    target: Callable
    n_epochs: int
    n_train: int = 32
    n_test: int = 8
    learning_rate: float = 1e-3
    size_penalty: float = 0.1
    n_neurons: int = 9
    loss: type = SquaredError
    one_draw: bool = False

    def draw(self, rng, n_trials):
        """Return x and y to train on, x and y to test on, (n_trials, n_rows) each."""
        n_rows = self.n_train + self.n_test
        if self.one_draw:
            x = np.repeat(rng.uniform(-1, 1, (1, n_rows)), n_trials, axis=0)
        else:
            x = rng.uniform(-1, 1, (n_trials, n_rows))
        x, x_test = x[:, : self.n_train].copy(), x[:, self.n_train :].copy()
        return x, self.target(x), x_test, self.target(x_test)

    def network(self, variant):
        """Give a variant this task's loss and size penalty."""
        return replace(variant, loss=self.loss, size_penalty=self.size_penalty)

    def shortened(self, quick):
        """Keep one epoch in a hundred when in a hurry."""
        return replace(self, n_epochs=self.n_epochs // 100) if quick else self


ONE_BESSEL = Task("J0 on [0.1, 0.2]", rescaled(one_bessel, 0.1, 0.2), 40_000)
THREE_BESSEL = Task("J0 + J1 + J2", rescaled(three_bessel, -2 * np.pi, 2 * np.pi), 40_000)
CUBIC = Task("cubic", cubic, 20_000)
MINUS_CUBIC = Task("minus cubic", lambda x: -cubic(x), 20_000)
QUADRATIC = Task("quadratic", quadratic, 20_000)
OTHER_QUADRATIC = Task("other quadratic", other_quadratic, 20_000)
TWO_BANDS = Task(
    "floor(1 + sin 2 pi x)",
    two_bands,
    10_000,
    n_train=40,
    n_test=10,
    learning_rate=0.08,
    size_penalty=0.01,
    loss=CrossEntropy,
)
LAMBDA_TASK = replace(ONE_BESSEL, n_epochs=17_782)  # 10**4.25, the notebook's number

GROWING = AuxiliaryNetwork(initial_size=0.0)
GROWN = AuxiliaryNetwork(initial_size=5.0)
CONTROLS = {
    "growing (paper)": GROWING,
    "grown (paper)": GROWN,
    "grown, N frozen": replace(GROWN, learns_size=False),
    "only the gate grows": replace(GROWING, input_size=5.0),
    "only the N input grows": replace(GROWING, gate_size=5.0),
    "gate grows, no N input": replace(GROWING, input_size=0.0),
    "static, 5 neurons": replace(GROWN, gate_size=5.0, input_size=0.0, learns_size=False),
    "static, 9 neurons": replace(GROWN, gate_size=9.0, input_size=0.0, learns_size=False),
    "growing, no data gradient on N": replace(GROWING, data_slope=False),
}
