"""The mathematics of size: pure functions of numbers, no torch and no state.

One weight, N, says how many hidden neurons are awake. The network descends

    J(w, N) = (1 / W) * integral_{N}^{N + W} L(w, s) ds  +  size_loss(N)

where L(w, s) is the normalised data loss with the first s neurons awake (see `normalised`)
and W is the window. By the fundamental theorem of calculus, with W held fixed,

    dJ/dN = -u + size_loss'(N),        u = (L(w, N) - L(w, N + W)) / W.

u is the *utility* of one more neuron. ``docs/sizing.md`` derives every line.
"""

import math
import sys

import numpy as np


def normalised(loss):
    """Return the normalised loss: the square root of a ratio of losses.

    Parameters
    ----------
    loss : ndarray
        Losses divided by that of the best constant prediction; rounding may leave them just
        below 0.

    Returns
    -------
    ndarray
        For the squared error this is the nRMSE: the RMSE divided by the standard deviation of y.
    """
    return np.sqrt(np.maximum(loss, 0.0))


def step(n):
    """Rise smoothly from 0 to 1: the paper's step function.

    Parameters
    ----------
    n : float or ndarray
        Position, in neurons.

    Returns
    -------
    float or ndarray
        0 for ``n < 0``, ``sin(pi n / 2)**2`` for ``0 <= n <= 1``, else 1.

    References
    ----------
    arXiv 2501.18012, section 2.
    """
    return np.sin(0.5 * np.pi * np.clip(n, 0.0, 1.0)) ** 2


def gate(size, n_neurons):
    """Return how awake each of ``n_neurons`` ordered neurons is at a given size.

    Parameters
    ----------
    size : float or ndarray of shape (...)
        The size weight N.
    n_neurons : int
        Number of neurons to gate.

    Returns
    -------
    ndarray of shape (..., n_neurons)
        ``step(N - m + 1)`` for neuron m = 1, 2, ...
    """
    return step(np.asarray(size)[..., None] - np.arange(n_neurons))


def size_loss(size, size_penalty, target_size=None):
    """Return what the size costs: linear in N, or quadratic about a target.

    Parameters
    ----------
    size : float or ndarray
        The size weight N.
    size_penalty : float or ndarray
        Price per neuron, in units of the normalised loss (per squared neuron with a
        target).
    target_size : float, optional
        When given, the size the loss pulls towards.

    Returns
    -------
    float or ndarray
        ``size_penalty * N`` or ``size_penalty * (N - target_size)**2``; a price above 1e30
        counts as 1e30.
    """
    price = np.minimum(size_penalty, _HUGE)
    if target_size is None:
        return price * size
    return price * (size - target_size) ** 2


def size_slope(size, size_penalty, target_size=None):
    """Return the derivative of `size_loss` with respect to ``size``."""
    if target_size is None:
        return size_penalty + 0.0 * size
    return 2.0 * size_penalty * (size - target_size)


# Scouts (neurons trained beyond N) apart from their share of N, and the offset c in log(N + c).
SCOUTS = 4
WINDOW = 0.25  # further scouts, as a share of N
BLOCK = 8  # neurons that wake or sleep together
_TINY = sys.float_info.min
_HUGE = 1e30  # higher prices change nothing, but their size losses might overflow a float32


def window_end(size, max_size):
    """Return N + W, the number of neurons that train.

    W is a quarter of N and `SCOUTS` neurons more; the end is rounded up to a multiple of `BLOCK`,
    the unit in which neurons wake and sleep.

    Parameters
    ----------
    size : float
        The size weight N.
    max_size : int
        No end lies beyond it.

    Returns
    -------
    int
        ``min(max_size, ceil((N (1 + WINDOW) + SCOUTS) / BLOCK) * BLOCK)``.
    """
    return min(max_size, math.ceil((size * (1.0 + WINDOW) + SCOUTS) / BLOCK) * BLOCK)


def utility(loss_at_size, loss_at_end, size, end):
    """Return u: by how much one neuron of the window lowers the normalised loss.

    Parameters
    ----------
    loss_at_size, loss_at_end : float
        ``L(w, N)`` and ``L(w, N + W)`` on the same rows.
    size, end : float
        N and N + W.

    Returns
    -------
    float
        ``(L(w, N) - L(w, N + W)) / W``; 0 where the window is empty: at
        ``max_size``, and where N has settled.
    """
    return (loss_at_size - loss_at_end) / (end - size) if end > size else 0.0


def next_size(size, utility, size_penalty, target_size, velocity, max_size):
    """Return N after one bounded step down the gradient of J.

    Parameters
    ----------
    size : float
        The size weight N.
    utility : float
        Smoothed u, in normalised loss per neuron.
    size_penalty : float
        Price per neuron; at 0 every useful neuron is kept.
    target_size : float or None
        None for the linear price, else the size of the quadratic one.
    velocity : float
        Largest change of ``log(N + SCOUTS)`` per call.
    max_size : int
        Largest N.

    Returns
    -------
    float
        The new N, in [0, max_size]. The change has the sign of -dJ/dN and vanishes
        exactly where dJ/dN does, see Notes.

    Notes
    -----
    With ``target_size=None``: ``log(N + c) += velocity * clip(log(u / size_penalty), -1, 1)``,
    c = `SCOUTS`; thanks to this offset N can grow again from 0. With a target the
    size loss has curvature ``2 size_penalty``, so N takes half a Newton step,
    ``N -= dJ/dN / (4 size_penalty)``, under the same bound.
    """
    offset = size + SCOUTS
    price = min(max(size_penalty, _TINY), _HUGE)
    if target_size is None:
        log_ratio = math.log(max(utility, _TINY)) - math.log(price)
        pull = -1.0 if utility < 0.0 else log_ratio  # a price of 0 counts as _TINY
        new = offset * math.exp(velocity * _bounded(pull, 1.0)) - SCOUTS
    else:
        slope = size_slope(size, price, target_size) - utility
        new = size - _bounded(slope, offset * velocity * 4.0 * price) / (4.0 * price)
    return min(max(new, 0.0), float(max_size))


def _bounded(value, bound):
    """Return the value, at most ``bound`` in magnitude."""
    return min(max(value, -bound), bound)
