"""How sure a network may be: one factor on its logits, that with which held-out rows lose least.

A network that trains on is right more often and, at the same time, too sure of itself, so that its
held-out loss rises. Its *sharpness* is the inverse of what is known as temperature. Judged at
its best sharpness, a network is chosen for what it knows; published with it, its
probabilities can be believed. A factor below 1 alone would make rare classes more likely: logits
are shifted so that the mean probability of every class stays what it was.

Rows without an error would have a network ever surer, until one error elsewhere costs more than
all that it knows. So no label is quite believed: labels are *smoothed*, each mixed with a share of
what all have in common, the shares of the classes.

The mean of probabilities that can be believed is less sure than it could be: it is *sharpened*,
away from the shares of the classes, which the networks have in common and are right about.

References
----------
Guo, Pleiss, Sun and Weinberger, "On calibration of modern neural networks", arXiv 1706.04599
(the temperature). Berta, Holzmueller, Jordan and Bach, "Rethinking early stopping: refine, then
calibrate", arXiv 2501.19195 (epochs chosen at their best temperature). Szegedy, Vanhoucke,
Ioffe, Shlens and Wojna, "Rethinking the Inception architecture", arXiv 1512.00567 (smoothed
labels). Ranjan and Gneiting, "Combining probability forecasts", J. R. Stat. Soc. B 72, 2010 (why
a mean is not sure enough).
"""

LOWEST, HIGHEST = -2.0, 1.0  # logarithm of the sharpness
HALVINGS = 7  # of that range: to within 1.2 percent
SHIFTS = 3  # steps of a fixed point that is near
SMOOTHING = 0.005  # the share, of labels that train
DOUBT = 0.1  # of those that judge: so many rows in all, DOUBT / (n + 2) of each
MEAN_GAIN = 0.15  # by which the mean of very many networks is sharpened


def best_sharpness(loss, blocks, unit):
    """Return the factor on raw outputs with which the rows lose least, of every network.

    Parameters
    ----------
    loss : object
        A loss of `sknimble._losses`, convex in its raw output.
    blocks : list of (raw, target, weight)
        Rows: tensors of shape (K, o, B), (o, B) or (K, o, B), and (K, B); the weights carry
        the division by the number of rows.
    unit : Tensor of shape (K,)
        The weight of one row. A sharpness s counts as one more row of loss log(s)^2 / 2: few
        rows do not say much against 1.

    Returns
    -------
    Tensor of shape (K,)
        Where the derivative in log(s) changes its sign, between exp(-2) and exp(1).
    """
    low, high = LOWEST + 0.0 * unit, HIGHEST + 0.0 * unit
    for _ in range(HALVINGS):
        middle = 0.5 * (low + high)
        slope = unit * middle + sum(_slope(loss, middle.exp(), *block) for block in blocks)
        low, high = middle.where(slope < 0, low), middle.where(slope >= 0, high)
    return (0.5 * (low + high)).exp()


def kept_means(loss, blocks, sharpness):
    """Return what to add to sharpened logits, so that mean probabilities are what they were.

    A factor on the logits of a rare class would make it more likely everywhere, or less.

    Parameters
    ----------
    loss, blocks
        As in `best_sharpness`.
    sharpness : Tensor of shape (K,)

    Returns
    -------
    Tensor of shape (K, o, 1)
    """
    sharp = [(sharpness[:, None, None] * raw, weight) for raw, _, weight in blocks]
    before = _mean_logit(loss, [(raw, weight) for raw, _, weight in blocks], 0.0)
    shift = 0.0 * before
    for _ in range(SHIFTS):
        shift = shift + before - _mean_logit(loss, sharp, shift)
    return shift


def _mean_logit(loss, blocks, shift):
    """Return the log-odds of the weighted mean probabilities of rows, shape (K, o, 1)."""
    total = sum(weight.sum(dim=1) for _, weight in blocks)
    sums = sum(
        (loss.gradient(raw + shift, 0.0 * raw) * weight[:, None]).sum(dim=2, keepdim=True)
        for raw, weight in blocks
    )
    return (sums / total[:, None, None]).logit(eps=1e-7)


def _slope(loss, sharpness, raw, target, weight):
    """Return the derivative of the weighted loss of rows in log(sharpness), shape (K,)."""
    sharp = raw * sharpness[:, None, None]
    return ((loss.gradient(sharp, target) * sharp).sum(dim=1) * weight).sum(dim=1)


def smoothed(target, shares, smoothing):
    """Return labels mixed with the shares of the classes.

    Parameters
    ----------
    target : Tensor of shape (n, o) or (G, n, o)
        Indicators.
    shares : ndarray of shape (G, o)
        Of G groups of networks.
    smoothing : float
        How much of every label.

    Returns
    -------
    Tensor
        Of the shape of target, unless groups that had one in common have different shares.
    """
    shares = target.new_tensor(shares)[:, None]
    return target.lerp(shares[0] if (shares == shares[0]).all() else shares, smoothing)


def mean_sharpness(n_networks):
    """Return by how much the logits of a mean of so many networks go away from the shares'."""
    return 1.0 + MEAN_GAIN * (1.0 - 1.0 / n_networks)
