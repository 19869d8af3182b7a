"""`size_penalty` trades error against neurons; scikit-learn's MLP at fixed widths for reference.

On five tables, one network per fit: each point of ours is a price, 1e-2 to 1e-6, each point of
the reference a width. A curve further down and to the left is better.

python examples/plot_frontier.py            minutes; --quick for a glance
python examples/plot_frontier.py --folder FOLDER --only a,b,c,d,e
"""

import os

os.environ["OMP_NUM_THREADS"] = "1"  # read when numpy and torch are loaded

import argparse
import sys
import warnings
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.ticker import FixedLocator, LogLocator, MaxNLocator, NullFormatter
from sklearn.exceptions import ConvergenceWarning

from sknimble import NimbleClassifier, NimbleRegressor

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE / "benchmarks"))
import tables  # noqa: E402

PRICES = (1e-2, 1e-3, 1e-4, 1e-5, 1e-6)
WIDTHS = (2, 4, 8, 16, 32, 64, 128, 256)


def command_line():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="two tables, two points, one seed")
    parser.add_argument("--seeds", type=int, default=3, help="splits per point")
    parser.add_argument("--folder", help="of tables; without, scikit-learn's own")
    parser.add_argument("--only", help="names of tables, with commas")
    parser.add_argument("--output", type=Path, help="where the picture goes")
    arguments = parser.parse_args()
    folder = Path() if arguments.quick else HERE.parent / "docs" / "figures"
    arguments.output = arguments.output or folder / "frontier.png"
    return arguments


def nimble(table, price, seed):
    """Return ours: one network per fit, so that its size is that of a network."""
    family = NimbleClassifier if table.classification else NimbleRegressor
    return family(size_penalty=price, n_estimators=1, random_state=seed)


def reference(table, width, seed):
    """Return scikit-learn's network with as many layers as ours."""
    return tables.mlp(table, seed, hidden_layer_sizes=(width, width))


def curve(table, make, values, seeds):
    """Return mean neurons and mean error at every value."""
    points = []
    for value in values:
        found = []
        for seed in range(seeds):
            X, X_test, y, y_test = table.split(seed)
            model = make(table, value, seed).fit(X, y)
            neurons = getattr(model, "n_hidden_", value)
            found.append((neurons, table.error(model, X_test, y_test)))
        points.append(np.mean(found, axis=0))
    return np.transpose(points)


def main():
    arguments = command_line()
    warnings.simplefilter("ignore", ConvergenceWarning)
    found = tables.from_folder(arguments.folder) if arguments.folder else tables.bundled()
    if arguments.only:
        found = [table for table in found if table.name in arguments.only.split(",")]
    prices, widths = PRICES, WIDTHS
    if arguments.quick:
        found, prices, widths, arguments.seeds = found[:2], PRICES[:2], WIDTHS[:2], 1
    size = 3.2 * len(found), 3.4
    figure, axes = plt.subplots(1, len(found), figsize=size, layout="constrained", squeeze=False)
    for ax, table in zip(axes[0], found, strict=True):
        print(f"\n{table.name}, {table.measure}: (neurons) error")
        for name, make, values, colour in (
            ("sknimble, five prices", nimble, prices, "C0"),
            ("scikit-learn's MLP, fixed widths", reference, widths, "0.6"),
        ):
            neurons, errors = curve(table, make, values, arguments.seeds)
            shown = "  ".join(f"({k:.0f}) {e:.4f}" for k, e in zip(neurons, errors, strict=True))
            print(f"  {name}: {shown}", flush=True)
            ax.plot(neurons, errors, color=colour, marker="o", ms=4, label=name)
        ax.set(xscale="symlog", yscale="log", title=table.name, xlabel="neurons per layer")
        ax.set_ylabel(table.measure)
        low, high = ax.get_ylim()
        few = MaxNLocator(6) if high < 3 * low else LogLocator(subs=(1, 2, 5))
        for axis, locator in ((ax.xaxis, FixedLocator([0, 1, 3, 10, 30, 100])), (ax.yaxis, few)):
            axis.set_major_locator(locator)
            axis.set_major_formatter("{x:g}")
            axis.set_minor_formatter(NullFormatter())
    handles = axes[0, 0].get_legend_handles_labels()
    figure.legend(*handles, loc="outside lower center", ncols=2, fontsize=8)
    figure.savefig(arguments.output, dpi=80)
    print(f"\n{arguments.output}")


if __name__ == "__main__":
    main()
