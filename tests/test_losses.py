"""Every loss is the loss it says it is, and its gradient is the derivative of its value."""

import inspect

import numpy as np
import pytest
import torch
from scipy.optimize import minimize
from scipy.special import expit, softmax
from scipy.stats import norm
from sklearn.linear_model import GammaRegressor, LogisticRegression, PoissonRegressor, Ridge

from sknimble import _losses
from sknimble._calibration import smoothed
from sknimble._losses import (
    BinaryCrossEntropy,
    CrossEntropy,
    Quantile,
    SquaredError,
    baseline_loss,
    linear_loss,
)

# Whatever class of the module has a gradient is tested, those that come later too.
LOSSES = {
    name: member
    for name, member in vars(_losses).items()
    if inspect.isclass(member) and hasattr(member, "gradient") and not name.startswith("_")
}
CLASSIFICATION = {"BinaryCrossEntropy", "CrossEntropy"}
REGRESSION = sorted(set(LOSSES) - CLASSIFICATION)
LOSSES["three quantiles"] = lambda: Quantile([0.9, 0.1, 0.5])

every_loss = pytest.mark.parametrize("name", sorted(LOSSES))
every_regression_loss = pytest.mark.parametrize("name", REGRESSION)


def draw_targets(name, n_outputs, n_rows=60):
    """Return targets, shape (n, o): class indicators, or numbers above zero."""
    rng = np.random.default_rng(3)
    if name == "CrossEntropy":
        return np.eye(n_outputs)[rng.permutation(np.arange(n_rows) % n_outputs)]
    if name == "BinaryCrossEntropy":
        return (rng.random((n_rows, n_outputs)) < 0.3).astype(float)
    return rng.gamma(2.0, 5.0, (n_rows, 1 if name == "three quantiles" else n_outputs))


def fitted(name, n_outputs=3, weight=None):
    """Return a fitted loss, its encoded targets (n, o) and weights."""
    y = draw_targets(name, n_outputs)
    weight = np.ones(len(y)) if weight is None else weight
    loss = LOSSES[name]().fit(y, weight)
    return loss, loss.encode(y), weight


def n_outputs_of(name):
    return {"CrossEntropy": [2, 3], "three quantiles": [3]}.get(name, [1, 3])


def mean_loss(loss, raw, target, weight):
    """Return the weighted mean loss of raw outputs (n, o)."""
    rows = loss.value(torch.tensor(raw.T[None]), torch.tensor(target.T))
    return np.average(rows[0].numpy(), weights=weight)


def cases():
    return [(name, o) for name in sorted(LOSSES) for o in n_outputs_of(name)]


# ------------------------------------------------------------------ value and gradient
@pytest.mark.parametrize("scale", [0.01, 1.0, 20.0])
@pytest.mark.parametrize("n_networks", [1, 3])
@pytest.mark.parametrize(("name", "n_outputs"), cases())
def test_gradient_equals_autograd(name, n_outputs, n_networks, scale):
    loss, target, _ = fitted(name, n_outputs)
    rng = np.random.default_rng(0)
    raw = torch.tensor(scale * rng.normal(size=(n_networks, n_outputs, len(target))))
    target = torch.tensor(target.T)
    leaf = raw.clone().requires_grad_()
    (expected,) = torch.autograd.grad(loss.value(leaf, target).sum(), leaf)
    np.testing.assert_allclose(loss.gradient(raw, target), expected, rtol=1e-10, atol=1e-12)


@every_loss
def test_every_network_and_row_has_its_own_loss(name):
    loss, target, _ = fitted(name)
    raw = torch.randn(4, 3, len(target), dtype=torch.float64, generator=torch.Generator())
    target = torch.tensor(target.T)
    together = loss.value(raw, target)
    assert together.shape == (4, target.shape[1])
    alone = loss.value(raw[2:3, :, 7:8], target[:, 7:8])
    np.testing.assert_allclose(together[2, 7], alone[0, 0], rtol=1e-14)


@every_loss
@pytest.mark.parametrize("method", ["value", "gradient"])
def test_raw_outputs_and_targets_are_left_alone(name, method):
    loss, target, _ = fitted(name)
    raw, target = torch.full((2, 3, len(target)), 0.7, dtype=torch.float64), torch.tensor(target.T)
    before = raw.clone(), target.clone()
    getattr(loss, method)(raw, target)
    assert torch.equal(raw, before[0])
    assert torch.equal(target, before[1])


@every_loss
@pytest.mark.parametrize("far", [-300.0, 300.0])
def test_far_away_nothing_overflows(name, far):
    loss, target, _ = fitted(name)
    raw, target = torch.full((1, 3, len(target)), far), torch.tensor(target.T, dtype=torch.float32)
    assert torch.isfinite(loss.value(raw, target)).all()
    assert torch.isfinite(loss.gradient(raw, target)).all()
    assert np.isfinite(loss.decode(np.full((5, 3), far))).all()


@every_loss
def test_losses_keep_the_dtype(name):
    loss, target, _ = fitted(name)
    raw, target = torch.zeros(1, 3, len(target)), torch.tensor(target.T, dtype=torch.float32)
    assert loss.value(raw, target).dtype == torch.float32
    assert loss.gradient(raw, target).dtype == torch.float32


@every_loss
def test_loss_is_convex_in_the_raw_output(name):
    loss, target, _ = fitted(name)
    rng = np.random.default_rng(1)
    a, b = torch.tensor(3 * rng.normal(size=(2, 1, 3, len(target))))
    target = torch.tensor(target.T)
    middle = loss.value((a + b) / 2, target)
    assert (middle <= (loss.value(a, target) + loss.value(b, target)) / 2 + 1e-12).all()


def test_squared_error_is_half_the_sum_of_squares_over_outputs():
    raw, target = torch.tensor([[[1.0], [3.0], [0.0]]]), torch.tensor([[0.0], [1.0], [0.5]])
    assert SquaredError().value(raw, target).item() == pytest.approx((1 + 4 + 0.25) / 2)


def test_binary_cross_entropy_is_the_log_loss():
    p = expit(np.array([-2.0, 0.3, 4.0]))
    y = np.array([0.0, 1.0, 1.0])
    found = BinaryCrossEntropy().value(
        torch.tensor([[[-2.0, 0.3, 4.0]]], dtype=torch.float64), torch.tensor(y)[None]
    )
    np.testing.assert_allclose(found[0], -np.log(np.where(y == 1, p, 1 - p)), rtol=1e-12)


def test_cross_entropy_is_the_log_loss_of_a_softmax():
    raw = np.random.default_rng(0).normal(size=(5, 3))
    labels = np.array([0, 1, 2, 1, 0])
    found = CrossEntropy().value(torch.tensor(raw.T[None]), torch.tensor(np.eye(3)[labels].T))
    expected = -np.log(softmax(raw, axis=1)[np.arange(5), labels])
    np.testing.assert_allclose(found[0], expected, rtol=1e-12)


def test_two_classes_cost_the_same_by_logit_and_by_softmax():
    raw, label = torch.tensor([[[0.8, -1.4]]], dtype=torch.float64), torch.tensor([[1.0, 1.0]])
    both = torch.cat([torch.zeros_like(raw), raw], dim=1)
    one_hot = torch.cat([1 - label, label])
    by_logit = BinaryCrossEntropy().value(raw, label)
    np.testing.assert_allclose(CrossEntropy().value(both, one_hot), by_logit, rtol=1e-12)


@pytest.mark.parametrize(
    ("name", "n_outputs"),
    [("BinaryCrossEntropy", 2), ("BinaryCrossEntropy", 1), ("CrossEntropy", 3)],
)
def test_a_prediction_that_is_the_smoothed_label_loses_nothing(name, n_outputs):
    loss, target, _ = fitted(name, n_outputs)
    labels = smoothed(torch.tensor(target), target.mean(axis=0, keepdims=True), 0.2).T
    raw = labels.log() if name == "CrossEntropy" else labels.logit()
    np.testing.assert_allclose(loss.value(raw[None], labels), 0.0, atol=1e-12)
    assert (loss.value(1.01 * raw[None], labels) > 0.0).all()
    np.testing.assert_allclose(loss.gradient(raw[None], labels), 0.0, atol=1e-12)


# ------------------------------------------------------------------ the best constant
@pytest.mark.parametrize("weighted", [False, True])
@every_loss
def test_the_baseline_is_the_best_constant(name, weighted):
    rng = np.random.default_rng(5)
    loss, target, weight = fitted(name, 3, rng.exponential(size=60) if weighted else None)
    baseline = np.broadcast_to(loss.baseline(target, weight), target.shape)
    least = mean_loss(loss, baseline, target, weight)
    for direction in np.vstack([np.eye(3), -np.eye(3)]):
        moved = mean_loss(loss, baseline + 1e-3 * direction, target, weight)
        assert least <= moved + 1e-12


@every_loss
def test_a_constant_predictor_has_a_normalised_loss_of_one(name):
    loss, target, weight = fitted(name)
    constant = np.broadcast_to(loss.baseline(target, weight), target.shape)
    scale = baseline_loss(loss, target, weight)
    assert mean_loss(loss, constant, target, weight) / scale == pytest.approx(1.0, rel=1e-12)


@every_loss
def test_a_row_of_weight_two_is_two_rows(name):
    y, weight = draw_targets(name, 3), np.tile([1.0, 2.0, 3.0], 20)
    weighted = LOSSES[name]().fit(y, weight)
    repeated_y = np.repeat(y, weight.astype(int), axis=0)
    repeated = LOSSES[name]().fit(repeated_y, np.ones(len(repeated_y)))
    np.testing.assert_allclose(weighted.encode(y), repeated.encode(y), rtol=1e-12, atol=1e-12)
    targets = repeated.encode(repeated_y)
    np.testing.assert_allclose(
        baseline_loss(weighted, weighted.encode(y), weight),
        baseline_loss(repeated, targets, np.ones(len(targets))),
        rtol=1e-9,
    )


@every_regression_loss
def test_a_constant_target_leaves_a_loss_to_divide_by(name):
    y = np.full((20, 1), 7.0)
    loss = LOSSES[name]().fit(y, np.ones(20))
    assert 0.0 <= baseline_loss(loss, loss.encode(y), np.ones(20)) < np.inf
    assert loss.least > 0.0
    np.testing.assert_allclose(loss.decode(np.zeros((1, 1))), 7.0, rtol=1e-6)


@every_regression_loss
def test_values_that_differ_by_rounding_are_one_value(name):
    y = 0.3 * (1.0 + 5.0 * np.finfo(float).eps * (np.arange(20) % 2))[:, None]
    loss = LOSSES[name]().fit(y, np.ones(20))
    assert loss.is_constant().all()
    assert np.ptp(loss.encode(y)) < 1e-12
    assert not loss.widen(np.array([[0.4]])).is_constant().any()


def test_half_the_squared_error_is_divided_by_half_the_variance_of_the_target():
    loss, target, weight = fitted("SquaredError", 1)
    assert baseline_loss(loss, target, weight) == pytest.approx(0.5)


def test_cross_entropy_is_divided_by_the_entropy_of_the_classes():
    y = np.eye(2)[[0] * 3 + [1] * 7]
    loss = CrossEntropy().fit(y, np.ones(10))
    entropy = -(0.3 * np.log(0.3) + 0.7 * np.log(0.7))
    assert baseline_loss(loss, y, np.ones(10)) == pytest.approx(entropy)


# ------------------------------------------------------------------ units
@every_regression_loss
def test_predictions_stay_within_the_range_of_the_target(name):
    y = draw_targets(name, 1)
    loss = LOSSES[name]().fit(y, np.ones(len(y)))
    prediction = loss.decode(np.linspace(-100, 100, 201)[:, None])
    assert prediction.min() >= y.min() * (1 - 1e-12)
    assert prediction.max() <= y.max() * (1 + 1e-12)


@pytest.mark.parametrize("name", ["Poisson", "Gamma"])
def test_no_prediction_of_a_log_link_is_less_than_a_millionth_of_the_mean(name):
    loss = LOSSES[name]().fit(np.ones((5, 1)), np.ones(5)).widen(np.array([[1e9]]))
    assert loss.decode(np.array([-100.0])) == pytest.approx(1e-6 * loss.mean_, rel=1e-5)


def test_a_target_next_to_nothing_has_a_logarithm_in_single_precision():
    y = np.array([[1e-200], [1.0]])
    assert (LOSSES["Gamma"]().fit(y, np.ones(2)).encode(y).astype(np.float32) > 0.0).all()


@pytest.mark.parametrize("unit", [1e-165, 1e145])
def test_the_scale_of_the_target_neither_underflows_nor_overflows(unit):
    y = unit * np.linspace(-1, 2, 50)[:, None]
    loss = SquaredError().fit(y, np.ones(50))
    assert loss.encode(y).std() == pytest.approx(1.0)
    np.testing.assert_allclose(loss.decode(loss.encode(y)), y, rtol=1e-12)


@every_regression_loss
def test_every_output_stays_within_the_range_of_its_own(name):
    y = np.linspace([1.0, 1.0], [1.05, 300.0], 40)
    loss = LOSSES[name]().fit(y, np.ones(len(y)))
    prediction = loss.decode(np.repeat(np.linspace(-100, 100, 201)[:, None], 2, axis=1))
    np.testing.assert_allclose([prediction.min(axis=0), prediction.max(axis=0)], y[[0, -1]])
    wider = loss.widen(np.array([[2.0, 2.0]])).decode(np.full((1, 2), 100.0))
    np.testing.assert_allclose(wider, [[2.0, 300.0]])


@every_regression_loss
def test_units_of_the_target_do_not_matter(name):
    y = draw_targets(name, 1)
    small, large = (LOSSES[name]().fit(s * y, np.ones(len(y))) for s in (1.0, 1e6))
    np.testing.assert_allclose(small.encode(y), large.encode(1e6 * y), rtol=1e-10, atol=1e-12)
    raw = np.linspace(-1, 1, 9)[:, None]
    np.testing.assert_allclose(1e6 * small.decode(raw), large.decode(raw), rtol=1e-10)


def test_squared_error_decodes_what_it_encodes():
    y = draw_targets("SquaredError", 2)
    loss = SquaredError().fit(y, np.ones(len(y)))
    np.testing.assert_allclose(loss.decode(loss.encode(y)), y, rtol=1e-12)


@pytest.mark.parametrize("name", sorted(CLASSIFICATION))
def test_the_baseline_of_classes_decodes_to_their_shares(name):
    loss, target, weight = fitted(name)
    share = np.average(target, axis=0, weights=weight)
    np.testing.assert_allclose(loss.decode(loss.baseline(target, weight)), share, rtol=1e-9)


@pytest.mark.parametrize("name", sorted(CLASSIFICATION))
def test_a_class_without_rows_is_expected_as_if_it_had_half_a_row(name):
    y = np.eye(3)[[0, 1, 0, 1, 0, 1, 0, 1, 1]]
    loss = LOSSES[name]().fit(y, np.ones(9))
    share = loss.decode(loss.base_[None])[0]
    assert share[2] / (share[2] + share[0] + share[1]) == pytest.approx(0.05, rel=0.05)
    assert np.isfinite(loss.baseline(y, np.ones(9))).all()


# ------------------------------------------------------------------ the linear model
def linear_data(n_rows=80, n_inputs=3):
    rng = np.random.default_rng(8)
    X = rng.normal(size=(n_rows, n_inputs))
    return X, X @ [1.0, -0.5, 0.2] + 0.3 * rng.normal(size=n_rows), rng.exponential(size=n_rows)


@every_loss
def test_the_linear_start_beats_the_best_constant(name):
    X, score, weight = linear_data()
    y = np.exp(score)[:, None]
    if name in CLASSIFICATION:
        labels = np.digitize(score, [-0.7, 0.7])
        y = np.eye(3)[labels] if name == "CrossEntropy" else (labels > 0)[:, None].astype(float)
    loss = LOSSES[name]().fit(y, weight)
    target = loss.encode(y)
    coef, intercept = loss.fit_linear(X.copy(), target, weight)
    raw = X @ np.reshape(coef, (-1, 3)).T + intercept
    assert mean_loss(loss, raw, target, weight) < 0.8 * baseline_loss(loss, target, weight)


@every_loss
def test_the_linear_start_has_one_row_per_output(name):
    X, _, weight = linear_data(n_rows=60)
    loss, target, _ = fitted(name, 3, weight)
    coef, intercept = loss.fit_linear(X.copy(), target, weight)
    assert np.reshape(coef, (3, -1)).shape == (3, 3)
    assert np.reshape(intercept, -1).shape == (3,)


@pytest.mark.parametrize("penalty", [1.0, 100.0])
def test_the_linear_start_of_squared_error_is_ridge(penalty):
    X, y, weight = linear_data()
    loss = SquaredError().fit(y[:, None], weight)
    coef, intercept = loss.fit_linear(X.copy(), loss.encode(y[:, None]), weight, penalty)
    ridge = Ridge(penalty).fit(X, loss.encode(y[:, None])[:, 0], sample_weight=weight)
    np.testing.assert_allclose(np.ravel(coef), ridge.coef_, rtol=1e-10)
    np.testing.assert_allclose(intercept, ridge.intercept_, atol=1e-12)


def test_where_no_error_is_large_the_linear_start_of_huber_is_ridge():
    X, y, _ = linear_data()
    y, weight = y[:, None] + 20.0 * X[:, :1], 1.0 + np.arange(80) % 3
    loss = LOSSES["Huber"]().fit(y, weight)
    coef, _ = loss.fit_linear(X, loss.encode(y), weight, 10.0)
    ridge = Ridge(10.0).fit(X, loss.encode(y)[:, 0], sample_weight=weight)
    np.testing.assert_allclose(coef[0], ridge.coef_, rtol=1e-9)


def test_the_linear_loss_is_the_share_that_ridge_leaves():
    X, y, _ = linear_data()
    before, weight = X.copy(), np.ones(80)
    loss = SquaredError().fit(y[:, None], weight)
    left = 1.0 - Ridge().fit(X, y).score(X, y)
    assert linear_loss(loss, X, loss.encode(y[:, None]), weight) == pytest.approx(left)
    np.testing.assert_array_equal(X, before)
    assert linear_loss(loss, X, np.zeros((80, 1)), weight) == pytest.approx(0.0)


def objective(loss, X, target, weight, coef, intercept, penalty=1.0):
    """Return what a linear start is the least of."""
    raw = X @ coef.T + intercept
    decay = 0.5 * penalty * (coef**2).sum() / weight.sum()
    return mean_loss(loss, raw, target, weight) + decay


@pytest.mark.parametrize("penalty", [1.0, 100.0])
@pytest.mark.parametrize("name, Model", [("Poisson", PoissonRegressor), ("Gamma", GammaRegressor)])
def test_the_linear_start_of_a_log_link_is_a_generalised_linear_model(name, Model, penalty):
    X, score, weight = linear_data()
    X, y = np.c_[X, 3.0 * X[:, 0] ** 2], np.exp(2.0 * score)
    y = y if name == "Gamma" else np.round(y)
    loss = LOSSES[name]().fit(y[:, None], weight)
    target = loss.encode(y[:, None])
    found = loss.fit_linear(X.copy(), target, weight, penalty)
    model = Model(alpha=penalty / weight.sum(), tol=1e-9, max_iter=10_000)
    model.fit(X, target[:, 0], sample_weight=weight)
    best = objective(loss, X, target, weight, model.coef_[None], model.intercept_, penalty)
    # within 0.1 %, or better: scikit-learn's own search may end early
    assert objective(loss, X, target, weight, *found, penalty) < 1.001 * best
    np.testing.assert_allclose(found[0][0], model.coef_, atol=0.05 * abs(model.coef_).max())


@pytest.mark.parametrize("name", ["AbsoluteError", "Huber", "Quantile"])
def test_the_linear_start_of_a_robust_loss_is_nearly_the_best(name):
    rng = np.random.default_rng(0)
    X, weight = rng.normal(size=(600, 3)), rng.integers(1, 4, 600).astype(float)
    y = (X @ [1.0, -2.0, 0.5] + rng.standard_t(2, 600) * (1.0 + (X[:, 0] > 0)))[:, None]
    loss = (Quantile(0.8) if name == "Quantile" else LOSSES[name]()).fit(y, weight)
    target = loss.encode(y)
    coef, intercept = loss.fit_linear(X.copy(), target, weight)

    def lost(flat):
        return objective(loss, X, target, weight, flat[None, :3], flat[3:], 0.0)

    best = minimize(
        lost, np.r_[coef[0], intercept], method="Nelder-Mead", options={"maxiter": 2000}
    )
    assert lost(np.r_[coef[0], intercept]) < 1.01 * best.fun
    for shift in (-0.05, 0.05):  # the intercept is exact
        assert lost(np.r_[coef[0], intercept + shift]) > lost(np.r_[coef[0], intercept])


@pytest.mark.parametrize("penalty", [1.0, 100.0])
@pytest.mark.parametrize("n_classes", [2, 3])
def test_the_linear_start_of_cross_entropy_is_logistic_regression(n_classes, penalty):
    X, score, weight = linear_data()
    labels = np.digitize(score, np.quantile(score, np.arange(1, n_classes) / n_classes))
    model = LogisticRegression(C=1.0 / penalty).fit(X, labels, sample_weight=weight)
    if n_classes == 2:
        loss, y = BinaryCrossEntropy(), labels[:, None]
    else:
        loss, y = CrossEntropy(), np.eye(n_classes)[labels]
    coef, intercept = loss.fit(y, weight).fit_linear(X.copy(), loss.encode(y), weight, penalty)
    probability = loss.decode(X @ coef.T + intercept)
    expected = model.predict_proba(X)
    np.testing.assert_allclose(probability, expected[:, -1:] if n_classes == 2 else expected)


@pytest.mark.parametrize("present", [[0, 2], [1, 2], [1]])
def test_a_class_missing_from_a_fold_is_improbable_and_the_others_are_not(present):
    X, _, weight = linear_data()
    labels = np.array(present)[np.arange(len(X)) % len(present)]
    y = np.eye(3)[labels]
    loss = CrossEntropy().fit(y, weight)
    coef, intercept = loss.fit_linear(X.copy(), y, weight)
    probability = loss.decode(X @ np.reshape(coef, (3, -1)).T + intercept)
    absent = np.setdiff1d(range(3), present)
    assert probability[:, absent].max() < 0.5 / len(X)
    np.testing.assert_allclose(intercept.max() - intercept[absent], np.log(2 * len(X) + 1))
    if len(present) == 2:
        expected = LogisticRegression().fit(X, labels, sample_weight=weight).predict_proba(X)
        np.testing.assert_allclose(probability[:, present], expected, atol=0.5 / len(X))


def test_a_class_missing_from_a_fold_of_several_has_half_a_row_to_the_most_frequent():
    X, score, weight = linear_data()
    y = np.eye(4)[np.digitize(score, [-1.0, 1.2])]
    _, intercept = CrossEntropy().fit(y, weight).fit_linear(X.copy(), y, weight)
    assert intercept[3] == pytest.approx(intercept[:3].max() - np.log(2 * len(X) + 1))


@pytest.mark.parametrize("only", [0.0, 1.0])
def test_a_fold_of_one_binary_class_predicts_that_class(only):
    X, _, weight = linear_data()
    y = np.full((len(X), 1), only)
    loss = BinaryCrossEntropy().fit(y, weight)
    coef, intercept = loss.fit_linear(X.copy(), y, weight)
    probability = loss.decode(X @ np.reshape(coef, (1, -1)).T + intercept)
    np.testing.assert_allclose(np.abs(probability - only), 0.5 / (len(X) + 1))


@pytest.mark.parametrize("only", [0, 1, 2])
def test_the_only_class_there_is_is_the_one_to_expect(only):
    X, target = np.random.default_rng(0).normal(size=(20, 2)), np.eye(3)[np.full(20, only)]
    coef, intercept = CrossEntropy().fit_linear(X.copy(), target, np.ones(20))
    share = softmax(X @ coef.T + intercept, axis=1)
    assert (share[:, only] > 1.0 - 1.0 / 20).all()


GRID = norm.ppf((np.arange(1000) + 0.5) / 1000)  # robust scale 1, upper quartile 1.15


def with_outliers(n, value):
    y = GRID[np.random.default_rng(0).permutation(1000)]  # in any order
    y[:n] = value
    return y[:, None]


def limit(y, loss=None, weight=None):
    loss = _losses.AbsoluteError() if loss is None else loss
    return loss.fit(y, np.ones(len(y)) if weight is None else weight).far_[0]


def test_outliers_are_clipped_at_a_hundred_scales_or_upper_quartiles():
    assert limit(with_outliers(10, 1e6)) == pytest.approx(115.0, rel=0.05)
    assert limit(with_outliers(99, 1e6)) == pytest.approx(129.0, rel=0.08)
    mostly_zero = np.where(np.arange(1000) < 600, 0.0, GRID)[:, None]
    mostly_zero[:5] = 1e6
    assert limit(mostly_zero) == 100.0


def test_outliers_are_few():
    for level, few in [(0.5, 100), (0.9, 20), (0.1, 20), ([0.5, 0.9], 20)]:
        loss = _losses.Quantile(level)
        assert np.isfinite(limit(with_outliers(few - 1, 1e7), loss))
        assert np.isinf(limit(with_outliers(few + 1, 1e7), loss))
    weight = np.where(np.arange(1000) < 50, 3.0, 1.0)
    assert np.isinf(limit(with_outliers(50, 1e7), weight=weight))
    half = np.where(np.arange(1000) < 130, 0.5, 1.0)
    assert np.isfinite(limit(with_outliers(130, 1e7), weight=half))


def test_outliers_make_up_nine_tenths_of_the_loss():
    assert np.isinf(limit(with_outliers(1, 6500.0)))
    assert np.isfinite(limit(with_outliers(1, 7900.0)))


def test_outliers_are_clipped_on_both_sides():
    y = with_outliers(10, 1e6)
    y[:5] *= -1.0
    loss = _losses.AbsoluteError().fit(y, np.ones(1000))
    z = loss.encode(y)
    assert (z.min(), z.max()) == (-loss.far_[0], loss.far_[0])


@pytest.mark.parametrize("far", [0.23, 1e18])
def test_the_best_constant_is_exact_however_far_the_farthest(far):
    target = np.column_stack([[0.0] * 5 + [0.1] * 5 + [far], np.zeros(11)])
    expected = 0.1 if far > 1.0 else 0.73 / 11
    found = _losses.Huber().fit(target, np.ones(11)).baseline(target, np.ones(11))
    np.testing.assert_allclose(found, [expected, 0.0], atol=2e-12)
