"""Training goes on: with `warm_start`, in chunks with `partial_fit`, and after Ctrl-C."""

import signal
import subprocess
import sys
import textwrap
import warnings

import joblib
import numpy as np
import pytest
from sklearn.base import clone
from sklearn.datasets import make_classification, make_friedman1
from sklearn.exceptions import ConvergenceWarning, NotFittedError

from sknimble import NimbleClassifier, NimbleRegressor
from sknimble._continue import check_unchanged, epochs_left
from sknimble._network import GrowableNetworks
from sknimble._replay import FIRST_EFFORT, LASTING_ROWS, passes_over
from sknimble._schedule import Schedule
from sknimble._training import Training

ROWS = {"few rows": 60, "many rows": 300}


@pytest.fixture(params=ROWS)
def data(request):
    return make_friedman1(ROWS[request.param], 5, noise=0.5, random_state=0)


def warm(**parameters):
    return one(**({"warm_start": True, "early_stopping": False, "max_iter": 9} | parameters))


def one(**parameters):
    """Return a regressor of one network, in which no default matters here."""
    defaults = {"n_estimators": 1, "activation": "silu", "encoding": "none", "random_state": 0}
    return NimbleRegressor(**(defaults | parameters))


def one_classifier(**parameters):
    """Return a classifier of one network."""
    return NimbleClassifier(**({"n_estimators": 1, "random_state": 0} | parameters))


def going_on(model, max_iter, X, y, **rows):
    """Fit with another number of epochs, which may be too few."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return model.set_params(max_iter=max_iter).fit(X, y, **rows)


# -------------------------------------------------------------------------------- warm_start
@pytest.mark.parametrize("n_estimators", [1, 3])
@pytest.mark.parametrize("random_state", [0, None])
def test_a_epochs_and_b_more_are_a_plus_b_epochs(data, n_estimators, random_state):
    X, y = data

    def seed():
        return np.random.RandomState(3) if random_state is None else random_state

    parts = warm(n_estimators=n_estimators, random_state=seed()).fit(X, y)
    parts.set_params(max_iter=25).fit(X, y)
    whole = warm(n_estimators=n_estimators, random_state=seed(), max_iter=25).fit(X, y)

    np.testing.assert_allclose(parts.predict(X), whole.predict(X), rtol=1e-10)
    assert parts.size_weight_ == pytest.approx(whole.size_weight_, rel=1e-10)
    assert parts.n_iter_ == whole.n_iter_ == 25
    for part, one in zip(parts.history_, whole.history_, strict=True):
        assert (part.epoch, part.member) == (one.epoch, one.member)
        assert part.loss == pytest.approx(one.loss, rel=1e-10)


def test_a_plus_b_holds_for_steps_with_all_rows():
    X, y = make_friedman1(60, 5, noise=0.5, random_state=0)
    parts = warm(batch_size=60).fit(X, y).set_params(max_iter=25).fit(X, y)
    whole = warm(batch_size=60, max_iter=25).fit(X, y)
    np.testing.assert_allclose(parts.predict(X), whole.predict(X), rtol=1e-10)
    np.testing.assert_allclose(parts.loss_curve_, whole.loss_curve_, rtol=1e-10)


def test_a_plus_b_holds_for_classes_weights_and_levels():
    X, y = make_classification(150, 6, n_informative=4, n_classes=3, random_state=0)
    X = np.column_stack([X.astype(object), np.where(X[:, 0] > 0, "up", "down")])
    weight = np.random.default_rng(0).integers(1, 4, len(y))
    parameters = {"warm_start": True, "early_stopping": False, "random_state": 0}
    parts = NimbleClassifier(**parameters, max_iter=4).fit(X, y, weight)
    parts.set_params(max_iter=10).fit(X, y, weight)
    whole = NimbleClassifier(**parameters, max_iter=10).fit(X, y, weight)
    np.testing.assert_allclose(parts.predict_proba(X), whole.predict_proba(X), rtol=1e-10)


def test_a_saved_training_goes_on_as_if_it_had_not_been_saved(data):
    import pickle

    X, y = data
    saved = pickle.loads(pickle.dumps(warm().fit(X, y)))
    np.testing.assert_array_equal(
        saved.set_params(max_iter=20).fit(X, y).predict(X), warm(max_iter=20).fit(X, y).predict(X)
    )


def test_max_iter_counts_all_epochs(data):
    model = warm().fit(*data)
    before = model.predict(data[0])
    np.testing.assert_array_equal(model.fit(*data).predict(data[0]), before)  # none are left
    with pytest.raises(ValueError, match="max_iter=5 counts all epochs.*9 are done"):
        model.set_params(max_iter=5).fit(*data)


def test_early_stopping_goes_on_from_the_best_epoch_and_is_never_worse_on_it():
    X, y = make_friedman1(300, 5, noise=1.0, random_state=0)
    rows = {"X_val": X[200:], "y_val": y[200:]}
    model = one(warm_start=True, early_stopping=True, tol=0.0)

    def objective():
        loss = model.prefix_losses(X[200:], y[200:])[-1]
        return loss + model.size_penalty * model.size_weight_

    found = [going_on(model, n, X[:200], y[:200], **rows) and objective() for n in (3, 30, 32, 60)]
    assert (np.diff(found) < 1e-6).all()
    assert found[-1] < 0.9 * found[0]


def test_patience_begins_anew_when_training_goes_on():
    X, y = make_friedman1(120, 5, noise=1.0, random_state=0)
    model = one(warm_start=True, early_stopping=True).fit(X, y)
    stopped_at = model.n_iter_
    assert stopped_at < 1000
    model.fit(X, y)
    assert stopped_at < model.n_iter_ <= 1000


def test_training_goes_on_with_the_rows_that_were_held_out():
    X, y = make_friedman1(200, 5, random_state=0)
    model = one(warm_start=True)
    going_on(model, 2, X, y)
    with pytest.raises(ValueError, match="it held out before: there are 150 now and were 200"):
        going_on(model, 4, X[:150], y[:150])
    with pytest.raises(ValueError, match="it held out before: it knows of none"):
        going_on(model.resized(0), 4, X, y)
    going_on(model, 4, X[:150], y[:150], X_val=X[150:], y_val=y[150:])
    assert model.n_iter_ == 4


def test_without_warm_start_nothing_is_left_of_an_earlier_fit(data):
    X, y = data
    model = warm().fit(X, y).set_params(warm_start=False, max_iter=15)
    fresh = warm(warm_start=False, max_iter=15)
    np.testing.assert_array_equal(model.fit(X, y).predict(X), fresh.fit(X, y).predict(X))
    assert len(model.history_) == 15


def test_a_fit_without_warm_start_can_be_continued_too(data):
    X, y = data
    model = warm(warm_start=False).fit(X, y)
    before = model.predict(X)
    model.set_params(warm_start=True, max_iter=10).fit(X, y)
    assert model.n_iter_ == 10
    fresh = warm(max_iter=1).fit(X, y).predict(X)
    assert 0.0 < np.ptp(model.predict(X) - before) < 0.3 * np.ptp(model.predict(X) - fresh)


# ------------------------------------------------------------------- what may and may not change
FREE = {
    "size_penalty": 1e-2, "target_size": 3, "max_size": 64, "initial_size": 2,
    "learning_rate_init": 1e-3, "alpha": 0.01, "batch_size": 16, "tol": 0.1,
    "n_iter_no_change": 3, "random_state": 7, "verbose": 0,
}  # fmt: skip
FIXED = {
    "n_hidden_layers": 1, "activation": "relu", "n_estimators": 2, "encoding": "piecewise",
    "categorical_features": [0], "early_stopping": True, "validation_fraction": 0.4,
    "loss": "huber", "quantile": 0.9,
}  # fmt: skip


@pytest.mark.parametrize("name", FREE)
def test_a_parameter_may_change_while_training_goes_on(data, name):
    model = warm().fit(*data).set_params(**{name: FREE[name], "max_iter": 12})
    assert model.fit(*data).n_iter_ == 12
    model.partial_fit(*data)


@pytest.mark.parametrize("n", [60, 600])
def test_weights_are_relative_to_the_rows_of_a_call(n):
    X, y = make_friedman1(n, 5, random_state=0)
    plain = one().partial_fit(X, y).partial_fit(X, y).predict(X)
    for unit in (1.0 / n, 1e9):
        weight = np.full(n, unit)
        model = one().partial_fit(X, y, sample_weight=weight)
        again = model.partial_fit(X, y, sample_weight=weight).predict(X)
        np.testing.assert_allclose(again, plain, rtol=1e-3)


def test_a_training_goes_on_from_a_file_mapped_into_memory(data, tmp_path):
    X, y = data
    model = warm().fit(X, y)
    joblib.dump(model, tmp_path / "model.joblib")
    again = joblib.load(tmp_path / "model.joblib", mmap_mode="r")
    expected = model.partial_fit(X, y).predict(X)
    np.testing.assert_array_equal(again.partial_fit(X, y).predict(X), expected)


def test_predictions_reach_as_far_as_later_targets(data):
    X, y = data
    model = warm(max_iter=20).fit(X, y).set_params(max_iter=200)
    assert model.fit(X, 2 * y).predict(X).max() > 1.5 * y.max()


@pytest.mark.parametrize("n_hidden_layers", [1, 2, 3])
def test_a_smaller_cap_keeps_the_first_neurons(data, n_hidden_layers):
    X, y = data
    model = warm(n_hidden_layers=n_hidden_layers, initial_size=20).fit(X, y)
    assert model.size_weight_ > 10
    first = model.resized(6).predict(X)
    model.set_params(max_size=6, learning_rate_init=1e-15, max_iter=11)  # not read again
    assert model.fit(X, y).n_hidden_ <= 6
    assert model.history_[-1].size <= 6
    np.testing.assert_allclose(model.predict(X), first, atol=1e-4)


@pytest.mark.parametrize("call", ["fit", "partial_fit"])
@pytest.mark.parametrize("name", FIXED)
def test_a_parameter_must_not_change_while_training_goes_on(data, name, call):
    model = warm().fit(*data).set_params(max_iter=12)
    before = model.predict(data[0])
    model.set_params(**{name: FIXED[name]})
    message = f"{name} was .* when training began and is .* now"
    if call == "partial_fit" and name == "early_stopping":
        message = "has no attribute 'partial_fit'"
    with pytest.raises((ValueError, AttributeError), match=message):
        getattr(model, call)(*data)
    np.testing.assert_array_equal(model.predict(data[0]), before)


def test_every_parameter_is_either_free_or_fixed_or_says_how_to_fit():
    modes = {"warm_start", "max_iter", "device", "class_weight"}
    names = set(NimbleRegressor().get_params()) | set(NimbleClassifier().get_params())
    assert names <= set(FREE) | set(FIXED) | modes


def test_columns_and_outputs_must_not_change(data):
    X, y = data
    model = warm().fit(X, y).set_params(max_iter=12)
    with pytest.raises(ValueError, match="features"):
        model.fit(X[:, :3], y)
    with pytest.raises(ValueError, match="columns of the first y"):
        model.partial_fit(X, np.column_stack([y, y]))


def test_equal_arrays_are_no_change():
    check_unchanged({"quantile": [0.1, 0.9]}, {"quantile": np.array([0.1, 0.9])})
    with pytest.raises(ValueError, match="quantile was"):
        check_unchanged({"quantile": [0.1, 0.9]}, {"quantile": [0.1, 0.8]})


def test_a_fit_without_epochs_left_changes_no_prediction():
    X, y = make_friedman1(200, 5, noise=0.5, random_state=0)
    model = warm(max_iter=5).fit(X, y)
    before = model.predict(10.0 * X)
    np.testing.assert_array_equal(model.fit(X, 100.0 * y).predict(10.0 * X), before)
    assert model.n_iter_ == 5


def test_epochs_left_are_what_max_iter_leaves():
    assert epochs_left(10, 4) == 6
    assert epochs_left(4, 4) == 0


# ------------------------------------------------------------------------------- partial_fit
def chunks(X, y, n):
    return zip(np.array_split(X, n), np.array_split(y, n), strict=True)


def test_twenty_chunks_reach_within_2_percent_of_one_fit():
    X, y = make_friedman1(10_000, 10, noise=1.0, random_state=0)
    X_test, y_test, X, y = X[:2000], y[:2000], X[2000:], y[2000:]
    pieces = NimbleRegressor(n_estimators=2, random_state=1)
    for X_part, y_part in chunks(X, y, 20):
        pieces.partial_fit(X_part, y_part)
    whole = going_on(one(), 30, X, y)
    assert pieces.score(X_test, y_test) > 0.98 * whole.score(X_test, y_test)


@pytest.mark.parametrize(
    "n_rows, passes", [(10, [1] * 6), (200, [1, 2, 3, 4, 5, 6]), (500, [2, 5, 7, 10, 13, 15])]
)
def test_each_pass_over_a_piece_is_an_epoch_and_the_size_goes_on_evolving(n_rows, passes):
    X, y = make_friedman1(6 * n_rows, 10, noise=0.1, random_state=0)
    model = one(size_penalty=1e-6, initial_size=8)
    sizes, epochs = [], []
    for X_part, y_part in chunks(X, y, 6):
        model.partial_fit(X_part, y_part)
        sizes.append(model.size_weight_)
        epochs.append(model.n_iter_)
    assert np.diff(epochs, prepend=0).tolist() == passes
    assert len(model.history_) == sum(passes)
    assert n_rows == 10 or len(set(sizes)) > 3


def test_after_many_steps_a_piece_is_gone_through_once():
    X, y = make_friedman1(2000, 5, noise=0.5, random_state=0)
    model = one(batch_size=1).partial_fit(X, y)
    counts = []
    for _ in range(3):
        before = model.n_iter_
        model.partial_fit(X, y)
        counts.append(model.n_iter_ - before)
    assert counts == [4, 2, 2]
    assert len(model._progress.earlier.key) == LASTING_ROWS


def test_passes_over_the_first_piece_are_epochs_of_a_warm_start(data):
    X, y = data
    pieces = warm().partial_fit(X, y)
    whole = warm(max_iter=pieces.n_iter_).fit(X, y)
    np.testing.assert_allclose(pieces.predict(X), whole.predict(X), rtol=1e-10)


def test_scales_and_levels_stay_those_of_the_first_call():
    first = np.array([[1.0, "a"], [2.0, "b"], [3.0, "a"], [4.0, "b"]] * 5, dtype=object)
    later = np.array([[100.0, "c"], [200.0, "a"]] * 5, dtype=object)
    model = one().partial_fit(first, np.arange(20.0))
    table = model._table
    model.partial_fit(later, np.arange(10.0))
    assert model._table is table
    np.testing.assert_array_equal(table.encode(later)[0, 1:], [0.0, 0.0])  # c is unknown


@pytest.mark.parametrize("loss", ["squared_error", "absolute_error", "poisson"])
def test_predictions_reach_as_far_as_the_targets_of_every_chunk(loss):
    X = np.linspace(0.0, 1.0, 400)[:, None]
    y = 1.0 + 9.0 * X[:, 0]
    model = one(loss=loss)
    model.partial_fit(X[:200], y[:200])
    assert model.predict(X).max() <= y[199] + 1e-9
    for _ in range(15):
        model.partial_fit(X[200:], y[200:])
    assert model.predict(X).max() > 1.3 * y[199]


def test_later_chunks_may_lack_classes_but_bring_no_new_ones():
    X, y = make_classification(400, 6, n_informative=4, n_classes=3, random_state=0)
    model = one_classifier()
    with pytest.raises(ValueError, match="classes must be passed on the first call"):
        model.partial_fit(X, y)
    with pytest.raises(NotFittedError):
        model.predict(X)
    with pytest.raises(ValueError, match="classes must be passed on the first call"):
        model.partial_fit(X[:200], y[:200, None])
    model.partial_fit(X[:200], y[:200], classes=[2, 1, 0])
    np.testing.assert_array_equal(model.classes_, [0, 1, 2])
    model.partial_fit(X[y == 1], y[y == 1])
    model.partial_fit(X, y, classes=[0, 1, 2])
    with pytest.raises(ValueError, match="classes=.* are not those of the first call"):
        model.partial_fit(X, y, classes=[0, 1])
    with pytest.raises(ValueError, match=r"classes \[3\] that classes_ lacks"):
        model.partial_fit(X, y + 1)
    assert model.predict_proba(X).shape == (400, 3)


def test_classes_are_not_used_if_y_is_an_indicator():
    X, y = make_classification(200, 6, n_informative=4, n_classes=3, random_state=0)
    model, labels = one_classifier(), np.eye(3, dtype=int)[y]
    for _ in range(2):
        model.partial_fit(X, labels, classes=[0, 1])
    assert model.predict_proba(X).shape == (200, 3)


def test_classes_that_come_late_are_learned():
    X, y = make_classification(1200, 6, n_informative=5, n_redundant=0, random_state=0)
    order = np.argsort(y[:600], kind="stable")  # the first chunk has one class only
    model = one_classifier()
    model.partial_fit(X[:600][order][:200], y[:600][order][:200], classes=[0, 1])
    assert model.score(X[:600], y[:600]) < 0.6
    for _ in range(3):
        model.partial_fit(X[600:], y[600:])
    assert model.score(X[:600], y[:600]) > 0.9


def test_partial_fit_goes_on_from_a_fit():
    X, y = make_friedman1(600, 5, noise=0.5, random_state=0)
    model = one().fit(X[:200], y[:200])
    before, epochs = model.score(X[200:], y[200:]), model.n_iter_
    model.partial_fit(X[200:], y[200:])
    assert model.n_iter_ == epochs + passes_over(400, 400, 0, FIRST_EFFORT)
    for _ in range(9):
        model.partial_fit(X[200:], y[200:])
    assert model.score(X[200:], y[200:]) > before - 0.01


def test_partial_fit_refuses_what_needs_a_whole_table(data):
    X, y = data
    for model, why in [
        (NimbleRegressor(early_stopping=True), "early_stopping=True needs a whole table"),
        (NimbleClassifier(early_stopping=True), "early_stopping=True needs a whole table"),
        (NimbleClassifier(class_weight="balanced"), "class_weight='balanced' needs a whole table"),
    ]:
        with pytest.raises(AttributeError, match="partial_fit") as caught:
            model.partial_fit(X, y > 14)
        assert why in str(caught.value.__cause__)


def test_the_unit_of_the_loss_stays_that_of_the_first_rows():
    X, y = make_friedman1(2000, 5, noise=1.0, random_state=0)
    model = one().fit(X[:1000], y[:1000])
    unit, loss = model._normaliser, model.prefix_losses(X, y)[0]
    for copied in (model, model.resized(3), model.estimators_[0]):
        for row in range(3):
            copied.partial_fit(X[[row]], y[[row]])
        assert copied._normaliser == unit
        assert copied.history_[-1].learning_rate > 1e-4
        assert copied.prefix_losses(X, y)[0] == pytest.approx(loss, rel=0.2)


@pytest.mark.parametrize("loss", ["squared_error", "poisson"])
def test_rows_after_a_constant_chunk_are_the_first_to_be_learnt(loss):
    rng = np.random.default_rng(0)
    X = rng.standard_normal((1200, 3))
    y = rng.poisson(np.exp(0.5 * X[:, 0])).astype(float)
    y[:100] = 0.0
    model = one(loss=loss)
    for start in range(0, 1200, 100):
        chunk = slice(start, start + 100)
        model.partial_fit(X[chunk], y[chunk])
        assert model.predict(X).mean() == pytest.approx(y[: start + 100].mean(), abs=0.2)
    assert model.n_iter_ == model.history_[-1].epoch == len(model.loss_curve_)
    assert model._normaliser > 0.1
    assert model.n_hidden_ < 50


def test_chunks_of_nearly_equal_counts_are_learnt_by_the_same_network():
    rng = np.random.default_rng(0)
    X = rng.standard_normal((300, 3))
    y = 1e5 * (1.0 + 3e-4 * np.tanh(X[:, 0]))
    model, steps = one(loss="poisson"), []
    for rows in np.split(np.arange(300), 3):
        model.partial_fit(X[rows], y[rows])
        steps.append(model._progress.step)
    assert steps[0] < steps[1] < steps[2]


def test_what_follows_a_fit_of_one_value_is_a_beginning():
    X, y = make_friedman1(600, 5, random_state=0)
    model = NimbleRegressor(random_state=0).fit(X[:200], np.ones(200))
    model.partial_fit(X[200:], y[200:])
    fresh = NimbleRegressor(random_state=0).partial_fit(X[200:], y[200:])
    assert model.size_weight_ > 0.5 * fresh.size_weight_
    with pytest.warns(UserWarning, match="the noise of y is not known"):  # not that of one value
        assert np.median(model.predict(X, return_std=True)[1]) > 0.0
    assert model.history_[-1].epoch > len(fresh.loss_curve_)


@pytest.mark.parametrize("n, n_chunks", [(1, 100), (50, 8)])
def test_class_weights_keep_their_unit_in_chunks_of_one_class(n, n_chunks):
    rng = np.random.default_rng(0)
    X, y = rng.standard_normal((n * n_chunks, 2)), np.repeat(np.arange(n_chunks) % 2, n)
    means = []
    for class_weight in (None, {0: 1.0, 1: 0.1}, {0: 10.0, 1: 1.0}):
        model = one_classifier(class_weight=class_weight)
        for X_part, y_part in chunks(X, y, n_chunks):
            model.partial_fit(X_part, y_part, classes=[0, 1])
        means.append(model.predict_proba(X)[:, 1].mean())
    assert means[1] == pytest.approx(means[2], abs=1e-3)
    assert means[1] < means[0] - 0.15


def test_a_few_rows_do_not_undo_a_fit():
    X, y = make_friedman1(2400, 10, noise=1.0, random_state=0)
    X_test, y_test = make_friedman1(2000, 10, random_state=1)
    model = NimbleRegressor(n_estimators=1, random_state=0)
    before = 1.0 - model.fit(X[:2000], y[:2000]).score(X_test, y_test)
    for start in range(2000, 2400, 20):
        model.partial_fit(X[start : start + 20], y[start : start + 20])
    assert 1.0 - model.score(X_test, y_test) < 2.2 * before


def test_pieces_of_one_class_after_a_fit_are_learnt():
    X, y = make_classification(1000, 6, n_informative=4, random_state=0)
    model = one_classifier().fit(X, y)
    before = model.predict_proba(X)[:, 1].mean()
    for part in np.array_split(np.flatnonzero(y == 1), 5):
        model.partial_fit(X[part], y[part])
    assert model.predict_proba(X)[:, 1].mean() > before + 0.2


def test_rows_of_weight_zero_are_absent_from_a_chunk(data):
    X, y = data
    weight = (np.arange(len(y)) % 2).astype(float)
    weighted = one().partial_fit(X, y, sample_weight=weight)
    fewer = one().partial_fit(X[1::2], y[1::2])
    np.testing.assert_array_equal(weighted.predict(X), fewer.predict(X))


# --------------------------------------------------------------------------- when it is cut short
@pytest.fixture
def breaking(monkeypatch):
    """Return what makes training break in its third epoch, and returns what repairs it."""

    def break_with(error):
        records = Training._records

        def broken(self, *args):
            if self.epoch % 3 == 0:
                raise error
            return records(self, *args)

        monkeypatch.setattr(Training, "_records", broken)
        return lambda: monkeypatch.setattr(Training, "_records", records)

    return break_with


INTERRUPTED = """
    import signal, sys, warnings
    from sklearn.datasets import make_friedman1
    from sknimble import NimbleRegressor

    signal.signal(signal.SIGINT, signal.default_int_handler)  # it may have been ignored
    X, y = make_friedman1(2000, 10, noise=1.0, random_state=0)
    model = NimbleRegressor(
        random_state=0, n_estimators=1, max_iter=10**6, warm_start=True, tol=0,
        n_iter_no_change=10**6, verbose=1,
    )
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        model.fit(X, y)
    said = [str(warning.message) for warning in caught]
    assert any("interrupted" in message for message in said), said
    assert model.n_iter_ == len(model.history_) < 10**6
    assert model.score(X, y) > 0.5
    print("usable")
"""


@pytest.mark.skipif(sys.platform == "win32", reason="SIGINT is sent in another way there")
def test_ctrl_c_keeps_the_best_networks_so_far_and_says_so():
    child = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(INTERRUPTED)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    for _ in range(20):
        assert child.stdout.readline().startswith("epoch")
    child.send_signal(signal.SIGINT)
    out, err = child.communicate(timeout=60)
    assert child.returncode == 0, err
    assert out.endswith("usable\n")


@pytest.mark.parametrize("early_stopping", [True, False])
@pytest.mark.parametrize("n_estimators", [1, 3])
def test_an_interrupted_training_can_be_used_saved_and_continued(
    data, breaking, early_stopping, n_estimators
):
    X, y = data
    model = warm(early_stopping=early_stopping, n_estimators=n_estimators, max_iter=20)
    repair = breaking(KeyboardInterrupt)
    with pytest.warns(UserWarning, match="training was interrupted after 2 epochs"):
        model.fit(X, y)
    repair()
    assert model.n_iter_ == 2  # the third was not complete
    assert np.isfinite(model.predict(X)).all()
    assert going_on(model, 9, X, y).n_iter_ == 9


@pytest.mark.parametrize("warm_start", [True, False])
@pytest.mark.parametrize(
    "where",
    [(GrowableNetworks, name) for name in ("reserve", "keep", "_wake", "_forget", "load")]
    + [(Schedule, "keep"), (Training, "_choose_rows"), (Training, "_leave")],
    ids=lambda where: f"{where[0].__name__}.{where[1]}",
)
def test_an_interrupt_finds_whole_networks_wherever_it_comes(monkeypatch, where, warm_start):
    X, y = make_friedman1(200, 5, noise=1.0, random_state=0)
    owner, name = where
    whole, one_pass = getattr(owner, name), Training._pass
    interrupted = calls_left = 0

    def called(self, *args):
        nonlocal calls_left
        calls_left -= 1
        if not calls_left:
            raise KeyboardInterrupt
        return whole(self, *args)

    def armed(self):
        with monkeypatch.context() as patch:
            patch.setattr(owner, name, called)
            return one_pass(self)

    for number in (1, 2, 5):
        calls_left = number
        model = NimbleRegressor(
            random_state=0, warm_start=warm_start, max_iter=40 if warm_start else 300,
            n_estimators=2, initial_size=20,
        )  # fmt: skip
        with monkeypatch.context() as patch, warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            patch.setattr(Training, "_pass", armed)
            model.fit(X, y)
        interrupted += any("interrupted" in str(warning.message) for warning in caught)
        assert model.score(X, y) > 0.5
        if warm_start:
            going_on(model, model.n_iter_ + 3, X, y)
        model.partial_fit(X, y)
        assert np.isfinite(model.predict(X)).all()
    assert interrupted or (warm_start and name == "load")


def test_an_exception_leaves_a_new_estimator_unfitted(data, breaking):
    breaking(MemoryError)
    model = one()
    before = dict(vars(model))
    with pytest.raises(MemoryError):
        model.fit(*data)
    assert vars(model) == before
    with pytest.raises(NotFittedError):
        model.predict(data[0])


@pytest.mark.parametrize("call", ["fit", "warm fit", "partial_fit"])
def test_an_exception_leaves_a_fitted_estimator_as_it_was(data, breaking, call):
    X, y = data
    model = warm(warm_start=call == "warm fit", max_iter=2).fit(X, y).set_params(max_iter=30)
    before, attributes = model.predict(X), dict(vars(model))
    breaking(MemoryError)
    with pytest.raises(MemoryError):
        if call == "partial_fit":
            model.partial_fit(X, 10.0 * y)
        elif call == "warm fit":
            model.fit(X, 10.0 * y)
        else:
            model.fit(X[:, :2], 10.0 * y)  # another table
    assert vars(model).keys() == attributes.keys()
    assert all(vars(model)[name] is attributes[name] for name in attributes)
    np.testing.assert_array_equal(model.predict(X), before)


def test_a_training_that_diverges_keeps_the_earlier_fit():
    X, y = make_friedman1(150, 5, random_state=0)
    model = one(max_iter=20, early_stopping=False).fit(X, y)
    before = model.predict(X)
    model.set_params(learning_rate_init=1e30)
    with np.errstate(all="ignore"), pytest.raises(ValueError, match="learning_rate_init"):
        model.fit(X, y)
    np.testing.assert_array_equal(model.predict(X), before)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("kind", ["quantiles", "classes"])
def test_what_held_out_rows_have_corrected_is_not_corrected_again(kind):
    if kind == "quantiles":
        X, y = make_friedman1(300, 6, noise=1.0, random_state=0)
        model = NimbleRegressor(loss="quantile", quantile=[0.9, 0.1, 0.5])
    else:
        X, y = make_classification(300, n_informative=4, n_classes=3, random_state=0)
        model = NimbleClassifier()
    model.set_params(warm_start=True, max_iter=60, random_state=0)
    parts = clone(model).set_params(max_iter=20).fit(X, y).set_params(max_iter=60).fit(X, y)
    whole = model.fit(X, y)
    outputs = [getattr(m, "decision_function", m.predict)(X) for m in (parts, whole)]
    np.testing.assert_allclose(*outputs, rtol=1e-10)
