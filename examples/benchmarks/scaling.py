"""Fit time and memory as rows and columns grow, each fit in a process of its own."""

import multiprocessing
import resource
import time
from pathlib import Path

import numpy as np

from sknimble import NimbleRegressor

ROWS, COLUMNS = (1_000, 10_000, 100_000, 1_000_000), (10, 100, 1_000, 5_000)


def rows(n, d):
    """Return float32 rows and a smooth target of the first five columns."""
    rng = np.random.default_rng(0)
    X = rng.standard_normal((n, d), dtype=np.float32)
    y = np.sin(X[:, 0] * X[:, 1]) + X[:, 2] ** 2 + X[:, 3] * X[:, 4] + rng.standard_normal(n)
    return X, y


def resident():
    """Return the bytes that the process holds now, or its peak where the system does not say."""
    status = Path("/proc/self/status")
    if status.exists():
        line = next(line for line in status.read_text().splitlines() if line.startswith("VmRSS"))
        return 1024 * int(line.split()[1])
    return 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def fit(n, d, connection):
    """Send CPU seconds, epochs, neurons, R2, bytes beyond X, and bytes of X."""
    # loads what single precision needs, which does not grow with the table
    NimbleRegressor(max_iter=2, early_stopping=False).fit(*rows(1_000, 20))
    X, y = rows(n, d)
    before, tic = resident(), time.process_time()
    model = NimbleRegressor(random_state=0).fit(X, y)
    seconds = time.process_time() - tic
    peak = 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    score = model.score(X[:10_000], y[:10_000])
    connection.send((seconds, model.n_iter_, model.n_hidden_, score, peak - before, X.nbytes))


def measure(n, d):
    """Fit in a fresh process."""
    context = multiprocessing.get_context("spawn")
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=fit, args=(n, d, sender))
    process.start()
    sender.close()
    found = receiver.recv()
    process.join()
    return found


def report(quick):
    """Print two tables: more rows, and more columns."""
    steps = [(n, 20) for n in (ROWS[:1] if quick else ROWS)]
    steps += [(2_000, d) for d in (COLUMNS[:1] if quick else COLUMNS)]
    print(f"{'rows':>9s}{'columns':>9s}{'CPU s':>9s}{'us per cell':>13s}{'epochs':>8s}"
          f"{'neurons':>9s}{'R2':>8s}{'MB beyond X':>13s}{'times X':>9s}")  # fmt: skip
    for n, d in steps:
        seconds, epochs, neurons, score, memory, size = measure(n, d)
        print(f"{n:9d}{d:9d}{seconds:9.1f}{1e6 * seconds / (n * d):13.2f}{epochs:8d}{neurons:9d}"
              f"{score:8.3f}{memory / 1e6:13.0f}{memory / size:9.1f}", flush=True)  # fmt: skip
