"""Networks of similar width train together, others apart: the same training, less padding.

All networks of a `Training` are computed at the width of its widest. Where widths drift apart,
as along a path of prices, it pays to divide them, although each part has its own overhead.
"""

import numpy as np

# What a step of one more part costs, in products of a weight and a row.
OVERHEAD = 3e6
# What a neuron costs apart from the products with its weights, in weights.
NEURON = 50
# Networks are divided anew when a step would cost less than this share of what it costs.
WORTH_IT = 0.85


class Cohorts:
    """The networks of one training, divided by width when that saves work.

    Parameters
    ----------
    training : Training
        Not to be advanced by anyone else.

    Attributes
    ----------
    limited : bool
        Whether ``max_iter`` cut any network short.
    """

    def __init__(self, training):
        self._parts, self._work = [training], work(training)
        self.limited = False

    def epochs(self):
        """Yield, after every pass over the rows, the records that `Training.epochs` yields."""
        while self._parts:
            records = {}
            for part in self._parts:
                records.update(next(part.epochs()))
                self.limited |= part.limited
            yield dict(sorted(records.items()))
            self._parts = [part for part in self._parts if len(part.members)]
            if self._parts:
                self._divide()

    def _divide(self):
        """Group all networks anew if that saves enough."""
        widths = [part.networks.end for part in self._parts]
        joined = np.concatenate(widths)
        groups = by_width(joined, self._work)
        now = cost(widths, self._work)
        if cost([joined[group] for group in groups], self._work) > WORTH_IT * now:
            return
        first, *others = self._parts
        numbers = np.concatenate([part.members for part in self._parts])
        whole = first.joined(others) if others else first
        self._parts = [
            whole.part(np.flatnonzero(np.isin(whole.members, numbers[group]))) for group in groups
        ]


def work(training):
    """Return a function of width: what a network costs, as a share of what a part costs."""
    networks, n_batches = training.networks, training.batches.n_batches
    rows, layers = len(training.train) / n_batches, networks.depth - 1
    fixed = networks.n_inputs + networks.n_outputs + NEURON
    unit = rows / OVERHEAD if str(networks.options["device"]) == "cpu" else 0.0
    return lambda width: unit * width * (fixed + layers * width)


def cost(widths, work):
    """Return what a step costs of parts with networks of the given widths, padded."""
    return sum(1.0 + len(part) * work(max(part)) for part in widths)


def by_width(widths, work):
    """Group networks so that padding them to the widest of each group costs little.

    A group takes ever narrower networks until what they waste would pay for one of their own.

    Parameters
    ----------
    widths : ndarray of int, shape (K,)
        Neurons per hidden layer.
    work : callable
        Takes such a width, returns what a network costs, as a share of what a group costs.

    Returns
    -------
    list of ndarray of int
        Positions of the networks of each group.
    """
    groups, wasted, widest = [], np.inf, 0.0
    for position in np.argsort(-widths, kind="stable"):
        one = work(widths[position])
        wasted += widest - one
        if wasted > 1.0:
            groups.append([])
            wasted, widest = 0.0, one
        groups[-1].append(position)
    return [np.array(group) for group in groups]
