"""From encoded rows to K networks ready to train: tensors, folds, linear start, memory guard."""

import hashlib

import numpy as np
import scipy.sparse as sp
import torch

from ._batches import Rows
from ._calibration import DOUBT, SMOOTHING, smoothed
from ._late import LateMatrix, plain, read, thin
from ._losses import baseline_loss, row_losses
from ._network import GrowableNetworks, NetworkState
from ._row_weights import for_penalty
from ._training import Training

# Bytes that the buffers of all networks together may take at max_size.
MEMORY_LIMIT = 4 * 2**30
# A table with fewer rows per column than this chooses the ridge penalty of its linear start.
ROWS_PER_COLUMN = 15
LOG_PENALTY = 4  # of the highest to choose from, for rows of weight 1; the lowest is 1
GAIN = 5 / 3  # of the weights of new neurons on their inputs, which are mostly well below 1
FARTHEST = 1e30  # target, encoded: float32 holds it


def start_training(
    X, target, loss, *, weight, held_out, sizes, max_size, depth, seeds, device, learning_rate,
    validation=None, fold=None, n_plain=None, published=None, normaliser=None, progress=None,
    epoch=0, anneal=True, finish=True, **options,
):  # fmt: skip
    """Return a `Training` of K networks on shared rows.

    Parameters
    ----------
    X : ndarray, CSR matrix or LateMatrix of shape (n, d)
        Encoded inputs; their dtype is the one computed in.
    target : ndarray of shape (n, o) or (K, n, o) or (F, n, o)
        Targets of `encode_target`: the same for all networks, or those of each.
    loss : object
        A fitted loss.
    weight : ndarray of shape (K, n) or (F, n)
        Row weights of every network, or of every fold, held-out rows included.
    held_out : ndarray of bool, shaped as ``weight``, or None
        Rows that judge a network instead of training it.
    validation : tuple of (X, target, weight) or None
        Explicit rows, encoded likewise, that judge every network, in place of ``held_out``.
    sizes : array-like of shape (K,)
        Initial sizes.
    max_size, depth : int
        Neurons per hidden layer at most; hidden layers.
    seeds : sequence of K ints
        Seeds of the initial weights.
    n_plain : int, default=None
        Leading columns of X that the linear start is fitted on, all by default: on the
        encoding behind them it would overfit, so there the linear path starts at zero.
    device : {"cpu", "cuda", "mps"}
    learning_rate : float
        Step size of the weights; where no rows judge, less as in `normalisers`.
    fold : ndarray of int, shape (K,), or None
        Which row of ``weight``, ``held_out`` and ``target`` each network has; None if its own.
    published : list of FittedNetwork or None
        Networks to go on from, one per seed, instead of linear models; of the given sizes.
        Those larger than ``max_size`` go on from their first neurons, without ``progress``.
    normaliser : float or None
        What losses were divided by, of the first rows with something to explain.
    progress : Progress or None
        The training behind them, None if nothing is known of it.
    epoch : int
        Epochs made so far.
    anneal : bool, default=True
        As `Training` takes it.
    finish : bool, default=True
        Whether networks that anneal finish on their held-out rows, where the loss does.
    **options
        Passed to `Training`.

    Returns
    -------
    Training

    Raises
    ------
    ValueError
        If K networks of ``max_size`` would not fit in memory.
    """
    k, d, o = len(seeds), X.shape[1], target.shape[-1]
    fold = np.arange(k) if fold is None else np.asarray(fold)
    check_memory(k, max_size, depth, d + 1, o, X.dtype.itemsize)
    scale, share = normalisers(loss, target, weight, fold)
    if ((weight == 0.0) | (weight == weight.max())).all():
        weight = weight > 0.0  # a byte a row says as much
    trains = None if held_out is None else ~held_out
    if published is not None and max(network.n_hidden for network in published) > max_size:
        published = [network.truncated(max_size) for network in published]
        progress = None
    networks = GrowableNetworks(
        d + 1, o, depth, np.minimum(sizes, max_size), max_size, seeds,
        gain=GAIN, dtype=getattr(torch, X.dtype.name), device=device,
    )  # fmt: skip
    if published is None:
        start_linear(networks, plain(X, n_plain), target, weight, loss, fold, trains)
    finish = finish and trains is not None and anneal and loss.finishes
    parts = [trains, None] if finish else [trains]
    train, groups = _training_rows(X, target, weight, fold, parts, device)
    judging = _held_out_parts(X, target, weight, held_out, fold, validation, device)
    if loss.calibrated:
        _smooth(train, groups, judging, _class_shares(target, weight, fold))
    if normaliser is not None and normaliser > loss.least:
        scale, share = normaliser, 1.0
    if not judging:  # where rows judge a network, they say when there is no more to learn
        learning_rate = learning_rate * share
    training = Training(
        networks, loss, train, groups, judging, normaliser=scale, learning_rate=learning_rate,
        anneal=anneal, **options,
    )  # fmt: skip
    training.epoch = epoch
    if published is not None:
        states = zip(published, networks.size.tolist(), strict=True)
        states = [NetworkState(network.arrays(), size) for network, size in states]
        training.resume(states, progress)
    return training


def find_device(name):
    """Return the device to compute on: "auto" takes an accelerator if there is one.

    Parameters
    ----------
    name : {"cpu", "cuda", "mps", "auto"}

    Returns
    -------
    {"cpu", "cuda", "mps"}

    Raises
    ------
    ValueError
        If PyTorch sees no such device.
    """
    present = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if name == "auto":
        return next((device for device, here in present.items() if here), "cpu")
    if not present.get(name, True):
        raise ValueError(
            f"device={name!r}, but PyTorch {torch.__version__} sees none here; device='cpu' "
            "always works and device='auto' takes what there is"
        )
    return name


def check_memory(n_networks, max_size, depth, n_inputs, n_outputs, itemsize):
    """Raise if K networks of the largest size would not fit in memory."""
    per_network = max_size * (n_inputs + n_outputs + (depth - 1) * (max_size + 1))
    need = len(GrowableNetworks.BUFFERS) * n_networks * per_network * itemsize
    if need > MEMORY_LIMIT:
        raise ValueError(
            f"{n_networks} networks of max_size={max_size} with {n_inputs - 1} encoded inputs "
            f"could need {need / 2**30:.1f} GiB, more than the {MEMORY_LIMIT / 2**30:.0f} GiB "
            "allowed: lower max_size, n_estimators, or the number of folds and penalties"
        )


def start_linear(networks, X, target, weight, loss, fold, chosen=None):
    """Start every linear path at the linear model of its rows; equal rows share one fit."""
    for members, rows, own_target in _groups(weight, target, fold, chosen):
        used = thin(X, np.flatnonzero(rows))
        data = X, own_target, for_penalty(rows)
        few = len(used) < ROWS_PER_COLUMN * X.shape[1]
        penalty = _best_penalty(loss, data, used) if few else 1.0
        fit = loss.fit_linear(*_read_rows(data, used), penalty)
        for member in members:
            networks.set_linear(member, *fit)


def _read_rows(data, positions):
    """Return X, target and weights of some rows."""
    X, target, weight = data
    return read(X, positions), target[positions], weight[positions]


def _best_penalty(loss, data, positions):
    """Return the ridge penalty that every fourth row likes best of a fit to the others.

    Equal rows are one, or copies would judge what they have taught. Rows of much weight need
    higher penalties to feel them.
    """
    judging = _numbered(read(data[0], positions)) % 4 == 3
    if not judging.any():
        return 1.0
    highest = LOG_PENALTY + int(np.log10(max(1.0, data[2][positions].mean())))

    def score(penalty):
        coef, intercept = loss.fit_linear(*_read_rows(data, positions[~judging]), penalty)
        X, target, weight = _read_rows(data, positions[judging])
        return np.average(row_losses(loss, X @ coef.T + intercept, target), weights=weight)

    return min(10.0 ** np.arange(highest + 1), key=score)


def _numbered(X):
    """Return the number of every row; equal ones share one, but in sparse X, which is not read."""
    if sp.issparse(X):
        return np.arange(X.shape[0])
    number = {}
    return np.array([number.setdefault(hash(row.tobytes()), len(number)) for row in X])


def normalisers(loss, target, weight, fold):
    """Return what the loss of each network is divided by, and what share is left to explain.

    The second is 1 unless the best constant loses next to nothing. The optimiser is blind to the
    scale of a loss, and would learn the rows of a class that weighs a millionth as well as the
    others: its rate is that much lower.
    """
    worth = np.empty(len(fold))
    for members, rows, own_target in _groups(weight, target, fold):
        worth[members] = baseline_loss(loss, own_target, rows)
    found = np.maximum(worth, loss.least)
    return found, worth / found


def _groups(weight, target, fold, chosen=None):
    """Yield networks with equal row weights and targets: members, weights, target of each.

    Parameters
    ----------
    weight : ndarray of shape (F, n)
    target : ndarray of shape (n, o) or (F, n, o)
    fold : ndarray of int, shape (K,)
    chosen : ndarray of bool, shape (F, n), or None
        The rows that count, all by default.
    """

    def rows(one):
        # Made again when asked for: of many rows, those of all networks are much to keep.
        return weight[one] if chosen is None else weight[one] * chosen[one]

    equal = {}
    for one in np.unique(fold):
        key = _digest(rows(one)), None if target.ndim == 2 else _digest(target[one])
        equal.setdefault(key, []).append(one)
    for folds in equal.values():
        own_target = target if target.ndim == 2 else target[folds[0]]
        yield np.flatnonzero(np.isin(fold, folds)), rows(folds[0]), own_target


def _digest(array):
    """Return a few bytes that equal arrays, and practically no others, have in common."""
    return hashlib.blake2b(np.ascontiguousarray(array)).digest()


def _training_rows(X, target, weight, fold, parts, device):
    """Return the rows of every group of networks, and the group of each network, for each part.

    ``parts`` are masks of rows as in `_groups`, or None.
    """
    weights, targets, groups = [], [], np.empty((len(parts), len(fold)), dtype=int)
    for group, chosen in zip(groups, parts, strict=True):
        for members, rows, own_target in _groups(weight, target, fold, chosen):
            group[members] = len(weights)
            weights.append(rows)
            targets.append(own_target)
    target = target if target.ndim == 2 else np.stack(targets)
    return make_rows(X, target, np.stack(weights), device), groups


def _class_shares(target, weight, fold):
    """Return the weighted mean of the targets of every network, shape (K, o)."""
    shares = np.empty((len(fold), target.shape[-1]))
    for members, rows, own_target in _groups(weight, target, fold):
        shares[members] = np.average(own_target, axis=0, weights=rows.astype(np.float64))
    return shares.clip(0.0, 1.0)


def _smooth(train, groups, judging, shares):
    """Mix all labels with the class shares of the networks that they are for."""
    _, first = np.unique(groups[0], return_index=True)
    train.target = smoothed(train.target, shares[first], SMOOTHING)
    for members, rows in judging:
        weight, n_rows = rows.weight, len(rows)
        if weight is not None:  # rows of equal weight that say as much
            n_rows = float(weight.sum() ** 2 / weight.square().sum())
        rows.target = smoothed(rows.target, shares[members[:1]], DOUBT / (n_rows + 2.0))


def encode_target(loss, target, dtype):
    """Return targets on the loss's scale, without last bits, where units of y leave a trace."""
    target = loss.encode(target).clip(-FARTHEST, FARTHEST)
    return target.astype(np.float32).astype(dtype)


def make_rows(X, target, weight, device):
    """Return as tensors the rows that any group of networks weighs.

    Parameters
    ----------
    X : ndarray or CSR matrix of shape (n, d)
    target : ndarray of shape (n, o) or (groups, n, o)
    weight : ndarray of shape (groups, n)
        If all are equal there are none.
    device : str

    Returns
    -------
    Rows
        X with a trailing column of ones; a sparse or late X stays one.
    """
    used = weight.any(axis=0)
    if not used.all():
        X, target, weight = X[used], target[..., used, :], weight[:, used]
    target = torch.as_tensor(target.astype(X.dtype), device=device)
    uniform = (weight == weight[0, 0]).all()
    weight = None if uniform else torch.as_tensor(weight, device=device)
    if isinstance(X, LateMatrix):
        return Rows(X.add_ones(), target, weight)
    if sp.issparse(X):
        ones = np.ones((X.shape[0], 1), dtype=X.dtype)
        return Rows(sp.hstack([X, ones], format="csr"), target, weight)
    rows = torch.empty(X.shape[0], X.shape[1] + 1, dtype=target.dtype, device=device)
    rows[:, :-1] = torch.as_tensor(X, device=device)
    rows[:, -1] = 1.0
    return Rows(rows, target, weight)


def _held_out_parts(X, target, weight, held_out, fold, validation, device):
    """Return the judging rows, one part for all networks that share them."""
    if validation is not None:
        X, target, rows = validation
        return [(np.arange(len(fold)), _judging_rows(X, target, rows, device))]
    if held_out is None:
        return []
    return [
        (members, _judging_rows(X, own_target, rows, device))
        for members, rows, own_target in _groups(weight, target, fold, held_out)
        if rows.any()
    ]


def _judging_rows(X, target, weight, device):
    """Return as tensors the rows of one group, their weights 1 on average."""
    weight = np.divide(weight, weight[weight > 0.0].mean(), dtype=X.dtype)
    return make_rows(X, target, weight[None], device)
