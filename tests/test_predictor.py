"""What answers is what has learned: fitted networks, in NumPy."""

import pickle

import numpy as np
import pytest
import scipy.sparse as sp
import torch

from sknimble import _predictor
from sknimble._losses import SquaredError, row_losses
from sknimble._network import ACTIVATIONS as LEARNERS
from sknimble._network import GrowableNetworks, forward
from sknimble._predictor import ACTIVATIONS, FittedNetwork, predict_batches, prefix_losses

every_activation = pytest.mark.parametrize("activation", sorted(ACTIVATIONS))
every_depth = pytest.mark.parametrize("depth", [1, 2, 3])


def make_learner(depth=2, size=11.0, dtype=torch.float64):
    """Return a network with random weights, as the average that is published."""
    learner = GrowableNetworks(4, 2, depth, [size], 40, [0], gain=1.0, dtype=dtype)
    generator = torch.Generator().manual_seed(1)
    for name in ("weights", "average"):
        generator.manual_seed(1)
        learner.flat[name].normal_(generator=generator)
    return learner


def publish(learner, n_hidden, activation="silu"):
    return FittedNetwork.from_state(learner.state(0)._replace(size=n_hidden), activation)


def draw_rows(n_rows=50, dtype=np.float64):
    return np.random.default_rng(2).normal(size=(n_rows, 3)).astype(dtype)


def learned(learner, X, size, activation="silu"):
    """Return the learner's raw output at a size."""
    rows = torch.tensor(np.hstack([X, np.ones((len(X), 1), X.dtype)]))
    return forward(learner.average, rows, learner.gates([size]), activation)[0][0].numpy().T


@pytest.mark.parametrize("size", [0, 1, 7, 11])
@every_activation
@every_depth
def test_a_fitted_network_answers_as_the_learner_does_at_its_size(depth, activation, size):
    learner, X = make_learner(depth), draw_rows()
    expected = learned(learner, X, float(size), activation)
    found = publish(learner, size, activation).raw(X)
    np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-12)


@every_activation
def test_in_single_precision_they_agree_in_single_precision(activation):
    learner, X = make_learner(2, dtype=torch.float32), draw_rows(dtype=np.float32)
    found = publish(learner, 11, activation).raw(X)
    assert found.dtype == np.float32
    expected = learned(learner, X, 11.0, activation)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)


@every_activation
def test_an_activation_is_that_of_the_learner(activation):
    z = np.linspace(-30, 30, 1001)
    expected = LEARNERS[activation][0](torch.tensor(z)).numpy()
    np.testing.assert_allclose(ACTIVATIONS[activation](z.copy()), expected, rtol=1e-12, atol=1e-12)


@every_activation
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_an_activation_does_not_overflow(activation, dtype):
    z = np.array([-1e4, -700.0, 700.0, 1e4], dtype=dtype)
    assert np.isfinite(ACTIVATIONS[activation](z)).all()


@pytest.mark.parametrize("k", [0, 1, 5, 11])
@every_depth
def test_truncated_a_network_is_its_first_neurons(depth, k):
    learner, X = make_learner(depth), draw_rows()
    truncated = publish(learner, 11).truncated(k)
    assert truncated.n_hidden == k
    np.testing.assert_allclose(
        truncated.raw(X), learned(learner, X, float(k)), rtol=1e-12, atol=1e-12
    )
    np.testing.assert_array_equal(truncated.raw(X), publish(learner, k).raw(X))


def test_truncation_leaves_the_original_whole():
    network, X = publish(make_learner(), 11), draw_rows()
    before = network.raw(X)
    network.truncated(3)
    np.testing.assert_array_equal(network.raw(X), before)


@every_depth
def test_truncated_beyond_its_neurons_a_network_stays_whole(depth):
    network, X = publish(make_learner(depth), 7), draw_rows()
    np.testing.assert_array_equal(network.truncated(8).raw(X), network.raw(X))


@pytest.mark.parametrize("depth", [2, 3])
def test_truncation_can_be_repeated(depth):
    network, X = publish(make_learner(depth), 11), draw_rows()
    twice, once = network.truncated(7).truncated(4), network.truncated(4)
    np.testing.assert_array_equal(twice.raw(X), once.raw(X))


@pytest.mark.parametrize(
    ("depth", "k", "n"),
    [
        (1, 0, 2 * 4),
        (1, 5, 2 * 4 + 5 * 4 + 2 * 5),
        (3, 5, 2 * 4 + 5 * 4 + 2 * 5 * 6 + 2 * 5),
    ],
)
def test_parameters_are_counted_once_each(depth, k, n):
    assert publish(make_learner(depth), k).n_parameters == n


def test_a_sparse_table_gives_what_the_dense_one_does():
    network, X = publish(make_learner(), 11), draw_rows()
    X[X < 0.5] = 0.0
    np.testing.assert_allclose(network.raw(sp.csr_array(X)), network.raw(X), rtol=1e-12)


def test_predicting_leaves_the_table_alone():
    network, X = publish(make_learner(), 11), draw_rows()
    before = X.copy()
    network.raw(X)
    np.testing.assert_array_equal(X, before)


@pytest.mark.parametrize("cells", [1, 60, 10_000])
@pytest.mark.parametrize("make", [np.asarray, sp.csr_array])
def test_batches_of_rows_give_what_all_rows_give(monkeypatch, make, cells):
    learner, X = make_learner(), draw_rows()
    networks = [publish(learner, 11), publish(learner, 4)]
    monkeypatch.setattr(_predictor, "_BATCH_CELLS", cells)
    rows = make(X)
    found = predict_batches(
        networks, len(X), lambda cut: rows[cut], lambda raws: np.mean(raws, axis=0)
    )
    expected = (networks[0].raw(X) + networks[1].raw(X)) / 2
    np.testing.assert_allclose(found, expected, rtol=1e-12)


@pytest.mark.parametrize("cells", [1, 60, 10_000])
@pytest.mark.parametrize("size", [0, 11])
def test_losses_of_batches_of_rows_are_those_of_all_rows(monkeypatch, size, cells):
    network, X = publish(make_learner(), size), draw_rows()
    target, weight = np.random.default_rng(3).normal(size=(50, 2)), np.linspace(0.0, 1.0, 50)
    loss = SquaredError().fit(target, weight)
    monkeypatch.setattr(_predictor, "_BATCH_CELLS", cells)
    found = prefix_losses(network, X, target, weight, loss)
    raws = [network.truncated(n).raw(X) for n in range(size + 1)]
    expected = [np.average(row_losses(loss, raw, target), weights=weight) for raw in raws]
    np.testing.assert_allclose(found, expected, rtol=1e-12)


def test_a_pickled_network_answers_the_same():
    network, X = publish(make_learner(), 11), draw_rows()
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(network)).raw(X), network.raw(X))


def test_a_batch_of_sparse_rows_is_bounded_by_their_numbers():
    network = FittedNetwork(np.zeros((1, 100_001)), np.zeros((0, 100_001)), [], np.zeros((1, 0)),
                            "relu")  # fmt: skip
    batches = []

    def read_rows(rows):
        batches.append(rows.stop - rows.start)
        return sp.csr_matrix((1000, 100_000))[rows]

    for n_inputs, n_batches in ((None, 200), (50, 1)):
        batches.clear()
        found = predict_batches([network], 1000, read_rows, lambda raws: raws[0], n_inputs)
        assert found.shape == (1000, 1)
        assert len(batches) == n_batches


def test_a_batch_of_rows_is_bounded_by_their_predictions():
    network = FittedNetwork(np.zeros((100_001, 2)), np.zeros((0, 2)), [], np.zeros((100_001, 0)),
                            "relu")  # fmt: skip
    batches = []

    def combine(raws):
        batches.append(len(raws[0]))
        return raws[0][:, 0]

    predict_batches([network], 10, lambda rows: np.zeros((10, 1))[rows], combine)
    assert batches == [5, 5]
