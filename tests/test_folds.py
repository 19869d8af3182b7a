"""Which rows train and which judge: shares of classes, no class lost, clear errors."""

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given
from hypothesis import strategies as st

from sknimble._folds import held_out_masks, merge_equal_rows


def classes(*counts):
    return np.repeat(np.arange(len(counts)), counts)


# ------------------------------------------------------------------ held-out rows
@given(n_rows=st.integers(20, 300), fraction=st.floats(0.05, 0.9), seed=st.integers(0, 99))
def test_one_network_holds_out_the_fraction_asked_for(n_rows, fraction, seed):
    (mask,) = held_out_masks(n_rows, None, 1, fraction, seed)
    assert abs(mask.sum() - fraction * n_rows) <= 1


@pytest.mark.parametrize("fraction", [0.1, 0.15, 0.5, 0.8])
def test_several_networks_each_hold_out_the_fraction_asked_for(fraction):
    masks = held_out_masks(200, None, 4, fraction, 0)
    np.testing.assert_allclose(masks.mean(axis=1), fraction, atol=0.01)


@pytest.mark.parametrize("n_estimators, fraction", [(5, 0.2), (2, 0.5)])
def test_several_networks_hold_out_different_rows_until_all_have_been(n_estimators, fraction):
    masks = held_out_masks(100, None, n_estimators, fraction, 0)
    np.testing.assert_array_equal(masks.sum(axis=0), 1)


def test_more_networks_than_folds_use_folds_again():
    masks = held_out_masks(100, None, 7, 0.2, 0)
    np.testing.assert_array_equal(masks[5:], masks[:2])


@pytest.mark.parametrize("n_estimators", [1, 4])
def test_a_held_out_part_keeps_the_shares_of_the_classes(n_estimators):
    strata = classes(100, 60, 40)
    for mask in held_out_masks(200, strata, n_estimators, 0.2, 0):
        np.testing.assert_array_equal(np.bincount(strata[mask]), [20, 12, 8])
    for mask in held_out_masks(100, classes(5, 95), n_estimators, 0.2, 0):
        assert mask[:5].sum() == 1  # one row in every part is enough for a class


@given(
    counts=st.lists(st.integers(1, 12), min_size=2, max_size=6).filter(lambda c: max(c) > 1),
    n_estimators=st.integers(1, 8),
    fraction=st.floats(0.05, 0.5),
    seed=st.integers(0, 99),
)
def test_no_class_is_held_out_whole(counts, n_estimators, fraction, seed):
    strata = classes(*counts)
    try:
        masks = held_out_masks(len(strata), strata, n_estimators, fraction, seed)
    except ValueError as error:
        assert "validation_fraction" in str(error)
        return
    for mask in masks:
        assert set(strata[~mask]) == set(strata)


def test_where_every_class_has_a_single_row_nothing_is_held_out():
    assert not held_out_masks(4, classes(1, 1, 1, 1), 2, 0.5, 0).any()


@pytest.mark.parametrize("n_estimators", [1, 3])
@pytest.mark.parametrize("n_rows", [2, 3, 4, 6])
def test_a_handful_of_rows_can_be_split(n_rows, n_estimators):
    for mask in held_out_masks(n_rows, None, n_estimators, 0.15, 0):
        assert 0 < mask.sum() < n_rows


def test_the_split_depends_on_the_seed_and_on_nothing_else():
    state = np.random.get_state()[1].copy()  # noqa: NPY002
    one, again, other = (held_out_masks(50, None, 1, 0.2, seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(one, again)
    assert (one != other).any()
    np.testing.assert_array_equal(np.random.get_state()[1], state)  # noqa: NPY002


@pytest.mark.parametrize(
    ("n_rows", "strata", "fraction"),
    [
        (1, None, 0.15),
        (10, None, 0.99),
        (10, classes(5, 5), 0.9),
        (30, classes(*[3] * 10), 0.9),
    ],
)
@pytest.mark.parametrize("n_estimators", [1, 4])
def test_a_fraction_that_leaves_a_side_or_a_class_empty_is_named(
    n_rows, strata, fraction, n_estimators
):
    with pytest.raises(ValueError, match=f"fraction={fraction} of {n_rows} distinct rows"):
        held_out_masks(n_rows, strata, n_estimators, fraction, 0)


# ------------------------------------------------------------------ equal rows
def table(n_rows=20, seed=0):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(n_rows, 3)), rng.normal(size=(n_rows, 2))


@given(weight=st.lists(st.integers(1, 4), min_size=20, max_size=20), seed=st.integers(0, 99))
def test_a_row_of_weight_two_is_two_rows_to_the_last_bit(weight, seed):
    X, target = table()
    weight = np.array(weight)
    order = np.random.default_rng(seed).permutation(np.repeat(np.arange(20), weight))
    weighted = merge_equal_rows(X, target, weight.astype(float))
    repeated = merge_equal_rows(X[order], target[order], np.ones(len(order)))
    for one, other in zip(weighted, repeated, strict=True):
        np.testing.assert_array_equal(one, other)


def test_rows_that_differ_stay_apart():
    X, target = table()
    merged = merge_equal_rows(X, target, np.ones(20))
    assert len(merged[0]) == 20
    order = np.lexsort(X.T[::-1])
    np.testing.assert_array_equal(merged[0], X[order])
    np.testing.assert_array_equal(merged[1], target[order])


def test_rows_of_different_targets_stay_apart():
    X, target = np.zeros((4, 2)), np.array([[0.0], [1.0], [0.0], [1.0]])
    X, target, weight = merge_equal_rows(X, target, np.array([1.0, 2.0, 3.0, 4.0]))
    np.testing.assert_array_equal(target, [[0.0], [1.0]])
    np.testing.assert_array_equal(weight, [4.0, 6.0])


def test_a_sparse_table_stays_sparse():
    X, target = table(6)
    X[X < 0.5] = 0.0
    twice = np.tile(np.arange(6), 2)
    dense = merge_equal_rows(X[twice], target[twice], np.ones(12))
    sparse = merge_equal_rows(sp.csr_array(X[twice]), target[twice], np.ones(12))
    assert sp.issparse(sparse[0])
    np.testing.assert_array_equal(sparse[0].toarray(), dense[0])
    np.testing.assert_array_equal(sparse[2], dense[2])
