"""CPU time of several networks trained together beside one at a time, on one thread.

On Friedman's first function, 2,000 rows and 10 inputs, price 1e-3. A single network's cost is the
mean over as many seeds as the ensemble has networks. Repetitions alternate, so that a busy
machine disturbs both alike.

python examples/benchmarks/ensemble_cost.py            a minute; --quick for a glance
"""

import os

os.environ["OMP_NUM_THREADS"] = "1"  # read when numpy and torch are loaded

import argparse
import time
import warnings

import numpy as np
import torch
from sklearn.datasets import make_friedman1
from sklearn.exceptions import ConvergenceWarning

from sknimble import NimbleRegressor

ENCODINGS = ("none", "piecewise")


def command_line():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="seconds, numbers mean little")
    parser.add_argument("--repetitions", type=int, help="of every fit (default 3)")
    parser.add_argument("--networks", type=int, nargs="+", default=[8, 40])
    arguments = parser.parse_args()
    arguments.repetitions = arguments.repetitions or (1 if arguments.quick else 3)
    return arguments


def fit(X, y, quick, **parameters):
    """Return the CPU seconds of a fit, and the mean and largest number of epochs of a network."""
    model = NimbleRegressor(size_penalty=1e-3, **parameters)
    if quick:
        model.set_params(max_iter=3)
    tic = time.process_time()
    model.fit(X, y)
    seconds = time.process_time() - tic
    last = {record.member: record.epoch for record in model.history_}
    return seconds, np.mean(list(last.values())), max(last.values())


def compare(X, y, arguments, networks, encoding):
    """Return mean cost and epochs of one network, those of all together, and their ratio."""
    one, together = [], []
    for repetition in range(arguments.repetitions):
        together.append(
            fit(X, y, arguments.quick, n_estimators=networks, encoding=encoding,
                random_state=repetition)
        )  # fmt: skip
        for seed in range(networks if repetition == 0 else min(networks, 8)):
            one.append(
                fit(X, y, arguments.quick, n_estimators=1, encoding=encoding,
                    random_state=100 * repetition + seed)
            )  # fmt: skip
    return np.mean(one, axis=0), np.mean(together, axis=0)


def main():
    arguments = command_line()
    torch.set_num_threads(1)
    warnings.simplefilter("ignore", ConvergenceWarning)
    X, y = make_friedman1(2000, n_features=10, noise=1.0, random_state=0)
    fit(X, y, True, n_estimators=2)  # warms up
    print(f"{'encoding':11s}{'K':>4s}{'one, s':>9s}{'epochs':>8s}{'K, s':>9s}{'epochs':>8s}"
          f"{'longest':>9s}{'K / one':>9s}{'K x one / K':>13s}")  # fmt: skip
    for encoding in ENCODINGS:
        for networks in arguments.networks:
            one, together = compare(X, y, arguments, networks, encoding)
            ratio = together[0] / one[0]
            print(f"{encoding:11s}{networks:4d}{one[0]:9.3f}{one[1]:8.0f}{together[0]:9.3f}"
                  f"{together[1]:8.0f}{together[2]:9.0f}{ratio:9.2f}{networks / ratio:13.1f}",
                  flush=True)  # fmt: skip


if __name__ == "__main__":
    main()
