"""One optimiser step of all networks is the AdamW of each, and nothing else moves."""

import numpy as np
import pytest
import torch

from sknimble._network import GrowableNetworks
from sknimble._optimizer import (
    AVERAGE_DECAY,
    BETA1,
    BETA2,
    EPSILON,
    LASTING_DECAY,
    MOST_DECAY,
    MOST_LOST,
    adamw_step,
    weight_decay_of,
)

STEPS = 5


def make_networks(sizes=(5.0, 12.0), seeds=(3, 4)):
    networks = GrowableNetworks(
        4, 2, 3, sizes, 40, seeds, gain=1.0, dtype=torch.float64, device="cpu"
    )
    for member, seed in enumerate(seeds):
        networks.set_linear(member, np.full((2, 3), 0.1 * seed), np.zeros(2))
    return networks


def set_gradient(networks, step):
    """Give every awake neuron a gradient that depends on its member's seed and the step only."""
    for member, seed in enumerate(networks.seeds):
        end = int(networks.end[member])
        generator = torch.Generator().manual_seed(100 * int(seed) + step)
        for array in networks.gradient.arrays():
            here = array[member]
            noise = torch.randn(64, 64, generator=generator, dtype=torch.float64)
            rows = min(end, here.shape[0]) if here.shape[0] == networks.capacity else here.shape[0]
            columns = min(end, here.shape[1]) if here.shape[1] == networks.capacity else None
            here[:rows, :columns] = noise[: here.shape[0], : here.shape[1]][:rows, :columns]


def run(networks, rates, weight_decay=0.1, steps=STEPS):
    for step in range(1, steps + 1):
        set_gradient(networks, step)
        adamw_step(networks, rates, weight_decay, step)
    return networks


@pytest.mark.parametrize("rates", [[1e-2, 1e-2], [1e-2, 3e-3]], ids=["one rate", "two rates"])
def test_a_step_is_that_of_adamw(rates):
    networks = make_networks()
    ours = run(make_networks(), rates)
    for member, rate in enumerate(rates):
        start = networks.weights.arrays()
        leaves = [array[member].clone().requires_grad_() for array in start]
        reference = torch.optim.AdamW(
            [
                {"params": leaves[: networks.depth], "weight_decay": 0.0},
                {"params": leaves[networks.depth :], "weight_decay": 0.1},
            ],
            lr=rate, betas=(BETA1, BETA2), eps=EPSILON,
        )  # fmt: skip
        for step in range(1, STEPS + 1):
            set_gradient(networks, step)
            for leaf, array in zip(leaves, networks.gradient.arrays(), strict=True):
                leaf.grad = array[member].clone()
            reference.step()
        for found, leaf in zip(ours.weights.arrays(), leaves, strict=True):
            np.testing.assert_allclose(found[member], leaf.detach(), rtol=1e-11, atol=1e-14)


@pytest.mark.parametrize("rates", [[1e-2, 1e-2], [1e-2, 3e-3]], ids=["one rate", "two rates"])
@pytest.mark.parametrize("name", ["weights", "average", "moment1", "moment2"])
def test_a_member_moves_as_it_would_alone(rates, name):
    together = run(make_networks(), rates)
    for member, (size, seed) in enumerate([(5.0, 3), (12.0, 4)]):
        alone = run(make_networks((size,), (seed,)), [rates[member]])
        for one, other in zip(together.read(name, member), alone.read(name, 0), strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-12, atol=1e-15)


def test_at_a_rate_of_zero_no_weight_moves():
    before = [array.clone() for array in make_networks().weights.arrays()]
    after = run(make_networks(), [0.0, 0.0]).weights.arrays()
    assert all(torch.equal(one, other) for one, other in zip(before, after, strict=True))


def test_without_a_gradient_only_the_weights_of_neurons_decay():
    networks, start = make_networks(), make_networks()
    for buffers in (networks, start):
        for bias in buffers.weights.biases:
            bias.fill_(0.5)
    adamw_step(networks, [0.1, 0.1], 0.2, 1)
    for found, before in zip(networks.weights.arrays(), start.weights.arrays(), strict=True):
        kept = found is networks.weights.linear or any(found is b for b in networks.weights.biases)
        np.testing.assert_allclose(found, before * (1.0 if kept else 1.0 - 0.1 * 0.2), rtol=1e-14)


def test_room_beyond_the_awake_neurons_stays_empty():
    networks = run(make_networks(), [1e-2, 3e-3])
    end = int(networks.end[0])
    assert end < networks.capacity
    assert not networks.weights.first[0, end:].any()
    assert not networks.weights.output[0, :, end:].any()


def test_the_average_lies_between_the_weights_it_has_seen():
    networks = make_networks()
    seen = [networks.flat["weights"].clone()]
    for step in range(1, STEPS + 1):
        set_gradient(networks, step)
        adamw_step(networks, [1e-2, 1e-2], 0.1, step)
        seen.append(networks.flat["weights"].clone())
    low, high = torch.stack(seen).amin(0), torch.stack(seen).amax(0)
    average = networks.flat["average"]
    assert (average >= low - 1e-12).all()
    assert (average <= high + 1e-12).all()


def test_the_average_forgets():
    networks = make_networks()
    networks.flat["average"].add_(1.0)
    start = (networks.flat["average"] - networks.flat["weights"]).abs().max()
    for step in range(1, 201):
        adamw_step(networks, [0.0, 0.0], 0.0, step)
    left = (networks.flat["average"] - networks.flat["weights"]).abs().max()
    assert left <= start * AVERAGE_DECAY**100


@pytest.mark.parametrize("most", [AVERAGE_DECAY, LASTING_DECAY])
def test_the_average_remembers_more_and_more_up_to_a_limit(most):
    networks, left = make_networks(), []
    for step in (1, 90, 100_000):
        networks.flat["average"].copy_(networks.flat["weights"] + 1.0)
        adamw_step(networks, [0.0, 0.0], 0.0, step, most)
        left.append((networks.flat["average"] - networks.flat["weights"]).numpy())
    for found, expected in zip(left, (2 / 11, 91 / 100, most), strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-9)


def test_weights_decay_by_alpha_unless_they_would_forget_too_fast():
    assert weight_decay_of(0.02, 1e-2) == 0.02
    assert weight_decay_of(1000.0, 1e-4) == MOST_DECAY
    assert weight_decay_of(1.0, 0.1) == pytest.approx(MOST_LOST / 0.1)
