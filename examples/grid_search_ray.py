"""A grid search on the workers of a Ray cluster, here two processes of this machine.

On a real cluster only one line changes:

    ray.init("auto")

run on its head node, with sknimble installed on every node. Needs ``pip install ray``.
"""

import time

import joblib
import numpy as np
import ray
from ray.util.joblib import register_ray
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

    ray.init(num_cpus=2, include_dashboard=False)
    register_ray()
    with joblib.parallel_config("ray", n_jobs=2):
        start = time.perf_counter()
        spread = search.fit(X, y).cv_results_["mean_test_score"]
        print(f"two workers  {time.perf_counter() - start:5.1f} s")
    ray.shutdown()

    print(f"R2 {search.best_score_:.3f} with {search.best_params_}")
    print("the same scores, to the last bit:", np.array_equal(alone, spread))


if __name__ == "__main__":
    main()
