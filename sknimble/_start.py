"""From encoded rows to K networks ready to train: tensors, linear start, held-out rows."""

import hashlib
from dataclasses import dataclass, replace
from itertools import product

import numpy as np
import scipy.sparse as sp
import torch

from ._batches import Rows
from ._calibration import DOUBT, SMOOTHING, effective_rows, smoothed
from ._late import LateMatrix, linear_inputs
from ._losses import ROUNDING, SquaredError, baseline_loss, row_losses
from ._network import GrowableNetworks, NetworkState
from ._optimizer import weight_decay_of
from ._row_weights import for_penalty
from ._training import Training

# Bytes that the buffers of all networks together may take at max_size.
MEMORY_LIMIT = 4 * 2**30
# A table with fewer rows per column than this tries higher ridge penalties for its linear start.
ROWS_PER_COLUMN = 15
ROWS_TO_CHOOSE = 5000  # at most, by which the inputs and the penalty of the start are chosen
LOG_PENALTY = 4  # log10 of the highest penalty to choose from, for weights of 1
LOW_PENALTIES = 1e-2, 1e-4  # of regressions that leave next to nothing unexplained
FEW_INPUTS = 2**20  # numbers, at most, of which a regression is computed in double precision
GAIN = 5 / 3  # of the incoming weights of new neurons: more than 1, as inputs are mostly below 1
FARTHEST = 1e30  # encoded targets are clipped there, so that float32 holds them


@dataclass(frozen=True)
class Data:
    """Encoded rows (n, d), their targets and weights in each of F folds, and K networks' folds.

    ``target`` has shape (n, o) or (F, n, o), ``weight`` (F, n), and ``fold`` (K,).
    """

    X: object
    target: np.ndarray
    weight: np.ndarray
    fold: np.ndarray

    def groups(self, chosen=None):
        """Yield groups of networks with equal weights and targets: positions, weights, target.

        ``chosen``, a mask of shape (F, n), are the rows that count, all by default.
        """
        equal = {}
        for one in np.unique(self.fold):
            target = None if self.target.ndim == 2 else _digest(self.target[one])
            equal.setdefault((_digest(self._weight(one, chosen)), target), []).append(one)
        for folds in equal.values():
            target = self.target if self.target.ndim == 2 else self.target[folds[0]]
            yield np.flatnonzero(np.isin(self.fold, folds)), self._weight(folds[0], chosen), target

    def _weight(self, one, chosen):
        """Return the weights of a fold; anew each time, as those of all would take much memory."""
        return self.weight[one] if chosen is None else self.weight[one] * chosen[one]


def start_training(
    X, target, loss, *, weight, held_out, sizes, max_size, depth, seeds, device, learning_rate,
    alpha, validation=None, fold=None, table=None, published=None, normaliser=None,
    progress=None, epoch=0, anneal=True, finish=True, **options,
):  # fmt: skip
    """Return a `Training` of K networks.

    Parameters
    ----------
    X : ndarray, CSR matrix or LateMatrix of shape (n, d)
        Encoded inputs; their dtype is that of all computations.
    target : ndarray of shape (n, o) or (K, n, o) or (F, n, o)
        Targets from `encode_target`: the same for all, or those of each network or fold.
    loss : object
        A fitted loss.
    weight : ndarray of shape (K, n) or (F, n)
        Row weights of every network, or of every fold, held-out rows included.
    held_out : ndarray of bool, shaped as ``weight``, or None
        Rows held out from each network or fold.
    validation : tuple of (X, target, weight) or None
        Encoded rows given by the user: the held-out rows of all networks, in place of
        ``held_out``.
    sizes : array-like of shape (K,)
        Initial sizes.
    max_size, depth : int
        Neurons per hidden layer at most; hidden layers.
    seeds : sequence of K ints
        Seeds of the initial weights.
    table : TableEncoder or None, default=None
        The linear start is fitted on its plain columns, as on the piecewise-linear encoding behind
        them it would overfit; with and without their smooth clip, and the better one is taken.
        None: all columns of X are plain.
    device : {"cpu", "cuda", "mps"}
    learning_rate : float
        Of the weights; without held-out rows it is multiplied by the share of `normalisers`.
    alpha : float
        Weight decay, bounded by `weight_decay_of`.
    fold : ndarray of int, shape (K,), or None
        Index into ``weight``, ``held_out`` and ``target`` for each network; None: 0 to K - 1.
    published : list of FittedNetwork or None
        Networks to continue, one per seed, instead of starting at linear models; their N are
        ``sizes``. If any is larger than ``max_size``, all continue without ``progress``.
    normaliser : float or None
        That of an earlier call; used if that call's targets had more than one value.
    progress : Progress or None
        Of the training that made ``published``, None if unknown.
    epoch : int
        Epochs made so far.
    anneal : bool, default=True
        As in `Training`.
    finish : bool, default=True
        Whether networks finish on their held-out rows, if they anneal and the loss allows it.
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
    data = Data(X, target, weight, fold)
    scale, share = normalisers(loss, data)
    if ((weight == 0.0) | (weight == weight.max())).all():
        data = replace(data, weight=weight > 0.0)  # equal weights fit into a byte per row
    trains = None if held_out is None else ~held_out
    if published is not None and max(network.n_hidden for network in published) > max_size:
        published = [network.truncated(max_size) for network in published]
        progress = None
    networks = GrowableNetworks(
        d + 1, o, depth, np.minimum(sizes, max_size), max_size, seeds,
        gain=GAIN, dtype=getattr(torch, X.dtype.name), device=device,
    )  # fmt: skip
    if published is None:
        start_linear(networks, data, loss, trains, table)
    finish = finish and trains is not None and anneal and loss.finishes
    parts = [trains, None] if finish else [trains]
    train, groups = _training_rows(data, parts, device)
    held_out_rows = _held_out_parts(data, held_out, validation, device)
    if loss.calibration == "logits":
        _smooth(train, groups, held_out_rows, _class_shares(data))
    if normaliser is not None and normaliser > loss.least:
        scale, share = normaliser, 1.0
    decay = weight_decay_of(alpha, learning_rate)
    if not held_out_rows:  # with held-out rows, training stops when it does not improve
        learning_rate = learning_rate * share
    training = Training(
        networks, loss, train, groups, held_out_rows, normaliser=scale,
        learning_rate=learning_rate, weight_decay=decay, anneal=anneal, **options,
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
    per_neuron = n_inputs + n_outputs + (depth - 1) * (max_size + 1)
    per_network = n_inputs * n_outputs + max_size * per_neuron
    need = len(GrowableNetworks.BUFFERS) * n_networks * per_network * itemsize
    if need > MEMORY_LIMIT:
        raise ValueError(
            f"{n_networks} networks of max_size={max_size} with {n_inputs - 1} encoded inputs "
            f"could need {need / 2**30:.1f} GiB, more than the {MEMORY_LIMIT / 2**30:.0f} GiB "
            "allowed: lower max_size, n_estimators, or the number of folds and penalties"
        )


def start_linear(networks, data, loss, chosen=None, table=None):
    """Set linear paths to linear models; networks with the same rows share one fit."""
    for members, rows, target in data.groups(chosen):
        used, inputs = linear_inputs(data.X, np.flatnonzero(rows), table)
        if loss.link == "range" and not sp.issparse(inputs[0]) and inputs[0].size <= FEW_INPUTS:
            inputs = [X.astype(np.float64, copy=False) for X in inputs]
        own = target[used], for_penalty(rows)[used]
        deviation = [_at_most_one(X, own[-1]) for X in inputs[1:]]
        number, penalty = _best_linear(loss, inputs, *own)
        coef, intercept = loss.fit_linear(inputs[number], *own, penalty)
        if number:
            coef = (coef / deviation[0]) @ table.unclipped.T
        for member in members:
            networks.set_linear(member, coef, intercept)


def _at_most_one(X, weight):
    """Divide columns by their deviations from 0 where these exceed 1; return the divisors."""
    squares = np.einsum("ij,ij,i->j", X, X, weight, dtype=np.float64)  # without a copy of X
    deviation = np.sqrt(squares / weight.sum()).clip(min=1.0)
    X /= deviation
    return deviation


def _best_linear(loss, inputs, target, weight):
    """Return which inputs, and which ridge penalty, have the least loss on every fourth row.

    These rows are held out. Of many rows an evenly spaced sample decides. Equal rows count as one
    here, because copies of a row must not be on both sides. A penalty below 1 must halve the loss.
    Where the link is "range", ridge regression stands for the linear model of the loss, which may
    take twelve times as long.
    """
    fit = SquaredError().fit_linear if loss.link == "range" else loss.fit_linear
    choices = list(product(range(len(inputs)), _penalties(loss, inputs[0], weight)))
    if len(choices) == 1:
        return choices[0]
    step = -(-len(target) // ROWS_TO_CHOOSE)
    inputs, target, weight = [X[::step] for X in inputs], target[::step], weight[::step]
    scored = _row_numbers(inputs[0]) % 4 == 3
    if not scored.any():
        return choices[0]

    def score(choice):
        number, penalty = choice
        X, rows = inputs[number], (target, weight)
        coef, intercept = fit(X[~scored], *(a[~scored] for a in rows), penalty)
        raw = X[scored] @ coef.T + intercept
        lost = np.average(row_losses(loss, raw, target[scored]), weights=weight[scored])
        return lost if penalty >= 1.0 else 2.0 * lost

    return min(choices, key=score)


def _penalties(loss, X, weight):
    """Return ridge penalties to choose from, 1 first.

    There are higher ones if there are few rows per column, the higher the larger the weights are,
    and lower ones if the link is "range", in double precision, which can tell the difference.
    """
    few = X.shape[0] < ROWS_PER_COLUMN * X.shape[1]
    highest = LOG_PENALTY + int(np.log10(max(1.0, weight.mean()))) if few else 0
    lower = LOW_PENALTIES if loss.link == "range" and X.dtype == np.float64 else ()
    rounding = ROUNDING * X.shape[1] * weight.sum()
    return [*(10.0 ** np.arange(highest + 1)).tolist(), *(p for p in lower if p > rounding)]


def _row_numbers(X):
    """Return the number of every row; those of a dense X are sorted, and equal rows share one."""
    if sp.issparse(X):
        return np.arange(X.shape[0])
    return np.unique(X, axis=0, return_inverse=True)[1].ravel()  # NumPy 2.0.0 makes a column


def normalisers(loss, data):
    """Return the normaliser of each network's loss, and a share, of shape (K,) both.

    The normaliser is the loss of the best constant, but at least ``loss.least``; the share is this
    loss divided by the normaliser, 1 unless the loss is tiny. Adam ignores the scale of a loss,
    and would fit a class with a millionth of the weight as closely as any other: the share makes
    the learning rate smaller instead.
    """
    baseline = np.empty(len(data.fold))
    for members, rows, target in data.groups():
        baseline[members] = baseline_loss(loss, target, rows)
    found = np.maximum(baseline, loss.least)
    return found, baseline / found


def _digest(array):
    """Return a hash of an array."""
    return hashlib.blake2b(np.ascontiguousarray(array)).digest()


def _training_rows(data, parts, device):
    """Return the rows of all groups, and the group of each network, shape (len(parts), K).

    ``parts`` are the rows of the phases, before and while finishing: ``chosen`` in `Data.groups`.
    """
    weights, targets, groups = [], [], np.empty((len(parts), len(data.fold)), dtype=int)
    for group, chosen in zip(groups, parts, strict=True):
        for members, rows, target in data.groups(chosen):
            group[members] = len(weights)
            weights.append(rows)
            targets.append(target)
    target = data.target if data.target.ndim == 2 else np.stack(targets)
    return make_rows(data.X, target, np.stack(weights), device), groups


def _class_shares(data):
    """Return the weighted mean of the targets of every network, shape (K, o)."""
    shares = np.empty((len(data.fold), data.target.shape[-1]))
    for members, rows, target in data.groups():
        shares[members] = np.average(target, axis=0, weights=rows.astype(np.float64))
    return shares.clip(0.0, 1.0)


def _smooth(train, groups, held_out_rows, shares):
    """Mix all labels with the class shares of the networks that use them."""
    _, first = np.unique(groups[0], return_index=True)
    train.target = smoothed(train.target, shares[first], SMOOTHING)
    for members, rows in held_out_rows:
        n_rows = len(rows) if rows.weight is None else float(effective_rows(rows.weight))
        rows.target = smoothed(rows.target, shares[members[:1]], DOUBT / (n_rows + 2.0))


def encode_target(loss, target, dtype):
    """Return targets on the loss's scale, rounded to float32, so that units of y do not matter."""
    target = loss.encode(target).clip(-FARTHEST, FARTHEST)
    return target.astype(np.float32).astype(dtype)


def make_rows(X, target, weight, device):
    """Return as tensors the rows whose weight is positive for any group of networks.

    Parameters
    ----------
    X : ndarray or CSR matrix of shape (n, d)
    target : ndarray of shape (n, o) or (groups, n, o)
    weight : ndarray of shape (groups, n)
        If all are equal, the weight of the result is None.
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


def _held_out_parts(data, held_out, validation, device):
    """Return held-out rows as parts: positions of networks, and the rows that they share."""
    if validation is not None:
        return [(np.arange(len(data.fold)), _validation_rows(*validation, device))]
    if held_out is None:
        return []
    return [
        (members, _validation_rows(data.X, target, rows, device))
        for members, rows, target in data.groups(held_out)
        if rows.any()
    ]


def _validation_rows(X, target, weight, device):
    """Return the held-out rows of one group as tensors, with weights of mean 1."""
    weight = np.divide(weight, weight[weight > 0.0].mean(), dtype=X.dtype)
    return make_rows(X, target, weight[None], device)
