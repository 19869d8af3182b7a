"""Labels of any dtype, one per row or several, with weights of classes."""

import numpy as np
import pandas as pd
import polars as pl
import pytest
from scipy import sparse
from scipy.special import expit
from sklearn.base import clone
from sklearn.datasets import make_blobs, make_multilabel_classification
from sklearn.ensemble import (
    AdaBoostClassifier,
    BaggingClassifier,
    StackingClassifier,
)
from sklearn.exceptions import DataConversionWarning
from sklearn.linear_model import LogisticRegression

from sknimble import NimbleClassifier, NimbleRegressor

QUICK = {"max_iter": 20, "max_size": 16, "early_stopping": False, "random_state": 0}
short = pytest.mark.filterwarnings("ignore:max_iter=20 epochs ended")


def draw_classes(n=120, n_classes=3, spread=1.0):
    """Return rows around points on a circle, and codes of their classes."""
    angle = np.linspace(0, 2 * np.pi, n_classes, endpoint=False)
    centers = 4 * np.column_stack([np.cos(angle), np.sin(angle)])
    return make_blobs(n, centers=centers, cluster_std=spread, random_state=0)


# ------------------------------------------------------------------ class weights


@pytest.mark.parametrize("class_weight", [None, "balanced", {0: 1.0, 1: 2.0, 2: 5.0}])
def test_a_weight_of_two_is_two_rows_for_classes(class_weight):
    X, y = draw_classes(spread=3)
    weight = np.random.default_rng(1).integers(0, 4, 120)
    model = NimbleClassifier(class_weight=class_weight, batch_size=1000, **QUICK)
    weighted = clone(model).fit(X, y, sample_weight=weight).predict_proba(X)
    repeated = model.fit(np.repeat(X, weight, axis=0), np.repeat(y, weight)).predict_proba(X)
    np.testing.assert_allclose(weighted, repeated, rtol=1e-4, atol=1e-7)


def test_class_weight_is_a_sample_weight():
    X, y = draw_classes(spread=3)
    factors = {0: 1.0, 1: 2.0, 2: 0.5}
    by_class = NimbleClassifier(class_weight=factors, **QUICK).fit(X, y)
    by_row = NimbleClassifier(**QUICK).fit(X, y, sample_weight=[factors[label] for label in y])
    np.testing.assert_array_equal(by_class.predict_proba(X), by_row.predict_proba(X))


def test_balanced_weights_find_the_rare_class():
    X, y = make_blobs([300, 20], centers=[[0, 0], [1.5, 1.5]], random_state=0)
    plain = NimbleClassifier(**QUICK).fit(X, y).predict(X)
    balanced = NimbleClassifier(class_weight="balanced", **QUICK).fit(X, y).predict(X)
    assert balanced[y == 1].mean() > plain[y == 1].mean()


def test_balanced_weights_are_those_of_scikit_learn():
    X, y = make_blobs([80, 25, 15], random_state=0, cluster_std=4)
    factors = {label: 120 / (3 * count) for label, count in enumerate([80, 25, 15])}
    balanced = NimbleClassifier(class_weight="balanced", **QUICK).fit(X, y).predict_proba(X)
    given = NimbleClassifier(class_weight=factors, **QUICK).fit(X, y).predict_proba(X)
    np.testing.assert_allclose(balanced, given, rtol=1e-6)


def test_a_class_of_weight_zero_is_not_predicted():
    X, y = draw_classes()
    model = NimbleClassifier(class_weight={0: 1, 1: 1, 2: 0}, **QUICK).fit(X, y)
    assert set(model.predict(X)) == {0, 1}


@short
def test_class_weights_hold_for_validation_rows():
    X, y = draw_classes(spread=3)
    parameters = QUICK | {"early_stopping": True}
    by_class = NimbleClassifier(class_weight={0: 1, 1: 9, 2: 1}, **parameters)
    by_class.fit(X, y, X_val=X, y_val=y)
    weight = np.where(y == 1, 9, 1)
    by_row = NimbleClassifier(**parameters)
    by_row.fit(X, y, weight, X_val=X, y_val=y, sample_weight_val=weight)
    assert by_class.history_[-1].validation_loss == by_row.history_[-1].validation_loss


@short
@pytest.mark.parametrize("unit", [1e-50, 1e39])
def test_class_weights_may_be_extreme_for_validation_rows_too(unit):
    X, y = draw_classes(6000, 2)  # enough for single precision
    model = NimbleClassifier(class_weight={0: unit, 1: unit}, max_iter=20, random_state=0)
    assert model.fit(X, y, X_val=X, y_val=y).score(X, y) > 0.8


def test_a_class_that_a_fold_lacks_may_have_a_weight():
    X, y = draw_classes(120, 3)
    two = y < 2
    model = NimbleClassifier(class_weight={0: 1.0, 1: 2.0, 2: 1.0}, **QUICK)
    found = model.fit(X[two], y[two]).predict_proba(X)
    alone = model.set_params(class_weight={0: 1.0, 1: 2.0}).fit(X[two], y[two]).predict_proba(X)
    np.testing.assert_array_equal(found, alone)


@short
def test_validation_rows_of_weight_zero_are_as_good_as_absent():
    X, y = draw_classes(spread=3)
    parameters = QUICK | {"early_stopping": True, "class_weight": "balanced"}
    here = y != 2
    without = NimbleClassifier(**parameters).fit(X, y, X_val=X[here], y_val=y[here])
    model = NimbleClassifier(**parameters)
    model.fit(X, y, X_val=X, y_val=y, sample_weight_val=here.astype(float))
    np.testing.assert_array_equal(model.predict_proba(X), without.predict_proba(X))


# ------------------------------------------------------------------ labels

LABELS = {
    "str": ["no", "yes"],
    "unicode": np.array(["nein", "größe"]),
    "object": np.array(["no", "yes"], dtype=object),
    "texts of numpy": np.array([np.str_("no"), np.str_("yes")], dtype=object),
    "bool": [False, True],
    "bool array": np.array([False, True]),
    "small integers": np.array([-1, 1], dtype=np.int8),
    "unsigned": np.array([3, 200], dtype=np.uint8),
    "floats": np.array([0.0, 1.0]),
    "digits as text": ["10", "9"],
    "category": pd.Categorical(["no", "yes"]),
    "pandas string": pd.Series(["no", "yes"], dtype="string"),
    "nullable boolean": pd.Series([False, True], dtype="boolean"),
    "nullable integer": pd.Series([5, 7], dtype="Int64"),
    "polars text": pl.Series(["no", "yes"]),
    "polars boolean": pl.Series([False, True]),
    "polars category": pl.Series(["no", "yes"], dtype=pl.Categorical),
}


@pytest.mark.parametrize("kind", LABELS)
def test_labels_of_every_dtype_come_back(kind):
    X, codes = draw_classes(60, 2)
    labels = LABELS[kind]
    index = codes.tolist()
    y = labels[index] if isinstance(labels, (np.ndarray, pl.Series)) else None
    if y is None:
        y = labels.take(index) if hasattr(labels, "take") else [labels[code] for code in index]
    prediction = NimbleClassifier(**QUICK).fit(X, y).predict(X)
    assert np.mean(np.asarray(prediction) == np.asarray(y)) > 0.95
    assert set(prediction.tolist()) == set(np.asarray(labels).tolist())


@pytest.mark.parametrize("n_classes", [2, 3, 7])
def test_probabilities_are_in_the_order_of_the_classes(n_classes):
    X, codes = draw_classes(140, n_classes)
    names = np.array([f"class {9 - k}" for k in range(n_classes)])
    model = NimbleClassifier(**QUICK).fit(X, names[codes])
    np.testing.assert_array_equal(model.classes_, np.sort(names))
    P = model.predict_proba(X)
    np.testing.assert_allclose(P.sum(axis=1), 1.0)
    np.testing.assert_array_equal(model.classes_[P.argmax(axis=1)], model.predict(X))
    np.testing.assert_allclose(np.exp(model.predict_log_proba(X)), P)
    decision = model.decision_function(X)
    assert decision.shape == ((140,) if n_classes == 2 else (140, n_classes))
    chosen = decision > 0 if n_classes == 2 else decision.argmax(axis=1)
    np.testing.assert_array_equal(P.argmax(axis=1), chosen)


@pytest.mark.parametrize("Estimator", [NimbleRegressor, NimbleClassifier])
def test_a_column_for_y_warns_as_scikit_learn_does(Estimator):
    X, y = draw_classes(60, 2)
    with pytest.warns(DataConversionWarning, match="column-vector y was passed"):
        column = Estimator(**QUICK).fit(X, y[:, None]).predict(X)
    np.testing.assert_array_equal(column, Estimator(**QUICK).fit(X, y).predict(X))


@pytest.mark.parametrize("n_classes", [2, 3])
def test_log_probabilities_of_the_impossible_are_numbers(n_classes):
    X, y = make_blobs(200, centers=np.eye(3)[:n_classes] * 50, random_state=0)
    model = NimbleClassifier(**QUICK).fit(X, y)
    for network in model._networks:
        network.linear[:] *= 1e3
    logs, P = model.predict_log_proba(X), model.predict_proba(X)
    assert (P == 0).any() and (logs < -800).any() and np.isfinite(logs).all()
    np.testing.assert_allclose(np.exp(logs), P, atol=1e-12)
    small = (P > 0) & (P < 1e-12)
    np.testing.assert_allclose(logs[small], np.log(P[small]), rtol=1e-9)


def test_the_first_of_two_probabilities_is_as_exact_as_the_second():
    X, y = make_blobs(200, centers=np.eye(3)[:2] * 50, random_state=0)
    model = NimbleClassifier(**QUICK).fit(X, y)
    for network in model._networks:
        network.linear[:] *= 30.0
    P = model.predict_proba(X)
    assert (P[:, 0] < 1e-20).any()
    np.testing.assert_allclose(P[:, 0], expit(-model.decision_function(X)), rtol=1e-12)


@pytest.mark.parametrize("n_classes", [2, 3])
def test_logits_are_finite_where_probabilities_are_rounded(n_classes):
    X, y = make_blobs(200, centers=np.eye(3)[:n_classes] * 50, random_state=0)
    model = NimbleClassifier(**QUICK).fit(X, y)
    far = model.decision_function(100 * X)
    assert np.isfinite(far).all()
    assert np.unique(np.abs(far)).size > 100
    logits, P = model.decision_function(X), model.predict_proba(X)
    again = expit(logits) if n_classes == 2 else np.exp(logits)
    np.testing.assert_allclose(again, P[:, 1] if n_classes == 2 else P, rtol=1e-12)


@pytest.mark.parametrize("n", [60, 600])
def test_a_class_may_be_all_there_is(n):
    X, y = draw_classes(n, 2)
    kinds = {
        "a label": NimbleClassifier(**QUICK).fit(X, np.c_[y, np.ones(n, int)]),
        "a chunk": NimbleClassifier(**QUICK).partial_fit(X, np.ones(n), classes=[0, 1]),
        "weights": NimbleClassifier(**QUICK, class_weight={0: 0}).fit(X, y),
        "tiny weights": NimbleClassifier(**QUICK).fit(X, y, np.where(y, 1.0, 1e-40)),
    }
    for name, model in kinds.items():
        answer = model.predict(X)
        assert (answer[:, 1] if name == "a label" else answer).mean() > 0.99, name


@short
def test_texts_are_not_the_numbers_that_they_spell():
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(800, 3)), np.repeat(np.arange(40), 20)
    model = NimbleClassifier(n_estimators=1, max_iter=2, early_stopping=False).fit(X, y)
    for texts in (y.astype(str), y[y > 9].astype(str)):
        with pytest.raises(ValueError, match=r"y has classes .* that classes_ lacks"):
            model.prefix_losses(X[: len(texts)], texts)
    with pytest.raises(ValueError, match=r"y has classes .* that classes_ lacks"):
        model.fit(X, y.astype(str)).prefix_losses(X, y)
    model.fit(X, y.astype(str).astype(object)).prefix_losses(X, y.astype(str))


@pytest.mark.parametrize("unit", ["D", "ns"])
def test_a_missing_date_is_no_label(unit):
    dates = np.array(["2024-01-01", "2024-02-01", "NaT"] * 10, dtype=f"datetime64[{unit}]")
    with pytest.raises(TypeError, match="y must hold labels of one type, none missing"):
        NimbleClassifier().fit(np.ones((30, 1)), dates)
    labels = dates[dates == dates]
    assert len(NimbleClassifier(max_iter=1).fit(np.ones((20, 1)), labels).classes_) == 2


def test_many_classes_of_pieces_are_nothing_to_warn_of():
    X, y = draw_classes(300, 30)
    model = NimbleClassifier(**QUICK).partial_fit(X, y, classes=np.arange(30))
    assert len(model.partial_fit(X, y, classes=range(30)).classes_) == 30
    _, one_of_each = np.unique(y, return_index=True)
    model.partial_fit(X[one_of_each], y[one_of_each])


@short
def test_rows_may_lack_a_class_that_has_a_weight():
    X, y = draw_classes(300)
    names = np.array(["a", "b", "c"])[y]
    some = y > 0
    model = NimbleClassifier(class_weight={"a": 2.0}, **QUICK)
    model.partial_fit(X, names, classes=["a", "b", "c"]).partial_fit(X[some], names[some])
    assert model.score(X, names) > 0.8
    model.fit(X, names, X_val=X[some], y_val=names[some])
    assert model.score(X, names) > 0.8
    one = NimbleClassifier(class_weight={1: 3.0}, **QUICK).fit(X, np.c_[some, 0 * some])
    assert (one.predict(X)[:, 1] == 0).all()


# ------------------------------------------------------------------ several labels


@pytest.fixture(scope="module")
def labelled():
    return make_multilabel_classification(300, 8, n_classes=4, random_state=0)


def test_several_labels_per_row_are_learnt(labelled):
    X, Y = labelled
    model = NimbleClassifier(random_state=0, max_size=32).fit(X[:200], Y[:200])
    P = model.predict_proba(X[200:])
    assert P.shape == (100, 4)
    assert ((P >= 0) & (P <= 1)).all()
    linear = [
        LogisticRegression().fit(X[:200], y).score(X[200:], z)
        for y, z in zip(Y[:200].T, Y[200:].T)
    ]
    assert np.mean(model.predict(X[200:]) == Y[200:]) > np.mean(linear) - 0.03
    np.testing.assert_array_equal(model.predict(X), model.predict_proba(X) > 0.5)
    np.testing.assert_array_equal(model.predict(X), model.decision_function(X) > 0)
    assert 0 < model.score(X[200:], Y[200:]) <= 1  # rows with all labels right


@pytest.mark.parametrize(
    "convert",
    [
        sparse.csr_array,
        pd.DataFrame,
        np.ndarray.tolist,
        lambda Y: Y.astype(bool),
        lambda Y: Y * 1.0,
    ],
    ids=["sparse", "frame", "lists", "bool", "float"],
)
def test_an_indicator_comes_in_many_forms(labelled, convert):
    X, Y = labelled
    model = NimbleClassifier(**QUICK)
    expected = clone(model).fit(X, Y).predict_proba(X)
    np.testing.assert_array_equal(model.fit(X, convert(Y)).predict_proba(X), expected)


def test_a_label_that_never_occurs_is_improbable(labelled):
    X, Y = labelled
    Y = np.column_stack([Y, np.zeros(len(Y), dtype=int)])
    assert NimbleClassifier(**QUICK).fit(X, Y).predict_proba(X)[:, -1].max() < 0.1


@pytest.mark.parametrize("class_weight", ["balanced", {0: 1, 1: 3}])
def test_a_row_weighs_the_product_of_the_weights_of_its_labels(labelled, class_weight):
    X, Y = labelled
    share, balanced = Y.mean(axis=0), class_weight == "balanced"
    absent, present = (0.5 / (1.0 - share), 0.5 / share) if balanced else (1.0, 3.0)
    weight = np.where(Y, present, absent).prod(axis=1)
    by_label = NimbleClassifier(class_weight=class_weight, **QUICK).fit(X, Y).predict_proba(X)
    by_row = NimbleClassifier(**QUICK).fit(X, Y, sample_weight=weight).predict_proba(X)
    np.testing.assert_allclose(by_label, by_row, rtol=1e-4, atol=1e-6)


# ------------------------------------------------------------------ inside other estimators


@pytest.mark.parametrize("ensemble", [AdaBoostClassifier, BaggingClassifier])
def test_classification_ensembles_take_ours(ensemble):
    X, y = draw_classes()
    model = ensemble(NimbleClassifier(**QUICK), n_estimators=3, random_state=0).fit(X, y)
    assert model.score(X, y) > 0.7


@pytest.mark.parametrize("final", [NimbleClassifier(**QUICK), None])
def test_ours_can_be_stacked(final):
    X, y = draw_classes()
    names = np.array(["a", "b", "c"])[y]
    members = [("net", NimbleClassifier(**QUICK)), ("linear", LogisticRegression())]
    model = StackingClassifier(members, final_estimator=final, cv=2).fit(X, names)
    assert model.score(X, names) > 0.7


def test_large_integers_of_pandas_stay_apart():
    y = np.array([2**60, 2**60 + 1, 2**60 + 4096])[np.arange(90) % 3]
    X = np.random.RandomState(0).randn(90, 2)
    model = NimbleClassifier(random_state=0, max_iter=2, early_stopping=False)
    model.fit(X, pd.Series(y).astype("Int64"))
    np.testing.assert_array_equal(model.classes_, np.unique(y))
    model.fit(X, pd.Series(y > y[0], dtype="boolean"))
    assert model.classes_.dtype == bool
