"""Nimble beside scikit-learn's models and, where installed, LightGBM, XGBoost and CatBoost.

All with default settings, on one thread. Error on held-out rows (root mean squared error in
standard deviations of y, or log-loss), CPU seconds of the fit, hidden neurons, and parameters:
weights, or two numbers per split and one per leaf.

python examples/benchmarks/compare.py                       scikit-learn's tables
python examples/benchmarks/compare.py my.csv --target y     a table of yours
python examples/benchmarks/compare.py FOLDER                a manifest.json and csv.gz files
python examples/benchmarks/compare.py --fresh               tables the defaults were not chosen on
python examples/benchmarks/compare.py --larger              larger ones of the kind
python examples/benchmarks/compare.py --scaling             time and memory as tables grow
"""

import os

os.environ["OMP_NUM_THREADS"] = "1"  # read when numpy and torch are loaded

import argparse
import time
import warnings
from pathlib import Path

import fresh
import numpy as np
import scaling
import tables
from contestants import CONTESTANTS, neurons_of, parameters_of
from scipy.stats import gmean, rankdata
from sklearn.exceptions import ConvergenceWarning


def command_line():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", nargs="?", help="CSV file or folder of tables")
    parser.add_argument("--target", default="target", help="column of the CSV file to predict")
    parser.add_argument("--only", help="names of tables, with commas")
    parser.add_argument("--seeds", type=int, help="splits per table (default 3, or 1 if large)")
    parser.add_argument("--fresh", action="store_true", help="other tables, see fresh.py")
    parser.add_argument("--larger", action="store_true", help="larger ones, see fresh.py")
    parser.add_argument("--scaling", action="store_true", help="measure time and memory instead")
    parser.add_argument("--quick", action="store_true", help="seconds, numbers mean little")
    parser.add_argument("--output", default="compare.png", help="file name of the picture")
    return parser.parse_args()


def chosen(arguments):
    """Return the tables that were asked for."""
    if arguments.data is None:
        usual = fresh.everything if arguments.fresh else tables.bundled
        found = fresh.larger() if arguments.larger else usual()
    elif Path(arguments.data).is_dir():
        found = tables.from_folder(arguments.data)
    else:
        found = [tables.from_csv(arguments.data, arguments.target)]
    if arguments.only:
        return [table for table in found if table.name in arguments.only.split(",")]
    return found[:2] if arguments.quick else found


def measure(table, make, seed):
    """Return error, CPU seconds of the fit, neurons and parameters of one model."""
    X, X_test, y, y_test = table.split(seed)
    model = make(table, seed)
    tic = time.process_time()
    model.fit(X, y)
    seconds = time.process_time() - tic
    return table.error(model, X_test, y_test), seconds, neurons_of(model), parameters_of(model)


def compare(table, n_seeds):
    """Print a table's models, best first; return their measures."""
    found = {
        name: np.mean([measure(table, make, seed) for seed in range(n_seeds)], axis=0)
        for name, make in CONTESTANTS.items()
    }
    print(f"\n{table.name}: {len(table.y)} rows, {table.X.shape[1]} columns, {n_seeds} splits")
    print(f"{'':24s}{table.measure:>10s}{'CPU s':>9s}{'neurons':>9s}{'parameters':>12s}")
    for name, row in sorted(found.items(), key=lambda item: item[1][0]):
        error, seconds, neurons, parameters = row
        shown = "" if np.isnan(neurons) else f"{neurons:.0f}"
        print(f"{name:24s}{error:10.4f}{seconds:9.2f}{shown:>9s}{parameters:12.0f}", flush=True)
    return found


def summarise(compared, results):
    """Print mean ranks, and geometric means of the error in units of the best model's."""
    for classification in (False, True):
        errors = [
            [found[name][0] for name in CONTESTANTS]
            for table, found in zip(compared, results, strict=True)
            if table.classification == classification
        ]
        if not errors:
            continue
        ranks = rankdata(errors, axis=1).mean(axis=0)
        gaps = gmean(np.divide(errors, np.min(errors, axis=1, keepdims=True)), axis=0)
        print(f"\n{len(errors)} tables of {'classes' if classification else 'numbers'}")
        print(f"{'':24s}{'mean rank':>10s}{'/ best':>9s}")
        for position in np.argsort(ranks):
            name = list(CONTESTANTS)[position]
            print(f"{name:24s}{ranks[position]:10.2f}{gaps[position]:9.3f}")


def draw(results, path):
    """Draw error, in units of the best model's, against CPU time and against parameters."""
    import matplotlib.pyplot as plt

    measures = np.array([[found[name] for name in CONTESTANTS] for found in results])
    gaps = measures[:, :, 0] / measures[:, :, 0].min(axis=1, keepdims=True)
    figure, axes = plt.subplots(1, 2, figsize=(11, 4.5), sharey=True, layout="constrained")
    for ax, column, label in zip(axes, (1, 3), ("CPU seconds of the fit", "parameters")):
        for position, name in enumerate(CONTESTANTS):
            cost, gap = measures[:, position, column], gaps[:, position]
            ax.scatter(cost, gap, s=12, color=f"C{position}", alpha=0.4)
            middle = np.exp(np.log(cost).mean()), np.exp(np.log(gap).mean())
            ax.scatter(*middle, s=110, color=f"C{position}", edgecolors="black", label=name)
        ax.set(xscale="log", yscale="log", xlabel=label)
        ax.grid(alpha=0.3)
    ticks = [tick for tick in (1, 1.1, 1.2, 1.5, 2, 3, 5, 10, 20, 50) if tick <= 1.1 * gaps.max()]
    axes[0].set_yticks(ticks, [f"{tick:g}" for tick in ticks])
    axes[0].minorticks_off()
    axes[0].set_ylabel("error / that of the table's best")
    axes[1].legend(fontsize=8)
    if len(results) > 1:
        figure.suptitle("small: a table; large: geometric mean over tables")
    figure.savefig(path, dpi=100)
    print(f"\nerror against cost: {path}")


def main():
    arguments = command_line()
    warnings.simplefilter("ignore", ConvergenceWarning)
    if arguments.scaling:
        scaling.report(arguments.quick)
        return
    compared, results = chosen(arguments), []
    for table in compared:
        few = 3 if len(table.y) < tables.SMALL and not arguments.quick else 1
        results.append(compare(table, arguments.seeds or few))
    summarise(compared, results)
    draw(results, arguments.output)


if __name__ == "__main__":
    main()
