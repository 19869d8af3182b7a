"""Learn from ten million rows that never exist at the same time.

Rows are generated in chunks, used and forgotten, so memory stays where the first chunks
left it. Pass a smaller number of rows for a quick look:

    python examples/stream_chunks.py 1000000
"""

import resource
import sys
import time

import numpy as np

from sknimble import NimbleRegressor

CHUNK = 100_000


def rows(seed, n):
    """Return a chunk: ten inputs, of which five matter, and a noisy target."""
    rng = np.random.default_rng(seed)
    X = rng.random((n, 10))
    y = 10 * np.sin(np.pi * X[:, 0] * X[:, 1]) + 20 * (X[:, 2] - 0.5) ** 2
    return X, y + 10 * X[:, 3] + 5 * X[:, 4] + rng.standard_normal(n)


def peak():
    """Return the most memory this process has used so far, in MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main(n_rows=10_000_000):
    X_test, y_test = rows(0, 20_000)
    # So many rows pay for more neurons than a few thousand would.
    parameters = {"n_estimators": 1, "size_penalty": 1e-5, "random_state": 0}
    model = NimbleRegressor(**parameters)
    start = time.perf_counter()
    n_chunks = n_rows // CHUNK
    for number in range(1, n_chunks + 1):
        model.partial_fit(*rows(number, CHUNK))
        if number in (2, n_chunks) or number % 20 == 0:
            print(
                f"{number * CHUNK:>10,} rows  R2 {model.score(X_test, y_test):.4f}  "
                f"{model.n_hidden_:3d} neurons  {time.perf_counter() - start:5.1f} s  "
                f"peak memory {peak():.0f} MB"
            )

    sample = NimbleRegressor(**parameters).fit(*rows(1, 20_000))
    print(f"one fit of a sample of 20,000 rows: R2 {sample.score(X_test, y_test):.4f}")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
