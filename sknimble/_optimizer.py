"""AdamW over the flat buffers of K networks, one fused call, and their moving average.

Decoupled weight decay (Loshchilov and Hutter, arXiv 1711.05101) applies to the weights of
neurons, not to the linear path or to hidden biases.
"""

import numpy as np
import torch

BETA1, BETA2, EPSILON = 0.9, 0.95, 1e-8
AVERAGE_DECAY = 0.99
_STATE = ("weights", "gradient", "moment1", "moment2")


def adamw_step(networks, learning_rates, weight_decay, step):
    """Move the weights of all networks by one AdamW step and update their average.

    Parameters
    ----------
    networks : GrowableNetworks
        With the gradient written into ``networks.gradient``.
    learning_rates : ndarray of shape (K,)
        One rate per network.
    weight_decay : float
        Share of a weight lost per step is ``learning_rate * weight_decay``.
    step : int
        Steps made so far, this one included; for the bias corrections.
    """
    if np.ptp(learning_rates) == 0.0:
        groups = [([networks.flat[name][part] for name in _STATE], decay)
                  for part, decay in _parts(networks, weight_decay)]
        _fused([[[tensor] for tensor in state] for state, _ in groups],
               [decay for _, decay in groups], learning_rates[0], step)
    else:
        for member, rate in enumerate(learning_rates):
            arrays = [[a[member] for a in getattr(networks, name).arrays()] for name in _STATE]
            depth = networks.depth
            _fused([[a[:depth] for a in arrays], [a[depth:] for a in arrays]],
                   [0.0, weight_decay], rate, step)
    decay = min(AVERAGE_DECAY, (1.0 + step) / (10.0 + step))
    networks.flat["average"].lerp_(networks.flat["weights"], 1.0 - decay)


def _parts(networks, weight_decay):
    """Return the slices of the flat buffers and their decays."""
    n = networks.n_undecayed
    return [(slice(0, n), 0.0), (slice(n, None), weight_decay)]


def _fused(states, decays, learning_rate, step):
    """Call the fused kernel once per weight decay."""
    count = torch.tensor(float(step), device=states[0][0][0].device)
    for (weights, gradient, moment1, moment2), decay in zip(states, decays, strict=True):
        torch._fused_adamw_(
            weights, gradient, moment1, moment2, [], [count] * len(weights),
            lr=float(learning_rate), beta1=BETA1, beta2=BETA2, weight_decay=decay,
            eps=EPSILON, amsgrad=False, maximize=False,
        )  # fmt: skip
