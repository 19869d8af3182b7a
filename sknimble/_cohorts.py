"""Networks of similar width are trained together: the same results, with less padding.

All networks of a `Training` are computed at the width of its widest. Where widths differ, as along
a path of prices, it pays to divide the networks, although each part has its overhead.
"""

import numpy as np

# The overhead of a step of one part, in multiplications of a weight by an input.
OVERHEAD = 3e6
# The cost of a neuron apart from its weights, in weights.
NEURON = 50
# Networks are divided anew if the cost of a step then falls below this share of the present cost.
DIVIDE_BELOW = 0.85


class Cohorts:
    """The networks of one training, divided by width when that saves work.

    Parameters
    ----------
    training : Training
        It must not be advanced elsewhere.

    Attributes
    ----------
    limited : bool
        Whether ``max_iter`` ended any network that might still improve.
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
        if cost([joined[group] for group in groups], self._work) > DIVIDE_BELOW * now:
            return
        first, *others = self._parts
        numbers = np.concatenate([part.members for part in self._parts])
        whole = first.joined(others) if others else first
        self._parts = [
            whole.part(np.flatnonzero(np.isin(whole.members, numbers[group]))) for group in groups
        ]


def work(training):
    """Return the cost of a network as a function of its width, in units of a part's overhead."""
    networks, batches = training.networks, training.batches
    rows, layers = len(batches.rows) / batches.n_batches, networks.depth - 1
    fixed = networks.n_inputs + networks.n_outputs + NEURON
    unit = rows / OVERHEAD if str(networks.options["device"]) == "cpu" else 0.0
    return lambda width: unit * width * (fixed + layers * width)


def cost(widths, work):
    """Return the cost of a step of all parts, of which networks have these widths, padded."""
    return sum(1.0 + len(part) * work(max(part)) for part in widths)


def by_width(widths, work):
    """Group networks so that padding them to the widest of each group costs little.

    A group takes ever narrower networks until their padding costs as much as one more group.

    Parameters
    ----------
    widths : ndarray of int, shape (K,)
        Neurons per hidden layer.
    work : callable
        Takes such a width, returns the cost of a network in units of a group's overhead.

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
