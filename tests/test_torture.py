"""Tables as they come: every dtype, gaps, strange names; and tables drawn at random."""

import pickle
import warnings

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV, cross_validate
from test_tables import as_pandas, as_polars, torture_columns

from sknimble import NimbleClassifier, NimbleRegressor

QUICK = {"max_iter": 2, "max_size": 16, "early_stopping": False, "random_state": 0}
ESTIMATORS = [NimbleRegressor, NimbleClassifier]
both = pytest.mark.parametrize("Estimator", ESTIMATORS)


@pytest.fixture(scope="module")
def columns():
    return torture_columns(6000)


@pytest.fixture(scope="module")
def table(columns):
    return as_pandas(columns)


@pytest.fixture(scope="module")
def targets(columns):
    """Return a target for each estimator, which depends on numbers, levels and gaps."""
    signal = np.array(columns["float"]) + 2.0 * np.array(columns["2.5"])
    signal += [{"a": 2.0, "b": -2.0}.get(level, 0.0) for level in columns["category"]]
    labels = np.array(["low", "middle", "high"])[np.digitize(signal, [-0.5, 1.0])]
    return {NimbleRegressor: signal, NimbleClassifier: labels}


@pytest.fixture(scope="module")
def fitted(table, targets):
    return {kind: kind(**QUICK).fit(table, targets[kind]) for kind in ESTIMATORS}


# ------------------------------------------------------------------ one table with everything


@both
def test_the_torture_table_is_learnt(fitted, table, targets, Estimator):
    assert table["many"].nunique() == 5000
    assert not table.index.is_unique
    model = fitted[Estimator]
    assert model.score(table, targets[Estimator]) > 0.6
    assert model.feature_names_in_.tolist() == table.columns.tolist()


@both
def test_it_predicts_every_row_alone_as_among_others(fitted, table, Estimator):
    rows = table.iloc[::1500]
    together = fitted[Estimator].predict(table)[::1500]
    alone = [fitted[Estimator].predict(rows.iloc[[k]])[0] for k in range(len(rows))]
    if Estimator is NimbleRegressor:
        np.testing.assert_allclose(alone, together, rtol=1e-5)
    else:
        np.testing.assert_array_equal(alone, together)


@both
def test_it_clones_and_pickles(fitted, table, targets, Estimator):
    model = fitted[Estimator]
    expected = model.predict(table)
    again = clone(model).fit(table, targets[Estimator])
    np.testing.assert_array_equal(again.predict(table), expected)
    loaded = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(loaded.predict(table), expected)


@both
def test_it_cross_validates(table, targets, Estimator):
    scores = cross_validate(Estimator(**QUICK), table, targets[Estimator], cv=3)["test_score"]
    assert min(scores) > 0.5


@both
def test_it_is_searched_by_grid(table, targets, Estimator):
    grid = {"size_penalty": [1e-4, 1e-2], "categorical_features": ["from_dtype"]}
    search = GridSearchCV(Estimator(**QUICK), grid, cv=2).fit(table, targets[Estimator])
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()


@both
def test_polars_gives_the_same_predictions(fitted, table, columns, targets, Estimator):
    same, expected = as_polars(columns), fitted[Estimator].predict(table)
    np.testing.assert_array_equal(fitted[Estimator].predict(same), expected)
    model = Estimator(**QUICK).fit(same, targets[Estimator])
    np.testing.assert_array_equal(model.predict(same), expected)


@both
def test_an_array_of_objects_gives_the_same_predictions(
    fitted, columns, table, targets, Estimator
):
    objects = np.array(list(columns.values()), dtype=object).T
    model = Estimator(**QUICK).fit(objects, targets[Estimator])
    np.testing.assert_array_equal(model.predict(objects), fitted[Estimator].predict(table))


@both
def test_gaps_and_levels_never_seen_are_predicted(fitted, table, Estimator):
    strange = table.iloc[:50].copy()
    strange["float"] = np.nan
    strange["digits"] = None
    strange["text"] = "never seen"
    strange["many"] = "never seen"
    strange["category"] = pd.Categorical(["z"] * 50)
    strange[""] = 1.0
    strange["2.5"] = pd.array([None] * 50, dtype="boolean")
    prediction = fitted[Estimator].predict(strange)
    assert len(prediction) == 50
    assert pd.notna(prediction).all()


@both
def test_many_levels_do_not_widen_the_network(fitted, Estimator):
    assert fitted[Estimator]._networks[0].linear.shape[1] < 350


# ------------------------------------------------------------------ tables at random

LEVEL = st.sampled_from(["a", "b", "größe", "名前", "", " ", "1", "nan", "None"])
NUMBER = st.floats(allow_nan=False, allow_infinity=False)
KINDS = {
    "floats": NUMBER,
    "small floats": st.floats(-3, 3, width=16),
    "integers": st.integers(-(2**53), 2**53),
    "booleans": st.booleans(),
    "text": LEVEL,
    "any text": st.text(max_size=3),
    "constant": st.just(1.5),
    "nothing": st.none(),
}


@st.composite
def tables(draw, kinds=tuple(KINDS), max_columns=4):
    """Draw a frame of columns of these kinds, some with gaps, some of dtype category."""
    n_rows = draw(st.integers(4, 12))
    frame = pd.DataFrame(index=range(n_rows))
    for name in range(draw(st.integers(1, max_columns))):
        values = KINDS[draw(st.sampled_from(kinds))]
        if draw(st.booleans()):
            values = st.none() | values
        column = pd.Series(draw(st.lists(values, min_size=n_rows, max_size=n_rows)), dtype=object)
        as_category = draw(st.booleans()) and not column.isna().all()
        frame[f"column {name}"] = column.astype("category") if as_category else column
    return frame


def make(Estimator, n_rows):
    """Return an estimator for a few steps, and targets."""
    y = np.sin(np.arange(n_rows)) * 10
    return Estimator(**QUICK), (np.arange(n_rows) % 3 if Estimator is NimbleClassifier else y)


def output(model, X):
    return model.predict_proba(X) if hasattr(model, "predict_proba") else model.predict(X)


@both
@settings(max_examples=40)
@given(X=tables())
def test_any_table_is_fitted_and_predicted(Estimator, X):
    model, y = make(Estimator, len(X))
    prediction = output(model.fit(X, y), X)
    assert np.isfinite(prediction).all()
    if Estimator is NimbleRegressor:
        assert prediction.min() >= y.min()
        assert prediction.max() <= y.max()


@both
@settings(max_examples=40)
@given(X=tables(), Z=tables())
def test_what_cannot_be_predicted_is_said(Estimator, X, Z):
    model, y = make(Estimator, len(X))
    model.fit(X, y)
    try:
        prediction = output(model, Z)
    except ValueError as error:
        message = str(error)
        assert "feature names" in message or "should hold" in message
    else:
        assert np.isfinite(prediction).all()


@both
@settings(max_examples=20)
@given(X=tables(), seed=st.integers(0, 9))
def test_permuting_rows_permutes_predictions(Estimator, X, seed):
    model, y = make(Estimator, len(X))
    model.fit(X, y)
    order = np.random.default_rng(seed).permutation(len(X))
    shuffled = output(model, X.iloc[order])
    np.testing.assert_allclose(shuffled, output(model, X)[order], rtol=1e-9, atol=1e-12)


@both
@settings(max_examples=20)
@given(X=tables(kinds=("text", "small floats")), seed=st.integers(0, 9))
def test_renaming_categories_changes_nothing(Estimator, X, seed):
    model, y = make(Estimator, len(X))
    names = np.random.default_rng(seed).permutation([f"new {k}" for k in range(9)])
    new = dict(zip(["a", "b", "größe", "名前", "", " ", "1", "nan", "None"], names))
    renamed = X.copy()
    for name in X:
        if {type(value) for value in X[name].dropna()} == {str}:
            renamed[name] = pd.Series([new.get(value) for value in X[name]], dtype=object)
            renamed[name] = renamed[name].astype(X[name].dtype.name)
    expected = output(clone(model).fit(X, y), X)
    np.testing.assert_array_equal(output(model.fit(renamed, y), renamed), expected)


@both
def test_fitting_any_table_is_silent(Estimator, capsys, table, targets):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        Estimator(**QUICK).fit(table.iloc[:200], targets[Estimator][:200])
    assert capsys.readouterr() == ("", "")
