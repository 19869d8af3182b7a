"""The sharpness of a network is that with which held-out rows lose least."""

import numpy as np
import pytest
import torch
from scipy.optimize import minimize_scalar
from scipy.special import rel_entr
from sklearn.datasets import make_blobs, make_classification, make_friedman1
from sklearn.metrics import log_loss
from test_training import start

from sknimble import NimbleClassifier, NimbleRegressor
from sknimble._calibration import (
    DOUBT,
    HIGHEST,
    LOWEST,
    best_sharpness,
    kept_means,
    quantile_shift,
    smoothed,
)
from sknimble._losses import BinaryCrossEntropy, CrossEntropy

WITHIN = 0.012  # of the logarithm


def rows(n_outputs, n_rows=400, n_networks=2, seed=0):
    """Return logits of several networks, labels drawn from the first's, and weights."""
    torch.manual_seed(seed)
    raw = 2 * torch.randn(n_networks, n_outputs, n_rows, dtype=torch.float64)
    if n_outputs == 1:
        target = torch.bernoulli(raw[0].sigmoid())
    else:
        drawn = torch.multinomial(raw[0].softmax(dim=0).T, 1).squeeze()
        target = torch.nn.functional.one_hot(drawn, n_outputs).T.to(raw)
    weight = torch.rand(n_networks, n_rows, dtype=torch.float64)
    return raw, target, weight / weight.sum(dim=1, keepdim=True)


def loss_of(n_outputs):
    return BinaryCrossEntropy() if n_outputs == 1 else CrossEntropy()


@pytest.mark.parametrize("n_outputs", [1, 3])
@pytest.mark.parametrize("unsure", [0.4, 1.0, 3.0])
def test_it_is_where_the_loss_is_least(n_outputs, unsure):
    raw, target, weight = rows(n_outputs)
    raw, loss, unit = raw / unsure, loss_of(n_outputs), torch.full((2,), 1 / 400).double()
    cuts = slice(0, 150), slice(150, 400)
    blocks = [(raw[..., cut], target[..., cut], weight[:, cut]) for cut in cuts]
    found = best_sharpness(loss, blocks, unit).log()
    for member in range(2):

        def total(log, member=member):
            value = (loss.value(np.exp(log) * raw, target) * weight).sum(dim=1)[member]
            return float(value) + log**2 / 2 / 400

        least = minimize_scalar(total, bounds=(LOWEST, HIGHEST), method="bounded").x
        assert abs(found[member] - least) <= WITHIN


@pytest.mark.parametrize("n_outputs", [1, 3])
@pytest.mark.parametrize("sharpness", [0.7, 1.3])
def test_mean_probabilities_stay_what_they_were(n_outputs, sharpness):
    raw, _, weight = rows(n_outputs)
    raw = raw - 5.0 * (torch.arange(n_outputs)[:, None] == 0)  # a rare class
    weight[:, :100] = 0.0
    cuts, factor = (slice(0, 150), slice(150, 400)), torch.full((2,), sharpness).double()
    blocks = [(raw[..., cut], None, weight[:, cut]) for cut in cuts]
    shift = kept_means(loss_of(n_outputs), blocks, factor)

    def mean(logits):
        p = logits.sigmoid() if n_outputs == 1 else logits.softmax(dim=1)
        return (p * weight[:, None]).sum(dim=2) / weight.sum(dim=1, keepdim=True)

    np.testing.assert_allclose(mean(sharpness * raw + shift), mean(raw), rtol=0.02)
    assert not np.allclose(mean(sharpness * raw), mean(raw), rtol=0.05)


def test_a_rare_class_is_as_likely_on_average_as_it_is_frequent():
    share = []
    for seed in range(3):
        rng = np.random.default_rng(seed)
        X = rng.normal(size=(3000, 5))
        y = rng.random(3000) < 1.0 / (1.0 + np.exp(5.2 - 1.5 * X[:, 0] * X[:, 1]))
        model = NimbleClassifier(n_estimators=1, random_state=seed).fit(X, y)
        share.append(model.predict_proba(rng.normal(size=(20000, 5)))[:, 1].mean() / y.mean())
    assert 0.8 < np.mean(share) < 1.15


def test_of_no_rows_that_say_anything_it_is_one():
    raw = torch.zeros(3, 2, 5)
    block = raw, torch.eye(2)[:, [0, 1, 0, 1, 0]], torch.full((3, 5), 0.2)
    sharpness = best_sharpness(CrossEntropy(), [block], torch.full((3,), 0.2))
    np.testing.assert_allclose(sharpness, 1.0, rtol=WITHIN)


def noisy(n_rows, seed=0):
    """Return classes a fifth of which are wrong: what trains on them to the end is too sure."""
    return make_classification(
        n_rows, n_features=12, n_informative=6, n_classes=3, flip_y=0.2, random_state=seed
    )


@pytest.mark.parametrize("n_estimators", [1, 3])
def test_the_networks_published_lose_what_the_record_says(n_estimators):
    X, y = noisy(600)
    model = NimbleClassifier(n_estimators=n_estimators, random_state=0, size_penalty=1e-4)
    model.fit(X[:300], y[:300], X_val=X[300:], y_val=y[300:])
    shares = np.bincount(y[:300]) / 300
    baseline = log_loss(y[:300], np.tile(shares, (300, 1)))
    labels = np.eye(3)[y[300:]] + DOUBT / 302 * (shares - np.eye(3)[y[300:]])
    for member, one in enumerate(model.estimators_):
        records = [record for record in model.history_ if record.member == member]
        recorded = np.array([record.validation_loss for record in records])
        divergence = rel_entr(labels, one.predict_proba(X[300:])).sum(axis=1).mean()
        lost = np.sqrt(divergence / baseline)
        assert one.size_weight_ > 0
        assert abs(recorded / lost - 1.0).min() < 1e-5
        assert lost < 1.02 * recorded.min()


def test_no_other_temperature_is_better_on_the_rows_that_judged():
    X, y = noisy(2000)
    model = NimbleClassifier(n_estimators=1, max_iter=60, tol=0.1, random_state=0)
    model.fit(X[:1000], y[:1000], X_val=X[1000:], y_val=y[1000:])
    logits = model.decision_function(X[1000:])

    def total(log):
        scaled = np.exp(log) * logits
        return log_loss(y[1000:], np.exp(scaled) / np.exp(scaled).sum(axis=1, keepdims=True))

    best = minimize_scalar(total, bounds=(-1, 1), method="bounded")
    assert abs(best.x) <= 0.05
    assert total(0.0) <= 1.001 * best.fun


def test_the_rows_that_judge_another_network_have_no_say():
    X, labels = noisy(300)
    y = np.eye(3)[labels]
    loss = CrossEntropy().fit(y, np.ones(300))
    held_out = np.arange(300) < np.array([[9], [150]])  # nine rows leave it near 1

    def sharpness(*members):
        rows = held_out[list(members)]
        training = start((X, y), loss=loss, held_out=rows, sizes=[8.0] * len(members), max_iter=1)
        next(training.epochs())
        return [training.results[number].sharpness for number in range(len(members))]

    np.testing.assert_allclose(sharpness(0, 1), [*sharpness(0), *sharpness(1)], rtol=1e-9)


@pytest.mark.parametrize("n_classes", [2, 3])
def test_rows_without_error_do_not_make_a_network_ever_surer(n_classes):
    X, y = make_blobs(300, centers=n_classes, n_features=5, cluster_std=2.0, random_state=0)
    model = NimbleClassifier(n_estimators=1, random_state=0).fit(X, y, X_val=X[:60], y_val=y[:60])
    assert model.score(X, y) == 1.0
    doubt = 1.0 - model.predict_proba(X[:60])[np.arange(60), y[:60]]
    assert DOUBT / 62 / 10 < doubt.mean() < 10 * DOUBT / 62  # undoubted, a millionth of that


def test_smoothed_labels_keep_the_shares_of_their_classes():
    labels = torch.eye(3, dtype=torch.float64)[[0, 1, 1, 2, 0, 1]]
    shares = labels.mean(dim=0, keepdim=True).numpy()
    found = smoothed(labels, shares, 0.2)
    np.testing.assert_allclose(found, 0.8 * labels + 0.2 * torch.tensor(shares))
    np.testing.assert_allclose(found.mean(dim=0), shares[0])
    np.testing.assert_allclose(found.sum(dim=1), 1.0)


def test_groups_have_labels_of_their_own_only_where_their_shares_differ():
    labels = torch.tensor([[1.0], [0.0], [1.0]])
    assert smoothed(labels, np.array([[0.5], [0.5]]), 0.2).shape == (3, 1)
    apart = smoothed(labels, np.array([[0.5], [0.0]]), 0.2)
    np.testing.assert_allclose(apart, [[[0.9], [0.1], [0.9]], [[0.8], [0.0], [0.8]]], rtol=1e-6)
    np.testing.assert_allclose(
        smoothed(apart, np.array([[1.0], [0.0]]), 0.5),
        [[[0.95], [0.55], [0.95]], [[0.4], [0.0], [0.4]]],
        rtol=1e-6,
    )


@pytest.mark.parametrize("n_classes", [2, 3])
def test_networks_that_know_nothing_predict_the_shares_of_the_classes(n_classes):
    rng = np.random.RandomState(0)
    X, y = rng.randn(1500, 5), (rng.rand(1500) < 0.05) * rng.randint(1, n_classes, 1500)
    model = NimbleClassifier(n_estimators=8, random_state=0).fit(X, y)
    found = model.predict_proba(rng.randn(2000, 5)).mean(axis=0)
    np.testing.assert_allclose(found, np.bincount(y) / len(y), atol=0.008)


# ------------------------------------------------------------------ quantiles
def excess_rows(n_rows, levels, moved=1.0, seed=0):
    """Return raw outputs of two networks below their targets by ``moved``, targets and weights."""
    rng = np.random.default_rng(seed)
    raw = torch.as_tensor(rng.normal(size=(2, len(levels), n_rows)))
    noise = torch.as_tensor(rng.normal(size=(2, len(levels), n_rows)))
    weight = torch.as_tensor(rng.random((2, n_rows)))
    return raw, raw + noise + moved * torch.as_tensor(np.sign(levels - 0.5))[:, None], weight


def test_quantiles_are_moved_outward_until_their_shares_lie_below():
    levels = np.array([0.1, 0.9, 0.8])
    raw, target, weight = excess_rows(300, levels)
    cuts = slice(0, 120), slice(120, 300)
    blocks = [(raw[..., cut], target[..., cut], weight[:, cut]) for cut in cuts]
    shift = quantile_shift(levels, blocks)
    for member in range(2):
        for j, level in enumerate(levels):
            excess, w = (target - raw)[member, j].numpy(), weight[member].numpy()
            order = np.argsort(excess)
            middle = np.cumsum(w[order]) - 0.5 * w[order]
            expected = np.interp(level * w.sum(), middle, excess[order])
            n = w.sum() ** 2 / (w**2).sum()
            assert shift[member, j, 0] == pytest.approx(n / (n + 2) * expected, abs=1e-12)
    below = ((target < raw + shift) * weight[:, None]).sum(dim=2) / weight.sum(dim=1)[:, None]
    np.testing.assert_allclose(below, np.broadcast_to(levels, (2, 3)), atol=0.02)


@pytest.mark.parametrize(
    "n_rows, level, share", [(10, 0.95, 0.0), (40, 0.95, 0.5), (200, 0.1, 0.95)]
)
def test_a_move_inward_is_the_smaller_the_fewer_rows_lie_beyond(n_rows, level, share):
    levels = np.array([level])
    raw, target, _ = excess_rows(n_rows, levels, moved=-50.0)
    weight = torch.ones(2, n_rows, dtype=torch.float64)
    found = quantile_shift(levels, [(raw, target, weight)])[:, 0, 0].numpy()
    whole = np.quantile((target - raw)[:, 0].numpy(), level, axis=1, method="hazen")
    np.testing.assert_allclose(found, n_rows / (n_rows + 2) * share * whole, rtol=1e-9)


@pytest.mark.parametrize("level, share", [(0.5, 0.0), (0.45, 0.2), (0.3, 0.8), (0.25, 1.0)])
def test_the_median_is_not_moved_and_its_neighbours_are_less(level, share):
    levels = np.array([level])
    raw, target, _ = excess_rows(100, levels, moved=20.0)
    weight = torch.ones(2, 100, dtype=torch.float64)
    found = quantile_shift(levels, [(raw, target, weight)])[:, 0, 0].numpy()
    whole = np.quantile((target - raw)[:, 0].numpy(), level, axis=1, method="hazen")
    np.testing.assert_allclose(found, 100 / 102 * share * whole, rtol=1e-9, atol=1e-12)


def test_padding_moves_no_quantile():
    levels = np.array([0.05, 0.98])
    raw, target, weight = excess_rows(30, levels)
    padded = [torch.cat([one, 9.0 + 0.0 * one[..., :7]], dim=-1) for one in (raw, target)]
    padded_weight = torch.cat([weight, torch.zeros(2, 7)], dim=1)
    for blocks in ([(raw, target, weight)], [(raw[..., :1], target[..., :1], weight[:, :1])]):
        assert torch.isfinite(quantile_shift(levels, blocks)).all()
    torch.testing.assert_close(
        quantile_shift(levels, [(*padded, padded_weight)]),
        quantile_shift(levels, [(raw, target, weight)]),
    )


@pytest.mark.parametrize("with_rows_of_its_own", [False, True])
def test_an_interval_holds_about_its_share_of_rows_that_were_not_seen(with_rows_of_its_own):
    X, y = make_friedman1(700, 10, noise=1.0, random_state=0)
    rows = {"X_val": X[200:300], "y_val": y[200:300]} if with_rows_of_its_own else {}
    model = NimbleRegressor(loss="quantile", quantile=[0.05, 0.95], random_state=0)
    low, high = model.fit(X[:200], y[:200], **rows).predict(X[300:]).T
    assert 0.85 < np.mean((low <= y[300:]) & (y[300:] <= high)) < 0.97
