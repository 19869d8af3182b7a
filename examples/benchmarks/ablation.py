"""What each ingredient of the default recipe is worth: error and CPU time without it.

Every variant changes one thing: a parameter, or a constant of a module. Errors are geometric
means over tables of error / error of the default; three seeds below 2,000 rows, one above.

python examples/benchmarks/ablation.py                     scikit-learn's tables, minutes
python examples/benchmarks/ablation.py FOLDER --most 25000  a manifest.json and csv.gz files
"""

import os

os.environ["OMP_NUM_THREADS"] = "1"  # read when numpy and torch are loaded

import argparse
import importlib
import time
import warnings
from contextlib import contextmanager

import numpy as np
import tables
from sklearn.exceptions import ConvergenceWarning

from sknimble import NimbleClassifier, NimbleRegressor
from sknimble._late import linear_inputs


def clipped_inputs(X, rows, table):
    """Return `linear_inputs`, all with the smooth clip."""
    rows, inputs = linear_inputs(X, rows, table)
    return rows, inputs[:1]


VARIANTS = {
    "default": {},
    "without the encoding": {"encoding": "none"},
    "eight pieces of every column": {"_numbers._SHARE_ERROR": 0.0},
    "pieces whatever y says": {"_numbers._MISSED_SHARE": 1.0},
    "levels of 0 and 1": {"_levels._LEVELS_OF_FULL_HEIGHT": 10**9},
    "no ridge penalty above 1": {"_start.ROWS_PER_COLUMN": 0},
    "a start on clipped numbers": {"_start.linear_inputs": clipped_inputs},
    "one network": {"n_estimators": 1},
    "two networks": {"n_estimators": 2},
    "four networks": {"n_estimators": 4},
    "eight networks": {"n_estimators": 8},
    "one hidden layer": {"n_hidden_layers": 1},
    "three hidden layers": {"n_hidden_layers": 3},
    "ReLU": {"activation": "relu"},
    "GELU": {"activation": "gelu"},
    "half the learning rate": {"learning_rate_init": 5e-3},
    "twice the learning rate": {"learning_rate_init": 2e-2},
    "no weight decay": {"alpha": 0.0},
    "weight decay 0.1": {"alpha": 0.1},
    "price 1e-3": {"size_penalty": 1e-3},
    "price 1e-5": {"size_penalty": 1e-5},
    "a start of 8 neurons": {"initial_size": 8},
    "a start of 32 neurons": {"initial_size": 32},
    "a start of 128 neurons": {"initial_size": 128},
    "twice the anneal": {"_schedule.ANNEAL_SHARE": 0.8, "_schedule.ANNEAL_STEPS": 200},
    "without the finish": {"_schedule.FINISH_SHARE": 10**9},
    "twice the finish": {"_schedule.FINISH_SHARE": 0.4},
    "growth nearly twice as fast": {"_training.SIZE_VELOCITY": 0.05},
    "labels as they are": {"_start.SMOOTHING": 0.0, "_start.DOUBT": 0.0},
    "four times the smoothing": {"_start.SMOOTHING": 0.02},
    "the mean as it is": {"_calibration.MEAN_GAIN": 0.0},
    "the mean of classes moves": {"_calibration.SHIFTS": 0},
    "a linear model beaten by tol": {"_schedule.MOST_DOUBT": 0.0},
    "no temperature": {"_calibration.LOWEST": 0.0, "_calibration.HIGHEST": 0.0},
    "no average of weights": {"_training.AVERAGE_DECAY": 0.0},
    "Adam's beta2 0.999": {"_optimizer.BETA2": 0.999},
}


def command_line():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", nargs="?", help="of tables; without, scikit-learn's own")
    parser.add_argument(
        "--most", type=int, default=10**9, help="rows of a table, others are left out"
    )
    parser.add_argument("--only", help="names of variants, with commas")
    parser.add_argument("--quick", action="store_true", help="one small table, two variants")
    return parser.parse_args()


@contextmanager
def constants(changes):
    """Set constants of modules, named ``_module.CONSTANT``, for a while."""
    old = {}
    for name, value in changes.items():
        module, constant = name.split(".")
        module = importlib.import_module(f"sknimble.{module}")
        old[module, constant] = getattr(module, constant)
        setattr(module, constant, value)
    try:
        yield
    finally:
        for (module, constant), value in old.items():
            setattr(module, constant, value)


def measure(table, changes):
    """Return mean error, CPU seconds and parameters of a variant on a table."""
    settings = {name: value for name, value in changes.items() if "." not in name}
    family = NimbleClassifier if table.classification else NimbleRegressor
    rows = []
    for seed in range(3 if len(table.y) < tables.SMALL else 1):
        X, X_test, y, y_test = table.split(seed)
        with constants({name: value for name, value in changes.items() if "." in name}):
            tic = time.process_time()
            model = family(random_state=seed, **settings).fit(X, y)
            seconds = time.process_time() - tic
            error = table.error(model, X_test, y_test)
        rows.append((error, seconds, model.n_parameters_))
    return np.mean(rows, axis=0)


def main():
    arguments = command_line()
    warnings.simplefilter("ignore", ConvergenceWarning)
    found = tables.from_folder(arguments.folder) if arguments.folder else tables.bundled()
    found = [table for table in found if len(table.y) <= arguments.most]
    variants = arguments.only.split(",") if arguments.only else list(VARIANTS)
    if arguments.quick:
        found, variants = found[:1], ["default", "without the encoding"]
    classes = np.array([table.classification for table in found])
    print(f"{'':26s}{'nRMSE':>8s}{'log-loss':>10s}{'CPU':>7s}{'parameters':>12s}")
    for variant in variants:
        error, seconds, parameters = np.transpose([measure(t, VARIANTS[variant]) for t in found])
        if variant == variants[0]:
            base, base_seconds = error, seconds
        ratio = [np.exp(np.mean(np.log((error / base)[part]))) if part.any() else np.nan
                 for part in (~classes, classes)]  # fmt: skip
        cpu = np.exp(np.mean(np.log(seconds / base_seconds)))
        print(f"{variant:26s}{ratio[0]:8.3f}{ratio[1]:10.3f}{cpu:7.2f}{np.median(parameters):12.0f}",
              flush=True)  # fmt: skip


if __name__ == "__main__":
    main()
