"""Training descends the objective, keeps the best state, and a batch of networks is each alone."""

from contextlib import nullcontext

import numpy as np
import pytest
import torch
from sklearn.datasets import make_friedman1

from sknimble import NimbleRegressor, _training
from sknimble._losses import CrossEntropy, SquaredError
from sknimble._optimizer import LASTING_DECAY, average_decay
from sknimble._predictor import FittedNetwork
from sknimble._schedule import FINISH_RATE
from sknimble._size import normalised, size_loss
from sknimble._start import encode_target, start_training
from sknimble._training import CYCLE, WARM_UP, Divergence, Training, at_most_threads

# A constant rate, for as many epochs as asked for: what is learned does not hang on the schedule.
STEADY = {"anneal": False, "learning_rate": 2e-2}

every_depth = pytest.mark.parametrize("depth", [1, 2, 3])


def waves(n_rows=200, noise=0.1, seed=0):
    """Return a table whose target needs neurons: a wave on a slope, of unit variance."""
    rng = np.random.default_rng(seed)
    X = rng.uniform(-1, 1, (n_rows, 2))
    y = np.sin(5 * X[:, 0]) + 0.3 * X[:, 1] + noise * rng.normal(size=n_rows)
    return X, (y / y.std())[:, None]


def line(n_rows=200, seed=0):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n_rows, 2))
    return X, (X[:, :1] + 0.5 * rng.normal(size=(n_rows, 1)))


def folds(k, n_rows):
    return np.arange(n_rows) % k == np.arange(k)[:, None]


def start(data, *, weight=None, held_out=None, validation=None, sizes=(8.0,), max_size=64, **more):
    X, y = data
    k = len(sizes)
    weight = np.ones((k, len(y))) if weight is None else np.atleast_2d(weight)
    loss = more.pop("loss", None) or SquaredError().fit(y, np.ones(len(y)))
    options = {
        "depth": 2, "seeds": list(range(k)), "device": "cpu", "activation": "silu",
        "size_penalty": 1e-3, "target_size": None, "learning_rate": 1e-2, "alpha": 0.1,
        "batch_size": len(y), "max_iter": 60, "tol": 1e-3, "patience": 10,
        "rng": np.random.RandomState(0),
    }  # fmt: skip
    return start_training(
        X, encode_target(loss, y, X.dtype), loss, weight=weight, held_out=held_out,
        validation=validation, sizes=np.array(sizes), max_size=max_size, **(options | more),
    )  # fmt: skip


def train(*arguments, **more):
    """Train to the end; return the training, finished, and its records."""
    training = start(*arguments, **more)
    return training, [record for records in training.epochs() for record in records.values()]


def sizes_of(records, member=0):
    return np.array([record.size for record in records if record.member == member])


def assert_same_state(found, expected, rtol):
    assert found.size == pytest.approx(expected.size, rel=rtol, abs=1e-12)
    for one, other in zip(found.arrays, expected.arrays, strict=True):
        np.testing.assert_allclose(one, other, rtol=rtol, atol=rtol)


# ------------------------------------------------------------------ the record
def test_every_epoch_has_a_record_of_every_network():
    _, records = train(waves(), sizes=(3.0, 8.0), max_iter=5)
    assert [(r.epoch, r.member) for r in records] == [(e, m) for e in range(1, 6) for m in (0, 1)]


def test_the_objective_is_the_data_loss_and_the_price():
    prices = np.array([1e-2, 1e-3])
    _, records = train(waves(), sizes=(3.0, 8.0), size_penalty=prices, max_iter=200)
    assert np.ptp(sizes_of(records)) > 1.0
    for record in records:
        price = size_loss(record.size, prices[record.member])
        assert record.size_loss == pytest.approx(price, rel=1e-12)
        assert record.loss == pytest.approx(record.data_loss + record.size_loss, rel=1e-12)


def test_validation_loss_is_recorded_where_rows_are_held_out():
    data = waves()
    held_out = np.zeros((2, 200), dtype=bool)
    held_out[1, :50] = True
    _, records = train(data, held_out=held_out, sizes=(8.0, 8.0), max_iter=3)
    known = {(record.member, bool(np.isfinite(record.validation_loss))) for record in records}
    assert known == {(0, False), (1, True)}


def test_the_loss_starts_at_that_of_the_linear_model():
    X, y = line()
    training, records = train((X, y), max_iter=1, learning_rate=1e-9)
    coef, intercept = training.loss.fit_linear(X.copy(), training.loss.encode(y), np.ones(len(y)))
    residual = training.loss.encode(y) - X @ np.reshape(coef, (2, 1)) - intercept
    # to single precision, in which targets are learnt
    assert records[0].data_loss == pytest.approx(np.sqrt(np.mean(residual**2)), rel=1e-7)


@every_depth
@pytest.mark.parametrize(("batch_size", "max_iter"), [(200, 400), (32, 60)])
def test_training_lowers_the_loss(depth, batch_size, max_iter):
    _, records = train(waves(), depth=depth, batch_size=batch_size, max_iter=max_iter, **STEADY)
    assert records[-1].data_loss < 0.5 * records[0].data_loss


def test_training_lowers_a_multinomial_loss():
    X, y = waves()
    classes = np.eye(3)[np.digitize(y[:, 0], [-0.5, 0.5])]
    loss = CrossEntropy().fit(classes, np.ones(200))
    _, records = train((X, classes), loss=loss, max_iter=400, **STEADY)
    assert records[-1].data_loss < 0.5 * records[0].data_loss


def test_the_rate_of_the_record_falls_to_nothing():
    _, records = train(waves(), max_iter=300)
    rates = [record.learning_rate for record in records]
    assert max(rates) == pytest.approx(1e-2)
    assert rates[-1] < 1e-3


# ------------------------------------------------------------------ many networks in one
PRICES = np.array([1e-2, 1e-3, 1e-4])


def assert_member_is_as_if_alone(member, together, alone):
    for name in ("size", "data_loss", "validation_loss", "utility", "learning_rate"):
        found = [getattr(r, name) for r in together[1] if r.member == member]
        expected = [getattr(r, name) for r in alone[1]]
        np.testing.assert_allclose(found, expected, rtol=1e-10, atol=1e-12, err_msg=name)
    # Where a gradient is nothing but rounding errors, Adam amplifies these: on some processors the
    # weights of scouts, on which no loss depends, differ by 3e-10.
    assert_same_state(together[0].results[member], alone[0].results[0], 1e-8)


@pytest.mark.parametrize("batch_size", [200, 64])
@every_depth
def test_networks_of_other_prices_and_sizes_do_not_disturb_each_other(depth, batch_size):
    sizes = (30.0, 8.0, 0.0)
    common = {"depth": depth, "batch_size": batch_size, "max_iter": 90}
    together = train(waves(), sizes=sizes, size_penalty=PRICES, **common)
    for member, (size, price) in enumerate(zip(sizes, PRICES)):
        rng = np.random.RandomState(0)
        alone = train(
            waves(), sizes=(size,), size_penalty=price, seeds=[member], rng=rng, **common
        )
        assert_member_is_as_if_alone(member, together, alone)


@pytest.mark.parametrize("batch_size", [200, 64])
@every_depth
def test_networks_of_other_folds_do_not_disturb_each_other(depth, batch_size):
    held_out = folds(3, 200)
    common = {"depth": depth, "max_iter": 90, "batch_size": batch_size}
    together = train(waves(), sizes=(8.0,) * 3, held_out=held_out, size_penalty=PRICES, **common)
    for member in range(3):
        alone = train(
            waves(), held_out=held_out[[member]], size_penalty=PRICES[member], seeds=[member],
            rng=np.random.RandomState(0), **common,
        )  # fmt: skip
        assert_member_is_as_if_alone(member, together, alone)


def test_networks_that_finish_at_different_times_do_not_disturb_each_other():
    held_out = folds(2, 120)
    common = {"max_iter": 1500, "learning_rate": 1e-2, "patience": 1, "tol": 0.05}
    together = train(
        waves(120), sizes=(8.0, 8.0), held_out=held_out, size_penalty=np.array([1e-1, 1e-5]),
        **common,
    )  # fmt: skip
    lengths = [len(sizes_of(together[1], member)) for member in (0, 1)]
    assert lengths[0] != lengths[1]
    for member, price in enumerate((1e-1, 1e-5)):
        alone = train(
            waves(120), held_out=held_out[[member]], size_penalty=price, seeds=[member], **common
        )
        assert len(alone[1]) == lengths[member]
        np.testing.assert_allclose(
            sizes_of(together[1], member), sizes_of(alone[1]), rtol=1e-5, atol=1e-5
        )


@pytest.mark.parametrize("prices", [(1e-1, 1e-5), (1e-5, 1e-1)], ids=["first", "last"])
def test_where_networks_stood_is_told_in_their_order_whichever_ended_first(prices):
    training, records = train(
        waves(120), sizes=(8.0, 8.0), held_out=folds(2, 120), size_penalty=np.array(prices),
        max_iter=1500, patience=1, tol=0.05, anneal=False,
    )  # fmt: skip
    last = {record.member: record for record in records}
    assert last[0].epoch != last[1].epoch
    stood = training.progress().networks
    assert [one.data_loss for one in stood] == [last[member].data_loss for member in (0, 1)]


# ------------------------------------------------------------------ weights of rows
@every_depth
def test_a_row_that_only_some_networks_weigh_is_absent_to_the_others(depth):
    X, y = waves()
    loss = SquaredError().fit(y, np.ones(200))
    weight = np.ones((2, 200))
    weight[0, ::3] = 0.0
    kept, common = weight[0] > 0, {"depth": depth, "loss": loss}
    training, _ = train((X, y), weight=weight, sizes=(8.0, 8.0), **common)
    alone, _ = train((X[kept], y[kept]), **common)
    assert_same_state(training.results[0], alone.results[0], 1e-8)


def test_a_held_out_row_of_weight_zero_judges_nothing():
    X, y = waves()
    held_out = (np.arange(200) < 60)[None]
    weight = np.ones(200)
    weight[:30] = 0.0
    spoiled = y.copy()
    spoiled[:30] = 100.0
    loss = SquaredError().fit(y, weight)
    common = {"held_out": held_out, "weight": weight, "loss": loss, "max_iter": 30}
    clean, spoilt = (train((X, target), **common)[1] for target in (y, spoiled))
    assert [r.validation_loss for r in clean] == [r.validation_loss for r in spoilt]


# ------------------------------------------------------------------ the size
def test_no_size_is_judged_before_its_scouts_have_had_steps_to_learn():
    _, records = train(waves(), max_iter=WARM_UP)
    assert set(sizes_of(records)) == {8.0}


def test_a_higher_price_makes_a_smaller_network():
    prices = np.array([1e-5, 1e-3, 1e-1])
    training, _ = train(
        waves(), sizes=(8.0,) * 3, seeds=[0, 0, 0], size_penalty=prices, max_iter=600
    )
    sizes = [training.results[member].size for member in range(3)]
    assert sizes[0] > sizes[1] > sizes[2]


def test_neurons_are_added_where_they_are_needed_and_removed_where_not():
    _, needed = train(waves(), sizes=(1.0,), max_iter=600)
    _, unneeded = train(line(), sizes=(30.0,), size_penalty=1e-2, max_iter=600)
    assert sizes_of(needed).max() > 3.0
    assert sizes_of(unneeded)[-1] < 3.0


RECIPES = {
    "ordinary": {"learning_rate": 1e-2, "alpha": 0.1},
    "high rate": {"learning_rate": 5e-2, "alpha": 0.1},
    "strong decay": {"learning_rate": 2e-2, "alpha": 0.4},
}


@pytest.mark.parametrize("depth, recipe", list(enumerate(RECIPES, start=1)))
def test_a_network_that_lost_all_neurons_recovers(depth, recipe):
    training = start(waves(300), depth=depth, max_iter=700, anneal=False, **RECIPES[recipe])
    records = []
    for epoch in training.epochs():
        records.append(epoch[0])
        if training.epoch == 100:
            with torch.inference_mode():
                training.networks.size[:] = 0.0
                training.networks.follow_size()
                training._set_gates()
    assert min(sizes_of(records)) < 1.0
    assert records[-1].size > 2.0
    assert records[-1].data_loss < 0.6 * records[0].data_loss


@pytest.mark.parametrize("depth", [1, 2, 3])
@pytest.mark.parametrize(
    "learning_rate, alpha, max_iter", [(0.05, 1.0, 100), (0.02, 1.0, 100), (1e-4, 0.02, 600)]
)
def test_no_rate_and_no_decay_keep_a_network_from_growing(depth, learning_rate, alpha, max_iter):
    held_out = (np.arange(400) % 5 == 0)[None]
    training, records = train(
        waves(400), held_out=held_out, depth=depth, sizes=(0.0,), size_penalty=1e-4,
        learning_rate=learning_rate, alpha=alpha, batch_size=32, max_iter=max_iter, tol=5e-3,
    )  # fmt: skip
    assert training.results[0].size > 0.0


def test_n_is_averaged_over_the_same_steps_as_the_weights():
    training = start(waves(200), sizes=(30.0,), max_iter=1000, anneal=False, size_penalty=1e-2)
    average, trained = 30.0, []
    for epoch in training.epochs():
        size, step = epoch[0].size, training.step
        trained.append(size)
        if step > WARM_UP and step % CYCLE == 1:
            average += (1.0 - average_decay(step, LASTING_DECAY) ** CYCLE) * (size - average)
    assert min(trained) < 20.0
    assert training.results[0].size == pytest.approx(average, rel=1e-9)
    assert min(trained[-100:]) <= average <= max(trained[-100:])


def test_a_network_that_has_settled_has_no_scouts():
    training, utilities, settled = start(waves(), max_iter=400), [], 0
    for epoch in training.epochs():
        utilities.append(epoch[0].utility)
        if len(training.members) and training.schedule.settled.all():
            settled += 1
            assert training.size_gates is None
            assert training.networks.size[0] == training.networks.end[0]
    assert settled > 50
    assert abs(utilities[-1]) < 1e-2 * max(utilities)  # none was measured lately


@every_depth
def test_to_compute_neurons_that_sleep_or_not_makes_no_difference(monkeypatch, depth):
    found = []
    for idle in (0, 10**9):
        monkeypatch.setattr(_training, "IDLE_WEIGHTS", idle)
        training, _ = train(waves(), sizes=(30.0, 3.0), depth=depth, max_iter=100)
        found.append(training.results)
    for member in (0, 1):
        assert_same_state(found[0][member], found[1][member], 1e-6)


# ------------------------------------------------------------------ the best state
def held_out_objective(training, state, price):
    """Return the objective of a state on the held-out rows, by the network that predicts."""
    ((_, rows),) = training.all_held_out_rows
    network = FittedNetwork.from_state(state, "silu")
    error = network.raw(rows.X[:, :-1].numpy()) - rows.target.numpy()
    return float(normalised(0.5 * np.mean(error**2) / training.normaliser[0])) + price * state.size


@pytest.mark.parametrize("price", [1e-1, 1e-3])
@pytest.mark.parametrize("data", [waves, line])
@pytest.mark.parametrize("tol", [0.0, 1e-2])
def test_what_is_published_is_the_latest_as_good_as_the_best(monkeypatch, data, price, tol):
    held_out = (np.arange(200) < 60)[None]
    training = start(data(), held_out=held_out, size_penalty=price, max_iter=300, tol=tol)
    linear = held_out_objective(training, training.networks.state(0)._replace(size=0.0), price)
    seen, observe = [], training.schedule.observe

    def spy(step, objective, doubt):
        seen.append((objective[0], max(tol, doubt[0])))
        return observe(step, objective, doubt)

    monkeypatch.setattr(training.schedule, "observe", spy)
    assert len(list(training.epochs())) == len(seen) - 1
    assert seen[0][0] == pytest.approx(linear, rel=1e-9)
    beaten = [i for i, (value, luck) in enumerate(seen) if value < linear * (1 - luck)]
    later = [value for value, _ in seen[beaten[0] :]] if beaten else [linear]
    expected = [value for value in later if value <= min(later) * (1 + tol)][-1]
    published = held_out_objective(training, training.results[0], price)
    assert published == pytest.approx(expected, rel=1e-9)


def test_the_held_out_loss_is_that_of_the_network_that_would_be_published():
    training = start(waves(), held_out=(np.arange(200) < 60)[None], max_iter=200)
    for records in training.epochs():
        if training.schedule.exploring[:1].any():
            state = training.networks.state(0)
            found = held_out_objective(training, state, 0.0)
            assert records[0].validation_loss == pytest.approx(found, rel=1e-9)
            assert state.size != round(state.size) or training.step <= WARM_UP


@pytest.mark.parametrize("price", [1e-3, 10.0], ids=["beaten", "published"])
def test_losses_of_the_linear_model_are_known_no_longer_than_needed(price):
    training = start(waves(), held_out=(np.arange(200) < 60)[None], size_penalty=price)
    for _ in training.epochs():
        needed = training.results[0].size == 0.0 and len(training.members)
        assert len(training.linear_losses) == needed
    assert (training.results[0].size == 0.0) == (price == 10.0)


def test_a_network_that_goes_on_is_not_doubted_like_a_linear_model():
    held_out = (np.arange(200) < 60)[None]
    state = train(waves(), held_out=held_out)[0].results[0]
    training = start(waves(), held_out=held_out)
    next(training.epochs())
    assert training.doubt[0] > 0.0
    training = start(waves(), held_out=held_out, sizes=(state.size,))
    training.resume([state], None)
    next(training.epochs())
    assert training.doubt[0] == 0.0


def test_a_training_that_goes_on_does_not_go_back_to_the_linear_model():
    options = {"held_out": (np.arange(200) < 60)[None], "anneal": False}
    training = start(waves(), **options, max_iter=20)
    state = training.networks.state(0)
    list(training.epochs())
    again = start(waves(), **options, size_penalty=10.0)
    again.resume([state], training.progress())
    next(again.epochs())
    assert again.results[0].size == state.size > 0.0


def test_the_linear_model_must_be_beaten_by_more_than_luck():
    sizes = []
    for seed in range(8):
        rng = np.random.default_rng(seed)
        data = rng.normal(size=(100, 2)), rng.normal(size=(100, 1))
        sizes.append(train(data, held_out=(np.arange(100) < 30)[None])[0].results[0].size)
    assert np.count_nonzero(sizes) <= 3


def test_the_linear_model_is_published_where_nothing_beats_it():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(100, 2))
    y = 5 * X[:, :1] + rng.normal(size=(100, 1))
    training, _ = train((X, y), held_out=(np.arange(100) < 30)[None], size_penalty=10.0)
    assert training.results[0].size == 0.0
    first = start((X, y), held_out=(np.arange(100) < 30)[None])
    np.testing.assert_array_equal(
        training.results[0].arrays[0], first.networks.weights.linear[0].numpy()
    )


def test_a_network_finishes_on_the_rows_that_judged_it_and_is_judged_no_more():
    held_out = (np.arange(200) < 60)[None]
    training, records = train(
        waves(noise=0.5), held_out=held_out, max_iter=3000, batch_size=70, size_penalty=1e-3
    )
    judged = np.isfinite([record.validation_loss for record in records])
    last = judged.argmin()
    assert judged[:last].all() and not judged[last:].any()
    rates = [record.learning_rate for record in records[last:]]
    assert 0.0 < max(rates) < FINISH_RATE * 1e-2
    assert rates[-1] == 0.0
    assert len({record.size for record in records[last:]}) == 1
    before, after = training.before_finish[0], training.results[0]
    assert after.size == before.size > 0.0
    found = [held_out_objective(training, state, 0.0) for state in (before, after)]
    assert found[1] < 0.99 * found[0]  # it has learnt from these rows since


@pytest.mark.parametrize("more", [{"anneal": False}, {"size_penalty": 10.0}, {"max_iter": 10}])
def test_nothing_finishes_that_goes_on_learnt_nothing_or_has_no_time(more):
    held_out = (np.arange(200) < 60)[None]
    options = {"held_out": held_out, "max_iter": 400, "batch_size": 70} | more
    training, records = train(waves(), **options)
    assert not training.before_finish
    assert np.isfinite([record.validation_loss for record in records]).all()


def test_without_judges_the_last_state_is_published():
    training, records = train(waves())
    assert training.results[0].size == records[-1].size


def test_training_may_be_stopped_at_any_epoch():
    training = start(waves(), sizes=(3.0, 8.0))
    epochs = training.epochs()
    for _ in range(4):
        next(epochs)
    training.stop()
    assert list(epochs) == []
    assert sorted(training.results) == [0, 1]


# ------------------------------------------------------------------ divergence
@pytest.mark.parametrize("batch_size", [200, 16])
@pytest.mark.parametrize("held_out", [None, (np.arange(200) < 60)[None]], ids=["all", "split"])
@pytest.mark.parametrize("learning_rate", [1e20, 1e150])
def test_a_loss_that_is_no_number_ends_in_a_divergence(learning_rate, held_out, batch_size):
    with pytest.raises(Divergence, match="not finite"):
        train(
            waves(), held_out=held_out, learning_rate=learning_rate, batch_size=batch_size,
            max_iter=300,
        )  # fmt: skip


# ------------------------------------------------------------------ threads
@pytest.mark.parametrize("fails", [False, True])
def test_small_networks_train_in_one_thread_and_leave_the_number_as_it_was(monkeypatch, fails):
    training, seen = start(waves(200), max_iter=3), []

    def passing(self):
        seen.append(torch.get_num_threads())
        if fails:
            raise RuntimeError
        return one_pass(self)

    one_pass = Training._pass
    monkeypatch.setattr(Training, "_pass", passing)
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        with pytest.raises(RuntimeError) if fails else nullcontext():
            for _ in training.epochs():
                assert torch.get_num_threads() == 2
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)
    assert set(seen) == {1}


def test_large_networks_train_in_as_many_threads_as_pay():
    X = np.zeros((1000, 99))
    most = [
        start((X, X[:, :1]), sizes=sizes, max_size=1000)._n_threads()
        for sizes in ((50.0,), (1000.0,), (1000.0,) * 4)
    ]
    assert most[0] == 1
    assert 40 < most[1] < 80  # 1.1 million weights, a thousand rows
    assert 4 * (most[1] - 1) <= most[2] - 1 < 4 * most[1]


def test_the_number_of_threads_is_never_raised():
    before = torch.get_num_threads()
    with at_most_threads(before + 7):
        assert torch.get_num_threads() == before


@pytest.mark.parametrize("n", [205, 206])
@pytest.mark.parametrize("loss", ["gamma", "poisson", "squared_error"])
def test_folds_of_different_length_are_judged_by_their_rows_alone(loss, n):
    X, y = make_friedman1(n, 5, noise=0.5, random_state=0)
    model = NimbleRegressor(loss=loss, random_state=0).fit(X, np.exp(0.1 * y))
    assert np.isfinite([record.validation_loss for record in model.history_]).any()
    assert model.score(X, np.exp(0.1 * y)) > 0.7


@pytest.mark.parametrize("early_stopping", [False, True])
@pytest.mark.parametrize("max_size, n_estimators", [(4, 1), (8, 3), (16, 1)])
def test_networks_that_start_at_their_largest_size_keep_neurons_that_pay(
    max_size, n_estimators, early_stopping
):
    X, y = make_friedman1(1000, noise=0.5, random_state=0)
    model = NimbleRegressor(
        max_size=max_size, n_estimators=n_estimators, early_stopping=early_stopping,
        encoding="none", random_state=0,
    ).fit(X, y)  # fmt: skip
    assert model.n_hidden_ >= 0.75 * max_size * n_estimators
    assert any(record.utility > model.size_penalty for record in model.history_)
