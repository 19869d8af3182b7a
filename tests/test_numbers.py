"""More pieces where y asks for them; what else columns of numbers become is in test_tables.py."""

import numpy as np
import pytest
from sklearn.datasets import load_diabetes

from sknimble import NimbleClassifier, NimbleRegressor
from sknimble._tables import TableEncoder


def encoder(X, y, weight=None, **parameters):
    """Return a fitted encoder, with pieces."""
    y = None if y is None else y.reshape(len(y), -1)
    return TableEncoder(encoding="piecewise", **parameters).fit(X, y, weight)


def pieces(X, y, weight=None, **parameters):
    """Return how many pieces every column has."""
    table = encoder(X, y, weight, **parameters)
    return [max(len(knots) - 1, 0) for knots in table.numbers_.knots]


def two_columns(n, seed=0):
    return np.random.default_rng(seed).uniform(size=(n, 2))


def test_a_column_has_more_pieces_where_its_own_miss_what_y_does():
    X = two_columns(2000)
    smooth, wave, fast = X[:, 0] ** 2, np.sin(20 * X[:, 0]), np.sin(60 * X[:, 0])
    assert pieces(X, None) == pieces(X, smooth) == [4, 4]
    assert pieces(X, wave) == [16, 4]
    assert pieces(X, fast) == [32, 4]


def test_noise_asks_for_nothing():
    rng = np.random.default_rng(0)
    X = np.column_stack([rng.uniform(size=(1000, 20)), rng.integers(0, 9, (1000, 20))])
    for y in (rng.standard_normal(1000), rng.standard_t(1.5, 1000), rng.integers(0, 2, 1000)):
        assert pieces(X, y) == [4] * 20 + [0] * 20


def test_noise_of_few_rows_asks_for_nothing_either():
    rng = np.random.default_rng(0)
    X = rng.uniform(size=(400, 50))
    assert pieces(X, rng.standard_normal(400)) == [4] * 50


def test_few_rows_are_enough_to_see_a_wave_in_as_much_noise():
    # Bins of fewer than four rows would see it in a fifth of the tables.
    found = 0
    for seed in range(30):
        rng = np.random.default_rng(seed)
        X = rng.uniform(size=(200, 2))
        y = np.sin(25 * X[:, 0]) + rng.standard_normal(200)
        found += pieces(X, y)[0] > pieces(X, None)[0]
    assert found > 15


def test_a_column_of_few_values_has_a_piece_between_any_two_if_y_asks_for_them():
    rng = np.random.default_rng(0)
    X = rng.integers(0, 7, (500, 2))
    assert pieces(X, X[:, 0] + 0.1 * rng.standard_normal(500)) == [0, 0]
    assert pieces(X, X[:, 0] % 2 + 0.1 * rng.standard_normal(500)) == [6, 0]
    binary = (X > 2).astype(float)  # of two values the number itself says all
    assert pieces(binary, binary[:, 0] + 0.1 * rng.standard_normal(500)) == [0, 0]


def test_any_of_several_outputs_may_ask():
    X = two_columns(2000)
    y = np.column_stack([X[:, 1], np.sin(20 * X[:, 0]), np.zeros(2000)])
    assert pieces(X, y) == [16, 4]
    assert pieces(X, y * [1.0, 1e-9, 1.0]) == [16, 4]  # whatever its unit
    assert pieces(X, y[:, [0, 2]]) == [4, 4]


def test_gaps_have_no_say():
    X = two_columns(2000)
    y = np.sin(20 * X[:, 0])
    X[::3, 0] = np.nan
    y[::3] = 5.0
    assert pieces(X, y) == [16, 4]
    X[:, 1] = np.nan
    assert pieces(X, y) == [*pieces(X[:, :1], y), 0]


def test_every_piece_has_rows():
    X = two_columns(400)
    assert pieces(X, np.sin(20 * X[:, 0])) == [10, 4]  # of forty
    X = np.random.default_rng(0).integers(0, 9, (159, 2))
    assert pieces(X, X[:, 0] % 2) == [0, 0]
    X = np.random.default_rng(0).integers(0, 9, (160, 2))
    assert pieces(X, X[:, 0] % 2) == [8, 0]  # of twenty


def test_a_column_that_is_alone_leaves_it_to_the_neurons():
    X = two_columns(2000)[:, :1]
    assert pieces(X, np.sin(60 * X[:, 0])) == [8]


@pytest.mark.parametrize(("n_columns", "finest"), [(60, 32), (100, 20), (200, 10), (1000, 2)])
def test_wide_tables_have_no_more_pieces_together(n_columns, finest):
    X = np.tile(np.linspace(0.0, 1.0, 2000)[:, None], n_columns)
    assert pieces(X, np.sin(60 * X[:, 0])) == [finest] * n_columns


def test_a_weight_is_as_good_as_a_repeated_row():
    X = two_columns(600)
    weight = np.random.default_rng(1).integers(0, 4, 600)
    for y in (np.sin(12 * X[:, 0]), np.sin(20 * X[:, 0])):
        weighted = encoder(X[weight > 0], y[weight > 0], weight[weight > 0].astype(float))
        repeated = encoder(np.repeat(X, weight, axis=0), np.repeat(y, weight))
        np.testing.assert_array_equal(weighted.encode(X), repeated.encode(X))


@pytest.mark.parametrize("unit", [1.0, 1e-9, 1.0 / 2000, 1000.0])
def test_the_unit_of_the_weights_does_not_matter(unit):
    X = two_columns(2000)
    y, weight = np.sin(20 * X[:, 0]), np.random.default_rng(0).uniform(0.5, 1.5, 2000)
    assert pieces(X, y, unit * weight) == [16, 4]
    noise = np.random.default_rng(1).normal(size=2000)
    assert max(pieces(X, noise, unit * weight)) < 9


def test_many_pieces_are_lower():
    X = two_columns(2000)
    table = encoder(X, np.sin(60 * X[:, 0]))
    Z = table.encode(X)[:, table.n_plain_features_ :]
    np.testing.assert_allclose(np.ptp(Z, axis=0), [0.5] * 32 + [1.0] * 4, atol=1e-6)
    few = encoder(X, X[:, 0]).encode(X)
    np.testing.assert_array_equal(table.encode(X)[:, 1], few[:, 1])


def test_extreme_numbers_do_not_disturb():
    X = two_columns(2000)
    y = np.sin(20 * X[:, 0])
    X[:5, 0] = [1e300, -1e300, 1e-300, -1e308, 1e308]
    assert pieces(X, y) == [16, 4]
    assert pieces(X * 1e-200, y)[1] == 4
    for unit in (1e-300, 1e300):
        assert pieces(X, unit * y) == [16, 4]
    assert pieces(X, np.full(2000, 1e300)) == pieces(X, None)


def test_a_long_table_asks_some_of_its_rows():
    X = two_columns(100_000)
    assert pieces(X, np.sin(60 * X[:, 0])) == [32, 4]


def test_the_rows_asked_are_spread_over_the_table():
    X = two_columns(100_000)
    X = X[np.argsort(X[:, 0])]
    late = np.where(X[:, 0] > 0.5, np.sin(60 * X[:, 0]), 0.0)
    assert pieces(X, late) == [32, 4]


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_estimators_tell_the_table_what_y_is():
    X = two_columns(2000)
    wave = np.sin(20 * X[:, 0])
    model = NimbleRegressor(max_iter=1, n_iter_no_change=1).fit(X, wave)
    assert model._table.n_features_out_ == 2 + 16 + 4
    labels = np.where(wave > 0, "up", "down")
    model = NimbleClassifier(max_iter=1, n_iter_no_change=1).fit(X, labels)
    assert model._table.n_features_out_ == 2 + 32 + 4


@pytest.mark.parametrize("change", [lambda X: 1e6 * X, lambda X: X + 3.0, lambda X: 3.7 * X])
def test_where_two_knots_are_as_good_the_unit_does_not_choose(change):
    X, y = load_diabetes(return_X_y=True)
    plain, changed = (encoder(table, y).numbers_.knots for table in (X, change(X)))
    for ours, theirs in zip(plain, changed, strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_sums_of_weights_do_not_decide_between_two_halves():
    rng = np.random.default_rng(0)
    for few in range(10, 30):
        X = np.column_stack([np.arange(45) + 1000 * (np.arange(45) >= few), rng.random(45)])
        weight = np.where(np.arange(45) < few, 22.5 / few, 22.5 / (45 - few))
        assert encoder(X, None, weight).numbers_.center[0] == few - 1
