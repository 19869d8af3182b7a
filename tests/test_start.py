"""From encoded rows to networks that are ready: tensors, shares of rows, the linear start."""

import warnings

import numpy as np
import pytest
import scipy.sparse as sp
import test_training
import torch
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import Ridge

from sknimble import NimbleRegressor, _start, nimble_path
from sknimble._calibration import DOUBT, SMOOTHING
from sknimble._losses import BinaryCrossEntropy, CrossEntropy, SquaredError
from sknimble._network import forward
from sknimble._optimizer import MOST_DECAY, weight_decay_of
from sknimble._predictor import FittedNetwork
from sknimble._start import Data, check_memory, make_rows, start_linear
from sknimble._tables import TableEncoder


def draw_table(n_rows=60, dtype=np.float64):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(n_rows, 3)).astype(dtype)
    y = X @ [1.0, -2.0, 0.5] + np.sin(3 * X[:, 0]) + 0.1 * rng.normal(size=n_rows)
    return X, y[:, None]


def start(X, y, **more):
    """Start networks on a squared error with everything ordinary that is not given."""
    return test_training.start((X, y), **{"learning_rate": 5e-3, "max_iter": 50} | more)


def targets_of(training, y):
    """Return the targets as they are learnt: in single precision."""
    return training.loss.encode(y).astype(np.float32).astype(np.float64)


# ------------------------------------------------------------------ rows
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_rows_get_a_column_of_ones_and_keep_their_dtype(dtype):
    X, y = draw_table(dtype=dtype)
    rows = make_rows(X, y, np.ones((1, len(y))), "cpu")
    np.testing.assert_array_equal(rows.X[:, :-1], X)
    assert (rows.X[:, -1] == 1.0).all()
    assert rows.X.dtype == rows.target.dtype == torch.as_tensor(X).dtype


def test_equal_weights_are_no_weights():
    X, y = draw_table()
    assert make_rows(X, y, np.full((2, len(y)), 3.0), "cpu").weight is None


def test_weights_of_the_rows_that_judge_have_mean_one():
    X, y = draw_table()
    weight = np.random.default_rng(0).exponential(size=(2, len(y)))
    held_out = np.arange(len(y)) % 4 == np.array([[0], [1]])
    training = start(X, y, weight=weight, held_out=held_out, sizes=(5.0, 5.0))
    for member, (_, rows) in enumerate(training.held_out_rows):
        own = weight[member, held_out[member]]
        np.testing.assert_allclose(rows.weight[0], own / own.mean())


def test_rows_that_no_network_weighs_are_left_out():
    X, y = draw_table(6)
    weight = np.array([[1, 0, 2, 0, 0, 1], [1, 0, 0, 0, 1, 1.0]])
    rows = make_rows(X, y, weight, "cpu")
    np.testing.assert_array_equal(rows.X[:, :-1], X[[0, 2, 4, 5]])
    assert rows.weight.shape == (2, 4)


def test_a_sparse_table_becomes_dense_only_batch_by_batch():
    X, y = draw_table()
    X[X < 0.7] = 0.0
    sparse = make_rows(sp.csr_array(X), y, np.ones((1, len(y))), "cpu")
    assert sp.issparse(sparse.X)
    dense = make_rows(X, y, np.ones((1, len(y))), "cpu")
    assert torch.equal(sparse.ready().X, dense.X)


def test_the_table_is_left_alone():
    X, y = draw_table()
    before = X.copy(), y.copy()
    for _ in start(X, y, max_iter=5).epochs():
        pass
    np.testing.assert_array_equal(X, before[0])
    np.testing.assert_array_equal(y, before[1])


# ------------------------------------------------------------------ held-out rows
def test_networks_that_hold_out_the_same_rows_share_them():
    X, y = draw_table()
    held_out = np.zeros((3, len(y)), dtype=bool)
    held_out[0, :10] = held_out[2, :10] = held_out[1, 10:30] = True
    weight = np.ones((3, len(y)))
    parts = _start._held_out_parts(Data(X, y, weight, np.arange(3)), held_out, None, "cpu")
    found = {tuple(members.tolist()): len(rows) for members, rows in parts}
    assert found == {(0, 2): 10, (1,): 20}
    ((members, rows),) = start(X, y, held_out=held_out, sizes=(5.0, 5.0, 5.0)).held_out_rows
    kept = (rows.weight > 0).sum(dim=1).tolist()
    assert dict(zip(members.tolist(), kept, strict=True)) == {0: 10, 1: 20, 2: 10}


@pytest.mark.parametrize("explicit", [False, True])
def test_labels_that_train_and_labels_that_judge_are_smoothed_apart(explicit):
    X, _ = draw_table()
    y = (np.arange(60) % 3 == 0).astype(float)[:, None]  # a third
    rows = {"held_out": (np.arange(60) < 18)[None]}
    if explicit:
        rows = {"validation": (X[:18], y[:18], np.ones(18))}
    training = start(X, y, loss=BinaryCrossEntropy().fit(y, np.ones(60)), **rows)
    ((_, held_out),) = training.held_out_rows
    for found, share in ((training.batches.rows.target, SMOOTHING), (held_out.target, DOUBT / 20)):
        np.testing.assert_allclose(np.unique(found), [share / 3, 1.0 - share * 2 / 3], rtol=1e-6)
    assert set(y.ravel()) == {0.0, 1.0}


def test_weights_that_differ_count_as_so_many_equal_ones():
    X, _ = draw_table()
    y = (np.arange(60) % 3 == 0).astype(float)[:, None]
    weight = np.where(np.arange(18) < 9, 1.0, 1e-9)
    training = start(
        X, y, loss=BinaryCrossEntropy().fit(y, np.ones(60)), validation=(X[:18], y[:18], weight)
    )
    ((_, held_out),) = training.held_out_rows
    np.testing.assert_allclose(held_out.target.min(), DOUBT / 11 / 3, rtol=1e-6)


@pytest.mark.parametrize("seed", range(20))
def test_a_label_that_all_rows_bear_has_a_share_of_no_more_than_all(seed):
    # Of every second such weights the sum, rounded, is larger by column than at once.
    y = np.stack([np.ones(2000), np.arange(2000) % 2.0], axis=1)
    weight = np.random.default_rng(seed).exponential(size=(1, 2000))
    ((always, half),) = _start._class_shares(Data(None, y, weight, np.zeros(1, dtype=int)))
    assert always <= 1.0
    assert always == pytest.approx(1.0, abs=1e-12)
    assert half == pytest.approx(np.average(y[:, 1], weights=weight[0]))


def test_numbers_are_not_smoothed():
    X, y = draw_table()
    training = start(X, y, held_out=(np.arange(60) < 18)[None])
    np.testing.assert_array_equal(training.batches.rows.target, targets_of(training, y))


def test_held_out_rows_do_not_train():
    X, y = draw_table()
    held_out = np.zeros((2, len(y)), dtype=bool)
    held_out[0, :10] = held_out[1, 5:15] = True
    batches = start(X, y, held_out=held_out, sizes=(5.0, 5.0), anneal=False).batches
    assert len(batches.rows) == len(y) - 5  # those that both hold out are not even kept
    assert [len(rows) for rows in batches.own] == [len(y) - 10] * 2
    batches = start(X, y, held_out=held_out, sizes=(5.0, 5.0)).batches
    assert [len(batches.own[group]) for group in batches.groups[batches.slot]] == [len(y) - 10] * 2


def test_explicit_validation_rows_judge_every_network():
    X, y = draw_table()
    validation = X[:7], y[:7], np.ones(7)
    training = start(X, y, validation=validation, sizes=(5.0, 5.0))
    ((members, rows),) = training.held_out_rows
    assert members.tolist() == [0, 1]
    assert len(rows) == 7
    assert len(training.batches.rows) == len(y)


def test_some_networks_may_hold_out_nothing():
    X, y = draw_table()
    held_out = np.zeros((2, len(y)), dtype=bool)
    held_out[1, :10] = True
    training = start(X, y, held_out=held_out, sizes=(5.0, 5.0))
    assert [members.tolist() for members, _ in training.held_out_rows] == [[1]]
    assert training.schedule.watched.tolist() == [False, True]


def test_with_nothing_held_out_nobody_judges():
    assert start(*draw_table()).held_out_rows == []


# ------------------------------------------------------------------ the linear start
@pytest.mark.parametrize("depth", [1, 2, 3])
def test_before_training_a_network_is_the_linear_model(depth):
    X, y = draw_table()
    training = start(X, y, depth=depth, sizes=(20.0,))
    rows, networks = training.batches.rows, training.networks
    raw = forward(networks.weights, rows.X, networks.gates(networks.size), "silu")[0][0, 0]
    coef, intercept = training.loss.fit_linear(X.copy(), targets_of(training, y), np.ones(len(y)))
    np.testing.assert_allclose(raw, X @ np.ravel(coef) + intercept, rtol=1e-12, atol=1e-12)


def test_every_network_starts_at_the_linear_model_of_its_own_rows():
    X, y = draw_table()
    held_out = np.zeros((2, len(y)), dtype=bool)
    held_out[1, :30] = True
    training = start(X, y, held_out=held_out, sizes=(5.0, 5.0))
    target = targets_of(training, y)
    for linear, rows in zip(training.networks.weights.linear, ~held_out):
        coef, intercept = training.loss.fit_linear(X[rows], target[rows], np.ones(rows.sum()))
        np.testing.assert_allclose(linear[0], np.append(coef, intercept), rtol=1e-10)


def test_equal_rows_share_one_linear_fit():
    class Counting(SquaredError):
        calls = 0

        def fit_linear(self, X, target, weight, penalty=1.0):
            Counting.calls += 1
            return super().fit_linear(X.copy(), target, weight, penalty)

    X, y = draw_table()
    loss = Counting().fit(y, np.ones(len(y)))
    networks = start(X, y, sizes=(5.0,) * 4).networks
    weight = np.ones((4, len(y)))
    weight[3, :10] = 0.0
    Counting.calls = 0
    start_linear(networks, Data(X, y, weight[:1], np.zeros(1, dtype=int)), loss)
    once, Counting.calls = Counting.calls, 0
    start_linear(networks, Data(X, y, weight, np.arange(4)), loss)
    assert Counting.calls == 2 * once


def test_a_fold_that_lacks_a_class_starts_finite():
    X, _ = draw_table()
    y = np.eye(3)[np.arange(len(X)) % 3]
    held_out = (np.arange(len(X)) % 3 == 2)[None]
    loss = CrossEntropy().fit(y, np.ones(len(y)))
    training = start(X, y, held_out=held_out, loss=loss)
    assert torch.isfinite(training.networks.weights.linear).all()


def test_weights_decay_by_alpha_up_to_a_bound_that_networks_share():
    data = draw_table()
    assert start(*data, alpha=0.1).weight_decay == 0.1
    assert start(*data, alpha=10.0).weight_decay == MOST_DECAY
    fast = start(*data, alpha=10.0, learning_rate=0.1)
    assert fast.weight_decay == weight_decay_of(10.0, 0.1) < MOST_DECAY
    constant = start(data[0], np.ones_like(data[1]), alpha=0.1)  # its rate is 0
    assert constant.weight_decay == 0.1


# ------------------------------------------------------------------ what there is to explain
@pytest.mark.parametrize("positives", [1, 30])
def test_where_there_is_something_to_explain_the_rate_is_the_one_asked_for(positives):
    X, _ = draw_table()
    y = (np.arange(60) < positives).astype(float)[:, None]
    training = start(X, y, loss=BinaryCrossEntropy().fit(y, np.ones(60)))
    assert training.learning_rate.tolist() == [5e-3]


def test_a_class_that_weighs_next_to_nothing_is_learnt_as_much_more_slowly():
    X, _ = draw_table()
    y = (np.arange(60) < 30).astype(float)[:, None]
    rates = []
    for rare in (1e-6, 1e-7):
        weight = np.where(y.T > 0, rare, 1.0)
        loss = BinaryCrossEntropy().fit(y, weight[0])
        rates.append(start(X, y, loss=loss, weight=weight).learning_rate[0])
    assert 5e-3 / 10 > rates[0] > 5 * rates[1] > 0
    judged = start(X, y, loss=loss, weight=weight, held_out=(np.arange(60) % 4 == 0)[None])
    assert judged.learning_rate.tolist() == [5e-3]  # it ends when this does not pay


def test_a_constant_target_leaves_nothing_to_learn():
    X, y = draw_table()
    training = start(X, np.ones_like(y), sizes=(5.0, 8.0))
    assert training.learning_rate.tolist() == [0.0, 0.0]
    assert list(training.epochs())[-1][0].data_loss == 0.0


def test_what_losses_were_divided_by_stays_when_rows_are_others():
    X, y = draw_table()
    assert start(X, y, normaliser=3.0).normaliser == 3.0
    assert start(X, np.ones_like(y), normaliser=3.0).normaliser == 3.0


def test_a_constant_piece_is_learnt_at_the_full_rate_if_earlier_rows_were_not_constant():
    X, y = draw_table()
    assert start(X, np.ones_like(y), normaliser=0.5).learning_rate.tolist() == [5e-3]


def test_rows_after_a_constant_piece_are_the_first_with_something_to_explain():
    X, y = draw_table()
    constant = start(X, np.ones_like(y)).normaliser[0]
    # half of a standardised target's variance, which is 1
    assert start(X, y, normaliser=constant).normaliser == pytest.approx(0.5)


# ------------------------------------------------------------------ going on
def test_the_data_loss_stays_known_until_it_is_measured_anew():
    X, y = draw_table()
    # One step an epoch, and every fourth measures: the first, the fifth and the ninth.
    first = start(X, y, max_iter=5, anneal=False)
    records = [records[0] for records in first.epochs()]
    state = first.results[0]
    network = FittedNetwork.from_state(state, "silu")
    second = start(
        X, y, max_iter=1, anneal=False, published=[network], progress=first.progress(), epoch=5,
        sizes=(state.size,),
    )  # fmt: skip
    assert next(second.epochs())[0].data_loss == records[-1].data_loss != records[0].data_loss


# ------------------------------------------------------------------ limits
def test_an_initial_size_beyond_max_size_is_cut():
    assert start(*draw_table(), sizes=(50.0, 3.0), max_size=10).networks.size.tolist() == [10, 3]


def test_the_memory_needed_grows_with_depth(monkeypatch):
    monkeypatch.setattr(_start, "MEMORY_LIMIT", 2**20)
    check_memory(1, 500, 1, 20, 1, 4)
    with pytest.raises(ValueError, match="max_size=500"):
        check_memory(1, 500, 3, 20, 1, 4)


def test_the_memory_needed_includes_the_linear_path(monkeypatch):
    monkeypatch.setattr(_start, "MEMORY_LIMIT", 2**20)
    check_memory(1, 1, 1, 100, 500, 4)
    with pytest.raises(ValueError, match="1000 encoded inputs"):
        check_memory(1, 1, 1, 1001, 500, 4)


@pytest.mark.parametrize("kind", ["sparse", "dense"])
def test_a_wide_table_starts_at_a_linear_model_that_predicts(kind):
    # One column in a thousand matters; an ordinary ridge regression learns the others by heart.
    rng = np.random.default_rng(0)
    if kind == "sparse":
        X, later = (
            sp.random_array((2000, 3000), density=0.01, rng=rng, format="csr") for _ in range(2)
        )
    else:
        X, later = rng.normal(size=(2, 400, 300))
    noise = 0.3 * rng.normal(size=(2, X.shape[0]))
    y, y_later = X[:, :3].sum(axis=1) + noise[0], later[:, :3].sum(axis=1) + noise[1]
    loss = SquaredError().fit(y[:, None], np.ones(len(y)))
    ordinary = Ridge().fit(X, y).predict(later)
    training = start(X, y[:, None], loss=loss, max_size=0, sizes=[0.0])
    linear = training.networks.weights.linear[0, 0].numpy()
    shrunken = loss.decode(later @ linear[:-1] + linear[-1])
    assert np.mean((shrunken - y_later) ** 2) < 0.9 * np.mean((ordinary - y_later) ** 2)


def test_a_penalty_is_chosen_where_rows_are_few_and_is_one_elsewhere():
    rng = np.random.default_rng(0)
    for n_rows, ordinary in ((10 * _start.ROWS_PER_COLUMN, True), (40, False)):
        X = rng.normal(size=(n_rows, 10))
        y = rng.normal(size=n_rows)
        linear = start(X, y[:, None], max_size=0, sizes=[0.0]).networks.weights.linear[0, 0]
        ridge = Ridge().fit(X, (y - y.mean()) / y.std()).coef_
        assert np.allclose(linear[:-1], ridge, rtol=1e-6) == ordinary
        assert np.linalg.norm(linear[:-1]) <= 1.0001 * np.linalg.norm(ridge)


@pytest.mark.parametrize(("noise", "shrinks"), [(1.0, True), (1e-5, False)])
def test_what_is_linear_to_many_digits_is_shrunk_less(noise, shrinks):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(100, 3))
    X[:, 1] = X[:, 0] + 1e-2 * X[:, 1]
    y = X @ [1.0, -1.0, 0.5] + noise * rng.normal(size=100)
    linear = start(X, y[:, None], max_size=0, sizes=[0.0]).networks.weights.linear[0, 0]
    ridge = Ridge().fit(X, (y - y.mean()) / y.std()).coef_
    assert np.allclose(linear[:-1], ridge, rtol=1e-6) == shrinks
    least_squares = Ridge(1e-9).fit(X, (y - y.mean()) / y.std()).coef_
    assert np.allclose(linear[:-1], least_squares, rtol=0.05) != shrinks


def test_a_probability_is_never_shrunk_less():
    X, _ = draw_table(100)
    y = (X[:, :1] > 0.0).astype(float)
    loss = BinaryCrossEntropy().fit(y, np.ones(100))
    linear = start(X, y, loss=loss, max_size=0, sizes=[0.0]).networks.weights.linear[0, 0]
    expected, _ = loss.fit_linear(X.copy(), y, np.ones(100))
    np.testing.assert_allclose(linear[:-1], expected[0], rtol=1e-6)


def start_at_encoded(x, y):
    """Return an encoded column and the predictions of the linear model that training starts at."""
    encoder = TableEncoder(encoding="piecewise").fit(x[:, None])
    Z = encoder.encode(x[:, None])
    training = start(
        Z, y[:, None], max_size=0, sizes=[0.0], table=encoder,
    )  # fmt: skip
    linear = training.networks.weights.linear[0, 0].numpy()
    return Z, training.loss.decode((Z @ linear[:-1] + linear[-1])[:, None])[:, 0]


def test_a_straight_line_in_a_long_tail_is_what_training_starts_at():
    x = np.random.default_rng(0).lognormal(0, 2, 300)
    Z, predicted = start_at_encoded(x, 3.0 * x - 1.0)
    assert np.abs(predicted - (3.0 * x - 1.0)).max() < 0.01 * x.std()
    assert 2.0 * Z[:, 0].max() < x.max()  # the number itself is clipped


def test_the_numbers_are_clipped_in_the_start_if_that_is_better():
    rng = np.random.default_rng(0)
    x = rng.normal(size=300)
    y = x + 0.1 * rng.normal(size=300)
    x[::30] *= 1e4  # gross errors
    _, predicted = start_at_encoded(x, y)
    assert np.corrcoef(predicted, y)[0, 1] > 0.8
    assert np.corrcoef(x, y)[0, 1] < 0.2


@pytest.mark.parametrize("change", ["repeat", "tile", "weight of 4", "weight of 1e5", "sparse"])
def test_the_penalty_does_not_depend_on_how_often_or_in_which_order_rows_come(change):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(1000, 100))
    y = X[:, :5].sum(axis=1) + 2.0 * rng.normal(size=1000)
    (X, X_later), (y, y_later) = np.split(X, [200]), np.split(y, [200])
    X_later, y_later = X_later[:800], y_later[:800]

    def error(X, y, sample_weight=None):
        model = NimbleRegressor(n_estimators=1, max_size=0, encoding="none", max_iter=1,
                                early_stopping=False, random_state=0)  # fmt: skip
        model.fit(X, y, sample_weight=sample_weight)
        return np.mean((model.predict(X_later) - y_later) ** 2)

    weight = np.full(200, 4.0 if "4" in change else 1e5)
    weight[0] *= 1.5  # equal weights are none
    changed = {
        "repeat": lambda: error(np.repeat(X, 4, axis=0), np.repeat(y, 4)),
        "tile": lambda: error(np.tile(X, (4, 1)), np.tile(y, 4)),
        "sparse": lambda: error(sp.csr_matrix(X), y),
    }.get(change, lambda: error(X, y, weight))()
    assert changed < 1.03 * error(X, y)


@pytest.mark.parametrize("unit", [1.0 / 150, 1e-10])
def test_weights_of_less_than_a_row_have_no_unit(unit):
    rng = np.random.RandomState(0)
    X, weight = rng.randn(150, 40), rng.uniform(0.5, 1.5, 150)
    y = X[:, :3].sum(axis=1) + 0.5 * rng.randn(150)
    weight /= weight.mean()
    options = {"max_size": 0, "n_estimators": 1, "random_state": 0}
    one, other = (
        NimbleRegressor(**options).fit(X, y, sample_weight=scale * weight).predict(X)
        for scale in (1.0, unit)
    )
    np.testing.assert_allclose(other, one, atol=2e-3)  # folds differ in what is a row


@pytest.mark.parametrize("unit", [100.0, 2.0**-70])
def test_they_have_none_where_equal_rows_are_merged_either(unit):
    rng = np.random.default_rng(0)
    X = np.repeat(rng.standard_normal((15, 6)), 3, axis=0)
    y = np.repeat(rng.standard_normal(15), 3)
    weight = rng.uniform(0.0, 0.01, 45)
    model = NimbleRegressor(random_state=0, max_iter=20)
    with warnings.catch_warnings(action="ignore", category=ConvergenceWarning):
        one, other = (model.fit(X, y, w).predict(X) for w in (weight, unit * weight))
        paths = [
            nimble_path(X, y, estimator=model, size_penalties=[1e-3], sample_weight=w).scores
            for w in (weight, unit * weight)
        ]
    np.testing.assert_allclose(other, one, atol=1e-9)
    np.testing.assert_allclose(*paths, atol=1e-9)
