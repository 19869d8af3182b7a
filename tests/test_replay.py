"""Rows that came before are learnt from again beside those of a new chunk."""

import copy
import pickle
from dataclasses import replace

import numpy as np
import pytest
from scipy import sparse
from sklearn.datasets import make_classification, make_friedman1

from sknimble import NimbleClassifier, NimbleRegressor, _replay
from sknimble._continue import Progress
from sknimble._late import LateMatrix
from sknimble._replay import (
    ENOUGH_STEPS,
    FIRST_EFFORT,
    REPLAYED_ROWS,
    ROWS_PER_PASS,
    EarlierRows,
    mean_and_error,
    mean_of_class,
    next_effort,
    passes_over,
    replay,
)


def one():
    return NimbleRegressor(n_estimators=1, early_stopping=False, random_state=0)


def earlier(model):
    return model._progress.earlier


def known(Z, target):
    """Lose nothing on any row."""
    return np.zeros(len(target))


def test_a_chunk_is_gone_through_more_often_if_it_is_large_and_early():
    def passes(n, step, effort=FIRST_EFFORT):
        return passes_over(n, n, step, effort)

    assert passes(1, 0) == passes(383, 0) == passes(10**6, 10**6) == 1
    assert passes(384, 0) == passes(10**6, 39_999) == 2
    assert passes(10**6, 0) == passes(8 * 192, 9_999) == FIRST_EFFORT
    often = [passes(10**6, step) for step in range(0, 90_000, 100)]
    assert often == sorted(often, reverse=True)


def test_earlier_rows_take_the_place_of_passes():
    often = [passes_over(n * 1000, 1000, 0, 16) for n in range(1, 17)]
    assert often == [5, 8, 5, 4, 3, 2, 2, 2, 1, 1, 1, 1, 1, 1, 1, 1]
    assert passes_over(8 * 8, 8, 0, 16) == 1
    assert passes_over(16_000, 1000, 0, 256) == 16


def test_effort_doubles_while_new_rows_are_no_surprise():
    effort, efforts = FIRST_EFFORT, []
    for surprise in (0.0, 0.09, -1.0, 0.0, 0.0, 0.0, 0.11, np.nan, 1.0, 1.0, 1.0):
        effort = next_effort(effort, surprise)
        efforts.append(effort)
    assert efforts == [16, 32, 64, 128, 256, 256, 128, 64, 32, 16, 16]


def test_mean_and_error_are_those_of_the_rows_that_count():
    losses = np.random.default_rng(0).exponential(size=100)
    mean, error = mean_and_error(losses, np.ones(100))
    assert (mean, error) == pytest.approx((losses.mean(), losses.std() / 10.0))
    halves = np.repeat([0.0, 3.0], 50)
    found = mean_and_error(losses, halves)
    assert found == pytest.approx(mean_and_error(losses[50:], np.ones(50)))
    weighted, _ = mean_and_error(losses, np.repeat([1.0, 2.0], 50))
    assert weighted == pytest.approx((losses[:50].sum() + 2.0 * losses[50:].sum()) / 150.0)
    assert np.isnan(mean_and_error(losses, np.zeros(100))).all()
    assert not mean_and_error(np.array([np.inf, 1.0]), np.ones(2))[0] < 1.0


@pytest.mark.parametrize("loses", [0.0, 1.0])
def test_effort_goes_on_from_chunk_to_chunk(loses):
    """What losses say is asked of the new rows and of those that are learnt again."""
    asked, kept = [], None

    def losses_of(Z, target):
        asked.append(Z[:, 0])
        return np.where(Z[:, 0] < 1000 * step, 0.0, loses)

    for step in range(4):
        Z = np.arange(1000.0 * step, 1000.0 * (step + 1))[:, None]
        chunk = Z, Z, np.ones(1000)
        rows, n_passes, kept = replay(
            chunk, Progress([], step, (), kept), losses_of, classes=False
        )
        assert len(rows[1]) == 1000 * (step + 1)
        effort = [8, 16, 32, 64][step] if loses == 0.0 else [8, 16, 16, 16][step]
        assert kept.effort == effort
        assert n_passes == min(effort // (step + 1), 1000 * (step + 1) // ROWS_PER_PASS)
    assert [len(one) for one in asked] == [1000, 1000, 1000, 2000, 1000, 3000]


def test_what_no_longer_holds_is_forgotten():
    """Two chunks that cost much more than those before say that the past is over."""
    kept = None
    losses, kept_rows = [0.5, 0.1, 0.44, 1.9, 0.44, 1.9, 1.9, 1.9], []
    for step, loss in enumerate(losses):
        chunk = np.full((600, 1), step), np.full((600, 1), loss), np.ones(600)
        progress = Progress([], step, (), kept)
        rows, _, kept = replay(chunk, progress, lambda Z, target: target[:, 0], classes=False)
        kept_rows.append(len(kept.key) // 600)
        suspected = step in (3, 5)  # compared with what went before
        assert kept.suspected == suspected
        assert kept.cost == pytest.approx(0.44 if suspected else loss if step else np.inf)
        assert len(rows[1]) == len(kept.key)
    assert kept_rows == [1, 2, 3, 4, 5, 6, 1, 2]


def test_a_stream_follows_a_change():
    rng = np.random.default_rng(0)
    X = rng.uniform(-1.0, 1.0, (400 * 14, 2))
    sign = np.where(np.arange(len(X)) < 400 * 8, 1.0, -1.0)
    y = np.sin(2.0 * X[:, 0]) + sign * X[:, 1]
    model = one()
    for part in np.array_split(np.arange(len(X)), 14):
        score = model.score(X[part], y[part]) if part[0] else 0.0
        model.partial_fit(X[part], y[part])
    assert score > 0.9


def test_new_inputs_are_not_a_change():
    rng = np.random.default_rng(0)
    X = np.concatenate([rng.uniform(-2.0, 0.0, (600, 1)), rng.uniform(0.0, 2.0, (2400, 1))])
    model = one()
    for part in np.array_split(np.arange(3000), 10):
        model.partial_fit(X[part], abs(X[part, 0]))
    assert abs(model.predict(X[:600]) - abs(X[:600, 0])).mean() < 0.05
    assert len(earlier(model).key) == 3000


def test_single_rows_say_nothing_of_a_change():
    X, y = make_friedman1(200, 6, noise=1.0, random_state=0)
    model = one()
    for row in range(100):
        model.partial_fit(X[[row]], y[[row]])
    assert len(earlier(model).key) > 90


def test_sparse_and_dense_chunks_take_turns():
    X = np.random.default_rng(0).normal(size=(120, 3))
    y, first = X[:, 0], X[:60].copy()
    first[:, 1] = 2.0
    model = one().partial_fit(first, y[:60]).partial_fit(sparse.csr_matrix(X[60:]), y[60:])
    assert np.isfinite(model._table.numbers_.scale).all()


def test_single_rows_give_a_column_its_scale():
    X = np.random.default_rng(0).normal(size=(40, 2)) + 1e4
    X[0, 0] = np.nan
    model = one()
    for row in range(40):
        model.partial_fit(X[[row]], X[[row], 1])
    assert np.isfinite(model._table.numbers_.scale).all()
    assert (model._table.numbers_.scale < 10.0).all()


@pytest.mark.parametrize("second", [1, 100])
def test_a_column_without_values_at_first_was_not_zero(second):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(2000, 2)) + [1e4, 0.0]
    y = X[:, 0] - 1e4 + 3.0 * X[:, 1]
    X[:200, 0] = np.nan
    X[200 : 200 + second, 0] = 1e4
    model = one()
    for part in np.split(np.arange(2000), [200, 200 + second, 500, 1000, 1500]):
        model.partial_fit(X[part], y[part])
    assert model.score(X[500:], y[500:]) > 0.95


def test_rows_without_weight_are_no_surprise():
    X = np.random.default_rng(0).normal(size=(400, 3))
    y = (X[:, 0] > 1.8).astype(int)
    model = NimbleClassifier(n_estimators=1, random_state=0, class_weight={0: 0.0})
    model.partial_fit(X[:300], y[:300], classes=[0, 1])
    rare = 300 + np.flatnonzero(y[300:])[:1]
    model.partial_fit(X[rare], y[rare])
    assert np.isfinite(model.predict_proba(X)).all()


@pytest.mark.parametrize("n_first", [1, 200])
@pytest.mark.parametrize("value", [0.0, 5.0, -1000.0, np.nan])
def test_a_column_may_begin_with_one_value(value, n_first):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(2600, 2)) + np.nan_to_num([value, 0.0])
    y = 3.0 * (X[:, 0] - np.nan_to_num(value)) + X[:, 1]
    X[:n_first, 0] = value
    model = one().partial_fit(X[:n_first], y[:n_first])
    for part in np.array_split(np.arange(n_first, 2600), 8):
        model.partial_fit(X[part], y[part])
    assert model.score(X[n_first:], y[n_first:]) > 0.95


def test_what_is_known_by_heart_is_not_learnt_more_often():
    rng = np.random.default_rng(0)
    X = rng.standard_normal((3000, 8))
    smooth, noise = np.sin(X[:, 0]) + X[:, 1], rng.standard_normal(3000)
    efforts = []
    for y in (smooth, noise):
        model = one()
        for part in np.array_split(np.arange(3000), 6):
            model.partial_fit(X[part], y[part])
        efforts.append(earlier(model).effort)
    assert efforts == [256, 16]


@pytest.mark.parametrize("kind", [np.asarray, sparse.csr_matrix])
def test_earlier_rows_are_a_fair_sample_that_does_not_grow(monkeypatch, kind):
    monkeypatch.setattr(_replay, "KEPT_CELLS", 400)
    Z = np.arange(1.0, 1001.0)[:, None]  # a number a row, none of them zero, and its target
    times, kept, step = np.zeros(1000), None, 0
    for repeat in range(100):
        kept = None
        for part in np.array_split(np.arange(1000), 10):
            progress = Progress([], 100 * repeat + step, (), kept)
            chunk = kind(Z[part]), Z[part], np.ones(len(part))
            rows, _, kept = replay(chunk, progress, known, classes=False)
            step += 1
            assert len(rows[1]) <= 16 * len(part)
            assert len(kept.key) == min(200, part[-1] + 1)
            seen = kept.Z.toarray() if sparse.issparse(kept.Z) else kept.Z
            np.testing.assert_array_equal(seen, kept.target)  # rows stay whole
        times[kept.target[:, 0].astype(int) - 1] += 1.0
    by_chunk = times.reshape(10, 100).sum(axis=1)
    assert abs(by_chunk / by_chunk.mean() - 1.0).max() < 0.1
    assert len(set(kept.key)) == 200


def test_after_many_steps_old_rows_fade(monkeypatch):
    monkeypatch.setattr(_replay, "LASTING_ROWS", 200)
    Z, kept = np.arange(4000.0)[:, None], None
    ages = []
    for step, part in enumerate(np.array_split(np.arange(4000), 80)):
        progress = Progress([], ENOUGH_STEPS - 20 + step, (), kept)
        chunk = Z[part], Z[part], np.ones(50)
        rows, _, kept = replay(chunk, progress, known, classes=False)
        sample = 50 * step if step <= 20 else 200
        assert len(rows[1]) == 50 + min(sample, 750 if step < 20 else 206)
        assert len(kept.key) == (50 * (step + 1) if step < 20 else 200)
        ages.append(part[-1] - kept.target[:, 0].mean())
    # each call keeps four fifths of the rows, old and new
    assert np.mean(ages[40:]) == pytest.approx(225.0, rel=0.1)


@pytest.mark.parametrize("n, n_again", [(1, 15), (10, 150), (100, 156), (255, 1), (256, 0)])
def test_after_many_steps_earlier_rows_only_fill_up_a_small_chunk(n, n_again):
    Z = np.arange(2000.0)[:, None]
    _, _, kept = replay((Z, Z, np.ones(2000)), None, known, classes=False)
    progress = Progress([], ENOUGH_STEPS, (), kept)
    rows, _, kept = replay((Z[:n], Z[:n], np.ones(n)), progress, known, classes=False)
    assert len(rows[1]) == n + n_again
    assert len(kept.key) == 2000 + n


def test_a_large_chunk_that_is_learnt_alone_says_nothing_of_a_change():
    Z = np.arange(2000.0)[:, None]
    before = EarlierRows(Z, Z, np.ones(2000), np.linspace(0.0, 1.0, 2000), 64, 0.3)
    chunk, progress = (Z[:256], Z[:256], np.ones(256)), Progress([], ENOUGH_STEPS, (), before)
    assert replay(chunk, progress, known, classes=False)[2].cost == 0.3


def test_small_chunks_do_not_undo_what_many_have_taught():
    X, y = make_friedman1(5000, 5, noise=0.5, random_state=0)
    model = one().partial_fit(X[:3000], y[:3000])
    model._progress = replace(model._progress, step=ENOUGH_STEPS)
    before = model.score(X[4000:], y[4000:])
    for start in range(3000, 4000, 5):
        model.partial_fit(X[start : start + 5], y[start : start + 5])
    assert model.score(X[4000:], y[4000:]) > before - 0.005


def test_earlier_rows_are_nobody_elses():
    X, y = make_friedman1(400, 5, noise=0.5, random_state=0)
    alone, buffer = one(), np.empty(100)
    reused = one()
    for part in np.array_split(np.arange(400), 4):
        alone.partial_fit(X[part], y[part].copy())
        buffer[:] = y[part]
        reused.partial_fit(X[part], buffer)
        buffer[:] = 1e6
    np.testing.assert_array_equal(alone.predict(X), reused.predict(X))


def test_targets_and_the_densest_rows_count_as_numbers_too(monkeypatch):
    monkeypatch.setattr(_replay, "KEPT_CELLS", 1000)
    wide = np.ones((50, 1)), np.ones((50, 99)), np.ones(50)
    assert len(replay(wide, None, known, classes=False)[2].key) == 10
    sparse_rows = sparse.random(100, 1000, 0.009, format="csr", random_state=0)
    thin = sparse_rows, np.ones((100, 1)), np.ones(100)
    kept = replay(thin, None, known, classes=False)[2]
    assert len(kept.key) == 100
    dense = sparse.csr_matrix(np.ones((1, 1000))), np.ones((1, 1)), np.ones(1)
    assert 45 < len(replay(dense, Progress([], 1, (), kept), known, classes=False)[2].key) < 55


def test_earlier_rows_are_learnt_again():
    rng = np.random.default_rng(0)
    X = np.concatenate([rng.uniform(-2.0, 0.0, (300, 1)), rng.uniform(0.0, 2.0, (2400, 1))])
    y = np.abs(X[:, 0])
    whole, forgetful = one(), one()
    for part in np.array_split(np.arange(2700), 9):
        whole.partial_fit(X[part], y[part])
        forgetful.partial_fit(X[part], y[part])
        forgetful._progress = replace(forgetful._progress, earlier=None)
    error, forgotten = (abs(m.predict(X[:300]) - y[:300]).mean() for m in (whole, forgetful))
    assert error < 0.5 * forgotten


def test_no_file_holds_rows_and_a_training_goes_on_without():
    X, y = make_friedman1(600, 5, noise=0.5, random_state=0)
    model = one().partial_fit(X[:300], y[:300])
    assert len(earlier(model).key) == 300
    for copied in (pickle.loads(pickle.dumps(model)), model.resized(1)):
        assert copied._progress is None or earlier(copied) is None
        copied.partial_fit(X[300:], y[300:])
        assert len(earlier(copied).key) == 300
    copied = copy.deepcopy(model).partial_fit(X[300:], y[300:])
    model.partial_fit(X[300:], y[300:])
    assert len(earlier(model).key) == 600
    np.testing.assert_array_equal(copied.predict(X), model.predict(X))
    assert model.set_params(warm_start=True, max_iter=50).fit(X, y)._progress.earlier is None


def come(losses, cost, weight=None, before=0.0, weight_before=None, effort=64, suspected=True):
    """Let a chunk that loses this come after a hundred rows; return what is learnt and kept."""
    losses, n = np.asarray(losses, dtype=float), len(losses)
    old = np.broadcast_to(np.asarray(before, dtype=float), 100)[:, None]
    ones = np.ones(100) if weight_before is None else weight_before
    earlier = EarlierRows(old, old, ones, np.linspace(0.1, 0.9, 100), effort, cost, suspected)
    chunk = losses[:, None], losses[:, None], np.ones(n) if weight is None else weight
    progress = Progress([], 1, (), earlier)
    rows, n_passes, kept = replay(chunk, progress, lambda Z, t: t[:, 0], classes=False)
    return rows, n_passes, kept


def forgets(*args, **kwargs):
    return len(come(*args, **kwargs)[2].key) < 200


def test_the_past_is_over_at_four_times_the_cost_and_a_twentieth():
    assert not forgets(np.full(100, 0.44), 0.1)
    assert forgets(np.full(100, 0.46), 0.1)
    assert not forgets(np.full(100, 4.04), 1.0)
    assert forgets(np.full(100, 4.06), 1.0)


def test_a_single_row_is_no_change():
    assert len(come([9.0], 0.1)[2].key) == 101
    assert len(come([9.0, 9.0], 0.1)[2].key) == 2


def test_two_standard_errors_are_no_change():
    spread = np.repeat([0.0, 2.0], 50)  # of mean 1, and standard error 0.1
    assert not forgets(0.55 * spread, 0.1)  # 0.55 - 0.11 < 0.45
    assert forgets(0.57 * spread, 0.1)
    assert not forgets(0.4 * spread, 0.1)  # though 0.4 + 0.08 > 0.45


def test_two_standard_errors_may_be_a_surprise():
    spread = np.repeat([0.0, 2.0], 50)
    assert come(np.full(100, 0.09), 1.0)[2].effort == 128
    assert come(0.08 * spread, 1.0)[2].effort == 128  # 0.08 + 0.016 < 0.1
    assert come(0.09 * spread, 1.0)[2].effort == 32


def test_rows_without_weight_surprise_nobody():
    half = np.repeat([0.0, 1.0], 50)
    assert come(half, 1.0, weight=1.0 - half)[2].effort == 128
    assert come(half, 1.0, weight=half)[2].cost == 1.0
    as_before = {"before": half, "weight_before": 1.0 - half}
    assert come(np.full(100, 0.3), 1.0, **as_before)[2].effort == 32
    assert come(np.full(100, 0.3), 1.0, before=half)[2].effort == 128


def test_other_earlier_rows_are_learnt_again_every_time():
    Z = np.arange(1000.0)[:, None]
    earlier = EarlierRows(Z, Z, np.ones(1000), np.linspace(0.0, 1.0, 1000), 64, 1.0)
    chunk, drawn = (np.full((10, 1), -1.0), np.full((10, 1), -1.0), np.ones(10)), []
    for step in (1, 2):
        rows, _, _ = replay(chunk, Progress([], step, (), earlier), known, classes=False)
        assert len(rows[0]) == 10 + 10 * REPLAYED_ROWS == 160
        drawn.append(set(rows[0][10:, 0]))
    assert len(drawn[0] & drawn[1]) < 75


def test_a_column_of_one_value_does_not_have_rows_forgotten():
    X = np.random.default_rng(0).normal(size=(120, 2))
    X[:, 1] = 7.0
    model = NimbleRegressor(n_estimators=1, random_state=0)
    for part in np.array_split(np.arange(120), 3):
        model.partial_fit(X[part], X[part, 0])
        assert len(model._progress.earlier.key) == part[-1] + 1


def test_a_chunk_too_large_to_be_encoded_is_learnt_as_a_first_one():
    Z, y = object.__new__(LateMatrix), np.zeros((10_000, 1))
    rows, n_passes, kept = replay((Z, y, y[:, 0]), None, None, classes=False)
    assert rows[0] is Z
    assert (n_passes, kept) == (8, None)


@pytest.mark.parametrize("unit", [1.0, 1000.0])
def test_what_new_rows_cost_is_a_share_of_what_a_constant_loses(unit):
    X = np.random.default_rng(0).normal(size=(300, 2))
    y = unit * (5.0 + np.sin(3.0 * X[:, 0]))
    model = NimbleRegressor(n_estimators=2, random_state=0).partial_fit(X[:150], y[:150])
    Z = model._table.encode(X[150:])
    networks = [network.raw(Z)[:, 0] for network in model._networks]
    errors = [raw * model._loss.scale_ + model._loss.location_ - y[150:] for raw in networks]
    expected = np.mean(np.square(errors), axis=0) / y[:150].var()
    np.testing.assert_allclose(model._losses_of(Z, y[150:, None]), expected, rtol=1e-6)


@pytest.mark.parametrize("form", [np.asarray, sparse.csr_matrix])
def test_earlier_rows_are_what_they_would_be_had_all_columns_had_their_scale(form):
    X = np.random.default_rng(0).normal(size=(200, 3))
    X[:100, 1], X[:100, 2] = 0.0 if form is sparse.csr_matrix else 3.0, 0.0
    if form is np.asarray:
        X[::7, 1] = np.nan
    model = NimbleRegressor(n_estimators=1, random_state=0)
    for rows in (slice(0, 100), slice(100, 200)):
        model.partial_fit(form(X[rows]), X[rows, 0])
    known = earlier(model)
    assert known.key.size == 200
    order = np.argsort(known.target[:, 0])
    found, expected = known.Z[order], model._table.encode(form(X[np.argsort(X[:, 0])]))
    if form is sparse.csr_matrix:
        found, expected = found.toarray(), expected.toarray()
    np.testing.assert_allclose(found, expected, rtol=1e-6)
    assert np.ptp(found[:, 1]) > 0.5


def test_a_class_that_is_new_does_not_end_the_past():
    X, y = make_classification(1200, 6, n_informative=6, n_redundant=0, n_classes=4,
                               n_clusters_per_class=1, class_sep=2.0, random_state=0)  # fmt: skip
    order, model = np.argsort(y, kind="stable"), NimbleClassifier(n_estimators=1, random_state=0)
    for rows in np.split(order, 40):
        model.partial_fit(X[rows], y[rows], classes=np.arange(4))
    assert len(earlier(model).key) == 1200
    assert model.score(X, y) > 0.75


def test_a_chunk_of_a_class_that_has_just_come_does_not_end_the_past():
    X, y = make_classification(1200, 6, n_informative=6, n_redundant=0, n_classes=4,
                               n_clusters_per_class=1, class_sep=2.0, random_state=0)  # fmt: skip
    order = np.argsort(np.maximum(y, 1), kind="stable")  # two classes mixed, a third, a fourth
    model = NimbleClassifier(n_estimators=1, random_state=0)
    for rows in np.split(order, 120):
        model.partial_fit(X[rows], y[rows], classes=np.arange(4))
    assert len(earlier(model).key) == 1200
    assert model.score(X, y) > 0.9


def test_classes_that_change_places_end_the_past():
    X, y = make_classification(1500, 6, n_informative=6, n_redundant=0, n_classes=4,
                               n_clusters_per_class=1, class_sep=1.5, random_state=0)  # fmt: skip
    y[900:] = np.array([1, 0, 2, 3])[y[900:]]
    model = NimbleClassifier(n_estimators=1, random_state=0)
    for rows in np.split(np.arange(1500), 30):
        model.partial_fit(X[rows], y[rows], classes=np.arange(4))
    assert len(earlier(model).key) < 600
    assert model.score(X[900:], y[900:]) > 0.85


def test_losses_of_a_class_are_averaged_over_its_earlier_rows():
    before = EarlierRows(None, np.array([[0.0], [1.0], [1.0]]), np.ones(3), None)
    found = mean_of_class(np.array([2.0, 3.0, 5.0]), before, np.array([[1.0], [2.0], [0.0]]))
    np.testing.assert_array_equal(found, [4.0, np.inf, 2.0])


def test_classes_without_earlier_rows_do_not_hide_a_change():
    X, y = make_classification(1000, 6, n_informative=6, n_redundant=0, class_sep=2.0,
                               n_clusters_per_class=1, random_state=0)  # fmt: skip
    y[700:] = 1 - y[700:]
    y[49::50] = 2 + np.arange(20)  # every chunk has a row of a class of its own
    model = NimbleClassifier(n_estimators=1, random_state=0)
    for rows in np.split(np.arange(1000), 20):
        model.partial_fit(X[rows], y[rows], classes=np.arange(22))
    assert len(earlier(model).key) < 400


def test_several_labels_that_are_turned_round_end_the_past():
    rng = np.random.default_rng(0)
    X = rng.standard_normal((2000, 8))
    y = (X @ rng.standard_normal((8, 8)) > 0).astype(int)
    y[1200:] = 1 - y[1200:]
    model = NimbleClassifier(n_estimators=1, random_state=0)
    for rows in np.split(np.arange(2000), 20):
        model.partial_fit(X[rows], y[rows])
    assert len(earlier(model).key) < 1000


def test_two_noisy_rows_do_not_end_the_past():
    rng = np.random.default_rng(0)
    X = rng.standard_normal((400, 2))
    y = X[:, 0] + rng.standard_normal(400)
    model = one()
    for rows in np.split(np.arange(400), 200):
        model.partial_fit(X[rows], y[rows])
    assert len(earlier(model).key) == 400


def test_labels_that_are_turned_round_end_the_past():
    X, y = make_classification(1000, 6, n_informative=6, n_redundant=0, class_sep=2.0,
                               n_clusters_per_class=1, random_state=0)  # fmt: skip
    model = NimbleClassifier(n_estimators=1, random_state=0)
    for start in range(0, 1000, 50):
        rows = slice(start, start + 50)
        model.partial_fit(X[rows], y[rows] if start < 700 else 1 - y[rows], classes=[0, 1])
    assert len(earlier(model).key) < 400


@pytest.mark.parametrize("loss", ["squared_error", "absolute_error", "poisson"])
@pytest.mark.parametrize("n_first", [1, 50])
def test_y_that_began_with_one_value_gets_its_units_from_later_chunks(loss, n_first):
    def stream(unit):
        rng = np.random.RandomState(0)
        model = NimbleRegressor(loss=loss, n_estimators=1, random_state=0)
        model.partial_fit(rng.randn(n_first, 2), np.full(n_first, 2.0 * unit))
        for _ in range(6):
            X = rng.randn(150, 2)
            model.partial_fit(X, unit * np.exp(X[:, 0] / 3.0))
        return model, X

    model, X = stream(1e6)
    assert model.score(X, 1e6 * np.exp(X[:, 0] / 3.0)) > 0.75
    same, _ = stream(1.0)
    np.testing.assert_allclose(model.predict(X), 1e6 * same.predict(X), rtol=1e-3)


@pytest.mark.parametrize("loss", ["squared_error", "absolute_error", "poisson"])
def test_values_that_differ_by_rounding_are_one_value(loss):
    rng = np.random.RandomState(0)
    X, sizes = rng.randn(400, 2), []
    for first in (0.3, 0.1 + 0.2):
        y = 1e4 * np.exp(X[:, 0] / 3.0)
        y[:100] = 0.3
        y[:50] = first
        model = NimbleRegressor(loss=loss, n_estimators=1, random_state=0)
        for rows in np.split(np.arange(400), 4):
            model.partial_fit(X[rows], y[rows])
        sizes.append(model.size_weight_)
    assert sizes[0] == pytest.approx(sizes[1], rel=0.01)


def test_two_outputs_of_which_one_has_had_one_value_so_far():
    rng = np.random.RandomState(0)
    X, model = rng.randn(100, 2), NimbleRegressor(n_estimators=1, random_state=0)
    model.partial_fit(X, np.column_stack([X[:, 0], np.zeros(100)]))
    location, scale = model._loss.location_, model._loss.scale_
    model.partial_fit(X, np.column_stack([5.0 * X[:, 0], 1e3 * X[:, 1]]))
    assert (model._loss.location_[0], model._loss.scale_[0]) == (location[0], scale[0])
    assert 500.0 < model._loss.scale_[1] < 2000.0


@pytest.mark.parametrize("loss", ["squared_error", "absolute_error", "poisson"])
def test_if_all_of_y_has_moved_training_begins_anew(loss):
    rng = np.random.RandomState(0)
    X = rng.randn(1200, 3)
    y = np.exp(X[:, 0] / 3.0)
    y[800:] += 30.0
    model = NimbleRegressor(loss=loss, n_estimators=1, random_state=0)
    for rows in np.split(np.arange(1200), 12):
        model.partial_fit(X[rows], y[rows])
    assert model.score(X[800:], y[800:]) > 0.9
    assert model._loss.decode(np.array([[-np.inf]])) < 1.0  # predictions still reach as far


@pytest.mark.parametrize("size", [5, 30, 100])
def test_training_does_not_begin_anew_where_inputs_go_beyond_those_before(size):
    rng = np.random.default_rng(0)
    x = np.sort(rng.uniform(size=600))
    y = 10.0 * (x > 0.6) - 20.0 * (x > 0.8) + 3.0 * rng.uniform(size=600)
    sites = (np.arange(600) // 150).astype(float)
    for inputs in (x, sites):
        model = NimbleRegressor(n_estimators=1, random_state=0)
        for rows in np.split(np.arange(600), 600 // size):
            model.partial_fit(inputs[rows, None], y[rows] + 40.0 * sites[rows])
            assert not earlier(model).anew


def test_two_chunks_of_a_constant_do_not_erase_what_was_learnt():
    X, y = make_friedman1(1060, random_state=0)
    y[1000:1040] = 0.0
    model = NimbleRegressor(n_estimators=1, random_state=0)
    for rows in np.split(np.arange(1060), 53):
        model.partial_fit(X[rows], y[rows])
    assert model.score(X[:1000], y[:1000]) > 0.8


def test_training_does_not_begin_anew_if_only_inputs_are_new():
    rng = np.random.default_rng(0)
    x = np.r_[rng.uniform(-2, 2, 60), np.sort(rng.uniform(-2, 2, 1500))]
    y = 10.0 * (x > 0)
    model, anew = NimbleRegressor(n_estimators=1, random_state=0), []
    for rows in np.split(np.arange(1560), 26):
        model.partial_fit(x[rows, None], y[rows])
        anew.append(earlier(model).anew)
    assert not any(anew)
    assert len(earlier(model).key) < 1000  # though earlier rows were forgotten
