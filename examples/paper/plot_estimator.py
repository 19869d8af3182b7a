"""The paper's tasks through the estimator: N pulled to 5, and N left to the data.

python examples/paper/plot_estimator.py
"""

from itertools import product

import drawing
import matplotlib.pyplot as plt
import numpy as np
import tasks
from sklearn.base import clone

from sknimble import NimbleRegressor

TARGETS = {"line": lambda x: x, "cubic": tasks.cubic, "J0 + J1 + J2": tasks.THREE_BESSEL.target}
SHADES = dict(zip(TARGETS, ("#e9c46a", "#f4845f", "#7b2d6b"), strict=True))
PULLS = 0.1, 10.0  # size_penalty with a target
# One network of one layer, x as it is: encoded, a single input leaves no work for neurons.
PLAIN = {
    "n_hidden_layers": 1, "n_estimators": 1, "encoding": "none", "early_stopping": False,
    "batch_size": 32,
}  # fmt: skip
ACTIVATIONS = {"relu": "o-", "tanh": ".:"}
PENALTIES = 1e-2, 1e-3, 1e-4
N_ROWS, N_TEST = 32, 500


def main():
    """Fit, print, draw."""
    arguments = drawing.command_line(__doc__.splitlines()[0], n_trials=5)
    seeds = range(arguments.seed, arguments.seed + (1 if arguments.quick else arguments.trials))
    max_iter = 60 if arguments.quick else 1000
    figure, (left, middle, right) = plt.subplots(1, 3, figsize=(12, 3.8), layout="constrained")
    pull_to_five(left, middle, seeds, max_iter)
    let_data_decide(right, seeds, max_iter)
    drawing.save(figure, arguments, "paper_estimator")


def pull_to_five(left, middle, seeds, max_iter):
    """Grow from 0 and shrink from 9 to 5 with the paper's size loss, weak and strong."""
    grid = np.linspace(-1, 1, 400)
    for name, target in TARGETS.items():
        for pull, (initial_size, dashes) in product(PULLS, ((0, "-"), (9, "--"))):
            estimator = NimbleRegressor(
                initial_size=initial_size, target_size=5, max_size=9, size_penalty=pull,
                activation="tanh", max_iter=max_iter, **PLAIN,
            )  # fmt: skip
            fits = [fit(estimator, target, seed) for seed in seeds]
            report(f"{name}, target 5 pulls {pull:g}, from {initial_size}", fits)
            if pull == PULLS[-1]:
                sizes = [epoch.size for epoch in fits[0][0].history_]
                left.plot(sizes, dashes, color=SHADES[name])
        middle.plot(grid, target(grid), color="0.8", lw=5)
        middle.plot(grid, fits[0][0].predict(grid[:, None]), color=SHADES[name], label=name)
    left.set(xlabel="epoch", ylabel="N")
    left.set_title("target_size=5, from 0 and from 9, three tasks", fontsize=10)
    middle.set(xlabel="x", ylabel="y")
    middle.set_title("five neurons beside the targets", fontsize=10)
    middle.legend()


def let_data_decide(axes, seeds, max_iter):
    """Fit with nothing said but the price of a neuron."""
    for (name, target), (activation, line) in product(TARGETS.items(), ACTIVATIONS.items()):
        medians = []
        for size_penalty in PENALTIES:
            estimator = NimbleRegressor(
                size_penalty=size_penalty, activation=activation, max_iter=max_iter, **PLAIN
            )
            fits = [fit(estimator, target, seed) for seed in seeds]
            report(f"{name}, {activation}, size_penalty {size_penalty:g}", fits)
            medians.append(np.median([fitted.size_weight_ for fitted, _ in fits]))
        axes.plot(PENALTIES, medians, line, color=SHADES[name], label=f"{name}, {activation}")
    axes.set(xlabel="size_penalty", ylabel="N", xscale="log")
    axes.set_title("target_size=None: the data decide", fontsize=10)
    axes.set_yscale("symlog", linthresh=1)
    axes.set_ylim(bottom=-0.2)
    axes.legend(fontsize=7)


def fit(estimator, target, seed):
    """Return the fitted estimator and its mean squared error on fresh points."""
    rng = np.random.default_rng(seed)
    x, x_test = rng.uniform(-1, 1, (N_ROWS, 1)), rng.uniform(-1, 1, (N_TEST, 1))
    fitted = clone(estimator).set_params(random_state=seed).fit(x, target(x[:, 0]))
    return fitted, np.mean((fitted.predict(x_test) - target(x_test[:, 0])) ** 2)


def report(what, fits):
    """Print median and range of N, and the median error, over seeds."""
    sizes = [fitted.size_weight_ for fitted, _ in fits]
    error = np.median([error for _, error in fits])
    size = f"{np.median(sizes):.3f} [{min(sizes):.3f}, {max(sizes):.3f}]"
    print(f"{what:<40} N {size}  median mse {error:.2e}", flush=True)


if __name__ == "__main__":
    main()
