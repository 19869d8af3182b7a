"""How long each network trains and at what learning rate: numbers only, no weights.

A network *explores* at a constant rate (after a warm-up). When its held-out objective has not
improved for a share of the steps so far, or steps run out, it *anneals*: the rate falls
linearly to 0, over a share of the steps its best state took, and its size stays as it is. An
anneal that has paid, by a few ``tol``, is followed by another (warm restarts, Loshchilov and
Hutter, arXiv 1608.03983); one that has found nothing by half its length ends there. So the length
follows the data: a small noisy table that peaks after 100 steps is done after 450, and one that
can be learnt to the last digit trains on.

Whoever may then *finishes*: back to the best state, and one more anneal from a lower rate on all
rows, those included that have judged it so far. Nothing can judge that, so it is short.

A training that may go on later never anneals: its rate falls as the fourth root of the steps.
"""

from copy import copy

import numpy as np

WARM_UP = 40  # steps of rising learning rate, in which no size is judged
PATIENCE_STEPS, PATIENCE_SHARE = 300, 0.3  # exploring without improvement
FIRST_STEPS = 1000  # ... while the linear model is still the best: scouts need time to learn
ANNEAL_STEPS, ANNEAL_SHARE = 100, 0.4  # the anneal, as a share of the best step
ANNEAL_GAIN = 4.0  # times tol, to be followed by another anneal
MOST_DOUBT = 0.5  # share of the linear model's loss that few rows can call luck
FINISH_SHARE, FINISH_RATE = 0.2, 0.3  # of the steps so far, and of the learning rate
FIXED_STEPS = 600  # length of a training with nothing to watch
FALL_STEPS, FALL_POWER = 400, 0.25  # how the rate falls where nothing is annealed


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
        Relative improvement that counts; for `ANNEAL_GAIN` times that an anneal is repeated.
    anneal : bool
        False has the rate fall slowly for ever, so that training can be continued later.
    finishes : ndarray of bool, shape (K,), or None
        Whether a network, a watched one, has the rows to finish on; None if none has.
    """

    _PER_NETWORK = ("watched", "limit", "best", "best_step", "mark", "mark_step", "anneal_start",
                    "anneal_steps", "anneal_from", "finishes")  # fmt: skip

    def __init__(
        self, watched, epoch_steps, max_iter, patience, tol, anneal=True, finishes=None
    ):  # fmt: skip
        k = len(watched)
        self.watched, self.tol, self.anneal = watched.copy(), tol, anneal
        self.patience_steps = max(PATIENCE_STEPS, patience * epoch_steps)
        self.epoch_steps, self.max_iter = epoch_steps, max_iter
        limit = max_iter * epoch_steps
        fixed = limit
        if anneal:  # whole epochs, two at least: it turns between them
            fixed = min(limit, epoch_steps * max(2, -(-FIXED_STEPS // epoch_steps)))
        self.limit = np.where(watched, limit, fixed)
        self.best, self.best_step = np.full(k, np.inf), np.zeros(k, dtype=int)
        self.mark, self.mark_step = np.full(k, np.inf), np.zeros(k, dtype=int)
        self.first_step = 0
        self.anneal_start, self.anneal_steps = np.full(k, np.inf), np.ones(k)
        self.anneal_from = np.full(k, np.inf)  # the best objective when the anneal began
        self.finishes = np.zeros(k, dtype=bool) if finishes is None else finishes

    def begin_at(self, step):
        """Go on after so many steps: limits and steps without improvement count from here."""
        for name in ("limit", "best_step", "mark_step", "first_step"):
            setattr(self, name, getattr(self, name) + step)

    def rate(self, step):
        """Return the learning rate of every network, as a share of the largest, a list."""
        # Every step asks: for a few networks plain floats take a tenth of an array's time.
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
        """Tell whether no rate changes before the next `turn`."""
        return self.anneal and step >= WARM_UP and not self.settled.any()

    @property
    def finishing(self):
        """Tell which networks finish, a bool array: they are not watched any more."""
        return self.finishes & ~self.watched

    @property
    def settled(self):
        """Tell which networks have turned to their anneal, a bool array."""
        return np.isfinite(self.anneal_start)

    def observe(self, step, objective, doubt=0.0):
        """Record held-out objectives (nan: none); return which are the best so far, or as good.

        Less than ``tol`` is luck: what replaces the first candidate, the linear model, must be
        better by that, and by ``doubt``, of each network the `relative_error`; of others that are
        as close to the best the latest is taken. It is an average of more, and its size has had
        more time to settle.
        """
        first = (self.best_step == self.first_step) & np.isfinite(self.best)
        luck = np.maximum(self.tol, doubt)
        good = objective < self.best * np.where(first, 1.0 - luck, 1.0 + self.tol)
        self.best[good] = np.minimum(self.best, objective)[good]
        self.best_step[good] = step
        marked = objective < self.mark * (1.0 - self.tol)
        self.mark[marked], self.mark_step[marked] = objective[marked], step
        return good

    def turn(self, step):
        """Start what is due, to anneal or to finish; return who goes back to the best."""
        stuck = self._stuck(step)
        if not self.anneal:
            self.anneal_start[stuck] = -np.inf
            return np.zeros_like(stuck)
        reach = np.where(self.watched, self.best_step, 0)
        length = np.maximum(np.maximum(ANNEAL_STEPS, ANNEAL_SHARE * reach), self.epoch_steps)
        length = np.minimum(length, 0.5 * self.limit)
        last = step + length + self.epoch_steps > self.limit  # the next turn would be too late
        length = np.where(last, np.maximum(self.limit - step, 1), length)
        due = np.isinf(self.anneal_start) & (stuck | last)
        ended = np.flatnonzero(self.finished(step) & self.watched & ~last)
        enough = (1.0 - ANNEAL_GAIN * self.tol) * self.anneal_from[ended]
        starting = due.copy()
        starting[ended] |= self.best[ended] < enough
        self.anneal_start[starting], self.anneal_steps[starting] = step, length[starting]
        self.anneal_from[starting] = self.best[starting]
        return (due & stuck) | self._begin_to_finish(step)

    def _begin_to_finish(self, step):
        """Let those finish that may, are done and have time; return which."""
        length = max(ANNEAL_STEPS, FINISH_SHARE * step, self.epoch_steps)
        learnt = self.best_step > self.first_step
        starting = self.finishes & self.watched & learnt & self.finished(step)
        starting &= step + length < self.limit
        self.anneal_start[starting], self.anneal_steps[starting] = step, length
        self.watched &= ~starting
        return starting

    def _stuck(self, step):
        """Tell which watched, exploring networks have stopped improving."""
        first = np.where(self.best_step == self.first_step, FIRST_STEPS, 0)
        patience = np.maximum(first, max(self.patience_steps, PATIENCE_SHARE * step))
        return self.watched & np.isinf(self.anneal_start) & (step - self.mark_step >= patience)

    def finished(self, step):
        """Tell which networks are done; an anneal that found nothing is after half its length.

        Not one that steps are running out for: it has not gone back to the best.
        """
        end = self.anneal_start + self.anneal_steps
        idle = self.watched & (self.best >= self.anneal_from) & (end < self.limit)
        end = np.where(idle, end - 0.5 * self.anneal_steps, end)
        return (step >= end) | (step >= self.limit)

    def limited(self, step):
        """Tell which watched networks ``max_iter`` cut short when they might still improve."""
        recent = step - self.mark_step < 0.5 * self.patience_steps
        return self.watched & (step >= self.limit) & recent

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
    """Return the standard error of a change of normalised loss, as a share of it.

    Parameters
    ----------
    before, after : ndarray of shape (n,)
        Losses of the same rows, weighted; 0 for those that do not count.

    Returns
    -------
    float
        At most `MOST_DOUBT`.
    """
    n, gain = np.count_nonzero(before), before - after
    if n < 2:
        return MOST_DOUBT
    spread = np.square(gain).sum() - gain.sum() ** 2 / n
    # of a root, the share is half that of what it is the root of
    return min(MOST_DOUBT, 0.5 * np.sqrt(max(0.0, spread) * n / (n - 1)) / before.sum())
