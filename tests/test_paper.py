"""The paper's network, its controls and its figures: ``examples/paper``."""

import runpy
import sys
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest
import torch

ROOT = Path(__file__).parent.parent
PAPER = ROOT / "examples" / "paper"
sys.path.insert(0, str(PAPER))

import tasks  # noqa: E402
import trials  # noqa: E402
from auxiliary_network import (  # noqa: E402
    AuxiliaryNetwork,
    CrossEntropy,
    SquaredError,
    Weights,
    gate_slope,
)

from sknimble._size import gate  # noqa: E402

every_variant = pytest.mark.parametrize("name", tasks.CONTROLS)
SHORT = replace(tasks.THREE_BESSEL, n_epochs=400)


def start(n_trials=3, n_neurons=9, initial_size=2.6):
    rng = np.random.default_rng(0)
    weights = Weights.draw(rng, n_trials, n_neurons, initial_size)
    weights.size += rng.uniform(-0.3, 0.3, n_trials)
    x = rng.uniform(-1, 1, (n_trials, 20))
    return weights, x, (np.sin(3 * x) > 0).astype(float)


def loss_by_autograd(network, weights, x, y):
    """Write the paper's formula down a second time, neuron by neuron."""
    size, size_input, bias, slope, output, offset = weights
    size = size if network.learns_size else size.detach()
    raw = offset[:, None]
    for m in range(bias.shape[1]):
        gate_size = size if network.gate_size is None else torch.full_like(size, network.gate_size)
        size_in = size if network.input_size is None else torch.full_like(size, network.input_size)
        if not network.data_slope:
            gate_size, size_in = gate_size.detach(), size_in.detach()
        awake = torch.sin(torch.pi / 2 * (gate_size - m).clamp(0, 1)) ** 2
        before = bias[:, m] + size_in * size_input[:, m]
        hidden = torch.tanh(before[:, None] + slope[:, m, None] * x)
        raw = raw + (output[:, m] * awake)[:, None] * hidden
    if network.loss is SquaredError:
        data = ((raw - y) ** 2).mean(dim=1)
    else:
        data = torch.nn.functional.softplus(raw).mean(dim=1) - (y * raw).mean(dim=1)
    return data + network.size_penalty * (size - network.target_size) ** 2


@every_variant
@pytest.mark.parametrize("loss", [SquaredError, CrossEntropy])
def test_hand_written_gradient_equals_autograd(name, loss):
    network = replace(tasks.CONTROLS[name], loss=loss)
    weights, x, y = start()
    leaves = [torch.tensor(getattr(weights, f.name), requires_grad=True) for f in fields(weights)]
    total = loss_by_autograd(network, leaves, torch.tensor(x), torch.tensor(y))
    np.testing.assert_allclose(total.detach(), network.total_loss(weights, x, y), rtol=1e-13)
    expected = torch.autograd.grad(total.sum(), leaves, materialize_grads=True)
    found = network.gradient(weights, x, y)
    for field, slope in zip(fields(weights), expected):
        ours = np.zeros(slope.shape)
        part = getattr(found, field.name)
        ours[..., : part.shape[-1]] = part
        np.testing.assert_allclose(ours, slope, rtol=1e-10, atol=1e-13)


def test_gradient_of_n_equals_a_numerical_derivative():
    network = AuxiliaryNetwork()
    weights, x, y = start()
    above, below = weights.copy(), weights.copy()
    above.size += 1e-6
    below.size -= 1e-6
    rise = network.total_loss(above, x, y) - network.total_loss(below, x, y)
    np.testing.assert_allclose(network.gradient(weights, x, y).size, rise / 2e-6, rtol=1e-7)


@pytest.mark.parametrize("initial_size", [0.0, 9.0])
def test_without_data_gradient_n_follows_its_closed_form(initial_size):
    variant = AuxiliaryNetwork(initial_size=initial_size, data_slope=False)
    run = trials.train(replace(tasks.TWO_BANDS, n_epochs=3000), variant, 2)
    closed = trials.expected_size(run)
    assert abs(closed[-1] - 5.0) < 0.05
    np.testing.assert_allclose(run.size[1:], np.tile(closed[1:, None], 2), rtol=0.02)


def test_size_zero_is_a_constant_and_size_five_is_five_neurons():
    weights, x, _ = start()
    network = AuxiliaryNetwork()
    weights.size[:] = 0.0
    np.testing.assert_array_equal(
        network.predict(weights, x), np.tile(weights.offset[:, None], (1, x.shape[1]))
    )
    weights.size[:] = 5.0
    first = weights.copy()
    first.output[:, 5:] = 0.0
    np.testing.assert_array_equal(network.predict(weights, x), network.predict(first, x))


def test_sleeping_neurons_keep_their_first_weights():
    run = trials.train(SHORT, tasks.GROWING, 3)
    (_, first), (_, last) = run.snapshots[0], run.snapshots[-1]
    assert run.network.n_awake(last) < 9
    for name in ("size_input", "bias", "slope", "output"):
        before, after = getattr(first, name), getattr(last, name)
        asleep = run.network.gates(last) == 0
        np.testing.assert_array_equal(before[asleep], after[asleep])
        assert not np.array_equal(before, after)


def test_every_control_starts_from_the_same_data_and_weights():
    task = replace(SHORT, n_epochs=1)
    runs = [trials.train(task, variant, 3, seed=7) for variant in tasks.CONTROLS.values()]
    for run in runs[1:]:
        np.testing.assert_array_equal(run.x, runs[0].x)
        np.testing.assert_array_equal(run.snapshots[0][1].output, runs[0].snapshots[0][1].output)


@pytest.mark.parametrize("size", [0.001, 0.4, 2.5, 7.9, 20.0])
def test_the_slope_of_the_gates_is_their_derivative(size):
    numerical = (gate(size + 1e-6, 24) - gate(size - 1e-6, 24)) / 2e-6
    np.testing.assert_allclose(gate_slope(size, 24), numerical, atol=1e-5)


def test_the_gates_are_flat_at_whole_sizes():
    np.testing.assert_allclose(gate_slope(np.arange(5.0), 6), 0.0, atol=1e-15)


def test_static_control_is_a_plain_network_without_size():
    network = tasks.CONTROLS["static, 5 neurons"]
    weights, x, y = start()
    resized = weights.copy()
    resized.size += 3.0
    np.testing.assert_array_equal(network.predict(weights, x), network.predict(resized, x))
    hidden = np.tanh(weights.bias[..., None] + weights.slope[..., None] * x[:, None])[:, :5]
    plain = weights.offset[:, None] + (weights.output[:, :5, None] * hidden).sum(axis=1)
    np.testing.assert_allclose(network.predict(weights, x), plain, rtol=1e-13)
    assert not network.gradient(weights, x, y).size.any()


def test_trials_do_not_depend_on_their_neighbours(monkeypatch):
    together = trials.train(SHORT, tasks.GROWING, 4)
    monkeypatch.setattr("auxiliary_network.TRIALS_AT_ONCE", 3)
    apart = trials.train(SHORT, tasks.GROWING, 4)
    np.testing.assert_allclose(together.final_loss, apart.final_loss, rtol=1e-10)


@pytest.mark.parametrize("task", [tasks.ONE_BESSEL, tasks.THREE_BESSEL, tasks.CUBIC])
def test_targets_fill_the_square(task):
    values = task.target(np.linspace(-1, 1, 10_001))
    assert values.max() == pytest.approx(1.0)
    assert -1.0 - 1e-9 <= values.min() <= -2 / 3 + 1e-6


def test_polynomials_pass_through_the_papers_points():
    np.testing.assert_allclose(tasks.cubic(np.array([-1, 1, 1 / 3])), [1, 1, -2 / 3], atol=1e-12)
    assert np.polyval(np.polyder(tasks.CUBIC_COEFFICIENTS), 1 / 3) == pytest.approx(0, abs=1e-12)
    np.testing.assert_allclose(tasks.quadratic(np.array([-1, 1, 0])), [1, -1, -0.2], atol=1e-12)
    np.testing.assert_allclose(tasks.other_quadratic(np.array([-1, 1])), [1, -0.5], atol=1e-12)


def test_bootstrap_interval_holds_the_ratio_it_is_about():
    rng = np.random.default_rng(0)
    lower = rng.exponential(1.0, 400)
    middle, low, high = trials.ratio_of(np.mean, 3 * lower + rng.normal(0, 0.1, 400), lower)
    assert low < middle < high
    assert low < 3.0 < high


@pytest.mark.parametrize("script", sorted(path.name for path in PAPER.glob("plot_*.py")))
def test_every_figure_regenerates_in_a_hurry(script, tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "argv", [script, "--quick", "--output", str(tmp_path)])
    runpy.run_path(str(PAPER / script), run_name="__main__")
    (figure,) = tmp_path.glob("*.png")
    assert 5_000 < figure.stat().st_size < 100_000
