"""The same numbers whoever runs the fits, no deadlock, and nothing of the process changed."""

import pickle
import subprocess
import sys
import textwrap
from concurrent.futures import ThreadPoolExecutor

import joblib
import numpy as np
import pytest
import scipy.sparse as sp
import torch
from sklearn.datasets import make_classification, make_friedman1
from sklearn.model_selection import GridSearchCV

from sknimble import NimbleClassifier, NimbleRegressor, nimble_path

GRID = {"size_penalty": [1e-4, 1e-2]}


@pytest.fixture(scope="module")
def data():
    return make_friedman1(200, 5, noise=0.5, random_state=0)


@pytest.fixture(scope="module")
def alone(data):
    return search(data)


def search(data):
    model = NimbleRegressor(max_iter=6, early_stopping=False, random_state=0)
    return GridSearchCV(model, GRID, cv=2, refit=False).fit(*data).cv_results_["mean_test_score"]


@pytest.mark.parametrize("backend", ["loky", "threading"])
def test_a_search_finds_the_same_scores_to_the_last_bit(data, alone, backend):
    with joblib.parallel_config(backend, n_jobs=2):
        np.testing.assert_array_equal(search(data), alone)


def test_a_search_on_dask_finds_the_same_scores_to_the_last_bit(data, alone):
    distributed = pytest.importorskip("distributed")
    cluster = {"n_workers": 2, "threads_per_worker": 1, "processes": False}
    with (
        distributed.LocalCluster(**cluster, dashboard_address=":0") as local,
        distributed.Client(local),
        joblib.parallel_config("dask", n_jobs=-1),
    ):
        np.testing.assert_array_equal(search(data), alone)


def threads_of_a_fit(X, y):
    """Return how many threads torch has during each epoch of a fit, where this runs."""
    import torch

    from sknimble._training import Training

    seen, make_pass = [], Training._pass

    def watched_pass(training):
        seen.append(torch.get_num_threads())
        return make_pass(training)

    Training._pass = watched_pass
    try:
        NimbleRegressor(max_iter=2, early_stopping=False).fit(X, y)
    finally:
        Training._pass = make_pass
    return seen


def test_a_worker_uses_one_thread(data):
    with joblib.parallel_config("loky", n_jobs=2):
        counts = joblib.Parallel()(joblib.delayed(threads_of_a_fit)(*data) for _ in range(2))
    assert counts == [[1, 1], [1, 1]]


FORKED = """
    import joblib, torch
    from sklearn.datasets import make_friedman1
    from sklearn.model_selection import GridSearchCV
    from sknimble import NimbleRegressor

    X, y = make_friedman1(3000, 40, random_state=0)
    model = NimbleRegressor(
        max_iter=2, early_stopping=False, batch_size=1500, initial_size=150, random_state=0,
        n_estimators=1, encoding="none",
    )
    torch.set_num_threads(2)
    {first}
    torch.mm(torch.ones(1000, 1000), torch.ones(1000, 1000))  # starts the threads for certain
    with joblib.parallel_config("multiprocessing", n_jobs=2):
        search = GridSearchCV(model, dict(size_penalty=[1e-4, 1e-2]), cv=2).fit(X, y)
        threads = joblib.Parallel()(joblib.delayed(torch.get_num_threads)() for _ in range(2))
    assert threads == [1, 1]
    assert torch.get_num_threads() == 2
    print(search.cv_results_["mean_test_score"].tolist())
"""


@pytest.mark.skipif(sys.platform != "linux", reason="the other systems do not fork")
@pytest.mark.parametrize("first", ["model.fit(X, y)", ""], ids=["fitted", "not fitted"])
def test_a_forked_search_after_torch_was_used_does_not_hang(first):
    # Without the guard in `__init__` the workers wait for threads that were not forked.
    code = textwrap.dedent(FORKED).format(first=first)
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code],
        capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("[")


def fits(number):
    """Return what one of several different fits predicts."""
    if number % 2:
        X, y = make_classification(300, 8, random_state=number)
        model = NimbleClassifier(max_iter=6, early_stopping=False, random_state=number)
        return model.fit(X, y).predict_proba(X)
    X, y = make_friedman1(300, 8, random_state=number)
    model = NimbleRegressor(max_iter=6, early_stopping=False, random_state=number)
    return model.fit(X, y).predict(X)


def test_fits_in_threads_at_once_are_what_they_are_alone():
    one_by_one = [fits(number) for number in range(4)]
    with ThreadPoolExecutor(4) as pool:
        for alone, together in zip(one_by_one, pool.map(fits, range(4)), strict=True):
            np.testing.assert_array_equal(together, alone)


# ------------------------------------------------------------------------------------ the device
@pytest.mark.parametrize("device", ["cuda", "mps"])
def test_a_device_that_is_absent_is_an_error_that_says_so(data, device, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    model = NimbleRegressor(device=device)
    with pytest.raises(ValueError, match=f"device='{device}', but PyTorch .* sees none here"):
        model.fit(*data)
    assert not model.__sklearn_is_fitted__()


def test_auto_takes_the_processor_where_there_is_nothing_else(data, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    kwargs = {"max_iter": 3, "early_stopping": False, "random_state": 0}
    chosen = NimbleRegressor(device="auto", **kwargs).fit(*data)
    given = NimbleRegressor(device="cpu", **kwargs).fit(*data)
    np.testing.assert_array_equal(chosen.predict(data[0]), given.predict(data[0]))


@pytest.fixture(params=["cuda", "mps"])
def accelerator(request):
    backend = torch.cuda if request.param == "cuda" else torch.backends.mps
    if not backend.is_available():
        pytest.skip(f"no {request.param} here")
    return request.param


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("n_hidden_layers", [1, 2, 3])
@pytest.mark.parametrize("early_stopping", ["auto", False])
@pytest.mark.parametrize("weighted", [True, False])
def test_an_accelerator_fits_in_single_precision_and_gives_numpy(
    data, accelerator, n_hidden_layers, early_stopping, weighted
):
    X, y = data
    weight = np.random.default_rng(0).random(len(y)) if weighted else None
    kwargs = {
        "n_hidden_layers": n_hidden_layers, "early_stopping": early_stopping,
        "max_iter": 40, "random_state": 0,
    }  # fmt: skip
    there, again = (NimbleRegressor(device=accelerator, **kwargs) for _ in range(2))
    there.fit(X, y, sample_weight=weight)
    np.testing.assert_array_equal(
        again.fit(X, y, sample_weight=weight).predict(X), there.predict(X)
    )
    assert there._networks[0].first.dtype == np.float32
    assert isinstance(there.predict(X), np.ndarray)
    here = NimbleRegressor(**kwargs).fit(X, y, sample_weight=weight)
    assert there.score(X, y) == pytest.approx(here.score(X, y), abs=0.02)
    restored = pickle.loads(pickle.dumps(there)).set_params(device="cpu")
    np.testing.assert_array_equal(restored.predict(X), there.predict(X))
    restored.partial_fit(X, y)


@pytest.mark.parametrize("n_classes", [2, 3])
@pytest.mark.parametrize("density", [0.02, 0.5, 1.0])
def test_an_accelerator_fits_sparse_and_dense_classes(accelerator, n_classes, density):
    X = sp.random_array((600, 60), density=density, format="csr", rng=0)
    y = X.toarray().reshape(600, -1, 20).sum(axis=2)[:, :n_classes].argmax(axis=1)
    X = X.toarray() if density == 1.0 else X
    kwargs = {"max_iter": 400, "random_state": 0}
    there = NimbleClassifier(device=accelerator, **kwargs).fit(X, y)
    here = NimbleClassifier(**kwargs).fit(X, y)
    assert isinstance(there.predict_proba(X), np.ndarray)
    assert there.score(X, y) == pytest.approx(here.score(X, y), abs=0.03)


def test_an_accelerator_trains_a_path(data, accelerator):
    scores = []
    for device in (accelerator, "cpu"):
        estimator = NimbleRegressor(max_iter=400, random_state=0, device=device)
        path = nimble_path(*data, estimator=estimator, size_penalties=[1e-2, 1e-4], cv=3)
        scores.append(path.scores)
    np.testing.assert_allclose(*scores, atol=0.05)
