"""K growable networks in one computation: parameters, forward, value and gradient.

A network has a linear path from input to output and ``depth`` hidden layers with equally many
awake neurons. Neurons are ordered, and the gate of each multiplies its outgoing weights:

    h_1 = f(first x),    h_l = f((hidden_l * gate) h_{l-1} + bias_l)
    raw = linear x + (output * gate) h_depth

x carries a trailing 1, so ``linear`` and ``first`` hold their intercepts as their last
column. Shapes use K networks, C neurons of capacity, d inputs with the 1, o outputs, B rows.
CSR rows are multiplied by scipy, in a time proportional to their nonzeros.

The functions have no state; `GrowableNetworks` owns the memory.
"""

import math
import operator
from copy import copy
from typing import NamedTuple

import numpy as np
import scipy.sparse as sp
import torch

from ._predictor import GELU_SLOPE
from ._size import BLOCK, gate, window_end

UNIT = 4  # the capacity is a multiple of this


class Parameters(NamedTuple):
    """The arrays of K networks: views into one flat buffer.

    ``linear`` (K, o, d), ``biases`` depth-1 x (K, C, 1), ``first`` (K, C, d), ``hidden``
    depth-1 x (K, C, C), ``output`` (K, o, C). In memory ``first`` may be (K, d, C): see
    `_inputs_adjacent`.
    """

    linear: torch.Tensor
    biases: tuple
    first: torch.Tensor
    hidden: tuple
    output: torch.Tensor

    @classmethod
    def of_arrays(cls, arrays):
        """Return the parameters that have these `arrays`."""
        depth = len(arrays) // 2
        linear, first, output = arrays[0], arrays[depth], arrays[-1]
        return cls(linear, tuple(arrays[1:depth]), first, tuple(arrays[depth + 1 : -1]), output)

    def arrays(self):
        """Return every array, in the order of the flat buffer."""
        return [self.linear, *self.biases, self.first, *self.hidden, self.output]

    def first_neurons(self, n):
        """Return the first n neurons of every network, as views."""
        return Parameters(
            self.linear,
            tuple(bias[:, :n] for bias in self.biases),
            self.first[:, :n],
            tuple(weights[:, :n, :n] for weights in self.hidden),
            self.output[:, :, :n],
        )

    def of(self, positions):
        """Return the arrays of the given networks: copies, or views of a slice of them."""
        return Parameters.of_arrays([array[positions] for array in self.arrays()])


# --------------------------------------------------------------------------- activations
# Activations are functions of the pre-activation z, with h = f(z); the derivatives below turn the
# gradient in h into the gradient in z, in place.
_relu_gradient = torch.ops.aten.threshold_backward.grad_input
_tanh_gradient = torch.ops.aten.tanh_backward.grad_input
_silu_gradient = torch.ops.aten.silu_backward.grad_input


def _tanh(z):
    """Return ``2 sigmoid(2 z) - 1``, in a quarter of the time of torch's tanh."""
    return torch.sigmoid(z.mul_(2.0)).mul(2.0).sub_(1.0)


def _relu_backward(d_h, z, h):
    return _relu_gradient(d_h, h, 0.0, grad_input=d_h)


def _tanh_backward(d_h, z, h):
    return _tanh_gradient(d_h, h, grad_input=d_h)


def _silu_backward(d_h, z, h):
    return _silu_gradient(d_h, z, grad_input=d_h)


def _gelu(z):
    """Return ``z * sigmoid(GELU_SLOPE * z)`` and leave ``GELU_SLOPE * z`` in z.

    The cheaper of the two approximations in Hendrycks and Gimpel, arXiv 1606.08415: it takes a
    third of the time. Its derivative is that of SiLU at ``GELU_SLOPE * z``.
    """
    return torch.nn.functional.silu(z.mul_(GELU_SLOPE)).mul_(1.0 / GELU_SLOPE)


ACTIVATIONS = {
    "relu": (torch.relu_, _relu_backward),  # in place, as z is not needed again
    "tanh": (_tanh, _tanh_backward),
    "silu": (torch.nn.functional.silu, _silu_backward),
    "gelu": (_gelu, _silu_backward),
}


# ------------------------------------------------------------------------ pure functions
def forward(parameters, X, gates, activation):
    """Return the raw output of K networks on one batch.

    Parameters
    ----------
    parameters : Parameters
    X : Tensor of shape (B, d) or (K, B, d), or list of (slice, Tensor of shape (B, d))
        Rows, with a trailing column of ones: the same for all networks, one set per network, or
        one set per slice of networks. Any (B, d) may be a CSR matrix.
    gates : Tensor of shape (K, 1, C) or None
        How awake every neuron is; None means all are.
    activation : {"relu", "tanh", "silu", "gelu"}

    Returns
    -------
    raw : Tensor of shape (K, o, B)
    cache : list of (z, h, weight)
        For the backward pass, per hidden layer: pre-activation and activation, both (K, C, B),
        one tensor where the activation works in place, and the gated outgoing weights.
    """
    function, cache = ACTIVATIONS[activation][0], []
    raw, z = _from_inputs(parameters, X)
    for bias, outgoing in zip(parameters.biases, parameters.hidden, strict=True):
        weight = outgoing if gates is None else outgoing * gates
        h = function(z)
        cache.append((z, h, weight))
        z = torch.baddbmm(bias, weight, h)
    weight = parameters.output if gates is None else parameters.output * gates
    h = function(z)
    cache.append((z, h, weight))
    return torch.baddbmm(raw, weight, h), cache


def _from_inputs(parameters, X):
    """Return the outputs of the linear path, (K, o, B), and of the first layer, (K, C, B)."""
    k, o, c = parameters.output.shape
    paths = parameters.linear, parameters.first
    if isinstance(X, torch.Tensor):
        rows = _for_each(X, k).mT
        return [torch.bmm(weights, rows) for weights in paths]
    parts = X if isinstance(X, list) else [(slice(0, k), X)]
    n_rows = parts[0][1].shape[0]
    outputs = [parameters.output.new_empty(k, n, n_rows) for n in (o, c)]
    for networks, rows in parts:
        for weights, out in zip(paths, outputs, strict=True):
            _multiply(weights[networks], rows, out[networks])
    return outputs


def _for_each(X, k):
    """Return a batch as a view of shape (k, B, d)."""
    return X if X.dim() == 3 else X.expand(k, -1, -1)


def _multiply(weights, rows, out):
    """Write weights (k, m, d) times rows (B, d), a tensor or CSR, into ``out`` (k, m, B)."""
    if sp.issparse(rows):
        product = torch.from_numpy(rows @ weights.permute(2, 0, 1).flatten(1).numpy())
        out.copy_(product.t().view_as(out))
    else:
        torch.bmm(weights, rows.expand(len(weights), -1, -1).mT, out=out)


def _to_inputs(d_raw, d_z, X, linear, first):
    """Write the gradients of the linear path and the first layer into ``linear`` and ``first``."""
    if isinstance(X, list):
        for networks, rows in X:
            _to_inputs(d_raw[networks], d_z[networks], rows, linear[networks], first[networks])
    elif sp.issparse(X):
        for slope, out in ((d_raw, linear), (d_z, first)):
            product = torch.from_numpy(X.T @ slope.flatten(0, 1).t().numpy())
            out.copy_(product.unflatten(1, slope.shape[:2]).permute(1, 2, 0))
    else:
        rows = _for_each(X, d_raw.shape[0])
        torch.bmm(d_raw, rows, out=linear)
        if first.stride(-1) == 1:
            torch.bmm(d_z, rows, out=first)
        elif _inputs_adjacent(*first.shape[1:]):  # a narrow view of a buffer stored as (d, C)
            first.copy_(torch.bmm(d_z, rows))
        else:
            torch.bmm(rows.mT, d_z.mT, out=first.mT)


def value(parameters, X, target, weight, gates, activation, loss):
    """Return the weighted mean loss of K networks on one batch, shape (K,).

    ``target`` has shape (o, B) or (K, o, B), ``weight`` (K, B); other shapes as in `forward`.
    """
    raw, _ = forward(parameters, X, gates, activation)
    return (loss.value(raw, target) * weight).sum(dim=1)


def gradient(parameters, X, target, weight, gates, activation, loss, out):
    """Write the gradient of `value` into ``out`` and return the raw output.

    Parameters
    ----------
    parameters, X, gates, activation
        As in `forward`.
    target : Tensor of shape (o, B) or (K, o, B)
        Encoded targets.
    weight : Tensor of shape (K, B)
        Row weights, already divided by the number of rows.
    loss : object
        A loss of `sknimble._losses`.
    out : Parameters
        Where the gradient goes, shaped as ``parameters``.

    Returns
    -------
    Tensor of shape (K, o, B)
    """
    backward = ACTIVATIONS[activation][1]
    raw, cache = forward(parameters, X, gates, activation)
    d_raw = loss.gradient(raw, target)
    d_raw = d_raw.mul_(weight.unsqueeze(1))
    d_z = _back_through(cache, d_raw, gates, backward, out)
    _to_inputs(d_raw, d_z, X, out.linear, out.first)
    return raw


def _back_through(cache, d_z, gates, backward, out):
    """Write the gradients of all layers but the first; return the gradient in the first's z."""
    layers = [*out.hidden, out.output]
    for layer in range(len(cache) - 1, -1, -1):
        z, h, outgoing = cache[layer]
        if gates is None:
            torch.bmm(d_z, h.mT, out=layers[layer])
        else:
            torch.mul(torch.bmm(d_z, h.mT), gates, out=layers[layer])
        # for one output a broadcast product is cheaper than bmm
        d_h = outgoing.mT * d_z if d_z.shape[1] == 1 else torch.bmm(outgoing.mT, d_z)
        d_z = backward(d_h, z, h)
        if layer:
            torch.sum(d_z, dim=-1, keepdim=True, out=out.biases[layer - 1])
    return d_z


# -------------------------------------------------------------------------- the learners
class NetworkState(NamedTuple):
    """One network as arrays of its own.

    Parameters
    ----------
    arrays : tuple of ndarray
        Those of `Parameters`, without the leading axis.
    size : float
        N, a moving average like the weights.
    sharpness : float, default=1.0
        Factor on the raw output in prediction, not in training.
    shift : ndarray of shape (o,) or float, default=0.0
        Added to the product.
    """

    arrays: tuple
    size: float
    sharpness: float = 1.0
    shift: np.ndarray | float = 0.0


def view_parameters(flat, shapes):
    """Cut one flat buffer into `Parameters`."""
    pieces, depth = flat.split([math.prod(shape) for shape in shapes]), len(shapes) // 2
    arrays = [piece.view(shape) for piece, shape in zip(pieces, shapes, strict=True)]
    k, c, d = shapes[depth]
    if not _inputs_adjacent(c, d):
        arrays[depth] = pieces[depth].view(k, d, c).mT
    return Parameters.of_arrays(arrays)


def _inputs_adjacent(n_neurons, n_inputs):
    """Tell whether ``first`` is stored as (C, d), inputs adjacent, or as (d, C), neurons adjacent.

    The matrix product of the gradient takes up to nine times as long if the adjacent dimension is
    short, and up to twice as long if its length is no multiple of 8.
    """
    return n_neurons < 10 or (n_neurons % 8 > 0 and n_inputs >= 24)


def _room(ends):
    """Return the capacity for networks with these ends: a multiple of `UNIT`, for speed."""
    return UNIT * -(-int(max(ends, default=0)) // UNIT)


class GrowableNetworks:
    """Memory of K networks that grow and shrink: weights, gradient, moments and average.

    ``end`` is N + W of each network. All weights of neurons beyond it are zero, so they stay zero
    and need no gate. Methods take positions of networks, which change when other networks leave.

    Parameters
    ----------
    n_inputs : int
        d, the trailing 1 included.
    n_outputs : int
        o.
    depth : int
        Hidden layers, at least 1.
    sizes : array-like of shape (K,)
        Initial size weights N.
    max_size : int
        Largest N + W.
    seeds : sequence of K ints
        Each network's initial weights depend on its seed alone: not on K, the capacity or when a
        neuron wakes.
    gain : float
        Standard deviation of a new neuron's weights in the first layer, times sqrt(fan-in).
    dtype, device : torch's
    """

    BUFFERS = ("weights", "gradient", "moment1", "moment2", "average")
    OPTIMISED = ("weights", "gradient", "moment1", "moment2")
    SAVED = ("weights", "average", "moment1", "moment2")
    _PER_NETWORK = ("seeds", "size", "average_size", "end")

    def __init__(
        self, n_inputs, n_outputs, depth, sizes, max_size, seeds, *, gain, dtype, device="cpu"
    ):
        self.n_inputs, self.n_outputs, self.depth = n_inputs, n_outputs, depth
        self.max_size, self.gain = max_size, gain
        self.seeds = np.array(seeds)
        self.size = np.array(sizes, dtype=float)
        self.average_size = self.size.copy()  # moving average of N, as "average" of the weights
        self.end = np.zeros(len(self.seeds), dtype=int)
        self.options = {"dtype": dtype, "device": device}
        self.steps = torch.zeros((), device=device)  # the step count that torch's AdamW reads
        vars(self).update(self._allocate(0))
        self.follow_size()

    @property
    def n_networks(self):
        """K."""
        return len(self.seeds)

    @property
    def capacity(self):
        """C, the neurons per layer that the buffers have room for."""
        return self.weights.first.shape[1]

    # -- memory
    def _shapes(self, n_networks, capacity):
        """Return the shapes of `Parameters.arrays` of so many networks with so many neurons."""
        k, c, d, o, further = n_networks, capacity, self.n_inputs, self.n_outputs, self.depth - 1
        return [(k, o, d), *[(k, c, 1)] * further, (k, c, d), *[(k, c, c)] * further, (k, o, c)]

    @property
    def owner(self):
        """Position of the network that each parameter of a flat buffer belongs to."""
        if self._owner is None:
            shapes = self._shapes(self.n_networks, self.capacity)
            self._owner = torch.zeros_like(self.flat["weights"], dtype=torch.int32)
            number = torch.arange(self.n_networks, dtype=torch.int32, device=self._owner.device)
            for array in view_parameters(self._owner, shapes).arrays():
                array.copy_(number[:, None, None].expand_as(array))
        return self._owner

    def first_neurons(self, n):
        """Return views of the weights and the gradient of the first n neurons of all networks."""
        if n not in self._first:
            self._first[n] = self.weights.first_neurons(n), self.gradient.first_neurons(n)
        return self._first[n]

    def _allocate(self, capacity):
        """Return zero buffers for ``capacity`` neurons, as a dict of this object's attributes."""
        shapes = self._shapes(self.n_networks, capacity)
        lengths = [math.prod(shape) for shape in shapes]
        flat = {name: torch.zeros(sum(lengths), **self.options) for name in self.BUFFERS}
        views = {name: view_parameters(flat[name], shapes) for name in self.BUFFERS}
        start = sum(lengths[: self.depth])  # the linear path and hidden biases come first
        optimised = [[flat[name]] for name in self.OPTIMISED]
        decayed = flat["weights"][start:]
        return dict(
            flat=flat, optimised=optimised, decayed=decayed, _owner=None, _first={}, **views
        )

    def _reallocate(self, capacity, positions):
        """Move the networks at some positions to buffers of a capacity; predictions stay."""
        buffers = self._allocate(capacity)
        index = torch.as_tensor(positions, device=self.options["device"])
        for name in self.BUFFERS:
            arrays = zip(buffers[name].arrays(), getattr(self, name).arrays(), strict=True)
            for new, source in arrays:
                rows, columns = map(min, new.shape[1:], source.shape[1:])
                new[:, :rows, :columns] = source[index, :rows, :columns]
        vars(self).update(buffers)  # in one statement, so that Ctrl-C leaves a consistent state

    def reserve(self, capacity):
        """Change the capacity; optimiser state and predictions stay."""
        if capacity != self.capacity:
            self._reallocate(capacity, range(self.n_networks))

    def joined(self, others):
        """Return these networks and those of others, in this order."""
        parts, joined = [self, *others], copy(self)
        for name in self._PER_NETWORK:
            setattr(joined, name, np.concatenate([getattr(part, name) for part in parts]))
        vars(joined).update(joined._allocate(_room(joined.end)))
        first = 0
        for part in parts:
            here, first = slice(first, first + part.n_networks), first + part.n_networks
            for name in self.BUFFERS:
                arrays = getattr(joined, name).arrays(), getattr(part, name).arrays()
                for new, source in zip(*arrays, strict=True):
                    new[here, : source.shape[1], : source.shape[2]] = source
        return joined

    def keep(self, positions):
        """Keep only the given networks."""
        for name in self._PER_NETWORK:
            setattr(self, name, getattr(self, name)[positions])
        self._reallocate(_room(self.end), positions)

    # -- size
    def follow_size(self, settled=None):
        """Wake neurons or put them to sleep, so that the first N + W of each network train.

        The end moves down only when it is two blocks too far, so that small fluctuations of N
        cost no scouts. Networks marked in ``settled``, with a whole N, have no window.
        """
        start, ends = self.end, self.end.tolist()
        for position, size in enumerate(self.size.tolist()):
            if settled is not None and settled[position]:
                ends[position] = int(size)
                continue
            wanted = window_end(size, self.max_size)
            end = ends[position]
            if wanted > end or wanted <= end - 2 * BLOCK or end > self.max_size:
                ends[position] = wanted
        if ends == start.tolist():
            return
        moved = copy(self)
        moved.end = np.array(ends, dtype=int)
        moved.average_size = np.minimum(self.average_size, moved.end)
        moved.reserve(_room(moved.end))
        for position in np.flatnonzero(moved.end > start):
            moved._wake(position, start[position], moved.end[position])
        vars(self).update(vars(moved))  # in one statement, as in `_reallocate`
        for position in np.flatnonzero(self.end < start):
            self._forget(position, self.end[position])

    def _forget(self, position, end):
        """Set all neurons from ``end`` on to zero."""
        for name in self.BUFFERS:
            arrays = getattr(self, name)
            for array in (arrays.first, *arrays.biases, *arrays.hidden):
                array[position, end:] = 0.0
            for array in (*arrays.hidden, arrays.output):
                array[position, :, end:] = 0.0

    def _wake(self, position, start, stop):
        """Give new neurons random incoming weights; outgoing ones and moments are zero."""
        for row in range(start, stop, BLOCK):
            end = min(row + BLOCK, stop)
            rng = np.random.default_rng([self.seeds[position], row])
            first = rng.standard_normal((BLOCK, self.n_inputs))[: end - row]
            blocks = [first * self.gain / np.sqrt(self.n_inputs)]
            for _ in range(self.depth - 1):
                block = rng.standard_normal((BLOCK, row + BLOCK))[: end - row, :end]
                blocks.append(block / np.sqrt(end))
            for layers in (self.weights, self.average):
                for array, block in zip((layers.first, *layers.hidden), blocks, strict=True):
                    block = torch.as_tensor(block, **self.options)
                    array[position, row:end, : block.shape[1]] = block

    def gates(self, sizes):
        """Return gates of shape (K, 1, C) for sizes; None if all trained neurons are awake."""
        sizes = np.asarray(sizes, dtype=float)
        if all(map(operator.ge, sizes.tolist(), self.end.tolist())):
            return None
        return torch.as_tensor(gate(sizes, self.capacity)[:, None], **self.options)

    # -- state
    def set_linear(self, position, coef, intercept):
        """Set the linear path: coefficients of the leading inputs, (o, .), intercepts (o,)."""
        start = np.zeros((self.n_outputs, self.n_inputs))
        start[:, : coef.shape[1]], start[:, -1] = coef, intercept
        start = torch.as_tensor(start, **self.options)
        self.weights.linear[position] = self.average.linear[position] = start

    def state(self, position):
        """Return one network's moving averages of weights and N."""
        return NetworkState(self.read("average", position), float(self.average_size[position]))

    def read(self, name, position):
        """Return copies of one network's arrays in a buffer, cut to its ``end``, as numpy."""
        shapes = self._shapes(1, self.end[position])
        return tuple(
            array[position].cpu().numpy()[: shape[1], : shape[2]].copy()
            for array, shape in zip(getattr(self, name).arrays(), shapes, strict=True)
        )

    def load(self, position, state):
        """Put a `state` back, with its size; moments of the optimiser become zero."""
        self.size[position] = self.average_size[position] = state.size
        self.end[position] = state.arrays[-1].shape[1]
        self.reserve(_room(self.end))
        zeros = [np.zeros_like(array) for array in state.arrays]
        for name in self.BUFFERS:
            self._write(name, position, state.arrays if name in ("weights", "average") else zeros)

    def _write(self, name, position, arrays):
        """Fill one network's part of a buffer with arrays, zero beyond them."""
        for array, saved in zip(getattr(self, name).arrays(), arrays, strict=True):
            rows, columns = saved.shape
            saved = np.require(saved, requirements="W")  # a mapped file may be read-only
            array[position] = 0.0
            array[position, :rows, :columns] = torch.as_tensor(saved, **self.options)

    def snapshot(self, position):
        """Return one network's `SAVED` buffers, flat, as numpy of shape (4, n_parameters)."""
        saved = [self.read(name, position) for name in self.SAVED]
        return np.stack([np.concatenate([a.ravel() for a in arrays]) for arrays in saved])

    def restore(self, position, progress):
        """Put back sizes and `SAVED` buffers of a network from its `NetworkProgress`."""
        self.size[position] = min(progress.size, self.max_size)  # max_size may be lower now
        self.average_size[position], self.end[position] = progress.average_size, progress.end
        self.reserve(_room(self.end))
        shapes = self._shapes(1, progress.end)
        cuts = np.cumsum([math.prod(shape) for shape in shapes])[:-1]
        for name, flat in zip(self.SAVED, progress.buffers, strict=True):
            pieces = zip(np.split(flat, cuts), shapes, strict=True)
            self._write(name, position, [piece.reshape(shape[1:]) for piece, shape in pieces])
