"""Every network meets its own rows, all of them once a pass, as if it were alone."""

import numpy as np
import pytest
import scipy.sparse as sp
import torch

from sknimble import _batches
from sknimble._batches import Batches, Rows, side_by_side

N, D = 60, 3
every_slab = pytest.mark.parametrize("slab", [16384, 20])


def make_rows(weight=None, n_groups=None, sparse=False):
    """Return rows whose first input is their number; with targets of each group if there are G."""
    rng = np.random.default_rng(0)
    X = np.column_stack([np.arange(1.0, N + 1), rng.normal(size=(N, D - 2)), np.ones(N)])
    target = rng.normal(size=(N, 1) if n_groups is None else (n_groups, N, 1))
    weight = None if weight is None else torch.tensor(weight)
    return Rows(sp.csr_array(X) if sparse else torch.tensor(X), torch.tensor(target), weight)


def folds(k):
    """Return weights of groups that each lack every k-th row."""
    return (np.arange(N) % k != np.arange(k)[:, None]).astype(float)


def batches_of(rows, batch_size, scale, group=None):
    """Return the batches of networks in groups of their own, or in the given ones."""
    if group is None:
        group = np.arange(len(scale)) if rows.weight is not None else np.zeros(len(scale), int)
    return Batches(rows, np.atleast_2d(group), batch_size, np.asarray(scale))


def one_pass(*arguments, seed=0):
    return list(batches_of(*arguments).epoch(np.random.RandomState(seed)))


def X_of(batch, member):
    """Return the rows that a network meets in a batch, whatever the form of the batch."""
    if isinstance(batch.X, list):
        (X,) = (X for networks, X in batch.X if networks.start <= member < networks.stop)
        return X
    return batch.X if batch.X.dim() == 2 else batch.X[member]


def met(batches, member):
    """Return the numbers and weights of the rows a network meets, batch by batch."""
    found = []
    for batch in batches:
        X = X_of(batch, member)
        here = batch.weight[member] > 0
        found.append((X[here, 0].numpy() - 1, batch.weight[member][here].numpy()))
    return found


@every_slab
@pytest.mark.parametrize("batch_size", [N, 16, 7, 1])
@pytest.mark.parametrize("k", [1, 2, 4])
def test_a_pass_meets_every_row_of_a_network_once(monkeypatch, slab, batch_size, k):
    monkeypatch.setattr(_batches, "SLAB_ROWS", slab)
    weight = folds(k) if k > 1 else None
    batches = one_pass(make_rows(weight), batch_size, np.ones(k))
    for member in range(k):
        found = met(batches, member)
        own = np.arange(N) if k == 1 else np.flatnonzero(weight[member])
        np.testing.assert_array_equal(np.sort(np.concatenate([row for row, _ in found])), own)
        lengths = [len(row) for row, _ in found]
        assert max(lengths) <= batch_size
        assert max(lengths) - min(lengths) <= 1


@every_slab
@pytest.mark.parametrize("batch_size", [N, 13])
@pytest.mark.parametrize("sparse", [False, True])
def test_a_network_meets_what_it_would_meet_alone(monkeypatch, slab, batch_size, sparse):
    monkeypatch.setattr(_batches, "SLAB_ROWS", slab)
    weight = folds(3) * np.random.default_rng(1).exponential(size=(3, N))
    scale = np.array([0.5, 1.0, 2.0])
    together = one_pass(make_rows(weight, sparse=sparse), batch_size, scale)
    for member in range(3):
        alone = one_pass(make_rows(weight[[member]]), batch_size, scale[[member]])
        for found, expected in zip(met(together, member), met(alone, 0), strict=True):
            np.testing.assert_array_equal(found[0], expected[0])
            np.testing.assert_allclose(found[1], expected[1], rtol=1e-12)


def test_fewer_rows_are_padded_with_rows_of_no_weight():
    weight = np.ones((2, N))
    weight[1, 10:] = 0.0
    batches = one_pass(make_rows(weight), 20, np.ones(2))
    assert {batch.X.shape for batch in batches} == {(2, 20, D)}
    assert [len(row) for row, _ in met(batches, 1)] == [3, 3, 4]


def test_networks_with_the_same_rows_share_one_batch():
    rows = make_rows(folds(4)[:1])
    batches = one_pass(rows, 16, np.ones(3), [0, 0, 0])
    assert all(batch.X.stride(0) == 0 and len(batch.X) == 3 for batch in batches)


@pytest.mark.parametrize("n_groups", [None, 3])
@pytest.mark.parametrize("group", [[0, 0, 1, 2, 2], [2, 0, 1, 0, 2]], ids=["in order", "mixed"])
@pytest.mark.parametrize("batch_size", [N, 16])
@pytest.mark.parametrize("sparse", [False, True])
@pytest.mark.parametrize("copied_cells", [0, 10**9])
def test_networks_of_one_group_meet_the_same_rows(
    monkeypatch, copied_cells, n_groups, group, batch_size, sparse
):
    monkeypatch.setattr(_batches, "COPIED_CELLS", copied_cells)
    weight = folds(3) * np.random.default_rng(1).exponential(size=(3, N))
    rows = make_rows(weight, n_groups, sparse)
    each = one_pass(rows, batch_size, np.ones(3))
    together = one_pass(rows, batch_size, np.arange(1.0, 6.0), group)
    for member, number in enumerate(group):
        for found, expected in zip(met(together, member), met(each, number), strict=True):
            np.testing.assert_array_equal(found[0], expected[0])
            np.testing.assert_allclose(found[1], (member + 1.0) * expected[1], rtol=1e-12)
        for batch, other in zip(together, each, strict=True):
            torch.testing.assert_close(batch.target[member], other.target[number])


def test_groups_in_order_are_gathered_once(monkeypatch):
    monkeypatch.setattr(_batches, "COPIED_CELLS", 0)
    batch = one_pass(make_rows(folds(2)), 16, np.ones(4), [0, 0, 0, 1])[0]
    assert [networks for networks, _ in batch.X] == [slice(0, 3), slice(3, 4)]


@pytest.mark.parametrize("copied_cells", [0, 10**9])
@pytest.mark.parametrize("batch_size", [N, 16])
def test_a_network_that_finishes_meets_all_its_rows_in_as_many_batches(
    monkeypatch, batch_size, copied_cells
):
    monkeypatch.setattr(_batches, "COPIED_CELLS", copied_cells)
    rows = make_rows(np.concatenate([folds(3), np.ones((1, N))]))
    batches = batches_of(rows, batch_size, np.ones(3), [[0, 1, 2], [3, 3, 3]])
    before = list(batches.epoch(np.random.RandomState(0)))
    for finishing in ([True, False, True], [True] * 3):
        some = batches.of(np.arange(3), np.array(finishing))
        after = list(some.epoch(np.random.RandomState(0)))
        assert len(after) == batches.n_batches
        for member, done in enumerate(finishing):
            found = [np.concatenate([n for n, _ in met(part, member)]) for part in (after, before)]
            expected = np.arange(N) if done else np.sort(found[1])
            np.testing.assert_array_equal(np.sort(found[0]), expected)


def test_rows_to_finish_on_do_not_make_batches_smaller_before():
    rows = make_rows(np.concatenate([folds(3), np.ones((1, N))]))  # 40 rows each, and all 60
    batches = batches_of(rows, 20, np.ones(3), [[0, 1, 2], [3, 3, 3]])
    assert batches.n_batches == 2
    for batch in batches.epoch(np.random.RandomState(0)):
        assert (batch.weight > 0).sum(dim=1).tolist() == [20, 20, 20]


def test_weights_average_over_the_rows_of_a_batch():
    for weight in (None, folds(3)[:2], 3.0 * folds(2)):
        for batch_size in (N, 16):
            for batch in one_pass(make_rows(weight), batch_size, np.array([1.0, 5.0])):
                np.testing.assert_allclose(batch.weight.sum(dim=1), [1.0, 5.0], rtol=1e-12)
    uneven = 3.0 * np.random.default_rng(0).exponential(size=(2, N))
    (batch,) = one_pass(make_rows(uneven), N, np.array([1.0, 5.0]))
    np.testing.assert_allclose(batch.weight.sum(dim=1), [1.0, 5.0], rtol=1e-12)


def test_held_out_rows_side_by_side_are_averaged_as_they_are_apart():
    rows, weight = make_rows(), torch.tensor([[0.5, 1.0, 1.5, 1.0]], dtype=torch.float64)
    long, short = rows.slice(0, 10), Rows(rows.X[10:14], rows.target[10:14], weight)
    ((networks, together),) = side_by_side([(np.array([2, 0]), long), (np.array([1]), short)])
    assert networks.tolist() == [0, 1, 2]
    for network, alone in enumerate((long, short, long)):
        found = together.averaging(np.ones(3))[network]
        expected = alone.averaging(np.ones(1))[0]
        torch.testing.assert_close(found @ together.X[network], expected @ alone.X)
        torch.testing.assert_close(found @ together.target[network], expected @ alone.target)
    assert (together.X[..., 0] > 0).all()  # padding is a copy of a row, whose target is valid


@pytest.mark.parametrize("batch_size", [N, 16])
def test_a_row_of_weight_two_weighs_twice_as_much(batch_size):
    weight = 1.0 + np.arange(N) % 2 * np.ones((1, N))
    found = met(one_pass(make_rows(weight), batch_size, np.ones(1)), 0)
    rows, weights = (np.concatenate(parts) for parts in zip(*found))
    assert weights[rows % 2 == 1].min() == pytest.approx(2 * weights[rows % 2 == 0].max(), rel=0.1)


@pytest.mark.parametrize("batch_size", [N, 16])
def test_targets_of_its_own_stay_with_the_rows_of_a_network(batch_size):
    rows = make_rows(folds(3), n_groups=3)
    for batch in one_pass(rows, batch_size, np.ones(3)):
        for member in range(3):
            number = X_of(batch, member)[:, 0].long() - 1
            torch.testing.assert_close(batch.target[member], rows.target[member, number])


def test_rows_are_shuffled_anew_every_pass():
    batches, rng = batches_of(make_rows(), 16, np.ones(1)), np.random.RandomState(0)
    first, second = (next(batches.epoch(rng)).X for _ in range(2))
    assert not torch.equal(first, second)


def test_all_rows_at_once_draw_no_random_number():
    rng = np.random.RandomState(3)
    list(batches_of(make_rows(folds(2)), N, np.ones(2)).epoch(rng))
    assert rng.randint(10**9) == np.random.RandomState(3).randint(10**9)


@pytest.mark.parametrize("batch_size", [N, 16])
@pytest.mark.parametrize("kept", [[1], [0, 2]])
def test_networks_kept_meet_what_they_met(batch_size, kept):
    rows, scale = make_rows(folds(3), n_groups=3), np.array([1.0, 2.0, 3.0])
    before = one_pass(rows, batch_size, scale)
    batches = batches_of(rows, batch_size, scale).of(
        np.array(kept), np.zeros(len(kept), dtype=bool)
    )
    after = list(batches.epoch(np.random.RandomState(0)))
    for position, member in enumerate(kept):
        for found, expected in zip(met(after, position), met(before, member), strict=True):
            np.testing.assert_array_equal(found[0], expected[0])
            np.testing.assert_allclose(found[1], expected[1], rtol=1e-12)


def test_a_sparse_table_is_made_dense_batch_by_batch():
    for weight in (None, folds(3)):
        k = 1 if weight is None else 3
        dense, sparse = (
            one_pass(make_rows(weight, sparse=sparse), 16, np.ones(k)) for sparse in (False, True)
        )
        for one, other in zip(dense, sparse, strict=True):
            for member in range(k):
                torch.testing.assert_close(X_of(one, member), X_of(other, member))


@pytest.mark.parametrize("n_groups", [None, 3])
@pytest.mark.parametrize("group", [[0, 0, 1, 2, 2], [2, 0, 1, 0, 2]], ids=["in order", "mixed"])
def test_very_sparse_rows_stay_so(monkeypatch, group, n_groups):
    weight, scale = folds(3) * np.random.default_rng(1).exponential(size=(3, N)), np.ones(5)
    dense = one_pass(make_rows(weight, n_groups), 16, scale, group)
    monkeypatch.setattr(_batches, "SPARSE_SHARE", 2.0)
    sparse = one_pass(make_rows(weight, n_groups, sparse=True), 16, scale, group)
    for one, other in zip(dense, sparse, strict=True):
        torch.testing.assert_close(one.target, other.target)
        torch.testing.assert_close(one.weight, other.weight)
        for member in range(5):
            X = X_of(other, member)
            assert sp.issparse(X)
            np.testing.assert_array_equal(X.toarray(), X_of(one, member))
