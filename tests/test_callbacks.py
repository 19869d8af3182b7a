"""scikit-learn's callbacks watch the epochs and may end them; where there are none, nothing."""

import importlib.util
import sys

import numpy as np
import pytest
from sklearn.datasets import make_friedman1
from sklearn.model_selection import GridSearchCV

import sknimble._callbacks
from sknimble import NimbleClassifier, NimbleRegressor

try:
    from sklearn.callback import ScoringMonitor
except ImportError:
    ScoringMonitor = None

needs_callbacks = pytest.mark.skipif(ScoringMonitor is None, reason="scikit-learn 1.9 has them")


class Watcher:
    """Notes what it is told; asks to stop after some epochs."""

    def __init__(self, stop_after=None, fail=False):
        self.stop_after, self.fail = stop_after, fail
        self.begun, self.ended, self.seen = [], [], []

    def setup(self, estimator, context):
        pass

    def teardown(self, estimator, context):
        pass

    def on_fit_task_begin(self, estimator, context):
        self.begun.append(context.task_name)

    def on_fit_task_end(self, estimator, context, *, X=None, y=None, fitted_estimator=None):
        self.ended.append(context.task_name)
        if context.task_name == "epoch":
            self.seen.append((fitted_estimator, len(X), len(y)))
            if self.fail:
                raise RuntimeError("a callback broke")
            return len(self.seen) == self.stop_after


@pytest.fixture
def data():
    return make_friedman1(90, 5, noise=0.1, random_state=0)


def short(**parameters):
    defaults = {"max_iter": 12, "n_estimators": 1, "early_stopping": False, "random_state": 0}
    return NimbleRegressor(**(defaults | parameters))


@needs_callbacks
def test_every_epoch_is_a_task_within_the_task_of_fitting(data):
    watcher = Watcher()
    short().set_callbacks(watcher).fit(*data)
    assert watcher.begun == ["fit"] + ["epoch"] * 12
    assert watcher.ended == ["epoch"] * 12 + ["fit"]


@needs_callbacks
def test_a_callback_sees_size_losses_and_predictions_at_every_epoch(data):
    watcher = Watcher()
    model = short(initial_size=2, size_penalty=1e-6).set_callbacks(watcher).fit(*data)
    for epoch, (fitted, n_rows, n_targets) in enumerate(watcher.seen, start=1):
        assert n_rows == n_targets == 90
        assert fitted.n_iter_ == epoch == len(fitted.history_)
        assert fitted.size_weight_ == fitted.history_[-1].size
        assert fitted.predict(data[0]).shape == (90,)
    last = watcher.seen[-1][0]
    np.testing.assert_array_equal(last.predict(data[0]), model.predict(data[0]))
    np.testing.assert_array_equal(last.prefix_losses(*data), model.prefix_losses(*data))
    assert watcher.seen[0][0].score(*data) < last.score(*data)


@needs_callbacks
def test_what_a_callback_was_shown_does_not_change_later(data):
    watcher = Watcher()
    short(max_iter=2).set_callbacks(watcher).fit(*data)
    early = watcher.seen[0][0]
    before = early.predict(data[0])
    short(max_iter=12, warm_start=True).set_callbacks(watcher).fit(*data)
    np.testing.assert_array_equal(early.predict(data[0]), before)


@needs_callbacks
@pytest.mark.filterwarnings("ignore:the noise of y is not known:UserWarning")
def test_a_callback_sees_nothing_of_an_earlier_fit(data):
    X, y = data
    model = short(n_estimators=2, early_stopping=True, max_iter=1000).fit(X, 100.0 * y)
    watcher = Watcher()
    model.set_callbacks(watcher).fit(X, y)
    assert len(watcher.seen) > 3
    for fitted, *_ in watcher.seen[1:]:
        assert fitted.predict(X, return_std=True)[1].max() < 10.0 * y.std()


@needs_callbacks
@pytest.mark.parametrize("early_stopping", [True, False])
def test_a_callback_that_returns_true_ends_the_training(data, early_stopping):
    X, y = data
    watcher = Watcher(stop_after=5)
    model = short(early_stopping=early_stopping, n_estimators=2).set_callbacks(watcher).fit(X, y)
    assert model.n_iter_ == 5
    np.testing.assert_array_equal(watcher.seen[-1][0].predict(X), model.predict(X))


@needs_callbacks
def test_training_goes_on_from_where_a_callback_ended_it(data):
    X, y = data
    whole = short(warm_start=True, early_stopping=False).fit(X, y)
    model = short(warm_start=True, early_stopping=False).set_callbacks(Watcher(stop_after=5))
    model.fit(X, y)
    assert model.n_iter_ == 5
    model.set_callbacks().fit(X, y)
    np.testing.assert_allclose(model.predict(X), whole.predict(X), rtol=1e-12)


@needs_callbacks
def test_a_callback_that_raises_leaves_the_estimator_as_it_was(data):
    X, y = data
    model = short().set_callbacks(Watcher(fail=True))
    with pytest.raises(RuntimeError, match="broke"):
        model.fit(X, y)
    assert not model.__sklearn_is_fitted__()
    assert not hasattr(model, "n_features_in_")


@needs_callbacks
@pytest.mark.parametrize("parameter", [{"n_estimators": 3}, {"activation": "relu"}])
def test_a_callback_that_changes_what_must_stay_is_told_so(data, parameter):
    class Meddler(Watcher):
        def on_fit_task_end(self, estimator, context, *, X=None, y=None, fitted_estimator=None):
            estimator.set_params(**parameter)

    (name,) = parameter
    with pytest.raises(ValueError, match=f"{name} was .* when training began and is"):
        short().set_callbacks(Meddler()).fit(*data)


@needs_callbacks
def test_a_callback_changes_nothing(data):
    X, y = data
    watched = short().set_callbacks(Watcher()).fit(X, y)
    np.testing.assert_array_equal(watched.predict(X), short().fit(X, y).predict(X))


@needs_callbacks
def test_scores_of_every_epoch_come_back_from_the_folds_of_a_parallel_search(data):
    X, y = data
    monitor = ScoringMonitor(scoring="r2")
    model = short(max_iter=6).set_callbacks(monitor)
    search = GridSearchCV(model, {"size_penalty": [1e-4, 1e-2]}, cv=2, n_jobs=2).fit(X, y)
    rows = monitor.get_logs().data_as_pandas
    fits = 2 * 2 + 1
    assert len(rows) == fits * 6
    assert (rows["task_name"] == "epoch").all()
    assert search.best_estimator_.n_iter_ == 6


@needs_callbacks
def test_sample_weights_reach_the_monitor(data):
    X, y = data
    weight = np.where(np.arange(len(y)) < 45, 1.0, 0.0)
    monitor = ScoringMonitor(scoring="r2")
    model = short(max_iter=3).set_callbacks(monitor).fit(X, y, sample_weight=weight)
    last = monitor.get_logs().data_as_pandas["r2"].iloc[-1]
    assert last == pytest.approx(model.score(X[:45], y[:45]))


@needs_callbacks
def test_no_tasks_are_made_when_nobody_watches(data, monkeypatch):
    from sklearn.callback import CallbackContext

    made = []
    monkeypatch.setattr(CallbackContext, "subcontext", lambda self, **task: made.append(task))
    short().fit(*data)
    assert made == []


@needs_callbacks
def test_progress_bars_nest_under_the_folds_of_a_search(data, capsys):
    pytest.importorskip("rich")
    from sklearn.callback import ProgressBar

    search = GridSearchCV(short(max_iter=3), {"size_penalty": [1e-4, 1e-2]}, cv=2)
    search.set_callbacks(ProgressBar()).fit(*data)
    shown = capsys.readouterr().out
    assert shown.count("NimbleRegressor - fit") >= 4


def test_below_1_9_fitting_is_a_task_that_nobody_watches(monkeypatch):
    monkeypatch.setitem(sys.modules, "sklearn.callback", None)
    spec = importlib.util.spec_from_file_location("older", sknimble._callbacks.__file__)
    older = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(older)

    task = older.CallbackSupportMixin()._init_callback_context(max_subtasks=3)
    task.call_on_fit_task_begin(X=None)
    assert task.subcontext(task_name="epoch") is task
    assert task.call_on_fit_task_end(reconstruction_attributes=None) is False


def test_nothing_is_written_by_default(data, capsys):
    short().fit(*data)
    assert capsys.readouterr() == ("", "")


def test_verbose_1_writes_a_line_per_epoch(data, capsys):
    short(max_iter=4, verbose=1).fit(*data)
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 4
    assert lines[2].startswith("epoch    3 of at most 4")


def test_verbose_counts_the_epochs_that_a_piece_will_get(data, capsys):
    model = short(max_iter=2, verbose=1)
    X, y = (array.repeat(2, axis=0) for array in data)
    model.partial_fit(X, y).partial_fit(X, y)
    lines = capsys.readouterr().out.splitlines()
    assert lines[-1].startswith(f"epoch    {len(lines)} of at most {len(lines)} ")


def test_verbose_2_writes_one_line_over_and_over(data, capsys):
    X, y = data
    model = NimbleClassifier(max_iter=4, early_stopping=False, verbose=2, random_state=0)
    model.fit(X, y > y.mean())
    shown = capsys.readouterr().out
    assert shown.count("\r") == 4
    assert shown.count("\n") == 1
    assert shown.endswith("\n")
