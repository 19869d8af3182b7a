"""Noise is what squared errors exceed the variance of the networks by, along the prediction."""

import numpy as np
import pytest
from sklearn.datasets import make_friedman1

from sknimble import NimbleRegressor
from sknimble._noise import MOST_BINS, ROWS_PER_BIN, learn_noise, noise_at


def rows(n, seed=0):
    rng = np.random.default_rng(seed)
    prediction = rng.uniform(size=(n, 2))
    return prediction, prediction * [1.0, 4.0] * rng.chisquare(1, size=(n, 2)), np.ones(n)


def test_a_variance_that_grows_with_the_prediction_is_found():
    noise = learn_noise(*rows(40_000))
    at = np.array([[0.2, 0.2], [0.5, 0.5], [0.8, 0.8]])
    np.testing.assert_allclose(noise_at(noise, at), at * [1.0, 4.0], rtol=0.1)


@pytest.mark.parametrize("n, n_bins", [(1, 1), (ROWS_PER_BIN * 3, 3), (100_000, MOST_BINS)])
def test_more_rows_draw_it_finer(n, n_bins):
    assert [len(at) for at, _ in learn_noise(*rows(n))] == [n_bins, n_bins]


def test_rows_count_by_their_weight():
    prediction, excess, _ = rows(30)
    weight = np.random.default_rng(1).exponential(size=30)
    noise = learn_noise(prediction, excess, weight)
    expected = np.average(excess, axis=0, weights=weight)
    np.testing.assert_allclose(noise_at(noise, prediction)[0], expected)


def test_a_row_that_weighs_more_than_several_bins_leaves_none_empty():
    prediction, excess, weight = rows(200)
    weight[prediction[:, 0].argmax()] = 1000.0
    found = noise_at(learn_noise(prediction, excess, weight), prediction)
    assert np.isfinite(found).all()


def test_it_is_never_negative_and_level_beyond_the_rows():
    prediction, excess, weight = rows(200)
    noise = learn_noise(prediction, excess - 1.0, weight)
    found = noise_at(noise, np.array([[-9.0, -9.0], [0.0, 0.0], [1.0, 1.0], [9.0, 9.0]]))
    assert (found >= 0.0).all()
    np.testing.assert_array_equal(found[[0, 3]], found[[1, 2]])


def test_equal_predictions_have_the_mean_of_all_their_rows():
    prediction = np.repeat([0.0, 1.0], [500, 300])[:, None]
    excess = np.arange(800.0)[:, None]
    noise = learn_noise(prediction, excess, np.ones(800))
    expected = [[excess[:500].mean()], [excess[500:].mean()]]
    np.testing.assert_allclose(noise_at(noise, np.array([[0.0], [1.0]])), expected)


def test_where_networks_differ_their_variance_is_no_noise(monkeypatch):
    # Networks that say 0 and 2 have a variance of 1: a square error of 4 is a noise of 3.
    model = NimbleRegressor(n_estimators=2, random_state=0).fit(*make_friedman1(100, 5))
    monkeypatch.setattr(model, "_decoded", lambda raws: np.stack(raws))
    monkeypatch.setattr(
        "sknimble._regressor.predict_batches",
        lambda networks, n, read, combine: combine([np.full((n, 1), m) for m in networks]),
    )
    held_out = np.repeat([[True, False], [False, True]], 50, axis=1)
    for far, noise in ((2.0, 3.0), (1.0, 0.0)):
        target = np.repeat([0.0 + far, 2.0 - far], 50)[:, None]
        found = model._learn_noise([0.0, 2.0], np.ones((100, 1)), target, np.ones(100), held_out)
        np.testing.assert_allclose(noise_at(found, np.ones((1, 1))), noise)
