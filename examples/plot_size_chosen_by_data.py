"""The data choose the size: what makes a network larger, and what does not.

Harder targets and cheaper neurons make it larger; where it starts, the units of X and y and the
seed should not matter. Prints one table per claim, and draws all but that of units. All else is
default.

python examples/plot_size_chosen_by_data.py            minutes; --quick for a glance
python examples/plot_size_chosen_by_data.py --table my.csv.gz --target y
"""

import argparse
import time
import warnings
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.ticker import FixedLocator, NullLocator
from sklearn.exceptions import ConvergenceWarning

from sknimble import NimbleRegressor

TARGETS = {
    "pure noise": lambda x: 0 * x,
    "line": lambda x: x,
    "quadratic": lambda x: x**2,
    "sin(2 pi x)": lambda x: np.sin(2 * np.pi * x),
    "sin(4 pi x)": lambda x: np.sin(4 * np.pi * x),
    "sin(8 pi x)": lambda x: np.sin(8 * np.pi * x),
}
FIGURES = Path(__file__).resolve().parents[1] / "docs" / "figures"


def command_line():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="seconds, not minutes")
    parser.add_argument("--seeds", type=int, help="fits per row of a table (default 9)")
    usual = NimbleRegressor()
    parser.add_argument("--depth", type=int, default=usual.n_hidden_layers, help="hidden layers")
    parser.add_argument(
        "--networks", type=int, default=usual.n_estimators, help="n_estimators, sizes are sums"
    )
    parser.add_argument("--encoding", default=usual.encoding, help="of the inputs, or none")
    parser.add_argument("--table", help="CSV of numbers to use in place of the robot arm")
    parser.add_argument("--target", default="y", help="its column to predict")
    parser.add_argument("--output", type=Path, help="where the picture goes")
    arguments = parser.parse_args()
    folder = Path() if arguments.quick else FIGURES
    arguments.output = arguments.output or folder / "size_chosen_by_data.png"
    arguments.seeds = arguments.seeds or (2 if arguments.quick else 9)
    return arguments


def curve(target, n_rows, seed):
    """Return rows of a noisy function of one input."""
    rng = np.random.default_rng(seed)
    x = rng.uniform(-1, 1, n_rows)
    return x[:, None], TARGETS[target](x) + 0.1 * rng.standard_normal(n_rows)


def robot_arm(n_rows):
    """Return the joint angles of an arm of eight links, and how far its hand is from a point."""
    rng = np.random.default_rng(0)
    X = rng.uniform(-np.pi / 2, np.pi / 2, (n_rows, 8))
    hand = np.exp(1j * X.cumsum(axis=1)).sum(axis=1) / 8
    return X, np.abs(hand - 0.1 - 0.1j) + 0.01 * rng.standard_normal(n_rows)


def table(title, cases, seeds, **settings):
    """Fit every case with every seed, print its sizes, return the models of the first seed."""
    print(f"\n{title:24s}{'median N':>9s}{'lowest':>8s}{'highest':>8s}{'off':>6s}"
          f"{'R2':>8s}{'epochs':>8s}{'CPU s':>7s}")  # fmt: skip
    first = {}
    for name, (data, own) in cases.items():
        tic, models, scores = time.process_time(), [], []
        for seed in range(seeds):
            X, y = data(seed)
            n = len(y) * 4 // 5
            model = NimbleRegressor(random_state=seed, **settings, **own).fit(X[:n], y[:n])
            models.append(model)
            scores.append(model.score(X[n:], y[n:]))
        sizes, middle = (
            [m.size_weight_ for m in models],
            np.median([m.size_weight_ for m in models]),
        )
        off = max(abs(np.array(sizes) - middle)) / max(middle, 1.0)
        print(f"{name:24s}{middle:9.1f}{min(sizes):8.1f}{max(sizes):8.1f}{off:6.0%}"
              f"{np.median(scores):8.4f}{np.median([m.n_iter_ for m in models]):8.0f}"
              f"{(time.process_time() - tic) / seeds:7.1f}", flush=True)  # fmt: skip
        first[name] = models[0]
    return first


def units(X, y, **settings):
    """Print what other units of X and y change."""
    print(f"\n{'units':24s}{'N':>20s}{'R2':>20s}")
    for name, a, b in (("as they are", 1, 1), ("X times 1e4", 1e4, 1), ("y times 1e6", 1, 1e6)):
        model = NimbleRegressor(random_state=0, **settings).fit(X * a, y * b)
        print(f"{name:24s}{model.size_weight_:20.12f}{model.score(X * a, y * b):20.12f}")


def draw(axes, models, title):
    """Draw N of every network over the epochs of training, those of a fit in one colour."""
    for number, (name, model) in enumerate(models.items()):
        record = pd.DataFrame(model.history_)
        for member, rows in record.groupby("member"):
            label = None if member else name
            axes.plot(rows["epoch"], rows["size"], color=f"C{number}", label=label, lw=1)
    axes.set(xlabel="epoch", title=title, yscale="symlog", xscale="log")
    axes.set_ylabel("size weight N of each network")
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_locator(FixedLocator([0, 1, 2, 5, 10, 20, 50, 100, 200, 500, 1000]))
        axis.set_major_formatter("{x:g}")
        axis.set_minor_locator(NullLocator())
    axes.legend(fontsize=8)


def main():
    arguments = command_line()
    if arguments.quick:
        warnings.simplefilter("ignore", ConvergenceWarning)
    settings = {
        "n_hidden_layers": arguments.depth,
        "n_estimators": arguments.networks,
        "encoding": arguments.encoding,
    }
    if arguments.quick:
        settings |= {"max_iter": 15}
    n_rows = 400 if arguments.quick else 8000
    if arguments.table:
        frame = pd.read_csv(arguments.table)
        y = frame.pop(arguments.target).to_numpy(float)
        X = frame.to_numpy(float)[:n_rows]
        y = y[:n_rows]
    else:
        X, y = robot_arm(n_rows)
    curves = {
        name: (lambda seed, name=name: curve(name, min(n_rows, 2000), seed), {})
        for name in TARGETS
    }
    prices = {
        p: (lambda seed: (X, y), {"size_penalty": float(p)})
        for p in ("1e-5", "1e-4", "1e-3", "1e-2")
    }
    starts = {f"from {s} at 1e-3": (lambda seed: (X, y), {"initial_size": s, "size_penalty": 1e-3})
              for s in (4, 128, 400)}  # fmt: skip
    found = [table("target of one input", curves, arguments.seeds, **settings)]
    units(X[:1000], y[:1000], **settings)
    found.append(table("initial size", starts, arguments.seeds, **settings))
    found.append(table("price of a neuron", prices, arguments.seeds, **settings))
    figure, axes = plt.subplots(1, 3, figsize=(13, 4), layout="constrained")
    for panel, models, title in zip(axes, found, ("targets", "starts", "prices"), strict=True):
        draw(panel, models, title)
    figure.savefig(arguments.output, dpi=80)
    print(f"\n{arguments.output}")


if __name__ == "__main__":
    main()
