"""Networks of similar width train together, others apart: the same trainings, less padding.

All networks of a `Training` are computed at the width of its widest. Where widths drift apart,
as along a path of prices, it pays to divide them, although each part has its own overhead.
"""

import numpy as np

# What a step of one more part costs, in products of a weight and a row.
OVERHEAD = 3e6
# What a neuron costs apart from the products with its weights, in weights.
NEURON = 50


class Cohorts:
    """The networks of one training, divided by width whenever that saves work.

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
        self._parts = [(training, training.epochs())]
        self.limited = False

    def epochs(self):
        """Yield, after every pass over the rows, the records that `Training.epochs` yields."""
        while self._parts:
            records, parts = {}, []
            for training, epochs in self._parts:
                records.update(next(epochs))
                parts += self._divided(training, epochs)
            self._parts = parts
            yield dict(sorted(records.items()))

    def _divided(self, training, epochs):
        """Return what one part goes on as: itself, several parts, or nothing."""
        self.limited |= training.limited
        if not len(training.members):
            return []
        groups = by_width(training.networks.end, _work(training))
        if len(groups) == 1:
            return [(training, epochs)]
        parts = [training.part(positions) for positions in groups]
        return [(part, part.epochs()) for part in parts]


def by_width(widths, work):
    """Group networks so that padding them to the widest of each group costs little.

    A group takes ever narrower networks until what they waste would pay for one of their own.

    Parameters
    ----------
    widths : ndarray of int, shape (K,)
        Neurons per hidden layer.
    work : callable
        Takes such a width, returns what a step costs, as a share of what a group costs.

    Returns
    -------
    list of ndarray of int
        Positions of the networks of each group, in ascending order.
    """
    groups, wasted, widest = [], np.inf, 0.0
    for position in np.argsort(-widths, kind="stable"):
        cost = work(widths[position])
        wasted += widest - cost
        if wasted > 1.0:
            groups.append([])
            wasted, widest = 0.0, cost
        groups[-1].append(position)
    return [np.sort(group) for group in groups]


def _work(training):
    """Return the function of width that `by_width` takes; an accelerator is all overhead."""
    networks, batches = training.networks, training.batches
    rows = len(training.train) / batches.n_batches
    fixed, layers = networks.n_inputs + networks.n_outputs + NEURON, networks.depth - 1
    unit = rows / OVERHEAD if str(networks.options["device"]) == "cpu" else 0.0
    return lambda width: unit * width * (fixed + layers * width)
