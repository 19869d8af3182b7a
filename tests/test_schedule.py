"""How long a network trains follows its held-out objective; the rate warms up and anneals."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sknimble._schedule import (
    ANNEAL_STEPS,
    FALL_POWER,
    FALL_STEPS,
    FINISH_RATE,
    FINISH_SHARE,
    FIRST_STEPS,
    PATIENCE_STEPS,
    WARM_UP,
    Schedule,
    relative_error,
)

STEPS_PER_EPOCH = 10
LONG = 1000  # epochs


def make(
    watched=(True,), max_iter=LONG, patience=5, tol=0.0, anneal=True, finishes=False,
    epoch_steps=STEPS_PER_EPOCH, **more,
):  # fmt: skip
    watched = np.array(watched)
    finishes = np.full(len(watched), finishes)
    return Schedule(watched, epoch_steps, max_iter, patience, tol, anneal, finishes, **more)


def run(schedule, objective):
    """Train to the end; return per network when it went back and ended, and all rates."""
    k = len(schedule.watched)
    back, end, rates = np.full(k, -1), np.full(k, -1), []
    step, epoch_steps = 0, schedule.epoch_steps
    while (end < 0).any():
        rates += [schedule.rate(step + i) for i in range(epoch_steps)]
        step += epoch_steps
        schedule.observe(step, np.where(schedule.watched, objective(step), np.nan))
        back[schedule.change_phase(step) & (back < 0)] = step
        end[schedule.finished(step) & (end < 0)] = step
        assert step <= max(2 * LONG * STEPS_PER_EPOCH, schedule.max_iter * epoch_steps)
    return back, end, np.array(rates)


def falling(step):
    return np.array([1.0 / step])


def falling_until(last):
    return lambda step: np.array([1.0 / min(step, last)])


# ------------------------------------------------------------------ the rate
def test_the_rate_warms_up_to_the_full_one():
    rates = [make().rate(step)[0] for step in range(2 * WARM_UP)]
    assert 0 < rates[0] < 0.5
    assert (np.diff(rates) >= 0).all()
    assert rates[WARM_UP:] == [1.0] * WARM_UP


def test_a_rate_that_is_steady_does_not_change():
    schedule = make()
    steady = [step for step in range(2 * WARM_UP) if schedule.is_steady(step)]
    assert steady == list(range(WARM_UP, 2 * WARM_UP))
    assert all(schedule.rate(step) == schedule.rate(step + 1) for step in steady)
    assert not make(anneal=False).is_steady(2 * WARM_UP)


@given(last=st.integers(10, 3000), watched=st.booleans())
def test_the_rate_never_rises_after_the_warm_up_where_no_anneal_pays(last, watched):
    _, _, rates = run(make([watched]), falling_until(last))
    assert ((rates >= 0) & (rates <= 1)).all()
    assert (np.diff(rates[WARM_UP:, 0]) <= 1e-12).all()
    lowest = 0.5 if watched else 0.0  # nothing is found: the anneal ends at half its length
    assert abs(rates[-1, 0] - lowest) <= 2 * STEPS_PER_EPOCH / ANNEAL_STEPS


def test_the_anneal_is_a_straight_line():
    _, _, rates = run(make(), falling_until(500))
    falls = rates[:, 0][(rates[:, 0] < 1) & (np.arange(len(rates)) > WARM_UP)]
    np.testing.assert_allclose(np.diff(falls, n=2), 0.0, atol=1e-12)


# ------------------------------------------------------------------ the length
@pytest.mark.parametrize("max_iter", [1, 3, 20, 40, 100])
@pytest.mark.parametrize("watched", [True, False])
def test_no_training_is_longer_than_max_iter(max_iter, watched):
    _, end, _ = run(make([watched], max_iter), falling)
    assert end[0] <= max_iter * STEPS_PER_EPOCH


@pytest.mark.parametrize(
    "rate, times", [(0.5, 1.0), (1e-2, 1.0), (1e-3, 10.0**0.5), (1e-4, 10.0), (1e-6, 10.0)]
)
def test_while_the_linear_model_leads_a_low_rate_gets_more_steps(rate, times):
    def nothing_improves(step):
        return np.array([1.0])

    schedule = make(learning_rate=rate, max_iter=3000, epoch_steps=100)
    schedule.observe(0, nothing_improves(0))  # the linear model
    back, _, _ = run(schedule, nothing_improves)
    assert FIRST_STEPS * times <= back[0] <= FIRST_STEPS * times + 200


def test_a_network_that_improves_goes_on_to_max_iter():
    schedule = make(max_iter=300)
    back, end, _ = run(schedule, falling)
    assert end[0] == 300 * STEPS_PER_EPOCH
    assert back[0] == -1
    assert schedule.limited(end[0])[0]


@pytest.mark.parametrize("last, cut_short", [(40, False), (60, True), (200, True)])
def test_only_what_has_improved_lately_is_cut_short_by_max_iter(last, cut_short):
    schedule = make(max_iter=30)  # 200 steps and an anneal, lately: in the last 150 of the 200
    _, end, _ = run(schedule, falling_until(last))
    assert end[0] == 300
    assert schedule.limited(300)[0] == cut_short


@given(last=st.integers(1, 300))
def test_a_network_that_stops_improving_goes_back_and_anneals(last):
    last *= STEPS_PER_EPOCH
    schedule = make()
    back, end, _ = run(schedule, falling_until(last))
    assert schedule.best_step[0] == last
    assert back[0] >= last + PATIENCE_STEPS
    assert back[0] + ANNEAL_STEPS / 2 <= end[0] < LONG * STEPS_PER_EPOCH
    assert not schedule.limited(end[0])[0]


def test_patience_grows_with_the_steps_so_far():
    back, _, _ = run(make(), falling_until(3000))
    assert back[0] == 4290  # where 0.3 of the steps are 1287, and 1290 went by without improvement


@pytest.mark.parametrize("objective, length", [(2.0, 1000), (0.5, 310)])
def test_scouts_have_longer_to_learn_while_the_linear_model_leads(objective, length):
    schedule = make()
    schedule.observe(0, np.array([1.0]))
    back, _, _ = run(schedule, lambda step: np.array([objective]))
    assert back[0] == length  # of 0.5, the first epoch was the best: 300 steps from there


@pytest.mark.parametrize("watched", [True, False])
def test_a_short_training_anneals_in_its_second_half(watched):
    _, _, rates = run(make([watched], max_iter=10), falling)
    np.testing.assert_allclose(rates[40:51, 0], 1.0)
    np.testing.assert_allclose(rates[50:, 0], 1.0 - np.arange(50) / 50)


def test_an_anneal_and_a_finish_last_an_epoch_at_least():
    schedule = make(epoch_steps=1000, patience=1, max_iter=10, finishes=True)
    _, _, rates = run(schedule, falling_until(1000))
    fall = 1.0 - np.arange(1000) / 1000
    np.testing.assert_allclose(rates[2000:3000, 0], fall)
    np.testing.assert_allclose(rates[3000:, 0], FINISH_RATE * fall)


def test_an_anneal_that_steps_run_out_for_is_not_ended_at_half_its_length():
    # The best at 360 and 0.4 of that to anneal, 144: it would end at 504, and at half at 432.
    back, end, rates = run(make(max_iter=50), falling_until(360))
    assert back[0] == -1
    assert end[0] == 500
    assert rates[-1, 0] < 0.05


def stairs(paying):
    """Fall to 500 steps, and then by a tenth in each of the first `paying` anneals."""
    schedule, anneals = make(tol=0.01), []

    def objective(step):
        start, steps = schedule.anneal_start[0], schedule.anneal_steps[0]
        if len(anneals) < paying and start not in anneals and step >= start + 0.3 * steps:
            anneals.append(start)
        return np.array([max(1.0 / step, 1.0 / 500) * 0.9 ** len(anneals)])

    return schedule, objective


@pytest.mark.parametrize("paying", [0, 1, 3])
def test_an_anneal_is_repeated_as_long_as_it_pays(paying):
    schedule, objective = stairs(paying)
    back, end, rates = run(schedule, objective)
    explored = rates[WARM_UP : back[0], 0]
    restarts = np.flatnonzero(np.diff(rates[:, 0]) > 0.5)
    assert (explored == 1.0).all()
    assert schedule.best[0] == pytest.approx(0.9**paying / 500)
    assert len(restarts) == paying
    lowest = np.append(rates[restarts, 0], rates[-1, 0])
    assert (lowest[:paying] <= 2 * STEPS_PER_EPOCH / ANNEAL_STEPS).all()
    assert 0.4 < lowest[paying] < 0.6, "the last finds nothing, and ends at half its length"


@pytest.mark.parametrize("tol", [0.25, 0.5])
@pytest.mark.parametrize("watched", [True, False])
def test_no_anneal_can_gain_four_times_a_large_tol(tol, watched):
    _, _, rates = run(make([watched], tol=tol), falling_until(100))
    assert (np.diff(rates[WARM_UP:, 0]) <= 1e-12).all()


def test_a_restart_does_not_go_back_to_the_best_nor_pass_max_iter():
    schedule, objective = stairs(paying=100)
    step = turns = 0
    while not schedule.finished(step)[0]:
        step += STEPS_PER_EPOCH
        schedule.observe(step, objective(step))
        turns += int(schedule.change_phase(step)[0])
    assert turns == 1
    assert step <= LONG * STEPS_PER_EPOCH
    assert not schedule.limited(step)[0] or step == LONG * STEPS_PER_EPOCH


@pytest.mark.parametrize("max_iter, again", [(50, False), (60, True)])
def test_an_anneal_that_paid_is_repeated_only_with_steps_for_a_whole_one(max_iter, again):
    schedule = make(max_iter=max_iter)
    for step in range(10, 420, 10):
        schedule.observe(step, np.array([0.5 if step == 400 else 1.0]))
        schedule.change_phase(step)
    # The first from 310 to 410; another would have 0.4 of 400 steps and end at 570.
    assert schedule.finished(410)[0] != again
    assert schedule.rate(410)[0] == float(again)


def test_a_later_best_means_a_longer_training():
    ends = [run(make(), falling_until(last))[1][0] for last in (100, 1000, 3000)]
    assert ends == sorted(set(ends))


@pytest.mark.parametrize("last", [300, 1000])
def test_whoever_finishes_anneals_once_more_for_a_share_of_its_steps(last):
    _, end, rates = run(make(finishes=True), falling_until(last))
    _, plain, _ = run(make(), falling_until(last))
    length = max(ANNEAL_STEPS, FINISH_SHARE * plain[0])
    assert plain[0] + length <= end[0] < plain[0] + length + STEPS_PER_EPOCH
    finish = rates[plain[0] : end[0], 0]
    fall = FINISH_RATE * (1.0 - np.arange(len(finish)) / length)
    np.testing.assert_allclose(finish, np.maximum(0.0, fall), atol=1e-12)


def test_whoever_finishes_goes_back_to_the_best_and_is_watched_no_more():
    schedule, back = make(finishes=True), []
    for step in range(STEPS_PER_EPOCH, 3000, STEPS_PER_EPOCH):
        schedule.observe(step, np.where(schedule.watched, falling_until(300)(step), np.nan))
        back += [step] * int(schedule.change_phase(step)[0])
        assert schedule.watched[0] != schedule.finishing[0]
        if schedule.finished(step)[0]:
            break
    assert len(back) == 2  # to anneal, and to finish
    assert schedule.finishing[0]


@pytest.mark.parametrize("max_iter, first", [(60, np.inf), (LONG, 0.0)])
def test_nobody_finishes_without_steps_or_with_the_first_candidate(max_iter, first):
    schedule = make(max_iter=max_iter, finishes=True)
    schedule.observe(0, np.array([first]))
    run(schedule, falling_until(300))
    assert not schedule.finishing[0]


def test_patience_in_epochs_postpones_the_anneal():
    short, long = (run(make(patience=p), falling_until(100))[0][0] for p in (1, 100))
    assert long >= 100 + 100 * STEPS_PER_EPOCH > short


def test_with_nothing_to_watch_training_has_a_fixed_length():
    lengths = {run(make([False]), objective)[1][0] for objective in (falling, falling_until(10))}
    assert len(lengths) == 1


@pytest.mark.parametrize("watched, max_iter", [(False, LONG), (True, 7)])
@pytest.mark.parametrize("epoch_steps", [1, 40, 60, 75, 130, 400, 599, 600, 5000])
def test_the_rate_falls_to_nothing_at_the_end_whatever_the_length_of_an_epoch(
    watched, max_iter, epoch_steps
):
    schedule = make([watched], max_iter=max_iter, epoch_steps=epoch_steps)
    _, end, rates = run(schedule, falling)
    assert end[0] == len(rates)
    if not watched:
        assert 600 <= end[0] < max(600 + epoch_steps, 2 * epoch_steps + 1)
    if end[0] < WARM_UP:
        return
    assert rates[-1, 0] < 0.02
    assert (rates[:, 0] > 0).all()
    annealing = np.count_nonzero(rates[WARM_UP:, 0] < 1.0)
    assert annealing >= min(ANNEAL_STEPS, end[0] // 4) - 1


def test_without_an_anneal_the_rate_falls_slowly_and_training_ends_where_it_is():
    back, end, rates = run(make(anneal=False), falling_until(100))
    assert back[0] == -1
    assert end[0] >= 100 + PATIENCE_STEPS
    fall = (1.0 + np.arange(WARM_UP, end[0]) / FALL_STEPS) ** -FALL_POWER
    np.testing.assert_allclose(rates[WARM_UP : end[0], 0], fall)


def test_without_an_anneal_and_with_nothing_to_watch_max_iter_is_the_length():
    _, end, _ = run(make([False], max_iter=123, anneal=False), falling)
    assert end[0] == 123 * STEPS_PER_EPOCH


# ------------------------------------------------------------------ what counts as better
def test_only_a_lower_objective_is_better():
    schedule = make([True] * 4)
    assert schedule.observe(10, np.array([1.0, 1.0, 1.0, np.nan])).tolist() == [True] * 3 + [False]
    better = schedule.observe(20, np.array([0.9, 1.0, np.nan, 0.5]))
    assert better.tolist() == [True, False, False, True]
    assert schedule.best.tolist() == [0.9, 1.0, 1.0, 0.5]
    assert schedule.best_step.tolist() == [20, 10, 10, 20]


def test_what_is_within_tol_of_the_best_is_as_good_and_later():
    schedule = make(tol=0.1)
    objectives = [1.0, 0.95, 0.8, 0.87, 0.89, 0.7, 0.76, 0.78]
    kept = [schedule.observe(step, np.array([one]))[0] for step, one in enumerate(objectives)]
    assert kept == [True, False, True, True, False, True, True, False]
    assert schedule.best[0] == 0.7
    assert schedule.best_step[0] == 6


def test_the_first_candidate_leads_until_doubt_is_overcome():
    schedule, doubt = make(tol=0.01), np.array([0.2])
    objectives = [1.0, 0.85, 0.79, 0.789, 0.7]
    kept = [schedule.observe(s, np.array([one]), doubt)[0] for s, one in enumerate(objectives)]
    assert kept == [True, False, True, True, True]


def test_the_error_of_a_gain_is_that_of_paired_rows():
    rng = np.random.default_rng(0)
    roots, errors = [], []
    for _ in range(2000):
        before, gain = rng.exponential(size=100), rng.normal(0.1, 0.3, size=100)
        roots.append(1.0 - np.sqrt((before - gain).sum() / before.sum()))
        errors.append(relative_error(np.append(before, 0.0), np.append(before - gain, 0.0)))
    assert np.mean(errors) == pytest.approx(np.std(roots), rel=0.15)


@pytest.mark.parametrize(
    "before, after, error",
    [
        ([1.0, 1.0, 0.0], [0.9, 0.7, 0.0], 0.05),  # gains of 0.2 on average, give or take 0.1
        ([1.0, 3.0, 2.0], [0.9, 2.9, 1.9], 0.0),  # the same for all rows
        ([1.0, 0.0], [0.1, 0.0], 0.5),  # of one row half may be luck
        ([0.1, 0.1], [9.0, 0.1], 0.5),  # and never more
        ([0.0, 0.0], [1.0, 1.0], 0.5),
    ],
)
def test_the_error_of_a_gain_is_at_most_a_half(before, after, error):
    assert relative_error(np.array(before), np.array(after)) == pytest.approx(error, abs=1e-9)


def test_improvements_within_tol_are_kept_but_win_no_time():
    tiny = run(make(tol=1e-2), lambda step: np.array([1.0 - 1e-7 * step]))
    none = run(make(tol=1e-2), lambda step: np.array([1.0]))
    assert tiny[0][0] == none[0][0]


def test_small_improvements_add_up_to_more_than_tol():
    back, _, _ = run(make(tol=1e-3, max_iter=200), lambda step: np.array([0.999 ** (step / 100)]))
    assert back[0] == -1


def test_an_objective_below_zero_can_improve():
    schedule = make(tol=1e-2)
    schedule.observe(10, np.array([-1.0]))
    assert schedule.observe(20, np.array([-1.1]))[0]
    assert schedule.improved_step[0] == 20


# ------------------------------------------------------------------ several networks
def test_every_network_has_a_schedule_of_its_own():
    lasts = [100, 700, 2000]

    def objective(step):
        return np.array([1.0 / min(step, last) for last in lasts])

    back, end, rates = run(make([True] * 3), objective)
    for member, last in enumerate(lasts):
        alone = run(make(), falling_until(last))
        assert (back[member], end[member]) == (alone[0][0], alone[1][0])
        np.testing.assert_array_equal(rates[: len(alone[2]), member], alone[2][:, 0])


def test_networks_that_stay_go_on_as_before():
    schedule, alone = make([True, False, True]), make([True, True])
    schedule.observe(10, np.array([3.0, np.nan, 2.0]))
    alone.observe(10, np.array([3.0, 2.0]))
    schedule.keep(np.array([0, 2]))
    for name in ("watched", "limit", "best", "best_step", "anneal_start"):
        np.testing.assert_array_equal(getattr(schedule, name), getattr(alone, name))


def test_a_schedule_begun_later_counts_from_there():
    first, later = make(max_iter=50), make(max_iter=50)
    later.begin_at(1000)
    np.testing.assert_array_equal(later.limit, first.limit + 1000)
    later.observe(1010, np.array([1.0]))
    assert not later.change_phase(1010 + PATIENCE_STEPS - 10)[0]


def test_begun_later_the_first_candidate_leads_for_as_long():
    schedule = make()
    schedule.begin_at(500)
    schedule.observe(500, np.array([1.0]))
    assert not schedule.change_phase(1490)[0]
    assert schedule.change_phase(1500)[0]


def test_begun_later_patience_is_a_share_of_all_steps():
    schedule = make()
    schedule.begin_at(10_000)
    schedule.observe(10_000, np.array([1.0]))
    schedule.observe(10_010, np.array([0.5]))
    assert not schedule.change_phase(14_290)[0]
    assert schedule.change_phase(14_300)[0]  # 4290 without improvement are 0.3 of 14300


def test_begun_later_with_nothing_to_watch_the_anneal_is_as_short():
    schedule = make([False])
    schedule.begin_at(5000)
    for step in range(5010, 5550, 10):
        schedule.change_phase(step)
    # 600 steps, of which the last 100 anneal
    assert [schedule.rate(step)[0] for step in (5400, 5500, 5550)] == [1.0, 1.0, 0.5]


def test_a_training_of_one_epoch_has_a_rate_until_its_end():
    schedule = make([False], max_iter=1, epoch_steps=50)
    schedule.change_phase(50)
    assert schedule.finished(50).all()
    assert schedule.rate(50) == [1.0]
