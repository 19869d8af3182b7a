"""CPU time of a fit beside scikit-learn's MLP and a loop written in PyTorch, on one thread.

The three train the same ReLU network, 20 inputs and 128 neurons, on the same rows in float32, in
batches of 256, for the same number of epochs. Ours also has its linear path, its moving average
and its ridge start; its size is held at 128. Repetitions alternate, so that a busy machine
disturbs all three alike. Then: what an epoch costs at 8 and at 256 awake neurons, scouts included.

python examples/benchmarks/speed.py            half a minute; --quick for a glance
"""

import os

os.environ["OMP_NUM_THREADS"] = "1"  # read when numpy and torch are loaded

import argparse
import time
import warnings

import numpy as np
import torch
from sklearn.exceptions import ConvergenceWarning
from sklearn.neural_network import MLPRegressor

from sknimble import NimbleRegressor

WIDTH, BATCH, INPUTS = 128, 256, 20


def command_line():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="seconds, numbers mean little")
    parser.add_argument("--repetitions", type=int, help="of every fit (default 9)")
    parser.add_argument("--epochs", type=int, default=40, help="of every fit, 80 batches each")
    arguments = parser.parse_args()
    arguments.repetitions = arguments.repetitions or (2 if arguments.quick else 9)
    if arguments.quick:
        arguments.epochs = 1
    return arguments


def rows(n):
    """Return a smooth function of 20 inputs with noise, in float32."""
    rng = np.random.default_rng(0)
    X = rng.standard_normal((n, INPUTS), dtype=np.float32)
    y = np.sin(X @ rng.standard_normal((INPUTS, 4)) / 2).sum(axis=1)
    return X, (y / y.std() + 0.1 * rng.standard_normal(n)).astype(np.float32)


def nimble(X, y, epochs, width=WIDTH, room=0):
    """Fit ours with N held at ``width``; ``room`` is what max_size leaves for scouts."""
    model = NimbleRegressor(
        n_hidden_layers=1, activation="relu", n_estimators=1, encoding="none",
        batch_size=BATCH, max_iter=epochs, n_iter_no_change=epochs + 1,
        learning_rate_init=1e-3, random_state=0, size_penalty=1.0,
        initial_size=width, target_size=width, max_size=width + room,
    )  # fmt: skip
    model.fit(X, y, X_val=X[:BATCH], y_val=y[:BATCH])
    if (model.n_iter_, model.n_hidden_) != (epochs, width):
        raise RuntimeError(f"{model.n_iter_} epochs and {model.n_hidden_} neurons do not compare")


def scikit_learn(X, y, epochs):
    """Fit scikit-learn's MLP for all epochs."""
    model = MLPRegressor(
        hidden_layer_sizes=(WIDTH,),
        batch_size=BATCH,
        max_iter=epochs,
        n_iter_no_change=epochs + 1,
        random_state=0,
    )
    model.fit(X, y)


def torch_loop(X, y, epochs):
    """Train as a careful user of PyTorch would: sliced batches, fused AdamW."""
    generator = torch.Generator().manual_seed(0)
    X, y = torch.as_tensor(X), torch.as_tensor(y)[:, None]
    network = torch.nn.Sequential(
        torch.nn.Linear(X.shape[1], WIDTH), torch.nn.ReLU(), torch.nn.Linear(WIDTH, 1)
    )
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-3, fused=True)
    for _ in range(epochs):
        order = torch.randperm(len(X), generator=generator)
        shuffled = X[order].split(BATCH), y[order].split(BATCH)
        for inputs, targets in zip(*shuffled, strict=True):
            optimizer.zero_grad()
            torch.nn.functional.mse_loss(network(inputs), targets).backward()
            optimizer.step()


def cpu_seconds(contestants, repetitions):
    """Return the CPU seconds of every contestant, shape (repetitions, contestants)."""
    seconds = np.empty((repetitions + 1, len(contestants)))
    for repetition in seconds:
        for position, run in enumerate(contestants.values()):
            tic = time.process_time()
            run()
            repetition[position] = time.process_time() - tic
    return seconds[1:]  # the first warms up


def report(names, seconds, units):
    """Print the median cost per unit and the median of paired ratios to the first."""
    ratios = np.median(seconds[:, :1] / seconds, axis=0)
    for name, cost, ratio in zip(names, np.median(seconds, axis=0), ratios, strict=True):
        print(f"{name:24s}{1e6 * cost / units:10.0f}{ratio:12.3f}")


def main():
    arguments = command_line()
    torch.set_num_threads(1)
    warnings.simplefilter("ignore", ConvergenceWarning)
    epochs = arguments.epochs
    X, y = rows(80 * BATCH)
    print(f"{'whole fit':24s}{'us a step':>10s}{'ours / it':>12s}")
    contestants = {
        "sknimble": lambda: nimble(X, y, epochs),
        "scikit-learn MLP": lambda: scikit_learn(X, y, epochs),
        "torch loop": lambda: torch_loop(X, y, epochs),
    }
    report(contestants, cpu_seconds(contestants, arguments.repetitions), 80 * epochs)
    print(f"\n{'an epoch, scouts too':24s}{'us a step':>10s}{'8 / it':>12s}")
    contestants = {
        f"{width} awake": lambda width=width: nimble(X, y, epochs, width, room=512)
        for width in (8, 64, 256)
    }
    report(contestants, cpu_seconds(contestants, arguments.repetitions), 80 * epochs)


if __name__ == "__main__":
    main()
