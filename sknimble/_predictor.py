"""Fitted networks as numpy arrays, for prediction; the networks in training are in `_network`.

Prediction needs no torch; `prefix_losses` does, for the losses.
"""

from dataclasses import dataclass, replace

import numpy as np
from scipy.special import expit

from ._late import read
from ._losses import row_losses

# Most rows times neurons of one batch of predictions, to bound the memory of activations.
_BATCH_CELLS = 2**19
GELU_SLOPE = 1.702  # of the sigmoid in GELU, by Hendrycks and Gimpel, arXiv 1606.08415


def _relu(z):
    return np.maximum(z, 0.0, out=z)


def _tanh(z):
    return np.tanh(z, out=z)


def _silu(z):
    return np.multiply(z, expit(z), out=z)


def _gelu(z):
    return np.multiply(z, expit(GELU_SLOPE * z), out=z)


ACTIVATIONS = {"relu": _relu, "tanh": _tanh, "silu": _silu, "gelu": _gelu}


@dataclass(frozen=True)
class FittedNetwork:
    """One network with every gate open.

    Parameters
    ----------
    linear : ndarray of shape (n_outputs, n_inputs + 1)
        Linear path, intercept last.
    first : ndarray of shape (n_hidden, n_inputs + 1)
        First hidden layer, bias last.
    hidden : list of ndarray of shape (n_hidden, n_hidden + 1)
        Further hidden layers, bias last.
    output : ndarray of shape (n_outputs, n_hidden)
        Weights from the last hidden layer to the output.
    activation : str
    """

    linear: np.ndarray
    first: np.ndarray
    hidden: list
    output: np.ndarray
    activation: str

    @classmethod
    def of_arrays(cls, arrays, activation):
        """Return the network that has these `arrays`."""
        depth = len(arrays) // 2
        layers = zip(arrays[depth + 1 : -1], arrays[1:depth], strict=True)
        hidden = [np.concatenate(layer, axis=1) for layer in layers]
        return cls(arrays[0], arrays[depth], hidden, arrays[-1], activation)

    @classmethod
    def from_state(cls, state, activation):
        """Return a `NetworkState` cut to its rounded size, with sharpness and shift applied."""
        network = cls.of_arrays(state.arrays, activation).truncated(round(state.size))
        linear, output = (state.sharpness * path for path in (network.linear, network.output))
        linear[:, -1] += state.shift
        return replace(network, linear=linear, output=output)

    def __getstate__(self):
        # All weights in one array: the overhead of a small array exceeds its numbers.
        arrays = self.arrays()
        shapes = np.array([array.shape for array in arrays])
        flat = np.concatenate([array.ravel() for array in arrays])
        return {"flat": flat, "shapes": shapes, "activation": self.activation}

    def __setstate__(self, state):
        shapes = state["shapes"]
        pieces = np.split(state["flat"], np.cumsum(shapes.prod(axis=1))[:-1])
        arrays = [piece.reshape(shape) for piece, shape in zip(pieces, shapes, strict=True)]
        vars(self).update(vars(FittedNetwork.of_arrays(arrays, state["activation"])))

    def arrays(self):
        """Return the arrays in the order and shapes of `Parameters.arrays`."""
        biases, weights = [h[:, -1:] for h in self.hidden], [h[:, :-1] for h in self.hidden]
        return (self.linear, *biases, self.first, *weights, self.output)

    @property
    def n_hidden(self):
        """Neurons per hidden layer."""
        return len(self.first)

    @property
    def n_parameters(self):
        """Weights and biases in use."""
        return sum(array.size for array in self.arrays())

    def truncated(self, n_hidden):
        """Return the network of the first ``n_hidden`` neurons of every layer, if it has more."""
        k = min(n_hidden, self.n_hidden)
        hidden = [np.concatenate([h[:k, :k], h[:k, -1:]], axis=1) for h in self.hidden]
        return replace(self, first=self.first[:k], hidden=hidden, output=self.output[:, :k])

    def raw(self, X):
        """Return the raw output of shape (n, n_outputs) for X, shape (n, n_inputs)."""
        out = _affine(X, self.linear)
        if self.n_hidden:
            function = ACTIVATIONS[self.activation]
            h = function(_affine(X, self.first))
            for layer in self.hidden:
                h = function(_affine(h, layer))
            out += h @ self.output.T
        return out


def prefix_losses(network, X, target, weight, loss):
    """Return the mean loss of a network with its first n neurons alone, for every n.

    Parameters
    ----------
    network : FittedNetwork
    X : ndarray or CSR of shape (n, n_inputs)
    target : ndarray of shape (n, n_outputs)
        Encoded targets.
    weight : ndarray of shape (n,)
    loss : object
        A fitted loss.

    Returns
    -------
    ndarray of shape (n_hidden + 1,)
    """
    rows = max(1, _BATCH_CELLS // max(1, network.n_hidden))
    total = np.zeros(network.n_hidden + 1)
    for i in range(0, X.shape[0], rows):
        here = slice(i, i + rows)
        for n_hidden, raw in enumerate(_prefix_raws(network, read(X, here))):
            total[n_hidden] += weight[here] @ row_losses(loss, raw, target[here])
    return total / weight.sum()


def _prefix_raws(network, X):
    """Yield the raw output of the first 0, 1, 2, ... neurons of a network."""
    raw, function = _affine(X, network.linear), ACTIVATIONS[network.activation]
    yield raw
    if not network.n_hidden:
        return
    h = function(_affine(X, network.first))
    if not network.hidden:
        for n in range(network.n_hidden):
            raw = raw + h[:, n : n + 1] * network.output[:, n]
            yield raw
        return
    second, *others = network.hidden
    z = np.repeat(second[:, -1][None], len(h), axis=0)  # of the second layer, grown in place
    for new in range(network.n_hidden):
        n = new + 1
        z[:, :new] += h[:, new:n] * second[:new, new]  # from the new neuron to those before it
        z[:, new] += h[:, :n] @ second[new, :n]  # ... and to the new one from all
        g = function(z[:, :n].copy())
        for layer in others:
            g = function(g @ layer[:n, :n].T + layer[:n, -1])
        yield raw + g @ network.output[:, :n].T


def _affine(X, weights):
    """Apply weights whose last column is the intercept; X may be sparse."""
    z = X @ weights[:, :-1].T
    z += weights[:, -1]
    return z


def predict_batches(networks, n_rows, read_rows, combine, n_inputs=None):
    """Predict in batches of rows, so that memory does not grow beyond the output.

    Parameters
    ----------
    networks : list of FittedNetwork
    n_rows : int
        n.
    read_rows : callable
        Takes a slice of the rows, returns an ndarray or CSR matrix of shape (., n_inputs).
    combine : callable
        Takes the list of raw outputs of a batch, one per network, returns its predictions.
    n_inputs : int, default=None
        Numbers stored per row, if rows are sparse. None: as many as inputs.

    Returns
    -------
    ndarray of shape (n, ...)
    """
    n_inputs = networks[0].linear.shape[1] if n_inputs is None else n_inputs
    width = max(1, n_inputs, *(max(n.n_hidden, len(n.linear)) for n in networks))
    rows = max(1, _BATCH_CELLS // width)
    parts = []
    for start in range(0, n_rows, rows):
        part = read_rows(slice(start, start + rows))
        parts.append(combine([network.raw(part) for network in networks]))
    return np.concatenate(parts)
