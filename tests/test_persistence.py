"""A fitted estimator is numpy and small: it goes through files and processes unchanged."""

import copy
import io
import pickle
import subprocess
import sys
import textwrap
import warnings

import joblib
import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.datasets import make_classification, make_friedman1

import sknimble._persistence as persistence
from sknimble import NimbleClassifier, NimbleRegressor


def through_pickle(model):
    return pickle.loads(pickle.dumps(model))


def through_joblib(model):
    file = io.BytesIO()
    joblib.dump(model, file)
    file.seek(0)
    return joblib.load(file)


def through_skops(model):
    sio = pytest.importorskip("skops.io")
    data = sio.dumps(model)
    types = sio.get_untrusted_types(data=data)
    assert all(name.startswith("sknimble.") for name in types)
    return sio.loads(data, trusted=types)


every_format = pytest.mark.parametrize(
    "through", [through_pickle, through_joblib, through_skops], ids=["pickle", "joblib", "skops"]
)


def fit_regressor():
    X, y = make_friedman1(150, 6, random_state=0)
    X[::7, 2] = np.nan
    return NimbleRegressor(max_iter=15, random_state=0).fit(X, y), X


def fit_float32():
    X, y = make_friedman1(400, 60, random_state=0)
    return NimbleRegressor(max_iter=5, random_state=0).fit(X, np.c_[y, -y]), X


def fit_classifier():
    X, y = make_classification(150, 6, n_informative=4, n_classes=3, random_state=0)
    names = np.array(["ant", "bee", "cow"])
    return NimbleClassifier(max_iter=15, n_estimators=2, random_state=0).fit(X, names[y]), X


def fit_frame():
    X, y = make_friedman1(150, 6, random_state=0)
    X = pd.DataFrame(X, columns=list("abcdef"))
    X["g"] = np.where(y > 14, "high", "low")
    model = NimbleRegressor(encoding="piecewise", loss="quantile", quantile=[0.1, 0.9])
    return model.set_params(max_iter=15, random_state=0).fit(X, y), X


def fit_unfinished():
    X, y = make_friedman1(150, 6, random_state=0)
    model = NimbleRegressor(max_iter=5, random_state=0, warm_start=True, early_stopping=False)
    return model.fit(X, y), X


@pytest.fixture(
    params=[fit_regressor, fit_float32, fit_classifier, fit_frame, fit_unfinished],
    ids=lambda make: make.__name__.removeprefix("fit_"),
)
def fitted(request):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return request.param()


@every_format
def test_what_is_loaded_predicts_the_same_to_the_last_bit(fitted, through):
    model, X = fitted
    loaded = through(model)
    np.testing.assert_array_equal(loaded.predict(X), model.predict(X))
    if hasattr(model, "predict_proba"):
        np.testing.assert_array_equal(loaded.predict_proba(X), model.predict_proba(X))
    assert vars(loaded).keys() == vars(model).keys()
    assert loaded.get_params() == model.get_params()
    assert loaded.size_weight_ == model.size_weight_
    assert loaded.n_parameters_ == model.n_parameters_


@every_format
def test_the_record_comes_back_with_four_digits(fitted, through):
    model, _ = fitted
    loaded = through(model)
    before, after = pd.DataFrame(model.history_), pd.DataFrame(loaded.history_)
    rough = ["seconds", "utility"]
    pd.testing.assert_frame_equal(after.drop(columns=rough), before.drop(columns=rough), rtol=3e-4)
    pd.testing.assert_frame_equal(after[rough], before[rough], rtol=1e-2)
    assert type(loaded.history_[0]) is type(model.history_[0])
    assert type(loaded.history_[0].epoch) is int


def test_loading_and_saving_again_changes_nothing(fitted):
    once = pickle.dumps(through_pickle(fitted[0]))
    assert pickle.dumps(pickle.loads(once)) == once


def test_an_estimator_that_is_not_fitted_can_be_saved_and_cloned(fitted):
    model, _ = fitted
    new = clone(model)
    loaded = through_pickle(new)
    assert loaded.get_params() == new.get_params()
    assert not loaded.__sklearn_is_fitted__()


def types_within(value):
    """Yield the types of everything an object holds."""
    yield type(value)
    if isinstance(value, dict):
        parts = value.values()
    elif isinstance(value, (list, tuple, set)):
        parts = value
    else:
        parts = getattr(value, "__dict__", {}).values()
    for part in parts:
        yield from types_within(part)


def test_nothing_fitted_is_a_tensor(fitted):
    packages = {kind.__module__.split(".")[0] for kind in types_within(fitted[0])}
    assert packages <= {"builtins", "numpy", "sklearn", "sknimble"}


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("n_rows", [90, 500, 20_000])
def test_a_file_is_small_whatever_the_number_of_rows(n_rows):
    X, y = make_friedman1(n_rows, 10, noise=1.0, random_state=0)
    model = NimbleRegressor(random_state=0, max_iter=3 if n_rows == 20_000 else 1000).fit(X, y)
    limit = 8 * model.n_parameters_ + 10 * 1024
    assert len(pickle.dumps(model)) < limit


@pytest.mark.parametrize("early_stopping", [True, False])
def test_a_record_takes_15_bytes_an_epoch_and_less_when_long(early_stopping):
    X, y = make_friedman1(120, 5, noise=0.5, random_state=0)
    model = NimbleRegressor(random_state=0, early_stopping=early_stopping).fit(X, y)
    assert len(persistence.pack(model.history_)) < 200 + 15 * len(model.history_)


CHILD = """
    import pickle, sys

    class Refuse:
        def find_spec(self, name, path=None, target=None):
            if name.split(".")[0] == "torch":
                raise ImportError("torch is blocked")

    sys.meta_path.insert(0, Refuse())
    import numpy as np

    with open(sys.argv[1], "rb") as file:
        for model, X, expected in pickle.load(file):
            np.testing.assert_array_equal(model.predict(X), expected)
    assert "torch" not in sys.modules
"""


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_prediction_works_where_torch_cannot_be_imported(tmp_path):
    models = [fit() for fit in (fit_regressor, fit_float32, fit_classifier, fit_frame)]
    path = tmp_path / "models.pickle"
    path.write_bytes(pickle.dumps([(model, X, model.predict(X)) for model, X in models]))
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(CHILD), path], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr


# ---------------------------------------------------------------------------- files that are wrong
def test_a_file_of_another_layout_says_which_version_reads_it(fitted, monkeypatch):
    monkeypatch.setattr(persistence, "LAYOUT", persistence.LAYOUT + 1)
    monkeypatch.setattr(persistence, "__version__", "9.9.0")
    data = pickle.dumps(fitted[0])
    monkeypatch.undo()
    layout = persistence.LAYOUT + 1
    saved = rf"saved by sknimble 9\.9\.0 in layout {layout}.* load it with"
    with pytest.raises(ValueError, match=saved):
        pickle.loads(data)


def test_the_layout_is_checked_before_any_stored_class_is_looked_for(fitted, monkeypatch):
    monkeypatch.setattr(persistence, "LAYOUT", persistence.LAYOUT + 1)
    data = pickle.dumps(fitted[0])
    monkeypatch.undo()
    with pytest.raises(ValueError, match="in layout"):
        pickle.loads(data.replace(b"sknimble._predictor", b"sknimble._forgotten"))


def stored_in(value):
    """Return the attributes of each class of ours in an object, without its parameters."""
    found, parts = {}, value
    if type(value).__module__.startswith("sknimble."):
        parts = value.__getstate__()
        parameters = value.get_params(deep=False) if hasattr(value, "get_params") else {}
        name = f"{type(value).__module__}.{type(value).__name__}".removeprefix("sknimble.")
        found = {name: " ".join(sorted(parts.keys() - parameters.keys()))}
    if isinstance(parts, dict):
        parts = parts.values()
    if not isinstance(parts, str | np.ndarray) and np.iterable(parts):
        for part in parts:
            found |= stored_in(part)
    return found


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_a_layout_stores_these_classes_and_attributes():
    """If this fails, what is in a file has changed: increase LAYOUT, then change the record."""
    models = [fit()[0] for fit in (fit_regressor, fit_classifier, fit_frame)]
    poisson = NimbleRegressor(loss="poisson", max_iter=5).fit(np.eye(9), np.arange(9))
    common = "_fixed _held_out_of _loss _networks _noise _normaliser _progress _seal _seeds _shape"
    assert persistence.LAYOUT == 8
    assert stored_in([*models, poisson]) == {
        "_regressor.NimbleRegressor": f"{common} _sizes _table history_ n_features_in_",
        "_classifier.NimbleClassifier": f"{common} _sizes _table classes_ history_ n_features_in_",
        "_predictor.FittedNetwork": "activation flat shapes",
        "_tables.TableEncoder": "categorical_features dtype encoding level_indices_ levels_ "
        "n_features_in_ n_features_out_ n_plain_features_ number_indices_ numbers_ scaler_",
        "_numbers.Numbers": "center incomplete knots n_plain scale",
        "_levels.Levels": "has_missing kept name pooled times width",
        "_losses.SquaredError": "location_ n_outputs_ range_ scale_",
        "_losses.Quantile": "far_ levels_ location_ n_outputs_ quantile range_ scale_",
        "_losses.Poisson": "high_ highest_ low_ lowest_ mean_ n_outputs_",
        "_losses.CrossEntropy": "base_ n_outputs_",
    }


def test_a_file_of_another_version_but_the_same_layout_loads(fitted, monkeypatch):
    model, X = fitted
    monkeypatch.setattr(persistence, "__version__", "9.9.0")
    data = pickle.dumps(model)
    monkeypatch.undo()
    np.testing.assert_array_equal(pickle.loads(data).predict(X), model.predict(X))


@pytest.mark.parametrize("state", [{}, {"size_penalty": 1.0}, {"_seal": 3}, [1, 2], None])
def test_what_sknimble_has_not_saved_is_refused(state):
    with pytest.raises(ValueError, match="no NimbleRegressor that sknimble has saved"):
        NimbleRegressor().__setstate__(state)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("part", ["weights", "scales", "level", "units of y", "noise", "record"])
def test_what_is_damaged_is_noticed(part):
    X, y = make_friedman1(150, 6, random_state=0)
    X = pd.DataFrame(X).assign(kind=np.where(y > 14, "a level", "another"))
    X.columns = X.columns.astype(str)
    model = NimbleRegressor(max_iter=15, random_state=0).fit(X, y)
    data = bytearray(pickle.dumps(model))
    wanted = {
        "weights": model._networks[0].first.tobytes(),
        "scales": model._table.numbers_.scale.tobytes(),
        "level": b"a level",
        "units of y": model._loss.scale_.tobytes(),
        "noise": model._noise[0][1].tobytes(),
        "record": model.__getstate__()["history_"],
    }
    at = bytes(data).index(wanted[part])
    data[at + 2] ^= 1
    with pytest.raises(ValueError, match="NimbleRegressor is damaged"):
        pickle.loads(bytes(data))


def test_a_damaged_name_is_noticed():
    X, y = make_friedman1(150, 6, random_state=0)
    model = NimbleRegressor(loss="quantile", quantile=[0.1, 0.9], early_stopping=False, max_iter=5)
    data = pickle.dumps(model.fit(X, y))
    at = data.index(b"levels_")
    with pytest.raises(ValueError, match="damaged"):
        pickle.loads(data[:at] + b"lavels_" + data[at + 7 :])


@pytest.mark.parametrize("labels", [">i4", ">f8", ">U1"])
def test_labels_and_parameters_of_any_type_are_not_taken_for_damage(labels):
    X = pd.DataFrame({"a": np.arange(40.0), "b": pd.Categorical(list("abcd") * 10)})
    y = (np.arange(40) % 3).astype(labels)
    columns = X.select_dtypes("category").columns  # a pandas Index
    model = NimbleClassifier(categorical_features=columns, max_iter=2, early_stopping=False)
    for through in (through_pickle, through_joblib, copy.deepcopy):
        np.testing.assert_array_equal(through(model.fit(X, y)).predict(X), model.predict(X))


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("fit", [fit_regressor, fit_classifier])
def test_what_belongs_to_another_model_is_noticed(fit):
    model, X = fit()
    y = model.predict(X[:140])
    y = np.char.upper(y) if y.dtype.kind == "U" else -y
    other = clone(model).set_params(n_estimators=1).fit(X[:140], y).__getstate__()
    state, own = model.__getstate__(), "classes_" if y.dtype.kind == "U" else "_noise"
    for name in ("_networks", "_sizes", "_table", "_loss", "history_", own):
        mixed = state | {name: other[name]}
        with pytest.raises(ValueError, match="is damaged"):
            clone(model).__setstate__(mixed)
            pytest.fail(f"{name} is not covered")


def test_a_truncated_file_is_an_error(fitted):
    data = pickle.dumps(fitted[0])
    for length in (10, len(data) // 2, len(data) - 1):
        with pytest.raises((pickle.UnpicklingError, EOFError, ValueError)):
            pickle.loads(data[:length])


def test_skops_runs_nothing_from_a_file_that_was_not_trusted(fitted):
    sio = pytest.importorskip("skops.io")
    from skops.io.exceptions import UntrustedTypesFoundException

    with pytest.raises(UntrustedTypesFoundException):
        sio.loads(sio.dumps(fitted[0]))
