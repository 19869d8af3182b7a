"""Networks divided by width train as they would together."""

import numpy as np
import pytest
from test_training import assert_same_state, folds, start, waves

from sknimble import _cohorts
from sknimble._cohorts import Cohorts, by_width, cost, work


def work_of_width(unit):
    return lambda width: unit * width**2


# ------------------------------------------------------------------ groups
@pytest.mark.parametrize("unit", [0.0, 1e-4, 1e-2])
def test_every_network_is_in_one_group(unit):
    widths = np.array([16, 120, 8, 16, 64, 72])
    groups = by_width(widths, work_of_width(unit))
    np.testing.assert_array_equal(np.sort(np.concatenate(groups)), np.arange(6))


def test_equal_widths_stay_together():
    assert len(by_width(np.full(40, 200), work_of_width(1.0))) == 1


def test_widths_far_apart_are_divided_when_padding_costs_more_than_a_group():
    widths = np.array([16, 128, 16, 120])
    assert len(by_width(widths, work_of_width(1e-7))) == 1
    assert [sorted(g) for g in by_width(widths, work_of_width(1e-4))] == [[1, 3], [0, 2]]


def test_dividing_never_costs_more_than_padding_all():
    rng = np.random.default_rng(0)
    for unit in (1e-5, 1e-4, 1e-3):
        widths = 8 * rng.integers(1, 20, 40)
        groups = [widths[group] for group in by_width(widths, work_of_width(unit))]
        assert cost(groups, work_of_width(unit)) <= cost([widths], work_of_width(unit))


# ------------------------------------------------------------------ work
def work_at(width, depth, batch_size=160):
    return work(start(waves(160), depth=depth, batch_size=batch_size))(width)


def test_half_the_rows_a_step_are_half_the_work():
    assert work_at(64, 2, 160) == pytest.approx(2 * work_at(64, 2, 80))


def test_the_products_between_layers_grow_with_the_square_of_the_width():
    # 160 rows times 64 * 64 or 128 * 128, as a share of 3 million
    for width in (64, 128):
        one, two, three = (work_at(width, depth) for depth in (1, 2, 3))
        assert two - one == pytest.approx(160 * width**2 / 3e6)
        assert three - two == pytest.approx(two - one)
    assert work_at(128, 1) == pytest.approx(2 * work_at(64, 1))


# ------------------------------------------------------------------ the same training
SIZES = (40.0, 6.0, 24.0, 0.0)


def converging(**more):
    """Return a training whose networks begin at different widths and end at similar ones."""
    return start(
        waves(160), sizes=SIZES, size_penalty=2e-3, held_out=folds(4, 160), max_iter=60,
        batch_size=40, tol=0.05, **more,
    )  # fmt: skip


def run(trained):
    """Return the records of every network of a training or of cohorts."""
    history = [[] for _ in SIZES]
    for records in trained.epochs():
        for member, record in records.items():
            history[member].append(record)
    return history


@pytest.mark.parametrize("depth", [1, 2])
def test_divided_and_joined_networks_train_as_they_would_together(monkeypatch, depth):
    monkeypatch.setattr(_cohorts, "OVERHEAD", 2e4)
    together, divided = converging(depth=depth), converging(depth=depth)
    expected, cohorts, n_parts = run(together), Cohorts(divided), []
    found = [[] for _ in SIZES]
    for epoch, records in enumerate(cohorts.epochs()):
        n_parts.append(len(cohorts._parts))
        for member, record in records.items():
            found[member].append(record)
        if epoch == 25:
            monkeypatch.setattr(cohorts, "_work", lambda width: 0.0)
    assert n_parts[24] > 1
    assert n_parts[28] == 1
    for one, other in zip(found, expected, strict=True):
        for name in ("size", "data_loss", "validation_loss", "utility"):
            np.testing.assert_allclose(
                [getattr(record, name) for record in one],
                [getattr(record, name) for record in other],
                rtol=1e-9, atol=1e-12,
            )  # fmt: skip
    for member in range(4):
        assert_same_state(divided.results[member], together.results[member], 1e-8)


@pytest.mark.parametrize("unit, n_parts", [(0.05, 1), (1.0, 2)])
def test_networks_are_divided_only_if_that_saves_a_good_part(unit, n_parts):
    # Of 56, 56, 56 and 8 neurons: 1 + 224 units together, 2 + 176 units apart. That is 12.2 and
    # 10.8, 11 % less, of a unit of 0.05; and 225 and 178, 21 % less, of 1.
    cohorts = Cohorts(start(waves(160), sizes=(40.0, 40.0, 40.0, 0.0)))
    assert cohorts._parts[0].networks.end.tolist() == [56, 56, 56, 8]
    cohorts._work = lambda width: unit * width
    epochs = cohorts.epochs()
    next(epochs)
    next(epochs)
    assert len(cohorts._parts) == n_parts


def test_records_come_in_the_order_of_networks(monkeypatch):
    monkeypatch.setattr(_cohorts, "OVERHEAD", 1e2)
    for records in Cohorts(converging()).epochs():
        assert list(records) == sorted(records)


def test_a_limit_on_any_network_is_reported():
    training = converging()
    training.schedule.limit[:] = 3 * training.batches.n_batches
    cohorts = Cohorts(training)
    assert not cohorts.limited
    run(cohorts)
    assert cohorts.limited


def test_an_accelerator_keeps_all_together():
    training = converging()
    training.networks.options["device"] = "cuda"
    assert work(training)(500) == 0.0
