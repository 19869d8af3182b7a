"""A plot of a training: the size weight N above, the losses below, over the epochs.

matplotlib is imported only when a plot is drawn.
"""

import numpy as np
from sklearn.utils.validation import check_is_fitted


class SizeHistoryDisplay:
    """Plot of the size weight N and of the losses over the epochs of a training.

    Make one with `from_estimator`, which also draws it. It needs matplotlib.

    Parameters
    ----------
    history : list of Epoch
        Records of one or of several networks, as in ``history_``.

    Attributes
    ----------
    ax_ : ndarray of two matplotlib Axes
        Sizes above, losses below.
    figure_ : matplotlib Figure
    lines_ : dict of str to list of matplotlib Line2D
        The lines of "size", "data_loss" and "validation_loss", one per network.

    Examples
    --------
    >>> from sklearn.datasets import load_diabetes
    >>> from sknimble import NimbleRegressor, SizeHistoryDisplay
    >>> model = NimbleRegressor(random_state=0).fit(*load_diabetes(return_X_y=True))
    >>> display = SizeHistoryDisplay.from_estimator(model)
    >>> display.figure_.savefig("history.png")  # doctest: +SKIP
    """

    def __init__(self, history):
        self.history = history

    @classmethod
    def from_estimator(cls, fitted, *, ax=None):
        """Draw the training of a fitted model.

        Parameters
        ----------
        fitted : NimbleRegressor or NimbleClassifier
            Or any other fitted estimator with a ``history_``.
        ax : matplotlib Axes, pair of Axes or None, default=None
            As in `plot`.

        Returns
        -------
        SizeHistoryDisplay
        """
        message = (
            "%(name)s has no history_: pass a fitted NimbleRegressor or NimbleClassifier, of a "
            "pipeline its last step"
        )
        check_is_fitted(fitted, "history_", msg=message)
        return cls(fitted.history_).plot(ax=ax)

    def plot(self, ax=None):
        """Draw N above and the losses below, every network in a colour of its own.

        A dot marks where N comes to rest: from there on the network, back at its best state,
        anneals its weights only.

        Parameters
        ----------
        ax : matplotlib Axes, pair of Axes or None, default=None
            Where to draw: a pair is used as it is, one Axes is divided in two, and None makes a
            new figure.

        Returns
        -------
        SizeHistoryDisplay
            This display.

        Raises
        ------
        ValueError
            If `ax` holds more than two Axes.
        """
        from matplotlib.ticker import LogLocator

        self.ax_ = _two_axes(ax)
        self.figure_ = self.ax_[0].figure
        above, below = self.ax_
        self.lines_ = {
            "size": self._draw(above, "size"),
            "data_loss": self._draw(below, "data_loss", "training rows", alpha=0.5, lw=0.8),
            "validation_loss": self._draw(below, "validation_loss", "held-out rows"),
        }
        self._mark_rest(above)
        above.set_ylabel("size weight N")
        above.set_ylim(bottom=0)
        above.tick_params(labelbottom=False)
        below.set(xlabel="epoch", ylabel="loss", yscale="log")
        below.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        below.yaxis.set_major_formatter("{x:g}")
        below.yaxis.set_minor_formatter("")
        below.legend()
        return self

    def _draw(self, axes, name, label=None, **style):
        """Draw one attribute of the records, a line per network; return the lines."""
        lines = []
        for member in sorted({record.member for record in self.history}):
            records = [record for record in self.history if record.member == member]
            values = np.array([getattr(record, name) for record in records], dtype=float)
            if np.isnan(values).all():
                continue  # no rows were held out
            lines += axes.plot(
                [record.epoch for record in records], values, color=f"C{member % 10}",
                label=label if not lines else None, **style,
            )  # fmt: skip
        return lines

    def _mark_rest(self, axes):
        """Mark the epoch from which on N of a network stays as it is, but not the last one."""
        label = "back at the best state"
        for line in self.lines_["size"]:
            epochs, sizes = line.get_data()
            others = np.flatnonzero(sizes != sizes[-1])
            if len(others) and others[-1] + 2 < len(sizes):
                start = others[-1] + 1
                axes.plot(epochs[start], sizes[start], "o", color=line.get_color(), label=label)
                label = None
        if label is None:
            axes.legend()


def _two_axes(ax):
    """Return two Axes, one above the other, that share the axis of the epochs."""
    import matplotlib.pyplot as plt

    if ax is None:
        return plt.subplots(2, 1, sharex=True, layout="constrained")[1]
    if np.size(ax) == 2:
        return np.ravel(ax)
    if np.size(ax) != 1:
        raise ValueError(f"ax has {np.size(ax)} Axes; one or two can be drawn in")
    ax = np.ravel(ax)[0]
    ax.set_axis_off()
    if ax.get_subplotspec() is None:
        box = ax.get_position()
        edges = {"left": box.x0, "right": box.x1, "bottom": box.y0, "top": box.y1}
        parts = ax.figure.add_gridspec(2, 1, **edges)
    else:
        parts = ax.get_subplotspec().subgridspec(2, 1)
    above = ax.figure.add_subplot(parts[0])
    return np.array([above, ax.figure.add_subplot(parts[1], sharex=above)])
