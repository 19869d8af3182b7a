"""Calibration: what held-out rows say of a network's raw outputs as a whole.

Probabilities get one factor on the logits, at which the held-out loss is least. A network that
trains for long becomes more accurate and, at the same time, overconfident, so that its held-out
loss rises. The factor, its *sharpness*, is an inverse temperature. The held-out loss is measured
at the best sharpness, so that a network is not rejected for its overconfidence, and the network
predicts with it, so that its probabilities are calibrated. A factor below 1 alone would make rare
classes more likely: logits are shifted too, to keep the mean probability of every class.

If a network classifies all training rows correctly, its confidence would grow without end, until a
single error elsewhere costs more than all the rest. So labels are *smoothed*: each is mixed with
the shares of the classes.

The mean of calibrated probabilities is underconfident: it is *sharpened*, away from the shares of
the classes, which all networks know.

Quantiles that fit the training rows lie too close together for other rows. Each is moved by one
number, so that its share of the held-out rows lies below it.

References
----------
Guo, Pleiss, Sun and Weinberger, "On calibration of modern neural networks", arXiv 1706.04599
(the temperature). Berta, Holzmueller, Jordan and Bach, "Rethinking early stopping: refine, then
calibrate", arXiv 2501.19195 (epochs chosen at their best temperature). Szegedy, Vanhoucke,
Ioffe, Shlens and Wojna, "Rethinking the Inception architecture", arXiv 1512.00567 (smoothed
labels). Ranjan and Gneiting, "Combining probability forecasts", J. R. Stat. Soc. B 72, 2010 (why
a mean is not sure enough). Romano, Patterson and Candes, "Conformalized quantile regression",
arXiv 1905.03222 (quantiles moved by held-out rows).
"""

LOWEST, HIGHEST = -2.0, 1.0  # range of the logarithm of the sharpness
HALVINGS = 7  # bisections of this range: to within 1.2 percent
SHIFTS = 3  # fixed-point iterations for the shift
SMOOTHING = 0.005  # weight of the class shares in training labels
DOUBT = 0.1  # ... in labels of n held-out rows it is DOUBT / (n + 2)
TINY = 1e-30  # keeps a quotient of two zeros finite
MEAN_GAIN = 0.15  # how much the mean of very many networks is sharpened


def correction(loss, blocks, weight):
    """Return what held-out rows correct in raw outputs: a factor and, added after it, a shift.

    Parameters
    ----------
    loss, blocks
        As in `best_sharpness`; the loss has a ``calibration``.
    weight : Tensor of shape (K, B)
        The weights of all blocks; some rows are padding.

    Returns
    -------
    sharpness : Tensor of shape (K,)
    shift : Tensor of shape (K, o, 1)
    """
    if loss.calibration == "quantiles":
        return weight.new_ones(len(weight)), quantile_shift(loss.levels_, blocks)
    unit = weight.sum(dim=1) / weight.count_nonzero(dim=1)
    sharpness = best_sharpness(loss, blocks, unit)
    return sharpness, kept_means(loss, blocks, sharpness)


def best_sharpness(loss, blocks, unit):
    """Return, for every network, the factor on its raw outputs at which the loss is least.

    Parameters
    ----------
    loss : object
        A loss of `sknimble._losses`, convex in its raw output.
    blocks : list of (raw, target, weight)
        Rows: tensors of shape (K, o, B), (o, B) or (K, o, B), and (K, B); the weights are
        divided by the number of rows.
    unit : Tensor of shape (K,)
        The weight of one row. A sharpness s adds the loss of one more row, log(s)^2 / 2, so that
        few rows cannot move it far from 1.

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
    """Return the shift of sharpened logits that keeps the mean probability of every class.

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


def quantile_shift(levels, blocks):
    """Return by how much to move quantiles, so that shares of the rows lie below them.

    It is the weighted quantile of what targets are above raw outputs, times n / (n + 2) for n
    rows. Nearer to the median than quartiles are moved less, and it not at all: too close a fit
    biases only the outer ones. If m rows should lie beyond a quantile, a move towards the median
    is shrunk by 1 - 1 / m: that none lies beyond says little when few should.

    Parameters
    ----------
    levels : ndarray of shape (o,)
        The shares that should lie below.
    blocks
        As in `best_sharpness`.

    Returns
    -------
    Tensor of shape (K, o, 1)
    """
    import torch

    excess = torch.cat([target - raw for raw, target, _ in blocks], dim=2)
    weight = torch.cat([weight for *_, weight in blocks], dim=1)
    levels = weight.new_tensor(levels)[:, None]
    n_rows = effective_rows(weight)[:, None, None]
    outer = (4.0 * levels - 2.0).abs().clamp(max=1.0)
    shift = _weighted_quantiles(excess, weight, levels) * (n_rows / (n_rows + 2.0) * outer)
    beyond = n_rows * levels.minimum(1.0 - levels)
    inward = (levels - 0.5) * shift < 0.0
    return shift.where(~inward, shift * (1.0 - 1.0 / beyond).clamp(min=0.0))


def _weighted_quantiles(values, weight, levels):
    """Return weighted quantiles of values (K, o, B), interpolated between rows, (K, o, 1)."""
    weight = weight[:, None].expand_as(values)
    # padding has weight 0; as the largest of all it comes last, and changes nothing
    largest = values.masked_fill(weight == 0.0, float("-inf")).amax(dim=2, keepdim=True)
    values, order = values.where(weight > 0.0, largest).sort(dim=2, stable=True)
    weight = weight.gather(2, order)
    below = weight.cumsum(dim=2)
    share, middle = levels * below[..., -1:], below - 0.5 * weight
    after = (middle < share).sum(dim=2, keepdim=True).clamp(max=values.shape[2] - 1)
    before = (after - 1).clamp(min=0)
    start, stop = middle.gather(2, before), middle.gather(2, after)
    part = ((share - start) / (stop - start).clamp(min=TINY)).clamp(0.0, 1.0)
    return values.gather(2, before).lerp(values.gather(2, after), part)


def effective_rows(weight):
    """Return how many rows of equal weight would tell as much, from weights (K, B)."""
    return weight.sum(dim=1).square() / weight.square().sum(dim=1)


def smoothed(target, shares, smoothing):
    """Return labels mixed with the shares of the classes.

    Parameters
    ----------
    target : Tensor of shape (n, o) or (G, n, o)
        Indicators.
    shares : ndarray of shape (G, o)
        Shares of the classes, for G groups of networks.
    smoothing : float
        Weight of the shares.

    Returns
    -------
    Tensor
        Of the shape of target, or (G, n, o) if the shares of the groups differ.
    """
    shares = target.new_tensor(shares)[:, None]
    return target.lerp(shares[0] if (shares == shares[0]).all() else shares, smoothing)


def mean_sharpness(n_networks):
    """Return the factor that moves the logits of a mean of networks away from the shares'."""
    return 1.0 + MEAN_GAIN * (1.0 - 1.0 / n_networks)
