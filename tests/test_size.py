"""The mathematics of size: the step, the price, the utility and where N comes to rest."""

import sys

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from sknimble._size import (
    BLOCK,
    SCOUTS,
    gate,
    next_size,
    normalised,
    size_loss,
    size_slope,
    step,
    utility,
    window_end,
)

SIZES = st.floats(0, 300)
PRICES = st.floats(1e-6, 1e-1)
TARGETS = st.none() | st.floats(0, 300)
FREE = {"velocity": 0.05, "max_size": 512}


def slope_of(function, x, h=1e-6):
    return (function(x + h) - function(x - h)) / (2 * h)


# ------------------------------------------------------------------ the step
@given(n=st.floats(-1e3, 0))
def test_a_neuron_beyond_n_sleeps(n):
    assert step(n) == 0.0


@given(excess=st.floats(0, 1e3))
def test_a_neuron_well_within_n_is_wide_awake(excess):
    assert step(1.0 + excess) == 1.0


@given(n=st.floats(-1, 2), rise=st.floats(0, 2))
def test_the_step_never_falls(n, rise):
    assert step(n + rise) >= step(n)


@given(n=st.floats(0, 1))
def test_the_step_is_symmetric_about_its_middle(n):
    assert step(n) + step(1 - n) == pytest.approx(1.0)


def test_the_step_is_that_of_the_paper():
    n = np.linspace(0, 1, 101)
    np.testing.assert_allclose(step(n), np.sin(np.pi * n / 2) ** 2, rtol=1e-15)


# ------------------------------------------------------------------ the gates
@given(whole=st.integers(0, 30))
def test_at_a_whole_size_so_many_gates_are_open_and_the_rest_shut(whole):
    np.testing.assert_array_equal(gate(float(whole), 30), np.arange(30) < whole)


@given(size=SIZES)
def test_at_most_one_neuron_is_half_awake(size):
    gates = gate(size, 310)
    assert np.count_nonzero((gates > 0) & (gates < 1)) <= 1


@given(size=SIZES)
def test_neurons_wake_in_order(size):
    assert (np.diff(gate(size, 310)) <= 0).all()


def test_a_fractional_size_opens_one_gate_in_part():
    np.testing.assert_allclose(gate(2.5, 4), [1, 1, 0.5, 0], atol=1e-15)


def test_every_network_has_gates_of_its_own():
    sizes = np.array([0.0, 1.5, 3.0])
    np.testing.assert_array_equal(gate(sizes, 4), [gate(size, 4) for size in sizes])


# ------------------------------------------------------------------ the price
@given(size=SIZES, price=PRICES, target=TARGETS)
def test_the_slope_of_the_size_loss_is_its_derivative(size, price, target):
    numerical = slope_of(lambda x: size_loss(x, price, target), size, h=1e-3)
    assert size_slope(size, price, target) == pytest.approx(numerical, rel=1e-6, abs=price * 1e-6)


def test_without_a_target_every_neuron_costs_the_same():
    np.testing.assert_allclose(np.diff(size_loss(np.arange(5.0), 0.25)), 0.25)


@given(target=st.floats(0, 300), away=st.floats(0.1, 50), price=PRICES)
def test_with_a_target_the_cost_is_zero_there_and_even_about_it(target, away, price):
    assert size_loss(target, price, target) == 0.0
    above, below = size_loss(target + away, price, target), size_loss(target - away, price, target)
    assert above == pytest.approx(below, rel=1e-9)
    assert above > 0


def test_a_price_beyond_all_measure_is_finite():
    prices = np.array([1e30, 1e300, np.inf])
    np.testing.assert_array_equal(size_loss(np.array([0.0, 2.0, 4.0]), prices), [0.0, 2e30, 4e30])
    np.testing.assert_array_equal(size_loss(7.0, prices, 5.0), [4e30] * 3)


def test_a_loss_that_rounding_made_negative_is_nothing():
    np.testing.assert_array_equal(normalised(np.array([-1e-17, 0.0, 4.0])), [0.0, 0.0, 2.0])


# ------------------------------------------------------------------ the window
@given(size=SIZES)
def test_there_are_always_scouts(size):
    assert window_end(size, 10_000) >= size + SCOUTS


@given(size=SIZES)
def test_the_window_ends_where_a_block_does(size):
    assert window_end(size, 10_000) % BLOCK == 0


@given(size=SIZES, max_size=st.integers(0, 300))
def test_the_window_ends_at_max_size_at_the_latest(size, max_size):
    assert window_end(min(size, max_size), max_size) <= max_size


@given(size=SIZES, rise=st.floats(0, 50))
def test_the_window_never_ends_sooner_for_a_larger_size(size, rise):
    assert window_end(size + rise, 10_000) >= window_end(size, 10_000)


def test_the_window_is_a_quarter_of_the_size_and_four_neurons_more():
    # 0 + 4, 20 + 5 + 4 and 100 + 25 + 4, rounded up to eights
    assert [window_end(size, 512) for size in (0.0, 20.0, 100.0)] == [8, 32, 136]


# ------------------------------------------------------------------ the utility
def test_utility_is_the_loss_saved_per_neuron_of_the_window():
    assert utility(0.5, 0.3, 4.0, 8) == pytest.approx(0.05)


def test_a_window_of_half_a_neuron_has_a_utility():
    assert utility(0.5, 0.4, 7.5, 8) == pytest.approx(0.2)


def test_utility_at_max_size_is_zero():
    assert utility(0.5, 0.5, 16.0, 16) == 0.0


@given(size=SIZES, window=st.floats(1, 50), slope=st.floats(-1, 1))
def test_where_loss_is_linear_in_size_utility_is_its_slope(size, window, slope):
    end = size + window
    assert utility(-slope * size, -slope * end, size, end) == pytest.approx(slope, abs=1e-9)


# ------------------------------------------------------------------ the step in N
@given(size=SIZES, u=st.floats(-0.1, 0.2), price=PRICES, target=TARGETS)
def test_n_moves_against_the_gradient_of_the_objective(size, u, price, target):
    gradient = size_slope(size, price, target) - u
    assume(abs(gradient) > 1e-9 * price)
    change = next_size(size, u, price, target, **FREE) - size
    assert change * gradient <= 0.0
    at_a_bound = (size == 0.0 and gradient > 0) or (size >= 512 and gradient < 0)
    rounding = abs(gradient) < 1e-6 * price * max(size, 1.0)
    assert change != 0.0 or at_a_bound or rounding


@given(size=SIZES, price=PRICES, target=TARGETS)
def test_n_rests_exactly_where_the_gradient_is_zero(size, price, target):
    u = float(size_slope(size, price, target))
    assert next_size(size, u, price, target, **FREE) == pytest.approx(size, rel=1e-12, abs=1e-12)


@given(
    size=SIZES,
    u=st.floats(-1e3, 1e3),
    price=st.just(0.0) | PRICES,
    target=TARGETS,
    velocity=st.floats(0.001, 0.2),
    max_size=st.integers(300, 512),
)
def test_no_step_is_longer_than_its_bound(size, u, price, target, velocity, max_size):
    new = next_size(size, u, price, target, velocity, max_size)
    assert 0.0 <= new <= max_size
    reach = (size + SCOUTS) * np.expm1(velocity)
    assert abs(new - size) <= reach * (1 + 1e-9) + 1e-12


@pytest.mark.parametrize("target, expected", [(None, 9.0), (4.0, 9.0), (500.0, 11.0)])
def test_no_price_is_too_high(target, expected):
    moved = next_size(10.0, 0.01, sys.float_info.max, target, 0.1, 512)
    assert (moved - 10.0) * (expected - 10.0) > 0.0


def test_a_size_of_nothing_grows_when_neurons_are_worth_it():
    assert next_size(0.0, 1e-2, 1e-3, None, **FREE) > 0.1


def test_a_useless_neuron_shrinks_the_network_as_fast_as_it_may():
    shrunk = next_size(20.0, 0.0, 1e-3, None, **FREE)
    assert shrunk == next_size(20.0, -5.0, 1e-3, None, **FREE)
    assert shrunk == pytest.approx((20.0 + SCOUTS) * np.exp(-0.05) - SCOUTS)


def test_when_neurons_are_free_every_useful_one_is_let_in():
    assert next_size(20.0, 1e-12, 0.0, None, **FREE) > 20.0


@pytest.mark.parametrize("start", [0.0, 3.0, 100.0, 512.0])
@pytest.mark.parametrize("price", [1e-4, 1e-3])
def test_n_ends_where_a_falling_utility_meets_the_price(start, price):
    size = start
    for _ in range(2000):
        size = next_size(size, 0.05 / (1.0 + size), price, None, **FREE)
    assert size == pytest.approx(min(0.05 / price - 1.0, 512), rel=1e-3)


@pytest.mark.parametrize("target, new", [(20.8, 20.4), (19.0, 19.5), (90.0, 21.2)])
def test_with_a_target_and_no_data_n_goes_half_the_way_or_as_far_as_it_may(target, new):
    # at most 0.05 of 20 + 4, which is 1.2
    assert next_size(20.0, 0.0, 1e-3, target, **FREE) == pytest.approx(new)


@pytest.mark.parametrize("start", [0.0, 300.0])
def test_with_a_target_and_no_data_n_ends_at_the_target(start):
    size = start
    for _ in range(500):
        size = next_size(size, 0.0, 1e-3, 30.0, **FREE)
    assert size == pytest.approx(30.0, abs=1e-6)


def test_neurons_that_do_harm_go_even_if_they_are_free():
    assert next_size(20.0, -1e-3, 0.0, None, 0.03, 512) < 20.0
    assert next_size(20.0, 0.0, 0.0, None, 0.03, 512) == 20.0
