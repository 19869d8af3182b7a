"""AdamW over the flat buffers of K networks, one fused call, and their moving average.

Decoupled weight decay (Loshchilov and Hutter, arXiv 1711.05101) applies to the weights of neurons
and to the biases of the first layer, which are a column of its weights; not to the linear path,
nor to the other biases. It is bounded: `weight_decay_of`.
"""

import torch

BETA1, BETA2, EPSILON = 0.9, 0.95, 1e-8
AVERAGE_DECAY = 0.99
LASTING_DECAY = 0.998  # where the learning rate is not annealed, so that weights fluctuate
MOST_DECAY = 0.3  # with more, weights stay too small to learn
MOST_LOST = 3e-3  # of a weight per step: if it lost more, it would forget before it learns


def weight_decay_of(alpha, learning_rate):
    """Return the weight decay: alpha, but at most `MOST_DECAY`, and `MOST_LOST` per step."""
    return min(alpha, MOST_DECAY, MOST_LOST / learning_rate)


def average_decay(step, most=AVERAGE_DECAY):
    """Return the decay of the moving average at this step; the first step is 1."""
    return min(most, (1.0 + step) / (10.0 + step))


def adamw_step(networks, learning_rates, weight_decay, step, most=AVERAGE_DECAY):
    """Move the weights of all networks by one AdamW step and update their average.

    Parameters
    ----------
    networks : GrowableNetworks
        With the gradient written into ``networks.gradient``.
    learning_rates : list of K floats
        One rate per network.
    weight_decay : float
        Share of a weight lost per step is ``learning_rate * weight_decay``.
    step : int
        Steps made so far, this one included; for the bias corrections.
    most : float, default=AVERAGE_DECAY
        Largest decay of the average, which grows towards it.
    """
    weights, fastest = networks.flat["weights"], max(learning_rates)
    before = weights.clone() if min(learning_rates) < fastest else None
    networks.steps.fill_(step)
    networks.decayed.sub_(networks.decayed, alpha=fastest * weight_decay)
    torch._fused_adamw_(
        *networks.optimised, [], [networks.steps], lr=fastest, beta1=BETA1, beta2=BETA2,
        weight_decay=0.0, eps=EPSILON, amsgrad=False, maximize=False,
    )  # fmt: skip
    if before is not None:
        # All networks took a step at the highest rate: undo a part of it for those with less.
        excess = weights.new_tensor([1.0 - rate / fastest for rate in learning_rates])
        weights.lerp_(before, excess.index_select(0, networks.owner))
    networks.flat["average"].lerp_(weights, 1.0 - average_decay(step, most))
