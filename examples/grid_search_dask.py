"""A grid search on the workers of a Dask cluster, here two processes of this machine.

On a real cluster only one line changes:

    client = Client("tcp://scheduler:8786")

where every worker has sknimble installed and was started with ``--nthreads 1``. Needs
``pip install distributed``.
"""

import time

import joblib
import numpy as np
from distributed import Client, LocalCluster
from sklearn.datasets import make_friedman1
from sklearn.model_selection import GridSearchCV

from sknimble import NimbleRegressor


def main():
    X, y = make_friedman1(4000, 10, noise=1.0, random_state=0)
    model = NimbleRegressor(n_estimators=1, max_iter=30, early_stopping=False, random_state=0)
    search = GridSearchCV(model, {"size_penalty": [1e-5, 1e-4, 1e-3, 1e-2]}, cv=3)

    start = time.perf_counter()
    alone = search.fit(X, y).cv_results_["mean_test_score"]
    print(f"one process  {time.perf_counter() - start:5.1f} s")

    with LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=":0") as cluster:
        with Client(cluster), joblib.parallel_config("dask", n_jobs=-1):
            start = time.perf_counter()
            spread = search.fit(X, y).cv_results_["mean_test_score"]
            print(f"two workers  {time.perf_counter() - start:5.1f} s")

    print(f"R2 {search.best_score_:.3f} with {search.best_params_}")
    print("the same scores, to the last bit:", np.array_equal(alone, spread))


if __name__ == "__main__":
    main()
