"""Networks of similar width train together, and nobody can tell."""

import numpy as np
import pytest

from sknimble._cohorts import by_width, cost


def price(width):
    """What a network costs here, as a share of what a group costs."""
    return width**2 / 1000.0


@pytest.mark.parametrize("widths", [[8], [8, 8, 8], [8, 200, 16, 184, 8], [512, 8, 8, 8, 504]])
def test_every_network_is_in_one_group(widths):
    groups = by_width(np.array(widths), price)
    assert sorted(np.concatenate(groups)) == list(range(len(widths)))


def test_equal_networks_stay_together():
    assert len(by_width(np.full(40, 16), price)) == 1


def test_a_wide_network_does_not_make_narrow_ones_pay():
    widths = np.array([512, 8, 8, 8, 8])
    groups = by_width(widths, price)
    assert [sorted(widths[group]) for group in groups] == [[512], [8, 8, 8, 8]]


def test_the_groups_cost_no_more_than_all_together():
    rng = np.random.default_rng(0)
    for _ in range(50):
        widths = 8 * rng.integers(1, 60, size=12)
        divided = [widths[group] for group in by_width(widths, price)]
        assert cost(divided, price) <= cost([widths], price)
