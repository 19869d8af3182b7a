"""What is wrong with the input is said in words that name it."""

import datetime
from decimal import Decimal

import numpy as np
import pandas as pd
import polars as pl
import pytest
from scipy import sparse
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import Ridge

from sknimble import NimbleClassifier, NimbleRegressor, nimble_path

QUICK = {"max_iter": 2, "max_size": 8, "early_stopping": False, "random_state": 0}

rng = np.random.default_rng(0)
X = rng.normal(size=(40, 3))
y = X[:, 0] + 0.1 * rng.normal(size=40)
labels = np.where(y > 0, "yes", "no")
frame = pd.DataFrame(X, columns=["size", "weight", "age"])
day = datetime.date(2020, 1, 1)


def regress(X=X, y=y, sample_weight=None, *, X_val=None, y_val=None, sample_weight_val=None, **kw):
    model = NimbleRegressor(**QUICK | kw)
    return model.fit(
        X, y, sample_weight, X_val=X_val, y_val=y_val, sample_weight_val=sample_weight_val
    )


def classify(y=labels, *, X_val=None, y_val=None, **kw):
    return NimbleClassifier(**QUICK | kw).fit(X, y, X_val=X_val, y_val=y_val)


def piece(classes):
    return NimbleClassifier(**QUICK).partial_fit(X, np.arange(40) % 2, classes=classes)


def with_one(value):
    """Return X with one value of its second column replaced."""
    changed = X.copy()
    changed[3, 1] = value
    return changed


def with_age(values):
    """Return the frame with other values for age."""
    return frame.assign(age=values)


def objects(*values):
    """Return an array of 40 objects that takes turns among the values."""
    return np.array([values[k % len(values)] for k in range(40)], dtype=object)


# What is done, and what the message must say.
CASES = {
    # ---- the shape of X
    "X is a vector": (lambda: regress(X[:, 0]), "Expected 2D array, got 1D array"),
    "X is a series": (lambda: regress(frame["age"]), "Pass a DataFrame|Expected 2D array"),
    "X has three dimensions": (lambda: regress(X[None]), "array with dim 3"),
    "X has no rows": (lambda: regress(X[:0], y[:0]), r"0 sample\(s\)"),
    "X has no columns": (lambda: regress(X[:, :0]), r"0 feature\(s\)"),
    "X is a frame without rows": (lambda: regress(frame[:0], y[:0]), r"0 sample\(s\)"),
    "X is a frame without columns": (lambda: regress(frame[[]]), r"0 feature\(s\)"),
    "X is a text": (lambda: regress("table.csv"), "Expected 2D array, got scalar"),
    "X is None": (lambda: regress(None), "Expected 2D array, got scalar"),
    # ---- what X holds
    "infinite value": (lambda: regress(with_one(np.inf)), "infinity .* in column 'x1'"),
    "infinite value in a frame": (
        lambda: regress(pd.DataFrame(with_one(-np.inf), columns=frame.columns)),
        "infinity .* in column 'weight'.*NaN if it is unknown",
    ),
    "infinite value in predict": (lambda: regress().predict(with_one(np.inf)), "column 'x1'"),
    "infinite value in a sparse matrix": (
        lambda: regress(sparse.csr_array(with_one(np.inf))),
        "infinity .* in column 'x1'",
    ),
    "gap in a sparse matrix": (
        lambda: regress(sparse.csc_array(with_one(np.nan))),
        "sparse and has NaN in column 'x1'.*dense",
    ),
    "complex numbers": (lambda: regress(X + 1j), "Complex data not supported"),
    "a complex column": (lambda: regress(with_age(1j)), "'age' has dtype complex128"),
    "dates": (
        lambda: regress(with_age(pd.date_range("2020", periods=40))),
        "'age' holds dates .* days since .*month, weekday",
    ),
    "durations": (lambda: regress(with_age(pd.to_timedelta(range(40), unit="D"))), "'age' holds"),
    "periods": (lambda: regress(with_age(pd.period_range("2020", periods=40))), "'age' holds"),
    "dates as objects": (lambda: regress(with_age(objects(day, None))), "'age' holds dates"),
    "periods as objects": (
        lambda: regress(with_age(pd.Series(objects(pd.Period("2020-01"), None), dtype=object))),
        "'age' holds",
    ),
    "dates in an array": (
        lambda: regress(np.arange(120).reshape(40, 3).astype("M8[D]")),
        "'x0' holds dates",
    ),
    "dates of polars": (lambda: regress(pl.DataFrame({"day": [day] * 40})), "'day' holds dates"),
    "lists of polars": (lambda: regress(pl.DataFrame({"tags": [[1]] * 40})), "'tags' has dtype"),
    "dicts": (lambda: regress(with_age([{"a": 1}] * 40)), "'age'.* not a dict"),
    "lists": (lambda: regress(with_age([[1]] * 40)), "'age'.* not a list"),
    "rows of unequal length": (lambda: regress([[1, 2], [3]] * 20), "inhomogeneous"),
    # ---- columns
    "text in a column of numbers": (
        lambda: regress(frame).predict(with_age("old")),
        "'age' should hold numbers.*'old'.*categorical_features",
    ),
    "dates in a column of numbers": (
        lambda: regress(frame).predict(with_age(pd.Timestamp(day))),
        "'age' holds dates",
    ),
    "lists in a column of levels": (
        lambda: regress(with_age(["old", "new"] * 20)).predict(with_age([[1]] * 40)),
        "'age'.*must be a string or a number",
    ),
    "a number that signals": (
        lambda: regress(with_age(objects(Decimal("1"), Decimal("sNaN")))),
        "'age' should hold numbers",
    ),
    "text that is not to be categories": (
        lambda: regress(with_age("old"), categorical_features=None),
        "'age' should hold numbers",
    ),
    "some names are numbers": (
        lambda: regress(pd.DataFrame(X, columns=["a", 1, 2])),
        "string names",
    ),
    "a column is missing": (lambda: regress(frame).predict(frame[["size", "age"]]), "- weight"),
    "columns in another order": (
        lambda: regress(frame).predict(frame[["age", "size", "weight"]]),
        "must be in the same order",
    ),
    "a column too many": (lambda: regress(frame).predict(frame.assign(x=1)), "unseen.*\n- x"),
    "a column too few": (lambda: regress().predict(X[:, :2]), "2 features.*expecting 3"),
    "an unknown name in categorical_features": (
        lambda: regress(frame, categorical_features=["colour"]),
        "'colour' which is not a valid feature name",
    ),
    "an index beyond the columns": (
        lambda: regress(categorical_features=[7]),
        r"categorical_features .* must be in \[0, n_features - 1\]",
    ),
    "an index below zero": (
        lambda: regress(categorical_features=[-1]),
        r"categorical_features .* must be in \[0, n_features - 1\]",
    ),
    "an index that is no integer": (
        lambda: regress(categorical_features=[1.5]),
        "array-like of bool, int or str, got: float",
    ),
    "a word for categorical_features": (
        lambda: regress(frame, categorical_features="from_dtypes"),
        "'categorical_features' parameter .*'from_dtype'",
    ),
    "a mask of another length": (
        lambda: regress(categorical_features=[True, False]),
        "categorical_features .*mask must have shape",
    ),
    "names without a frame": (
        lambda: regress(categorical_features=["size"]),
        "categorical_features .*without feature names",
    ),
    "categories in a sparse matrix": (
        lambda: regress(sparse.csr_array(X), categorical_features=[0]),
        "categorical_features needs a dense",
    ),
    # ---- before fit
    "predict before fit": (lambda: NimbleRegressor().predict(X), "not fitted yet"),
    "predict_proba before fit": (lambda: NimbleClassifier().predict_proba(X), "not fitted yet"),
    "decision before fit": (lambda: NimbleClassifier().decision_function(X), "not fitted yet"),
    # ---- y
    "y is None": (lambda: regress(y=None), "requires y to be passed"),
    "y is shorter than X": (lambda: regress(y=y[:30]), r"numbers of samples: \[40, 30\]"),
    "y is empty": (lambda: regress(y=[]), r"0 sample\(s\)"),
    "y has gaps": (lambda: regress(y=np.r_[np.nan, y[1:]]), "Input y contains NaN"),
    "y is infinite": (lambda: regress(y=np.r_[np.inf, y[1:]]), "Input y contains infinity"),
    "y is text": (lambda: regress(y=labels), "y must hold numbers"),
    "y holds dates": (lambda: regress(y=np.arange(40).astype("M8[D]")), "y holds dates"),
    "y has masked values": (
        lambda: regress(y=np.ma.masked_less(y, 0)),
        "y has masked values: leave their rows out",
    ),
    "labels have masked values": (
        lambda: NimbleClassifier(**QUICK).fit(X, np.ma.masked_less(y > 0, 1)),
        "y has masked values",
    ),
    "weights have masked values": (
        lambda: regress(sample_weight=np.ma.masked_less(np.arange(40.0), 3)),
        "sample_weight has masked values",
    ),
    "quantiles without their loss": (
        lambda: regress(quantile=[0.1, 0.9]),
        r"quantile=\[0.1, 0.9\] needs loss='quantile', got loss='squared_error'",
    ),
    "y holds numbers, and dates in another column": (
        lambda: regress(y=pl.DataFrame({"a": y, "b": [datetime.datetime(2020, 1, 1)] * 40})),
        "y holds dates",
    ),
    "y holds dates in a frame": (
        lambda: regress(y=pd.DataFrame({"t": pd.date_range("2020", periods=40)})),
        "y holds dates",
    ),
    "y holds dates of polars": (
        lambda: regress(y=pl.Series([day] * 39 + [datetime.date(2021, 1, 1)])),
        "y holds dates",
    ),
    "y holds a list of dates": (
        lambda: regress(y=list(np.arange(40).astype("M8[D]"))),
        "y holds dates",
    ),
    "y holds a list of days": (lambda: regress(y=[day] * 40), "y holds dates"),
    "y holds dates of a time zone": (
        lambda: regress(y=pd.Series(pd.date_range("2020", periods=40, tz="UTC"))),
        "y holds dates",
    ),
    "y holds objects": (lambda: regress(y=[object()] * 40), "y must hold numbers"),
    "y_val holds dates": (
        lambda: regress(X_val=X, y_val=pd.Series(pd.date_range("2020", periods=40)).to_frame()),
        "y_val holds dates",
    ),
    "y has three dimensions": (lambda: regress(y=np.zeros((40, 2, 2))), "dim 3"),
    "y is huge": (lambda: regress(y=1e300 * y), "y holds values too large.*divide"),
    "y is sparse": (lambda: regress(y=sparse.csr_array(y[:, None])), "[Ss]parse"),
    "one class": (lambda: classify(["yes"] * 40), "y has one class, 'yes'.*at least two classes"),
    "one class whose rows weigh": (
        lambda: NimbleClassifier(**QUICK).fit(X, labels, labels == "no"),
        "y has one class, 'no'",
    ),
    "continuous classes": (lambda: classify(y), "Unknown label type: continuous"),
    "several labels that are not 0 and 1": (
        lambda: classify(np.arange(80).reshape(40, 2) % 3),
        r"y of shape \(40, 2\).*indicator matrix",
    ),
    "a label is missing": (
        lambda: classify(objects("a", "b", None)),
        "y must hold labels.*missing",
    ),
    "a label is NA": (
        lambda: classify(pd.Series(["a", None, "b", "a"] * 10, dtype="string")),
        "y must hold labels.*missing",
    ),
    "a date is missing among labels": (
        lambda: classify(pd.Series([pd.NaT, "a"] * 20)),
        "y must hold labels.*missing",
    ),
    "labels that are numbers as objects": (
        lambda: classify(objects(1.0, 2.0)),
        "Unknown label type: y holds objects of type float",
    ),
    "a label of polars is missing": (
        lambda: classify(pl.Series(["a", None] * 20)),
        "y must hold labels.*missing",
    ),
    "a label is NaN": (lambda: classify(np.where(y > 0, 1.0, np.nan)), "Input y contains NaN"),
    "labels that are not 0 and 1": (
        lambda: classify(np.arange(80).reshape(40, 2) % 2 + 1),
        "indicator matrix, one column of 0 and 1",
    ),
    "labels that are objects": (
        lambda: classify(objects(True, False)),
        "Unknown label type: y holds objects of type bool. Convert",
    ),
    "labels of two types": (lambda: classify(objects("a", 1)), "y must hold labels of one type"),
    # ---- weights
    "too few weights": (
        lambda: regress(sample_weight=np.ones(3)),
        r"sample_weight.*expected \(40,\)",
    ),
    "negative weights": (lambda: regress(sample_weight=-np.ones(40)), "Negative .*sample_weight"),
    "a weight is NaN": (lambda: regress(sample_weight=y * np.nan), "sample_weight contains NaN"),
    "all weights are zero": (lambda: regress(sample_weight=0 * y), "(?i)weights.*zero"),
    "all weights of y_val are zero": (
        lambda: regress(X_val=X, y_val=y, sample_weight_val=0 * y),
        "sample_weight_val: .*zero",
    ),
    "weights in a matrix": (lambda: regress(sample_weight=X), "(?i)sample.weights must be 1D"),
    "a weight without its class": (
        lambda: classify(class_weight={"yes": 1, "never": 2}),
        r"class_weight names \['never'\]; the classes are \['no', 'yes'\]",
    ),
    "a negative class weight": (
        lambda: classify(class_weight={"yes": -1, "no": 1}),
        "class_weight=.* must be positive",
    ),
    "class weights whose sum is infinite": (
        lambda: classify(class_weight={"yes": 1e308, "no": 1.0}),
        "class_weight=.*too large",
    ),
    "an infinite class weight": (
        lambda: classify(class_weight={"yes": np.inf}),
        "class_weight=.*numbers",
    ),
    "a class weight in words": (
        lambda: classify(class_weight={"yes": "heavy"}),
        "class_weight=.*numbers",
    ),
    "class weights whose products are infinite": (
        lambda: classify(X[:, :3] > 0, class_weight={1: 1e200}),
        "class_weight=.*too large",
    ),
    "an unknown class weight": (
        lambda: classify(class_weight="equal"),
        "'class_weight'.*balanced",
    ),
    # ---- losses
    "unknown loss": (lambda: regress(loss="mse"), "'loss' parameter .*'squared_error'"),
    "negative counts": (lambda: regress(loss="poisson"), "loss='poisson' needs y >= 0, got -2"),
    "zero cost": (lambda: regress(y=abs(np.round(y)), loss="gamma"), "loss='gamma' needs y > 0"),
    "quantile above 1": (lambda: regress(loss="quantile", quantile=1.5), "'quantile' .*1.5"),
    "a quantile of the list above 1": (
        lambda: regress(loss="quantile", quantile=[0.1, 1.5]),
        r"quantile=\[0.1, 1.5\] must be",
    ),
    "a quantile of the list is NaN": (
        lambda: regress(loss="quantile", quantile=[0.1, np.nan]),
        r"quantile=\[0.1, nan\] must be",
    ),
    "a quantile of the list is 0": (
        lambda: regress(loss="quantile", quantile=[0.0, 0.5]),
        r"quantile=\[0.0, 0.5\] must be",
    ),
    "quantiles in a matrix": (
        lambda: regress(loss="quantile", quantile=[[0.1, 0.9]]),
        r"quantile=\[\[0.1, 0.9\]\] must be",
    ),
    "no quantile": (lambda: regress(loss="quantile", quantile=[]), r"quantile=\[\] must be"),
    "a quantile in words": (
        lambda: regress(loss="quantile", quantile=["low"]),
        "quantile=.*number",
    ),
    "quantiles of two targets": (
        lambda: regress(y=X[:, :2], loss="quantile", quantile=[0.1, 0.9]),
        "several quantiles need one target, and y has 2",
    ),
    # ---- validation rows
    "X_val alone": (lambda: regress(X_val=X), "X_val and y_val must be given together"),
    "y_val alone": (lambda: regress(y_val=y), "X_val and y_val must be given together"),
    "sample_weight_val alone": (lambda: regress(sample_weight_val=y), "without X_val"),
    "X_val of other columns": (
        lambda: regress(X_val=X[:, :2], y_val=y),
        "in X_val.*2 features.*expecting 3",
    ),
    "X_val has no rows": (lambda: regress(X_val=X[:0], y_val=y[:0]), r"in X_val.*0 sample\(s\)"),
    "X_val is infinite": (lambda: regress(X_val=with_one(np.inf), y_val=y), "in X_val.*infinity"),
    "y_val is shorter than X_val": (
        lambda: regress(X_val=X, y_val=y[:9]),
        r"in X_val, y_val.*\[40, 9\]",
    ),
    "y_val of another shape": (
        lambda: regress(X_val=X, y_val=X),
        "y_val must have the columns of y",
    ),
    "y_val has gaps": (lambda: regress(X_val=X, y_val=y * np.nan), "y_val contains NaN"),
    "y_val has a new class": (
        lambda: classify(X_val=X, y_val=["maybe"] * 40),
        r"y_val has classes \['maybe'\] that classes_ lacks",
    ),
    "y_val is negative": (
        lambda: regress(y=abs(y), loss="poisson", X_val=X, y_val=y),
        "loss='poisson' needs y >= 0",
    ),
    # ---- classes of pieces
    "one of the classes is NaN": (lambda: piece([0.0, 1.0, np.nan]), "classes contains NaN"),
    "one class alone": (lambda: piece([0]), "classes has one class, 0"),
    "classes of two types": (lambda: piece(objects(0, 1, "a")), "classes must hold labels of one"),
    "classes in a set": (lambda: piece({0, 1}), "Unknown label type: classes"),
    # ---- paths
    "a path of another estimator": (
        lambda: nimble_path(X, y, estimator=Ridge()),
        "'estimator' parameter of nimble_path .*Got Ridge",
    ),
    "a path of no networks": (
        lambda: nimble_path(X, y, path_estimators=0),
        "'path_estimators' parameter of nimble_path .*Got 0",
    ),
    "a path of estimators of no networks": (
        lambda: nimble_path(X, y, estimator=NimbleRegressor(n_estimators=0, initial_size=8)),
        "'n_estimators' parameter of NimbleRegressor .*Got 0",
    ),
    "a path of no prices": (
        lambda: nimble_path(X, y, size_penalties=[]),
        r"size_penalties=\[\] must be",
    ),
    "a path of several scores": (
        lambda: nimble_path(X, y, scoring=["r2", "max_error"]),
        "'scoring' parameter of nimble_path",
    ),
    "no folds": (lambda: nimble_path(X, y, cv=[]), "cv has no folds"),
    "a fold with nothing to score": (
        lambda: nimble_path(X, y, cv=[(np.arange(40), [])]),
        "cv leaves a fold no row to score",
    ),
    "a fold to score that weighs nothing": (
        lambda: nimble_path(
            X, y, cv=[(np.arange(30), np.arange(30, 40))], sample_weight=np.arange(40) < 30
        ),
        "cv leaves a fold no row to score",
    ),
    # ---- exports
    "an export in integers": (
        lambda: regress().to_onnx("model.onnx", dtype=np.int64),
        "dtype=.*int64.* must be numpy.float64",
    ),
    # ---- no epoch left
    "labels that were not there, and no epoch left": (
        lambda: classify(warm_start=True).fit(X, objects("x", "w")),
        "y has classes .* that classes_ lacks",
    ),
    "X_val without y_val, and no epoch left": (
        lambda: regress(warm_start=True).fit(X, y, X_val=X),
        "X_val and y_val must be given together",
    ),
    # ---- parameters
    "initial size beyond the largest": (
        lambda: regress(initial_size=900),
        "initial_size=900 is larger than max_size=8; lower initial_size or raise",
    ),
    "target size beyond the largest": (
        lambda: regress(target_size=900),
        "target_size=900 is larger",
    ),
    "sizes in a tuple": (lambda: regress(max_size=(64, 64)), "'max_size' .* must be an int"),
    "too many layers": (lambda: regress(n_hidden_layers=4), r"'n_hidden_layers' .*\[1, 3\]"),
    "unknown activation": (lambda: regress(activation="elu"), "'activation' .*Got 'elu'"),
    "no learning rate": (lambda: regress(learning_rate_init=0), "'learning_rate_init'.*Got 0"),
    "no epoch": (lambda: regress(max_iter=0), "'max_iter' .*Got 0"),
    "everything held out": (lambda: regress(validation_fraction=1.0), "'validation_fraction'"),
    "a class held out whole": (
        lambda: classify(early_stopping=True, validation_fraction=0.99),
        "validation_fraction=0.99 of 40 distinct rows leaves .* a class out",
    ),
    "one row, and part of it held out": (
        lambda: regress(X[:1], y[:1], early_stopping=True),
        "validation_fraction=0.15 of 1 distinct rows leaves too few",
    ),
    "more memory than there is": (
        lambda: regress(max_size=100_000),
        "max_size=100000 .*GiB.*lower max_size",
    ),
    "a huge learning rate": (
        lambda: regress(learning_rate_init=1e30, max_iter=50),
        r"not finite .*learning_rate_init=1e\+30 and alpha=0.02: lower them",
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_what_is_wrong_is_named(case):
    act, message = CASES[case]
    with pytest.raises((ValueError, TypeError), match=f"(?s){message}") as caught:
        act()
    assert len(str(caught.value)) > 20


@pytest.mark.parametrize("make", [np.asarray, sparse.csr_array, pd.DataFrame])
@pytest.mark.parametrize("where", ["one value", "a column", "predict"])
def test_numbers_as_large_as_there_are_do_no_harm(make, where):
    large = np.random.default_rng(0).normal(size=(2000, 3))
    target = large[:, 0]
    if where == "a column":
        large[:, 1] *= 3e307
    else:
        large[:2, 1] = 1.7e308, -1.7e308
    table = make(large)
    start = 2 * (where == "predict")
    fitted = NimbleRegressor(**QUICK).fit(table[start:], target[start:])
    assert np.isfinite(fitted.predict(table)).all()


@pytest.mark.parametrize("Estimator", [NimbleRegressor, NimbleClassifier])
def test_a_failed_fit_leaves_no_model(Estimator):
    model = Estimator(**QUICK)
    with pytest.raises(ValueError, match="infinity"):
        model.fit(with_one(np.inf), y > 0)
    with pytest.raises(NotFittedError):
        model.predict(X)
