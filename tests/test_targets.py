"""Every kind of target out: losses, quantiles, weights, labels of any dtype, several outputs."""

import ast
import doctest
import inspect
import re

import numpy as np
import pandas as pd
import polars as pl
import pytest
from scipy import sparse
from sklearn import config_context
from sklearn.base import clone
from sklearn.datasets import make_blobs, make_multilabel_classification
from sklearn.ensemble import (
    AdaBoostClassifier,
    AdaBoostRegressor,
    BaggingClassifier,
    BaggingRegressor,
    StackingClassifier,
)
from sklearn.exceptions import DataConversionWarning
from sklearn.linear_model import GammaRegressor, LogisticRegression, PoissonRegressor
from sklearn.metrics import (
    d2_pinball_score,
    mean_gamma_deviance,
    mean_pinball_loss,
    mean_poisson_deviance,
    r2_score,
    root_mean_squared_error,
)
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler

from sknimble import NimbleClassifier, NimbleRegressor, _estimators
from sknimble._losses import REGRESSION_LOSSES

QUICK = {"max_iter": 20, "max_size": 16, "early_stopping": False, "random_state": 0}
LOSSES = [*REGRESSION_LOSSES, "quantiles"]
short = pytest.mark.filterwarnings("ignore:max_iter=20 epochs ended")
every_loss = pytest.mark.parametrize("name", LOSSES)


def parameters_of(name):
    """Return the parameters that name a loss."""
    return (
        {"loss": "quantile", "quantile": [0.1, 0.5, 0.9]}
        if name == "quantiles"
        else {"loss": name}
    )


def quick(name, **parameters):
    return NimbleRegressor(**parameters_of(name), **QUICK | parameters)


def draw_positive(n=120, seed=0):
    """Return X and a target above 0, as every loss allows."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, 3))
    return X, np.exp(0.5 * X[:, 0] + 0.3 * rng.normal(size=n))


def draw_spread(n, rng):
    """Return X and y whose centre and spread both depend on X."""
    X = rng.uniform(-2, 2, (n, 4))
    noise = rng.normal(size=n) * (0.2 + 0.5 * np.abs(X[:, 2]))
    return X, np.sin(2 * X[:, 0]) + X[:, 1] + noise


def draw_classes(n=120, n_classes=3, spread=1.0):
    """Return rows around points on a circle, and codes of their classes."""
    angle = np.linspace(0, 2 * np.pi, n_classes, endpoint=False)
    centers = 4 * np.column_stack([np.cos(angle), np.sin(angle)])
    return make_blobs(n, centers=centers, cluster_std=spread, random_state=0)


def draw_claims(n, rng):
    """Return X, exposure, claims per exposure and cost of a claim; no linear model fits them."""
    X = rng.uniform(-2, 2, (n, 3))
    mean = np.exp(0.8 * np.sin(2 * X[:, 0]) + 0.5 * X[:, 1] * X[:, 2] - 1)
    exposure = rng.uniform(0.2, 1, n)
    return X, exposure, rng.poisson(mean * exposure) / exposure, rng.gamma(2, mean / 2)


# ------------------------------------------------------------------ what each loss is for


@pytest.fixture(scope="module")
def intervals():
    """Return new rows and their predicted quantiles."""
    rng = np.random.default_rng(0)
    model = NimbleRegressor(
        loss="quantile", quantile=[0.05, 0.5, 0.95], max_size=64, random_state=0
    )
    model.fit(*draw_spread(5000, rng))
    X, y = draw_spread(5000, rng)
    return model, X, y, model.predict(X)


def test_quantiles_cover_what_they_say(intervals):
    _, _, y, quantiles = intervals
    covered = (y[:, None] <= quantiles).mean(axis=0)
    assert np.abs(covered - [0.05, 0.5, 0.95]).max() < 0.03


def test_quantiles_cover_what_they_say_where_the_spread_is_large_and_where_small(intervals):
    _, X, y, quantiles = intervals
    for calm in (np.abs(X[:, 2]) < 1, np.abs(X[:, 2]) >= 1):
        inside = (quantiles[calm, 0] <= y[calm]) & (y[calm] <= quantiles[calm, 2])
        assert abs(inside.mean() - 0.9) < 0.05


def test_quantiles_never_cross(intervals):
    model, X, _, quantiles = intervals
    assert (np.diff(quantiles, axis=1) >= 0).all()
    assert (np.diff(model.predict(100 * X), axis=1) >= 0).all()


def test_quantiles_come_in_the_order_of_the_list():
    X, y = draw_positive()
    up = quick("quantile", quantile=[0.1, 0.5, 0.9]).fit(X, y).predict(X)
    down = quick("quantile", quantile=[0.9, 0.5, 0.1]).fit(X, y).predict(X)
    np.testing.assert_allclose(up[:, ::-1], down, rtol=1e-6)


def test_a_list_of_one_quantile_is_one_column():
    X, y = draw_positive()
    flat = quick("quantile", quantile=0.3).fit(X, y).predict(X)
    np.testing.assert_array_equal(
        quick("quantile", quantile=[0.3]).fit(X, y).predict(X), flat[:, None]
    )


def test_the_median_is_what_absolute_error_fits():
    X, y = draw_positive()
    median = quick("quantile").fit(X, y).predict(X)
    np.testing.assert_array_equal(median, quick("absolute_error").fit(X, y).predict(X))


@pytest.mark.parametrize(
    ("loss", "linear", "deviance"),
    [
        ("poisson", PoissonRegressor(alpha=1e-4), mean_poisson_deviance),
        ("gamma", GammaRegressor(alpha=1e-4), mean_gamma_deviance),
    ],
)
def test_deviance_of_claims_is_below_that_of_the_linear_model(loss, linear, deviance):
    rng = np.random.default_rng(0)
    scores = []
    (X, weight, *y), (X_new, weight_new, *y_new) = (draw_claims(2000, rng) for _ in range(2))
    which = 0 if loss == "poisson" else 1
    for model in (NimbleRegressor(loss=loss, max_size=32, random_state=0), linear):
        mean = model.fit(X, y[which], sample_weight=weight).predict(X_new)
        scores.append(deviance(y_new[which], mean, sample_weight=weight_new))
    assert scores[0] < 0.9 * scores[1]


@pytest.fixture(scope="module")
def errors():
    """Return the error on new clean rows, by loss and by whether 5 % of y are grossly wrong."""
    rng = np.random.default_rng(0)
    X, X_new = rng.uniform(-2, 2, (2, 1500, 4))
    y, y_new = (np.sin(2 * x[:, 0]) + x[:, 1] + 0.3 * rng.normal(size=1500) for x in (X, X_new))
    wrong = y + 20 * rng.normal(size=1500) * (rng.random(1500) < 0.05)
    found = {}
    for loss in ("squared_error", "huber", "absolute_error"):
        for spoilt, target in ((False, y), (True, wrong)):
            model = NimbleRegressor(loss=loss, max_size=32, random_state=0).fit(X, target)
            found[loss, spoilt] = root_mean_squared_error(y_new, model.predict(X_new))
    return found


def test_huber_loses_little_on_clean_data(errors):
    assert errors["huber", False] < 1.05 * errors["squared_error", False]


@pytest.mark.parametrize("loss", ["huber", "absolute_error"])
def test_robust_losses_ignore_gross_outliers(errors, loss):
    assert errors[loss, True] < 0.8 * errors["squared_error", True]
    assert errors[loss, True] < 1.15 * errors[loss, False]


@every_loss
def test_the_price_means_the_same_for_every_loss(name):
    X, y = draw_positive()
    model = quick(name, max_iter=1, max_size=0, initial_size=0, batch_size=1000)
    model.fit(np.ones((120, 1)), y)
    assert abs(model.history_[0].data_loss - 1) < 0.02


# ------------------------------------------------------------------ units


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize(("factor", "shift"), [(1000.0, 0.0), (1e-4, 0.0), (10.0, 1e4)])
def test_predictions_are_in_the_units_of_y(name, factor, shift):
    if shift and name in ("poisson", "gamma"):
        return  # zero means something to these
    X, y = draw_positive()
    plain = quick(name).fit(X, y).predict(X)
    scaled = quick(name).fit(X, factor * y + shift).predict(X)
    np.testing.assert_allclose(scaled, factor * plain + shift, rtol=1e-4)


@every_loss
@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int64, object])
def test_predictions_are_float64(name, dtype):
    X, y = draw_positive(40)
    y = np.ceil(y).astype(dtype)
    prediction = quick(name, max_iter=2).fit(X.astype(np.float32), y).predict(X)
    assert prediction.dtype == np.float64


@every_loss
def test_predictions_stay_within_the_range_of_y(name):
    X, y = draw_positive()
    far = quick(name).fit(X, y).predict(1e3 * X)
    assert far.min() >= y.min() * (1 - 1e-12)
    assert far.max() <= y.max() * (1 + 1e-12)


def test_poisson_predicts_more_than_zero_where_nothing_happened():
    X = np.repeat([[0.0], [1.0]], 60, axis=0)
    prediction = quick("poisson").fit(X, X[:, 0]).predict(X)
    assert (prediction > 0).all()
    assert prediction[0] < 0.1 < 0.8 < prediction[-1]


@every_loss
def test_a_constant_target_is_predicted(name):
    X, _ = draw_positive(40)
    prediction = quick(name).fit(X, np.full(40, 3.0)).predict(X)
    np.testing.assert_allclose(prediction, 3.0, rtol=1e-6)


def test_poisson_accepts_a_target_of_zeros():
    X, _ = draw_positive(40)
    assert quick("poisson").fit(X, np.zeros(40)).predict(X).max() < 1e-3


# ------------------------------------------------------------------ scores


def test_score_is_r2_whatever_the_loss():
    X, y = draw_positive()
    model = quick("quantile", quantile=0.8).fit(X, y)
    assert model.score(X, y) == r2_score(y, model.predict(X))


def test_score_of_several_quantiles_is_the_mean_of_their_pinball_d2(intervals):
    model, X, y, quantiles = intervals
    levels = model.quantile
    expected = [d2_pinball_score(y, q, alpha=a) for q, a in zip(quantiles.T, levels)]
    np.testing.assert_allclose(model.score(X, y), np.mean(expected))
    assert model.score(X, y) > 0.4


def test_several_quantiles_can_be_searched():
    X, y = draw_positive()
    search = GridSearchCV(quick("quantiles"), {"size_penalty": [1e-4, 1e-2]}, cv=2).fit(X, y)
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()


def test_pinball_loss_of_a_level_is_least_for_that_level(intervals):
    _, _, y, quantiles = intervals
    for j, level in enumerate([0.05, 0.5, 0.95]):
        losses = [mean_pinball_loss(y, q, alpha=level) for q in quantiles.T]
        assert np.argmin(losses) == j


# ------------------------------------------------------------------ weights


@every_loss
@pytest.mark.parametrize("n", [60, 120])
def test_a_weight_of_two_is_two_rows_for_every_loss(name, n):
    X, y = draw_positive(n)
    weight = np.random.default_rng(1).integers(0, 4, n)
    model = quick(name, batch_size=1000)
    weighted = clone(model).fit(X, y, sample_weight=weight).predict(X)
    repeated = model.fit(np.repeat(X, weight, axis=0), np.repeat(y, weight)).predict(X)
    np.testing.assert_allclose(weighted, repeated, rtol=1e-6)


@pytest.mark.parametrize("class_weight", [None, "balanced", {0: 1.0, 1: 2.0, 2: 5.0}])
def test_a_weight_of_two_is_two_rows_for_classes(class_weight):
    X, y = draw_classes(spread=3)
    weight = np.random.default_rng(1).integers(0, 4, 120)
    model = NimbleClassifier(class_weight=class_weight, batch_size=1000, **QUICK)
    weighted = clone(model).fit(X, y, sample_weight=weight).predict_proba(X)
    repeated = model.fit(np.repeat(X, weight, axis=0), np.repeat(y, weight)).predict_proba(X)
    np.testing.assert_allclose(weighted, repeated, rtol=1e-5, atol=1e-7)


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


# ------------------------------------------------------------------ labels

LABELS = {
    "str": ["no", "yes"],
    "unicode": np.array(["nein", "größe"]),
    "object": np.array(["no", "yes"], dtype=object),
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
    assert model.decision_function(X).shape == ((140,) if n_classes == 2 else (140, n_classes))


@pytest.mark.parametrize("Estimator", [NimbleRegressor, NimbleClassifier])
def test_a_column_for_y_warns_as_scikit_learn_does(Estimator):
    X, y = draw_classes(60, 2)
    with pytest.warns(DataConversionWarning, match="column-vector y was passed"):
        column = Estimator(**QUICK).fit(X, y[:, None]).predict(X)
    np.testing.assert_array_equal(column, Estimator(**QUICK).fit(X, y).predict(X))


def test_log_probabilities_of_the_impossible_do_not_warn():
    X, y = make_blobs(60, centers=[[0, 0], [50, 50]], random_state=0)
    logs = NimbleClassifier(**QUICK, learning_rate_init=1.0).fit(X, y).predict_log_proba(1e6 * X)
    assert logs.max() <= 0.0


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
def test_class_weights_hold_for_every_label(labelled, class_weight):
    X, Y = labelled
    plain = NimbleClassifier(**QUICK).fit(X, Y).predict(X)
    weighted = NimbleClassifier(class_weight=class_weight, **QUICK).fit(X, Y).predict(X)
    assert weighted.shape == plain.shape
    assert (weighted != plain).any()


# ------------------------------------------------------------------ several outputs


@pytest.mark.parametrize("name", REGRESSION_LOSSES)
def test_every_loss_predicts_several_outputs(name):
    X, y = draw_positive()
    Y = np.column_stack([y, 10 * y, np.exp(X[:, 1])])
    model = quick(name, max_iter=100).fit(X, Y)
    prediction = model.predict(X)
    assert prediction.shape == Y.shape
    assert min(np.corrcoef(a, b)[0, 1] for a, b in zip(prediction.T, Y.T)) > 0.7
    np.testing.assert_allclose(prediction[:, 1] / 10, prediction[:, 0], rtol=0.3)
    assert np.isfinite(model.score(X, Y))


def test_a_constant_output_beside_others_does_no_harm():
    X, y = draw_positive()
    prediction = quick("squared_error").fit(X, np.column_stack([y, np.ones(120)])).predict(X)
    np.testing.assert_allclose(prediction[:, 1], 1.0)


# ------------------------------------------------------------------ inside other estimators


@pytest.mark.parametrize(
    "ensemble",
    [AdaBoostRegressor, BaggingRegressor],
)
def test_regression_ensembles_take_ours(ensemble):
    X, y = draw_positive()
    model = ensemble(NimbleRegressor(**QUICK), n_estimators=3, random_state=0).fit(X, y)
    assert model.score(X, y) > 0.4


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


# ------------------------------------------------------------------ explicit validation rows


@short
@pytest.mark.parametrize("Estimator", [NimbleRegressor, NimbleClassifier])
def test_a_pipeline_prepares_validation_rows(Estimator):
    X, y = draw_classes(200, 2, spread=3)
    train, judge = np.arange(140), np.arange(140, 200)
    scaler = StandardScaler().fit(X[train])
    parameters = QUICK | {"early_stopping": True}
    expected = Estimator(**parameters).fit(
        scaler.transform(X[train]), y[train], X_val=scaler.transform(X[judge]), y_val=y[judge]
    )
    with config_context(enable_metadata_routing=True):
        net = Estimator(**parameters).set_fit_request(X_val=True, y_val=True)
        steps = [("scale", StandardScaler()), ("net", net)]
        model = Pipeline(steps, transform_input=["X_val"])
        model.fit(X[train], y[train], X_val=X[judge], y_val=y[judge])
    np.testing.assert_array_equal(model.predict(X), expected.predict(scaler.transform(X)))
    losses = [record.validation_loss for record in model[-1].history_]
    assert losses == [record.validation_loss for record in expected.history_]
    assert np.isfinite(losses).all()


@short
@every_loss
def test_validation_rows_judge_every_loss(name):
    X, y = draw_positive(60)
    model = quick(name, early_stopping=True).fit(X, y, X_val=X, y_val=y)
    assert np.isfinite([record.validation_loss for record in model.history_]).all()


# ------------------------------------------------------------------ the docstrings


@pytest.mark.parametrize("Estimator", [NimbleRegressor, NimbleClassifier])
def test_the_docstring_describes_every_parameter_with_its_default(Estimator):
    text = Estimator.__doc__.partition("Parameters\n")[2].partition("Attributes\n")[0]
    found = re.findall(r"^    (\w+) : [^\n]*?(?:\\\n[^\n]*?)?default=(\S+)$", text, re.MULTILINE)
    documented = {name: ast.literal_eval(default) for name, default in found}
    signature = inspect.signature(Estimator).parameters
    assert documented == {name: parameter.default for name, parameter in signature.items()}


def test_examples_in_docstrings_run():
    failed, tried = doctest.testmod(_estimators, optionflags=doctest.ELLIPSIS)
    assert tried > 0
    assert failed == 0
