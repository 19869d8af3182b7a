"""CPU time and choice of a path beside searches that fit one network after the other.

First, on Friedman's first function, 2,000 rows and 10 inputs: `NimbleRegressorCV` beside
`GridSearchCV` over the same 8 prices and 5 folds. Then, on real tables of at most 10,000 rows:
`NimbleRegressorCV` beside `GridSearchCV` over 8 widths of scikit-learn's MLP. One thread, and
both sides in one run, so that a busy machine disturbs both alike.

python examples/benchmarks/path_cost.py                minutes; --quick for a glance
python examples/benchmarks/path_cost.py --folder DIR --tables concrete energy kin8nm
"""

import os

os.environ["OMP_NUM_THREADS"] = "1"  # read when numpy and torch are loaded

import argparse
import time
import warnings
from itertools import pairwise

import numpy as np
import tables
import torch
from scipy.stats import spearmanr
from sklearn.datasets import make_friedman1
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import GridSearchCV

from sknimble import NimbleClassifier, NimbleClassifierCV, NimbleRegressor, NimbleRegressorCV

WIDTHS = [4, 8, 16, 32, 64, 128, 256, 512]


def command_line():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="seconds, numbers mean little")
    parser.add_argument("--folder", help="of tables, see tables.from_folder")
    parser.add_argument("--tables", nargs="*", help="names; all of at most 10,000 rows")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--only", choices=["prices", "widths"])
    return parser.parse_args()


def timed(model, X, y):
    """Fit; return the CPU seconds."""
    tic = time.process_time()
    model.fit(X, y)
    return time.process_time() - tic


# --------------------------------------------------------------------------- the same prices
def compare_prices(seeds, quick):
    """Print what a path and a grid search find and cost: medians over seeds."""
    X, y = make_friedman1(200 if quick else 2000, n_features=10, noise=1.0, random_state=0)
    timed(NimbleRegressor(max_iter=2), X, y)  # warms up
    print(f"{'estimator':32s}{'prices':16s}{'grid, s':>9s}{'path, s':>9s}{'path / grid':>12s}"
          f"{'rank':>7s}{'of seeds':>9s}  choices of grid, path")  # fmt: skip
    plain = {"n_estimators": 1, "encoding": "none"}
    for name, parameters in [("NimbleRegressor()", {}), ("n_estimators=1, no encoding", plain)]:
        estimator = NimbleRegressor(**parameters)
        if quick:
            estimator.set_params(max_iter=3)
        for prices, text in [(None, "automatic"), (np.geomspace(1e-1, 1e-4, 8), "1e-1 to 1e-4")]:
            print(f"{name:32s}{text:16s}{compare_search(estimator, prices, X, y, seeds)}",
                  flush=True)  # fmt: skip
    print("beside the rank correlation of mean scores: that of two grid searches, other seeds")


def compare_search(estimator, prices, X, y, seeds):
    """Return costs, rank correlations of mean scores and choices, as text."""
    costs, found, choices = [], [], []
    for seed in range(seeds):
        model = estimator.set_params(random_state=seed)
        path = NimbleRegressorCV(model, size_penalties=prices)
        cost = timed(path, X, y)
        search = GridSearchCV(model, {"size_penalty": path.size_penalties_})
        costs.append((timed(search, X, y), cost))
        found.append((search.cv_results_["mean_test_score"], path.scores_path_.mean(axis=1)))
        chosen = np.flatnonzero(path.size_penalties_ == path.size_penalty_)[0]
        choices.append(f"{search.best_index_},{chosen}")
    grid, ours = np.median(costs, axis=0)
    ratio = np.median([ours / grid for grid, ours in costs])
    rank = np.median([spearmanr(*scores).statistic for scores in found])
    grids = pairwise([scores for scores, _ in found])
    noise = np.median([spearmanr(*pair).statistic for pair in grids] or [np.nan])
    return (f"{grid:9.2f}{ours:9.2f}{ratio:12.3f}{rank:7.3f}{noise:9.3f}  "
            f"{' '.join(choices)}")  # fmt: skip


# --------------------------------------------------------------------- scikit-learn's widths
def searches(table, seed, quick):
    """Return our path, and a search of 8 widths of scikit-learn's MLP."""
    CV = NimbleClassifierCV if table.classification else NimbleRegressorCV
    ours = (NimbleClassifier if table.classification else NimbleRegressor)(random_state=seed)
    if quick:
        ours.set_params(max_iter=3)
    network = tables.mlp(table, seed, max_iter=3 if quick else 500)
    name = next(name for name in network.get_params() if name.endswith("hidden_layer_sizes"))
    widths = {name: [(width,) for width in WIDTHS]}
    scoring = "neg_log_loss" if table.classification else None
    return {
        "widths": GridSearchCV(network, widths, scoring=scoring),
        "path": CV(ours, scoring=scoring),
    }


def compare_widths(table, arguments):
    """Print errors and costs, mean over seeds."""
    results = {}
    for seed in range(1 if arguments.quick else arguments.seeds):
        X, X_test, y, y_test = table.split(seed)
        for name, search in searches(table, seed, arguments.quick).items():
            cost = timed(search, X, y)
            results.setdefault(name, []).append((table.error(search, X_test, y_test), cost))
    (static, static_cost), (ours, cost) = (np.mean(results[n], axis=0) for n in ("widths", "path"))
    print(f"{table.name:16s}{len(table.y):7d}{table.measure:>10s}{static:9.4f}{ours:9.4f}"
          f"{static_cost:10.1f}{cost:8.1f}{static_cost / cost:8.1f}", flush=True)  # fmt: skip


def main():
    arguments = command_line()
    torch.set_num_threads(1)
    warnings.simplefilter("ignore", ConvergenceWarning)
    if arguments.only != "widths":
        compare_prices(1 if arguments.quick else arguments.seeds, arguments.quick)
    if arguments.only == "prices":
        return
    chosen = tables.from_folder(arguments.folder) if arguments.folder else tables.bundled()
    print(f"\n{'table':16s}{'rows':>7s}{'':10s}{'widths':>9s}{'path':>9s}{'widths, s':>10s}"
          f"{'path, s':>8s}{'times':>8s}")  # fmt: skip
    for table in chosen:
        if len(table.y) <= 10_000 and table.name in (arguments.tables or [table.name]):
            compare_widths(table, arguments)


if __name__ == "__main__":
    main()
