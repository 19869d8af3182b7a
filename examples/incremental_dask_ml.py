"""Learn from a Dask array whose chunks never fit together in memory.

`Incremental` hands one chunk after the other to `partial_fit`. With a client connected to a
cluster, chunks are made on its workers and visited by the model one by one. Needs
``pip install dask-ml``.
"""

import dask.array as da
import numpy as np
from dask_ml.wrappers import Incremental
from sklearn.metrics import accuracy_score

from sknimble import NimbleClassifier

CHUNK, N_CHUNKS = 20_000, 25


def labels(X):
    """Return the class of every row, one in twenty wrong."""
    rng = np.random.default_rng(len(X))
    inside = (X[:, :3] ** 2).sum(axis=1) < 2.4
    return np.where(rng.random(len(X)) < 0.05, ~inside, inside).astype(int)


def main():
    random = da.random.default_rng(0)
    X = random.standard_normal((CHUNK * N_CHUNKS, 20), chunks=(CHUNK, 20))
    y = X.map_blocks(labels, drop_axis=1, dtype=int)
    print(f"X has {X.nbytes / 1e6:.0f} MB in chunks of {X.blocks[0].nbytes / 1e6:.1f} MB")

    model = Incremental(NimbleClassifier(n_estimators=1, random_state=0))
    model.fit(X, y, classes=[0, 1])

    fitted = model.estimator_
    fresh = np.random.default_rng(1).standard_normal((20_000, 20))
    accuracy = accuracy_score(labels(fresh), fitted.predict(fresh))
    print(f"{N_CHUNKS} chunks in {fitted.n_iter_} passes, {fitted.n_hidden_} neurons, "
          f"accuracy {accuracy:.3f}")  # fmt: skip


if __name__ == "__main__":
    main()
