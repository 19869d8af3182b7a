"""Weights of rows: counts stay counts, others have no unit, and none is lost."""

import numpy as np
import pytest

from sknimble._row_weights import (
    for_penalty,
    for_quantiles,
    in_precision_of,
    moderate,
    rows_that_count,
)

WEIGHT = np.random.default_rng(0).uniform(0.1, 0.9, 50)
COUNTS = np.arange(50.0) % 3


def test_rows_of_weight_zero_are_dropped():
    X, y = np.arange(100.0).reshape(50, 2), np.arange(50.0)
    X_left, y_left, left = rows_that_count(X, y, COUNTS)
    assert (left > 0).all()
    np.testing.assert_array_equal(X_left[:, 0], 2 * y_left)
    np.testing.assert_array_equal(y_left, y[COUNTS > 0])
    assert rows_that_count(X, y, WEIGHT)[0] is X


def test_counts_are_what_they_are():
    np.testing.assert_array_equal(for_penalty(COUNTS), COUNTS)
    np.testing.assert_array_equal(for_quantiles(1.0 + COUNTS), 1.0 + COUNTS)
    assert moderate(COUNTS) is COUNTS
    mixed = np.where(COUNTS > 0, 1e-3, 40.5)  # some less than a row, though not all together
    assert for_quantiles(mixed) is mixed


def test_equal_weights_are_none_to_quantiles():
    assert for_quantiles(np.full(50, 0.3)) is None
    assert for_quantiles(None) is None


@pytest.mark.parametrize("unit", [1e-9, 0.5])
@pytest.mark.parametrize("function", [for_penalty, for_quantiles])
def test_small_weights_have_no_unit(function, unit):
    found = function(unit * WEIGHT)
    assert found.mean() == pytest.approx(1.0)
    np.testing.assert_allclose(found, function(WEIGHT))


@pytest.mark.parametrize("unit", [1e-300, 1e300])
def test_extreme_weights_become_moderate(unit):
    np.testing.assert_allclose(moderate(unit * WEIGHT), WEIGHT / WEIGHT.max())


@pytest.mark.parametrize("largest", [1.0, 1e60, 1e300])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_no_weight_vanishes_or_overflows_in_another_precision(dtype, largest):
    weight = np.array([0.0, 1e-60, largest])
    found = in_precision_of(np.zeros((3, 1), dtype), weight)
    assert found.dtype == dtype
    assert np.isfinite(found).all()
    assert (found > 0).tolist() == (moderate(weight) > 0).tolist() == [False, True, True]


def test_one_weight_for_all_rows_stays_one():
    found = in_precision_of(np.zeros((4, 1), np.float32), np.broadcast_to(2.0, 4))
    assert found.strides == (0,)
    assert found.tolist() == [2.0] * 4
