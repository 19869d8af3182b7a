"""Every loss: what it is for, units, quantiles, weights, several outputs."""

import copy

import numpy as np
import pytest
from sklearn import config_context
from sklearn.base import clone
from sklearn.datasets import make_blobs
from sklearn.ensemble import (
    AdaBoostRegressor,
    BaggingRegressor,
)
from sklearn.linear_model import GammaRegressor, PoissonRegressor
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

from sknimble import NimbleClassifier, NimbleRegressor
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


def wave(n, seed=0):
    X = np.random.default_rng(seed).uniform(-1.0, 1.0, (n, 3))
    return X, np.sin(5.0 * X[:, 0]) + X[:, 1] ** 2


def robust(loss, **parameters):
    return NimbleRegressor(loss=loss, n_estimators=1, random_state=0, **parameters)


@pytest.mark.parametrize(
    "loss, value, share",
    [("huber", 1e4, 0.01), ("absolute_error", 999_999.0, 0.05), ("quantile", 1e100, 0.01)],
)
def test_a_few_outliers_do_not_take_the_neurons_pay(loss, value, share):
    X, y = wave(1000)
    outliers = y + 0.05 * np.random.default_rng(1).normal(size=1000)
    outliers[: int(1000 * share)] = value
    model = robust(loss).fit(X, outliers)
    assert model.n_hidden_ > 3
    assert abs(model.predict(X) - y)[100:].mean() < 0.12


@pytest.mark.parametrize("share", [0.2, 0.5])
def test_many_rows_far_away_are_no_outliers(share):
    X, y = wave(400)
    far = X[:, 2] > 1.0 - 2.0 * share
    predicted = robust("absolute_error").fit(X, y + 1e4 * far).predict(X)
    assert np.mean((predicted > 5e3) == far) > 0.98


def test_a_high_quantile_may_be_far_away():
    rng = np.random.default_rng(0)
    y = np.where(rng.random(2000) < 0.04, 1e4, rng.normal(size=2000))
    model = robust("quantile", quantile=0.99).fit(np.ones((2000, 1)), y)
    np.testing.assert_allclose(model.predict([[1.0]]), 1e4, rtol=1e-3)


@pytest.mark.parametrize("loss", ["huber", "absolute_error"])
@pytest.mark.parametrize("value", [1e12, 1e15, 1e100])
def test_one_outlier_does_not_shift_all_predictions(loss, value):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(600, 3))
    y = X[:, 0] + 0.1 * rng.normal(size=600)
    y[7] = value
    assert np.median(abs(robust(loss, max_size=0).fit(X, y).predict(X) - y)) < 0.12


@pytest.mark.filterwarnings("ignore:the noise of y is not known:UserWarning")
@pytest.mark.parametrize("value", [0.1, 0.7, 3.7, 1e140])
@pytest.mark.parametrize("n_estimators", [2, 3])
def test_a_mean_of_networks_stays_in_the_range_of_y(value, n_estimators):
    X = np.random.default_rng(0).normal(size=(100, 2))
    constant = np.full(100, value)
    model = NimbleRegressor(
        n_estimators=n_estimators, max_iter=3, early_stopping=False, random_state=0
    )
    assert model.fit(X, constant).score(X, constant) == 1.0
    clipped = np.clip(10 * X[:, 0], -value, value)
    predicted, std = model.fit(X, clipped).predict(X, return_std=True)
    assert predicted.max() <= value
    assert predicted.min() >= -value
    np.testing.assert_array_equal(predicted, model.predict(X))


@every_loss
def test_the_price_means_the_same_for_every_loss(name):
    X, y = draw_positive()
    model = quick(name, max_iter=1, max_size=0, initial_size=0, batch_size=1000)
    model.fit(np.ones((120, 1)), y)
    assert abs(model.history_[0].data_loss - 1) < 0.02


# ------------------------------------------------------------------ units


SCALES = [(1000.0, 0.0), (1e-4, 0.0)]
SHIFT = (10.0, 1e4)  # not for losses to which zero means something


@pytest.mark.parametrize(
    "name, factor, shift",
    [
        (name, *unit)
        for name in LOSSES
        for unit in (SCALES if name in ("poisson", "gamma") else [*SCALES, SHIFT])
    ],
)
def test_predictions_are_in_the_units_of_y(name, factor, shift):
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


@pytest.mark.parametrize("loss, quantile", [("quantile", 0.5), ("squared_error", [0.1])])
def test_parameters_set_after_a_fit_change_nothing_that_was_fitted(intervals, loss, quantile):
    model, X, y, _ = intervals
    later = copy.deepcopy(model).set_params(loss=loss, quantile=quantile)
    np.testing.assert_array_equal(later.predict(X), model.predict(X))
    assert later.score(X, y) == model.score(X, y)


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


def test_the_order_of_numbers_in_memory_changes_nothing():
    X, y = draw_positive(300)
    Y = np.column_stack([y, 10 * y, np.exp(X[:, 1])])
    predictions = [quick("squared_error").fit(X, Y).predict(X) for Y in (Y, np.asfortranarray(Y))]
    np.testing.assert_array_equal(*predictions)


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


# ------------------------------------------------------------------ explicit validation rows


@short
@pytest.mark.parametrize("Estimator", [NimbleRegressor, NimbleClassifier])
def test_a_pipeline_prepares_validation_rows(Estimator):
    X, y = make_blobs(200, centers=[[4, 0], [-4, 0]], cluster_std=3, random_state=0)
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


# ------------------------------------------------------------------ the finish
@pytest.mark.parametrize(
    "loss, more, finishes",
    [
        *[(loss, {}, loss != "quantile") for loss in REGRESSION_LOSSES],
        ("squared_error", {"warm_start": True}, False),
        ("squared_error", {"early_stopping": False}, False),
        ("squared_error", "X_val", False),
    ],
)
def test_networks_finish_on_held_out_rows_that_need_not_say_how_sure_to_be(loss, more, finishes):
    rng = np.random.default_rng(0)
    X = rng.uniform(-1, 1, (200, 2))
    y = 2.0 + np.sin(4 * X[:, 0]) + 0.2 * rng.random(200)
    rows = {"X_val": X[150:], "y_val": y[150:]} if more == "X_val" else {}
    more = {} if more == "X_val" else more
    model = NimbleRegressor(loss=loss, n_estimators=2, random_state=3, **more).fit(X, y, **rows)
    for member in range(2):
        found = [record.validation_loss for record in model.history_ if record.member == member]
        unseen = np.isnan(found) & (more.get("early_stopping") is not False)
        assert unseen.any() == finishes
        assert not unseen[: len(found) // 2].any()
