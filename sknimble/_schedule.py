"""How long each network trains and at what learning rate: numbers only, no weights.

Training has up to three phases. A network *explores* at a constant rate, after a warm-up. When
its held-out objective has not improved for a share of the steps so far, or steps run out, it
*settles*: its size stays as it is, and it *anneals*. The rate falls linearly to 0, over a share of
the steps its best state took. An anneal that has improved the objective by a few ``tol`` is
followed by another (warm restarts, Loshchilov and Hutter, arXiv 1608.03983); one without
improvement ends after half its length. So the length follows the data: a small noisy table whose
best state comes after 100 steps is done after 450, and a table without noise trains much longer.

If the loss and the rows allow it, a network then *finishes*: it goes back to its best state and
anneals once more, from a lower rate, on all rows, its held-out ones included. As no rows are left
to measure this by, it is short.

A training that may be continued later is not annealed: its rate falls as 1 over the fourth root of
the steps.
"""

from copy import copy

import numpy as np

WARM_UP = 40  # steps of rising learning rate, in which N rests
# Exploring ends after so many steps without improvement, and at least a share of all steps.
PATIENCE_STEPS, PATIENCE_SHARE = 300, 0.3
FIRST_STEPS = 1000  # ... while the linear model is still the best: scouts need time to learn
USUAL_RATE, LOWEST_RATE = 1e-2, 1e-4  # ... the more steps, the lower the rate is between these
ANNEAL_STEPS, ANNEAL_SHARE = 100, 0.4  # least length of an anneal, in steps and of the best step
ANNEAL_GAIN = 4.0  # improvement, in tol, after which an anneal is followed by another
MOST_DOUBT = 0.5  # the largest `relative_error`
FINISH_SHARE, FINISH_RATE = 0.2, 0.3  # of the steps so far, and of the learning rate
FIXED_STEPS = 600  # length of a training without held-out rows
FALL_STEPS, FALL_POWER = 400, 0.25  # how the rate falls where it is not annealed


class Schedule:
    """The schedules of K networks, one entry per network.

    Parameters
    ----------
    watched : ndarray of bool, shape (K,)
        Whether a network has held-out rows; the others train for a fixed length.
    epoch_steps : int
        Steps per epoch.
    max_iter : int
        Most epochs.
    patience : int
        Fewest epochs without improvement before a network stops exploring.
    tol : float
        Relative improvement that counts; after `ANNEAL_GAIN` times that an anneal is repeated.
    anneal : bool
        False makes the rate fall slowly without end, so that training can be continued later.
    finishes : ndarray of bool, shape (K,)
        Whether a network, if watched, finishes on its held-out rows.
    learning_rate : float
        The highest of all networks.

    Attributes
    ----------
    best, best_step : ndarray of shape (K,)
        Best objective so far, and the step of the state to keep, which is within ``tol`` of it.
    improved, improved_step : ndarray of shape (K,)
        Objective and step of the last improvement by ``tol``, for patience.
    anneal_start, anneal_steps : ndarray of shape (K,)
        Step at which the latest anneal or finish began, infinite while exploring, and its length.
    anneal_from, anneal_idle : ndarray of shape (K,)
        Best objective when the latest anneal began, and steps without improvement before it.
    """

    _PER_NETWORK = ("watched", "limit", "best", "best_step", "improved", "improved_step",
                    "anneal_start", "anneal_steps", "anneal_from", "anneal_idle",
                    "finishes")  # fmt: skip

    def __init__(
        self, watched, epoch_steps, max_iter, patience, tol, anneal, finishes,
        learning_rate=USUAL_RATE,
    ):  # fmt: skip
        k = len(watched)
        self.watched, self.tol, self.anneal = watched.copy(), tol, anneal
        self.patience_steps = max(PATIENCE_STEPS, patience * epoch_steps)
        slowness = USUAL_RATE / np.clip(learning_rate, LOWEST_RATE, USUAL_RATE)
        self.first_steps = FIRST_STEPS * slowness**0.5
        self.epoch_steps, self.max_iter = epoch_steps, max_iter
        limit = max_iter * epoch_steps
        fixed = limit
        if anneal:  # whole epochs, at least two, because phases change between epochs
            fixed = min(limit, epoch_steps * max(2, -(-FIXED_STEPS // epoch_steps)))
        self.limit = np.where(watched, limit, fixed)
        self.best, self.best_step = np.full(k, np.inf), np.zeros(k, dtype=int)
        self.improved, self.improved_step = np.full(k, np.inf), np.zeros(k, dtype=int)
        self.first_step = 0
        self.anneal_start, self.anneal_steps = np.full(k, np.inf), np.ones(k)
        self.anneal_from, self.anneal_idle = np.full(k, np.inf), np.zeros(k)
        self.finishes = finishes

    def begin_at(self, step):
        """Continue a training of so many steps: limit and patience are counted from there."""
        for name in ("limit", "best_step", "improved_step", "first_step"):
            setattr(self, name, getattr(self, name) + step)

    def rate(self, step):
        """Return the learning rate of every network, as a share of the initial one, a list."""
        # Called at every step: for a few networks plain floats take a tenth of an array's time.
        warm = min(1.0, (step + 1.0) / WARM_UP)
        if not self.anneal:
            warm *= (1.0 + step / FALL_STEPS) ** -FALL_POWER
        anneals = (self.anneal_start, self.anneal_steps, self.finishing)
        anneals = zip(*(array.tolist() for array in anneals), strict=True)
        return [
            warm * (FINISH_RATE if last else 1.0) * min(1.0, max(0.0, 1.0 - (step - a) / n))
            for a, n, last in anneals
        ]

    def is_steady(self, step):
        """Tell whether all rates stay the same until the next `change_phase`."""
        return self.anneal and step >= WARM_UP and not self.settled.any()

    @property
    def finishing(self):
        """Tell which networks are in their finish, a bool array: they are watched no more."""
        return self.finishes & ~self.watched

    @property
    def exploring(self):
        """Tell which networks have not begun to anneal, a bool array."""
        return np.isinf(self.anneal_start)

    @property
    def settled(self):
        """Tell which networks have begun to anneal, a bool array."""
        return ~self.exploring

    def observe(self, step, objective, doubt=0.0):
        """Record held-out objectives (nan: none); return which networks' states to keep.

        A difference of less than ``tol`` is noise. The first candidate, the linear model, is
        replaced only by a state that is better by ``tol`` and by ``doubt``, the `relative_error`
        of each network. Later, any state within ``tol`` of the best replaces the one before: its
        weights are averaged over more steps, and its size has had more time to converge.
        """
        first = (self.best_step == self.first_step) & np.isfinite(self.best)
        luck = np.maximum(self.tol, doubt)
        kept = objective < self.best * np.where(first, 1.0 - luck, 1.0 + self.tol)
        self.best[kept] = np.minimum(self.best, objective)[kept]
        self.best_step[kept] = step
        better = objective < self.improved * (1.0 - self.tol)
        self.improved[better], self.improved_step[better] = objective[better], step
        return kept

    def change_phase(self, step):
        """Start anneals and finishes that are due; return which networks go back to their best."""
        stuck = self._stuck(step)
        if not self.anneal:
            self.limit[stuck] = step  # they end here
            return np.zeros_like(stuck)
        length, last = self._next_anneal(step)
        first = self.exploring & (stuck | last)
        self._begin_anneal(first | (self._has_paid(step) & ~last), step, length)
        return (first & stuck) | self._begin_to_finish(step)

    def _stuck(self, step):
        """Tell which watched, exploring networks have stopped improving."""
        first = np.where(self.best_step == self.first_step, self.first_steps, 0)
        patience = np.maximum(first, max(self.patience_steps, PATIENCE_SHARE * step))
        return self.watched & self.exploring & (step - self.improved_step >= patience)

    def _next_anneal(self, step):
        """Return the length of an anneal that begins now, and whether an epoch later is too late.

        Where it is, the anneal takes all steps that are left.
        """
        reach = np.where(self.watched, self.best_step, 0)
        length = np.maximum(np.maximum(ANNEAL_STEPS, ANNEAL_SHARE * reach), self.epoch_steps)
        length = np.minimum(length, 0.5 * self.limit)
        last = step + length + self.epoch_steps > self.limit
        return np.where(last, np.maximum(self.limit - step, 1), length), last

    def _has_paid(self, step):
        """Tell which watched networks are at the end of an anneal that was worth repeating."""
        ended = self.settled & self.watched & self.finished(step)
        paid = np.zeros_like(ended)
        paid[ended] = self.best[ended] < (1.0 - ANNEAL_GAIN * self.tol) * self.anneal_from[ended]
        return paid

    def _begin_anneal(self, starting, step, length):
        """Start an anneal of these networks, a mask, with a length for each of all."""
        self.anneal_start[starting], self.anneal_steps[starting] = step, length[starting]
        self.anneal_from[starting] = self.best[starting]
        self.anneal_idle[starting] = step - self.improved_step[starting]

    def _begin_to_finish(self, step):
        """Start the finish of networks that are done and have steps left for it; return which."""
        length = max(ANNEAL_STEPS, FINISH_SHARE * step, self.epoch_steps)
        learnt = self.best_step > self.first_step
        starting = self.finishes & self.watched & learnt & self.finished(step)
        starting &= step + length < self.limit
        self._begin_anneal(starting, step, np.full(len(starting), length))
        self.watched &= ~starting
        return starting

    def finished(self, step):
        """Tell which networks are done: an anneal without improvement is after half its length.

        An anneal that ends at the limit takes its whole length: it may not have begun at the best.
        """
        end = self.anneal_start + self.anneal_steps
        idle = self.watched & (self.best >= self.anneal_from) & (end < self.limit)
        end = np.where(idle, end - 0.5 * self.anneal_steps, end)
        return (step >= end) | (step >= self.limit)

    def limited(self, step):
        """Tell which watched networks ``max_iter`` ends while they might still improve.

        What an anneal improves does not count: it would have come later too.
        """
        idle = np.where(self.exploring, step - self.improved_step, self.anneal_idle)
        return self.watched & (step >= self.limit) & (idle < 0.5 * self.patience_steps)

    def joined(self, others):
        """Return the schedules of these networks and those of others, in this order."""
        joined = copy(self)
        for name in self._PER_NETWORK:
            parts = [getattr(schedule, name) for schedule in (self, *others)]
            setattr(joined, name, np.concatenate(parts))
        return joined

    def keep(self, positions):
        """Forget all but the given networks."""
        for name in self._PER_NETWORK:
            setattr(self, name, getattr(self, name)[positions])


@np.errstate(over="ignore", invalid="ignore", divide="ignore")
def relative_error(before, after):
    """Return the standard error of a change of the normalised loss, as a share of this loss.

    Parameters
    ----------
    before, after : ndarray of shape (n,)
        Weighted losses of the same rows; 0 for padding.

    Returns
    -------
    float
        At most `MOST_DOUBT`, also for fewer than two rows.
    """
    n, gain = np.count_nonzero(before), before - after
    if n < 2:
        return MOST_DOUBT
    spread = np.square(gain).sum() - gain.sum() ** 2 / n
    # halved, because the normalised loss is a square root
    return min(MOST_DOUBT, 0.5 * np.sqrt(max(0.0, spread) * n / (n - 1)) / before.sum())
