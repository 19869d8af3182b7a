"""Is the network that chooses its size ever worse than the linear model, or than a large one?

On every table: the error of ours, with all defaults, over that of ridge or logistic regression;
and the error of one network of ours over that of one static network of the same recipe and
engine, whose size is `max_size` from start to end. Three seeds below 2,000 rows, one above.

python examples/benchmarks/never_worse.py                 scikit-learn's tables, minutes
python examples/benchmarks/never_worse.py FOLDER          a manifest.json and csv.gz files
"""

import os

os.environ["OMP_NUM_THREADS"] = "1"  # read when numpy and torch are loaded

import argparse
import time
import warnings

import numpy as np
import tables
from sklearn.exceptions import ConvergenceWarning

from sknimble import NimbleClassifier, NimbleRegressor


def command_line():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", nargs="?", help="of tables; without, scikit-learn's own")
    parser.add_argument("--only", help="names of tables, with commas")
    parser.add_argument(
        "--max-size", type=int, default=512, help="neurons per layer of the static"
    )
    parser.add_argument("--networks", type=int, default=1, help="averaged, beside the static")
    parser.add_argument("--no-static", action="store_true", help="only beside the linear model")
    parser.add_argument("--quick", action="store_true", help="two small tables, one seed")
    return parser.parse_args()


def chosen(arguments):
    found = tables.from_folder(arguments.folder) if arguments.folder else tables.bundled()
    if arguments.only:
        return [table for table in found if table.name in arguments.only.split(",")]
    return found[:2] if arguments.quick else found


def nimble(table, seed, **settings):
    """Return ours."""
    family = NimbleClassifier if table.classification else NimbleRegressor
    return family(random_state=seed, **settings)


def measure(table, seed, arguments):
    """Return error, neurons and CPU seconds of each contestant."""
    contestants = {"linear": tables.linear(table), "ours": nimble(table, seed)}
    if not arguments.no_static:
        most, few = arguments.max_size, {"n_estimators": arguments.networks}
        held = {"initial_size": most, "target_size": most}
        contestants["one"] = nimble(table, seed, max_size=most, **few)
        contestants["static"] = nimble(table, seed, max_size=most, **held, **few)
    X, X_test, y, y_test = table.split(seed)
    row = {}
    for name, model in contestants.items():
        tic = time.process_time()
        model.fit(X, y)
        seconds = time.process_time() - tic
        neurons = getattr(model, "n_hidden_", 0) / getattr(model, "n_estimators", 1)
        row[name] = table.error(model, X_test, y_test), neurons, seconds
    return row


def print_linear(results):
    """Print errors beside the linear model's; return the ratios."""
    print(f"\n{'beside the linear model':24s}{'':9s}{'linear':>9s}{'ours':>9s}{'ratio':>8s}"
          f"{'neurons':>9s}{'CPU s':>8s}")  # fmt: skip
    ratios = []
    for table, row in results:
        error, (ours, neurons, seconds) = row["linear"][0], row["ours"]
        ratios.append(ours / error)
        print(f"{table.name:24s}{table.measure:9s}{error:9.4f}{ours:9.4f}{ratios[-1]:8.3f}"
              f"{neurons:9.0f}{seconds:8.1f}")  # fmt: skip
    print(f"{'worst':51s}{max(ratios):8.3f}")


def print_static(results, max_size):
    """Print errors beside the static network's."""
    print(f"\n{'beside a static network':24s}{'':9s}{'static':>9s}{'ours':>9s}{'ratio':>8s}"
          f"{'neurons':>9s}{'CPU':>8s}")  # fmt: skip
    ratios, sizes, costs = [], [], []
    for table, row in results:
        (static_error, _, static_cost), (ours, neurons, cost) = row["static"], row["one"]
        ratios.append(ours / static_error)
        sizes.append(neurons / max_size)
        costs.append(cost / static_cost)
        print(f"{table.name:24s}{table.measure:9s}{static_error:9.4f}{ours:9.4f}{ratios[-1]:8.3f}"
              f"{sizes[-1]:9.0%}{costs[-1]:8.0%}")  # fmt: skip
    print(f"{'geometric mean':51s}{np.exp(np.mean(np.log(ratios))):8.3f}")
    print(f"{'median':51s}{'':8s}{np.median(sizes):9.0%}{np.median(costs):8.0%}")


def main():
    arguments = command_line()
    warnings.simplefilter("ignore", ConvergenceWarning)
    results = []
    for table in chosen(arguments):
        n_seeds = 3 if len(table.y) < tables.SMALL and not arguments.quick else 1
        rows = [measure(table, seed, arguments) for seed in range(n_seeds)]
        row = {name: np.mean([row[name] for row in rows], axis=0) for name in rows[0]}
        results.append((table, row))
        shown = "  ".join(
            f"{name} {error:.4f} {cost:.1f}s" for name, (error, _, cost) in row.items()
        )
        print(f"{table.name:24s}{table.measure:9s}{shown}", flush=True)
    print_linear(results)
    if not arguments.no_static:
        print_static(results, arguments.max_size)


if __name__ == "__main__":
    main()
