"""The authors' network with one auxiliary weight, N, that says how many neurons are awake.

    y(x)     = b + sum_m w_m * step(N - m + 1) * tanh(c_m + N u_m + v_m x)
    loss     = mean data loss + size_penalty * (N - target_size)**2
    learning = plain full-batch gradient descent on everything, N included

(arXiv 2501.18012.) Every array has a leading axis of *trials*: independent networks,
each with its own data, trained side by side. Gradients are written by hand.
"""

from dataclasses import dataclass, fields

import numpy as np
from scipy.special import expit

from sknimble._size import gate, size_loss, size_slope

TRIALS_AT_ONCE = 200  # what a processor's second-level cache holds


def gate_slope(size, n_neurons):
    """Return the derivative of `gate` with respect to ``size``, same shape."""
    inside = np.clip(np.asarray(size)[..., None] - np.arange(n_neurons), 0.0, 1.0)
    return 0.5 * np.pi * np.sin(np.pi * inside)


class SquaredError:
    """Squared error per row, and its derivative in the raw output."""

    @staticmethod
    def value(y, raw):
        return (raw - y) ** 2

    @staticmethod
    def slope(y, raw):
        return 2.0 * (raw - y)


class CrossEntropy:
    """Binary cross-entropy per row for logits, and its derivative."""

    @staticmethod
    def value(y, raw):
        return np.logaddexp(0.0, raw) - y * raw

    @staticmethod
    def slope(y, raw):
        return expit(raw) - y


@dataclass
class Weights:
    """The weights of many trials; a gradient has the same shape.

    Attributes
    ----------
    size : ndarray of shape (n_trials,)
        The auxiliary weight N.
    size_input, bias, slope, output : ndarray of shape (n_trials, n_neurons)
        u, c, v and w of the formula above.
    offset : ndarray of shape (n_trials,)
        b, the bias of the output.
    """

    size: np.ndarray
    size_input: np.ndarray
    bias: np.ndarray
    slope: np.ndarray
    output: np.ndarray
    offset: np.ndarray

    @classmethod
    def draw(cls, rng, n_trials, n_neurons, initial_size):
        """Draw all but N uniformly from (-1, 1), sleeping neurons included."""
        layers = rng.uniform(-1, 1, (4, n_trials, n_neurons))
        size = np.full(n_trials, float(initial_size))
        return cls(size, *layers, rng.uniform(-1, 1, n_trials))

    def trials(self, which):
        """Return views of the trials in a slice, or copies of those in a list."""
        return Weights(*(getattr(self, field.name)[which] for field in fields(self)))

    def copy(self):
        """Return an independent copy."""
        return Weights(*(getattr(self, field.name).copy() for field in fields(self)))


@dataclass(frozen=True)
class AuxiliaryNetwork:
    """The paper's network; the last four fields make the controls.

    Parameters
    ----------
    initial_size : float, default=0.0
        N before training: 0 for the growing network, 5 for the grown one.
    target_size : float, default=5.0
        The N that the size loss pulls towards.
    size_penalty : float, default=0.1
        lambda, per squared neuron.
    loss : type, default=SquaredError
        Data loss.
    gate_size : float or None, default=None
        Number of neurons awake when it does *not* follow N.
    input_size : float or None, default=None
        Value at the size input when it does *not* follow N; 0 removes the input.
    learns_size : bool, default=True
        Whether N is trained at all.
    data_slope : bool, default=True
        Whether the data loss has a say in the gradient of N.
    """

    initial_size: float = 0.0
    target_size: float = 5.0
    size_penalty: float = 0.1
    loss: type = SquaredError
    gate_size: float | None = None
    input_size: float | None = None
    learns_size: bool = True
    data_slope: bool = True

    def predict(self, weights, x):
        """Return the raw output, shape (n_trials, n_rows), for ``x`` of that shape."""
        gates, size_in = self._gates(weights), self._size_input(weights)
        bias = weights.bias + size_in[:, None] * weights.size_input
        hidden = np.tanh(bias[:, :, None] + weights.slope[:, :, None] * x[:, None, :])
        return weights.offset[:, None] + np.einsum("tm,tmr->tr", weights.output * gates, hidden)

    def data_loss(self, weights, x, y):
        """Return the mean data loss of every trial."""
        return self.loss.value(y, self.predict(weights, x)).mean(axis=1)

    def total_loss(self, weights, x, y):
        """Return data loss plus size loss of every trial: what the paper reports."""
        price = size_loss(weights.size, self.size_penalty, self.target_size)
        return self.data_loss(weights, x, y) + price

    def gradient(self, weights, x, y, scratch=None):
        """Return the gradient of `total_loss`, trial by trial.

        Parameters
        ----------
        weights : Weights
        x, y : ndarray of shape (n_trials, n_rows)
        scratch : ndarray of shape (n_trials, n_neurons, n_rows), optional
            Memory for the hidden activations.

        Returns
        -------
        Weights
            Of the neurons awake in any trial; the gradient of the others is zero.
        """
        n_rows = x.shape[1]
        k = self.n_awake(weights)
        gates, size_in = self._gates(weights, k), self._size_input(weights)
        u, w = weights.size_input[:, :k], weights.output[:, :k]
        strength = w * gates

        if scratch is None:
            scratch = np.empty(weights.bias.shape + x.shape[1:])
        hidden = scratch.reshape(-1)[: len(x) * k * n_rows].reshape(len(x), k, n_rows)
        inputs = np.stack([np.ones_like(x), x], axis=1)
        bias = weights.bias[:, :k] + size_in[:, None] * u
        lines = np.stack([bias, weights.slope[:, :k]], axis=2)
        np.tanh(np.matmul(lines, inputs, out=hidden), out=hidden)
        raw = np.matmul(strength[:, None, :], hidden)[:, 0] + weights.offset[:, None]

        error = self.loss.slope(y, raw) / n_rows
        moments = inputs * error[:, None, :]
        error_hidden = np.matmul(hidden, error[:, :, None])[:, :, 0]
        hidden *= hidden  # tanh' = 1 - tanh**2
        totals = moments.sum(axis=2)
        squares = np.matmul(hidden, moments.transpose(0, 2, 1))
        back = strength[:, :, None] * (totals[:, None, :] - squares)
        to_bias, to_slope = back[:, :, 0], back[:, :, 1]
        return Weights(
            size=self._size_gradient(weights, u, w, to_bias, error_hidden),
            size_input=size_in[:, None] * to_bias,
            bias=to_bias,
            slope=to_slope,
            output=gates * error_hidden,
            offset=totals[:, 0],
        )

    def descend(self, weights, x, y, learning_rate, n_epochs):
        """Take ``n_epochs`` full-batch gradient steps, in place."""
        for start in range(0, len(x), TRIALS_AT_ONCE):
            block = slice(start, start + TRIALS_AT_ONCE)
            part, px, py = weights.trials(block), x[block], y[block]
            scratch = np.empty((*part.bias.shape, x.shape[1]))
            for _ in range(n_epochs):
                slopes = self.gradient(part, px, py, scratch)
                k = slopes.bias.shape[1]
                part.size -= learning_rate * slopes.size
                part.size_input[:, :k] -= learning_rate * slopes.size_input
                part.bias[:, :k] -= learning_rate * slopes.bias
                part.slope[:, :k] -= learning_rate * slopes.slope
                part.output[:, :k] -= learning_rate * slopes.output
                part.offset -= learning_rate * slopes.offset

    def n_awake(self, weights):
        """Return how many neurons are awake, even a little, in any trial."""
        largest = weights.size.max() if self.gate_size is None else self.gate_size
        return int(np.clip(np.ceil(largest), 0, weights.bias.shape[1]))

    def gates(self, weights):
        """Return how awake every neuron is, shape (n_trials, n_neurons)."""
        return self._gates(weights)

    def _gates(self, weights, k=None):
        """Open the first k gates."""
        k = weights.bias.shape[1] if k is None else k
        size = weights.size if self.gate_size is None else self.gate_size + 0 * weights.size
        return gate(size, k)

    def _size_input(self, weights):
        """Choose what the size input sees."""
        return weights.size if self.input_size is None else self.input_size + 0 * weights.size

    def _size_gradient(self, weights, u, w, to_bias, error_hidden):
        """Add up what size loss, gate and size input say about N."""
        if not self.learns_size:
            return np.zeros_like(weights.size)
        slope = size_slope(weights.size, self.size_penalty, self.target_size)
        if self.data_slope and self.gate_size is None:
            slope = slope + (w * gate_slope(weights.size, w.shape[1]) * error_hidden).sum(axis=1)
        if self.data_slope and self.input_size is None:
            slope = slope + (u * to_bias).sum(axis=1)
        return slope
