"""The growable networks: right function, right gradient, and growth that changes neither."""

import numpy as np
import pytest
import scipy.sparse as sp
import torch

from sknimble._losses import BinaryCrossEntropy, CrossEntropy, SquaredError
from sknimble._network import (
    ACTIVATIONS,
    GrowableNetworks,
    Parameters,
    forward,
    gradient,
    value,
    view_parameters,
)
from sknimble._optimizer import adamw_step
from sknimble._size import BLOCK, gate, size_loss, size_slope, utility, window_end

LOSSES = {
    "squared error": (SquaredError(), 1),
    "squared error of two outputs": (SquaredError(), 2),
    "logit": (BinaryCrossEntropy(), 1),
    "softmax": (CrossEntropy(), 3),
}
N_INPUTS = 4  # the trailing one included

every_activation = pytest.mark.parametrize("activation", sorted(ACTIVATIONS))
every_depth = pytest.mark.parametrize("depth", [1, 2, 3])


def make_networks(sizes, depth=2, n_outputs=2, max_size=40, seeds=None, trained=True):
    """Return float64 networks of the given sizes, their weights drawn as if trained."""
    seeds = range(len(sizes)) if seeds is None else seeds
    networks = GrowableNetworks(
        N_INPUTS, n_outputs, depth, sizes, max_size, seeds, gain=1.0, dtype=torch.float64
    )
    if trained:
        pretend_training(networks)
    return networks


def pretend_training(networks, seed=0):
    """Fill weights and optimiser state of all neurons that train with random numbers."""
    for member in range(networks.n_networks):
        rng = np.random.default_rng([seed, networks.seeds[member]])
        for name in networks.BUFFERS:
            draw_member(getattr(networks, name), member, networks.end[member], rng)


def draw_member(parameters, member, end, rng):
    for array in parameters.arrays():
        here = array[member]
        rows = end if here.shape[0] == parameters.first.shape[1] else here.shape[0]
        columns = end if here.shape[1] == parameters.first.shape[1] else here.shape[1]
        noise = torch.as_tensor(rng.normal(size=(rows, columns)) / np.sqrt(columns))
        here[:rows, :columns] = noise


def draw_rows(n_rows=30, n_outputs=2, n_networks=1, seed=1):
    """Return X with its ones, targets (o, B) that suit every loss, weights (K, B)."""
    rng = np.random.default_rng(seed)
    X = np.hstack([rng.normal(size=(n_rows, N_INPUTS - 1)), np.ones((n_rows, 1))])
    target = np.eye(n_outputs)[rng.integers(0, n_outputs, n_rows)].T
    if n_outputs == 1:
        target = rng.integers(0, 2, (1, n_rows)).astype(float)
    weight = rng.exponential(size=(n_networks, n_rows)) * (rng.random((n_networks, n_rows)) < 0.8)
    return torch.tensor(X), torch.tensor(target), torch.tensor(weight) / n_rows


def raw_of(networks, X, sizes, activation="silu"):
    return forward(networks.weights, X, networks.gates(sizes), activation)[0].numpy()


def copies(parameters, requires_grad=False):
    """Return the parameters as fresh leaves."""
    arrays = [array.clone().requires_grad_(requires_grad) for array in parameters.arrays()]
    return Parameters.of_arrays(arrays)


# ------------------------------------------------------------------ the function
def one_neuron_at_a_time(networks, member, x, size, activation):
    """Write the network's formula down a second time, in scalars."""
    weights = networks.weights
    awake = gate(size, networks.capacity)

    def function(z):
        return ACTIVATIONS[activation][0](torch.tensor(z, dtype=torch.float64)).item()

    h = [function(float(row @ x)) for row in weights.first[member]]
    for bias, hidden in zip(weights.biases, weights.hidden):
        h = [
            function(
                float(bias[member, m, 0])
                + sum(float(hidden[member, m, j]) * awake[j] * h[j] for j in range(len(h)))
            )
            for m in range(len(h))
        ]
    return [
        float(weights.linear[member, o] @ x)
        + sum(float(weights.output[member, o, j]) * awake[j] * h[j] for j in range(len(h)))
        for o in range(networks.n_outputs)
    ]


@every_depth
def test_forward_is_the_stated_formula(depth):
    networks = make_networks([2.3, 5.0], depth)
    X, _, _ = draw_rows(3)
    found = raw_of(networks, X, networks.size)
    for member, size in enumerate(networks.size):
        for row, x in enumerate(X):
            expected = one_neuron_at_a_time(networks, member, x, size, "silu")
            np.testing.assert_allclose(found[member, :, row], expected, rtol=1e-12, atol=1e-13)


class SigmoidGELU(torch.nn.Module):
    def forward(self, x):
        return x * torch.sigmoid(1.702 * x)


def plain_mlp(networks, member, activation):
    """Return the hidden layers and the output of one network as torch's own modules."""
    nn = torch.nn
    function = {"relu": nn.ReLU, "tanh": nn.Tanh, "silu": nn.SiLU, "gelu": SigmoidGELU}[activation]
    weights, n = networks.weights, networks.capacity
    first = torch.nn.Linear(N_INPUTS - 1, n)
    first.weight.data = weights.first[member, :, :-1].clone()
    first.bias.data = weights.first[member, :, -1].clone()
    layers = [first, function()]
    for bias, hidden in zip(weights.biases, weights.hidden):
        layer = torch.nn.Linear(n, n)
        layer.weight.data, layer.bias.data = hidden[member].clone(), bias[member, :, 0].clone()
        layers += [layer, function()]
    last = torch.nn.Linear(n, networks.n_outputs)
    last.weight.data = weights.output[member].clone()
    last.bias.data = weights.linear[member, :, -1].clone()
    return torch.nn.Sequential(*layers, last).double()


@every_activation
@every_depth
def test_with_all_gates_open_a_network_is_a_plain_mlp_and_a_linear_path(depth, activation):
    networks = make_networks([16.0, 16.0], depth, max_size=16)
    X, _, _ = draw_rows()
    found = raw_of(networks, X, networks.size, activation)
    for member in range(2):
        linear = X[:, :-1] @ networks.weights.linear[member, :, :-1].T
        with torch.no_grad():
            expected = plain_mlp(networks, member, activation)(X[:, :-1]) + linear
        np.testing.assert_allclose(found[member].T, expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("size, max_size", [(7.0, 40), (0.0, 0)])
@every_depth
def test_at_size_zero_a_network_is_its_linear_path(depth, size, max_size):
    networks = make_networks([size], depth, max_size=max_size)
    X, _, _ = draw_rows()
    expected = X @ networks.weights.linear[0].T
    np.testing.assert_allclose(raw_of(networks, X, [0.0])[0].T, expected, rtol=1e-12)


@pytest.mark.parametrize("k", [1, 3, 10])
def test_at_a_whole_size_only_the_first_neurons_count(k):
    networks = make_networks([20.0], 2)
    X, _, _ = draw_rows()
    before = raw_of(networks, X, [float(k)])
    weights = networks.weights
    weights.first[:, k:] = 9.0
    weights.hidden[0][:, k:], weights.hidden[0][:, :, k:] = 9.0, 9.0
    weights.output[:, :, k:] = 9.0
    np.testing.assert_array_equal(raw_of(networks, X, [float(k)]), before)


def test_open_gates_are_left_out_of_the_computation():
    networks = make_networks([3.0, 9.0])
    assert networks.gates([3.0, 9.0]) is not None
    assert networks.gates(np.full(2, float(networks.capacity))) is None


def test_gates_far_open_and_gates_left_out_agree():
    networks = make_networks([3.0, 9.0])
    X, _, _ = draw_rows()
    ones = torch.ones(2, 1, networks.capacity, dtype=torch.float64)
    gated = forward(networks.weights, X, ones, "silu")[0]
    np.testing.assert_allclose(forward(networks.weights, X, None, "silu")[0], gated, rtol=1e-13)


# ------------------------------------------------------------------ the gradient
def assert_gradient_is_that_of_autograd(weights, rows, gates, activation, loss, out):
    leaves = copies(weights, requires_grad=True)
    total = value(leaves, *rows, gates, activation, loss)
    expected = torch.autograd.grad(total.sum(), leaves.arrays(), materialize_grads=True)
    raw = gradient(weights, *rows, gates, activation, loss, out)
    for found, exact in zip(out.arrays(), expected, strict=True):
        np.testing.assert_allclose(found, exact, rtol=1e-10, atol=1e-12)
    _, target, weight = rows
    np.testing.assert_allclose((loss.value(raw, target) * weight).sum(1), total.detach())


@pytest.mark.parametrize("sizes", [[2.5], [0.0, 3.3, 9.0]], ids=["K=1", "K=3"])
@pytest.mark.parametrize("loss", sorted(LOSSES))
@every_activation
@every_depth
def test_gradient_equals_autograd(depth, activation, loss, sizes):
    loss, n_outputs = LOSSES[loss]
    networks = make_networks(sizes, depth, n_outputs)
    rows, gates = draw_rows(30, n_outputs, len(sizes)), networks.gates(sizes)
    assert_gradient_is_that_of_autograd(
        networks.weights, rows, gates, activation, loss, networks.gradient
    )


@pytest.mark.parametrize("max_size", [16, 0])
@pytest.mark.parametrize("n_networks", [1, 3])
@every_activation
@every_depth
def test_gradient_without_gates_equals_autograd(depth, activation, n_networks, max_size):
    networks = make_networks([float(max_size)] * n_networks, depth, max_size=max_size)
    rows = draw_rows(n_networks=n_networks)
    assert_gradient_is_that_of_autograd(
        networks.weights, rows, None, activation, SquaredError(), networks.gradient
    )


@pytest.mark.parametrize("n_inputs", [5, 30])
@pytest.mark.parametrize("capacity, n", [(8, 8), (12, 12), (16, 8), (16, 16), (20, 12), (24, 16)])
def test_gradient_of_the_first_layer_is_the_same_in_every_layout(capacity, n, n_inputs):
    networks = GrowableNetworks(
        n_inputs, 1, 1, [float(capacity)] * 3, capacity, range(3), gain=1.0, dtype=torch.float64
    )
    pretend_training(networks)
    rng = np.random.default_rng(0)
    X, target = (
        torch.tensor(rng.normal(size=(20, n_inputs))),
        torch.tensor(rng.normal(size=(1, 20))),
    )
    weights, out = networks.first_neurons(n)
    rows = X, target, torch.ones(3, 20) / 20
    assert_gradient_is_that_of_autograd(weights, rows, None, "silu", SquaredError(), out)


@every_depth
def test_a_sleeping_neuron_has_no_gradient(depth):
    networks = make_networks([3.0], depth)
    X, target, weight = draw_rows()
    gates = networks.gates([3.0])
    gradient(networks.weights, X, target, weight, gates, "silu", SquaredError(), networks.gradient)
    found = networks.gradient
    assert not found.first[:, 3:].any()
    assert not found.output[:, :, 3:].any()
    for array in (*found.biases, *found.hidden):
        assert not array[:, 3:].any()
    assert all(not array[:, :, 3:].any() for array in found.hidden)


@pytest.mark.parametrize("rows", [[1.0, 0.0, 1.0, 0.0, 1.0], [2.0, 1.0, 0.0, 3.0, 1.0]])
def test_whole_row_weights_equal_repeated_rows(rows):
    networks = make_networks([4.4], 2)
    X, target, _ = draw_rows(5)
    weight = torch.tensor([rows], dtype=torch.float64)
    rest = networks.gates([4.4]), "silu", SquaredError()
    repeats = torch.tensor(rows, dtype=int)
    again = X.repeat_interleave(repeats, 0), target.repeat_interleave(repeats, 1)
    gradient(networks.weights, X, target, weight, *rest, networks.gradient)
    weighted = networks.flat["gradient"].clone()
    ones = torch.ones(1, len(again[0]), dtype=torch.float64)
    gradient(networks.weights, *again, ones, *rest, networks.gradient)
    np.testing.assert_allclose(weighted, networks.flat["gradient"], rtol=1e-12, atol=1e-13)


# ------------------------------------------------------------------ the objective in N
def loss_at(networks, size, rows, activation, loss):
    """Return L(w, s) of the first network."""
    gates = torch.tensor(gate(np.array([size]), networks.capacity)[:, None])
    return value(networks.weights, *rows, gates, activation, loss).item()


def objective(networks, size, window, rows, activation, loss, price, target_size):
    """Return J(w, N), its integral taken numerically: smooth between whole numbers."""
    ends = [size, *np.arange(np.floor(size) + 1, size + window), size + window]
    nodes, weights = np.polynomial.legendre.leggauss(20)
    integral = 0.0
    for low, high in zip(ends[:-1], ends[1:]):
        points = low + (high - low) * (nodes + 1) / 2
        values = [loss_at(networks, s, rows, activation, loss) for s in points]
        integral += (high - low) / 2 * float(weights @ values)
    return integral / window + float(size_loss(size, price, target_size))


@pytest.mark.parametrize("target_size", [None, 3.0])
@pytest.mark.parametrize("size", [0.3, 2.5, 6.75])
@pytest.mark.parametrize("loss", ["squared error", "softmax"])
@every_depth
def test_the_gradient_in_n_is_the_slope_of_the_stated_objective(depth, loss, size, target_size):
    loss, n_outputs = LOSSES[loss]
    networks = make_networks([size], depth, n_outputs)
    rows = draw_rows(30, n_outputs)
    end = int(networks.end[0])
    u = utility(
        loss_at(networks, size, rows, "silu", loss),
        loss_at(networks, end, rows, "silu", loss),
        size, end,
    )  # fmt: skip
    found = size_slope(size, 1e-2, target_size) - u
    arguments = (end - size, rows, "silu", loss, 1e-2, target_size)
    above = objective(networks, size + 1e-4, *arguments)
    below = objective(networks, size - 1e-4, *arguments)
    assert found == pytest.approx((above - below) / 2e-4, rel=1e-6, abs=1e-9)


# ------------------------------------------------------------------ growing and shrinking
@pytest.mark.parametrize("new_sizes", [[30.0, 5.5], [40.0, 40.0], [12.0, 26.9]])
@every_depth
def test_growing_changes_no_prediction(depth, new_sizes):
    networks = make_networks([3.4, 5.5], depth)
    X, _, _ = draw_rows()
    sizes, ends = networks.size.copy(), networks.end.copy()
    at_size, at_end = raw_of(networks, X, sizes), raw_of(networks, X, ends)
    networks.size = np.array(new_sizes)
    networks.follow_size()
    assert (networks.end > ends).any()
    assert networks.capacity > ends.max()
    np.testing.assert_allclose(raw_of(networks, X, sizes), at_size, rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(raw_of(networks, X, ends), at_end, rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(raw_of(networks, X, networks.end), at_end, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("new_sizes", [[3.4, 0.0], [0.5, 1.0]])
@every_depth
def test_shrinking_changes_no_prediction_of_what_remains(depth, new_sizes):
    networks = make_networks([30.0, 38.0], depth)
    X, _, _ = draw_rows()
    before, ends, capacity = raw_of(networks, X, new_sizes), networks.end, networks.capacity
    networks.size = np.array(new_sizes)
    networks.follow_size()
    assert (networks.end < ends).all()
    assert networks.capacity < capacity
    np.testing.assert_allclose(raw_of(networks, X, new_sizes), before, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("settled", [None, [True, True]])
@every_activation
@every_depth
def test_what_lies_beyond_the_end_is_zero_and_stays_zero(depth, activation, settled):
    networks = make_networks([30.0, 38.0], depth)
    X, target, weight = draw_rows(n_networks=2)
    networks.size = np.array([3.0, 22.0])
    networks.follow_size(settled)
    assert 0 < networks.end[0] < networks.end[1] <= networks.capacity
    assert networks.gates(networks.end) is None
    before = networks.weights.first.clone()
    networks.flat["moment2"].abs_()  # as that of squares
    for step in (1, 2):
        gradient(networks.weights, X, target, weight, None, activation, SquaredError(),
                 networks.gradient)  # fmt: skip
        adamw_step(networks, [0.1, 0.05], 0.1, step)
    for member, end in enumerate(networks.end):
        assert (networks.weights.first[member, :end] != before[member, :end]).all()
    for name in networks.BUFFERS:
        arrays = getattr(networks, name)
        for member, end in enumerate(networks.end):
            for array in (arrays.first, *arrays.biases, *arrays.hidden):
                assert not array[member, end:].any()
            for array in (*arrays.hidden, arrays.output):
                assert not array[member, :, end:].any()


@every_depth
def test_capacity_changes_no_prediction(depth):
    networks = make_networks([3.4, 5.5], depth)
    X, _, _ = draw_rows()
    before = raw_of(networks, X, networks.size)
    networks.reserve(200)
    np.testing.assert_allclose(raw_of(networks, X, networks.size), before, rtol=1e-12, atol=1e-12)
    networks.reserve(int(networks.end.max()))
    np.testing.assert_array_equal(raw_of(networks, X, networks.size), before)


def test_growing_and_shrinking_keep_the_optimiser_state_of_what_remains():
    networks = make_networks([3.4], 2)
    end = int(networks.end[0])
    before = {name: networks.read(name, 0) for name in networks.BUFFERS}
    networks.size = networks.average_size = np.array([35.0])
    networks.follow_size()
    networks.size = np.array([3.4])
    networks.follow_size()
    assert int(networks.end[0]) == end
    assert networks.average_size[0] == end, "an average counts no neuron that is not there"
    for name, arrays in before.items():
        for kept, original in zip(networks.read(name, 0), arrays, strict=True):
            np.testing.assert_array_equal(kept, original)


def test_a_new_neuron_has_no_past_and_no_influence():
    networks = make_networks([3.4], 3)
    end = int(networks.end[0])
    networks.size = np.array([30.0])
    networks.follow_size()
    for name in ("moment1", "moment2"):
        buffer = getattr(networks, name)
        assert not buffer.first[:, end:].any()
        assert not buffer.output[:, :, end:].any()
    for name in ("weights", "average"):
        buffer = getattr(networks, name)
        assert buffer.first[:, end:].all()
        assert not buffer.output[:, :, end:].any()
        assert all(not hidden[:, :end, end:].any() for hidden in buffer.hidden)


def test_a_neuron_that_wakes_again_starts_afresh():
    networks = make_networks([30.0], 2)
    fresh = make_networks([30.0], 2, trained=False)
    networks.size = np.array([1.0])
    networks.follow_size()
    end = int(networks.end[0])
    networks.size = np.array([30.0])
    networks.follow_size()
    assert torch.equal(networks.weights.first[:, end:], fresh.weights.first[:, end:])
    assert not networks.moment1.first[:, end:].any()


def test_a_size_that_trembles_keeps_its_scouts():
    networks = make_networks([9.5])  # from 9.6 on the window needs another block
    pasts = []
    for size in (9.7, 9.5, 9.7, 8.8, 9.6):
        networks.size = np.array([size])
        networks.follow_size()
        pasts.append(networks.read("moment1", 0)[-1])
    smallest = min(past.shape[1] for past in pasts)
    for past in pasts[1:]:
        np.testing.assert_array_equal(past[:, :smallest], pasts[0][:, :smallest])
    assert len({past.shape[1] for past in pasts[1:]}) == 1


def test_a_lower_cap_is_one_on_the_scouts_too():
    networks = make_networks([20.0])
    assert networks.end[0] == 32
    networks.max_size = 24
    networks.follow_size()
    assert networks.end[0] == networks.capacity == 24


def test_there_is_always_room_for_the_window():
    networks = make_networks([0.0, 0.0])
    rng = np.random.default_rng(0)
    for _ in range(50):
        networks.size = np.clip(networks.size + rng.normal(0, 6, 2), 0, 40)
        networks.follow_size()
        wanted = np.array([window_end(size, 40) for size in networks.size])
        assert (networks.end >= wanted).all()
        assert (networks.end < wanted + 2 * BLOCK).all()
        assert networks.capacity == networks.end.max()


# ------------------------------------------------------------------ new weights
def assert_same_arrays(found, expected):
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_array_equal(one, other)


@every_depth
def test_new_weights_do_not_depend_on_when_neurons_wake(depth):
    at_once = make_networks([26.0], depth, trained=False)
    little_by_little = make_networks([0.0], depth, trained=False)
    for size in (3.0, 9.0, 15.0, 26.0):
        little_by_little.size = np.array([size])
        little_by_little.follow_size()
    assert_same_arrays(little_by_little.read("weights", 0), at_once.read("weights", 0))


def test_new_weights_do_not_depend_on_the_neighbours():
    alone = make_networks([9.0], 3, seeds=[5], trained=False)
    among = make_networks([38.0, 9.0, 0.0], 3, seeds=[1, 5, 2], trained=False)
    assert_same_arrays(among.read("weights", 1), alone.read("weights", 0))


def test_new_weights_are_the_smaller_the_more_a_neuron_receives():
    weights = make_networks([200.0], max_size=200, trained=False).weights
    assert weights.first.std() * N_INPUTS**0.5 == pytest.approx(1.0, rel=0.1)
    assert weights.hidden[0][0, -BLOCK:].std() * 200**0.5 == pytest.approx(1.0, rel=0.1)


def test_new_weights_do_depend_on_the_seed():
    one, other = make_networks([9.0, 9.0], seeds=[1, 2], trained=False).weights.first
    assert not torch.equal(one, other)


def test_global_random_state_is_not_used():
    states = torch.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002
    make_networks([9.0, 20.0], 3)
    assert torch.equal(torch.get_rng_state(), states[0])
    np.testing.assert_array_equal(np.random.get_state()[1], states[1])  # noqa: NPY002


# ------------------------------------------------------------------ members
def test_members_kept_predict_what_they_did():
    networks = make_networks([38.0, 3.4, 12.0])
    X, _, _ = draw_rows()
    before = raw_of(networks, X, networks.size)
    networks.keep(np.array([1, 2]))
    assert networks.capacity == networks.end.max()
    after = raw_of(networks, X, networks.size)
    np.testing.assert_allclose(after, before[1:], rtol=1e-12, atol=1e-12)


def test_no_members_may_be_kept():
    networks = make_networks([38.0, 3.4])
    networks.keep(np.array([], dtype=int))
    assert networks.n_networks == networks.capacity == 0


@every_depth
def test_a_state_put_back_predicts_what_it_did(depth):
    networks = make_networks([12.3, 5.5], depth)
    X, _, _ = draw_rows()
    networks.flat["average"].copy_(networks.flat["weights"])
    before, state = raw_of(networks, X, networks.size), networks.state(0)
    pretend_training(networks, seed=9)
    networks.size = np.array([2.0, 39.0])
    networks.follow_size()
    networks.load(0, state)
    assert networks.size[0] == 12.3
    np.testing.assert_allclose(
        raw_of(networks, X, networks.size)[0], before[0], rtol=1e-12, atol=1e-12
    )


def test_a_state_put_back_has_no_optimiser_state():
    networks = make_networks([12.3, 5.5])
    networks.load(0, networks.state(0))
    for name in ("moment1", "moment2"):
        assert not any(array[0].any() for array in getattr(networks, name).arrays())
        assert any(array[1].any() for array in getattr(networks, name).arrays())


def test_a_state_is_not_changed_by_later_training():
    networks = make_networks([12.3])
    state = networks.state(0)
    saved = [array.copy() for array in state.arrays]
    networks.flat["average"].add_(1.0)
    assert_same_arrays(state.arrays, saved)


def test_parameters_are_views_into_one_buffer():
    networks = make_networks([3.0])
    networks.flat["weights"].fill_(7.0)
    assert all((array == 7.0).all() for array in networks.weights.arrays())


def test_a_flat_buffer_is_cut_without_gaps():
    shapes = [(2, 1, 3), (2, 4, 1), (2, 4, 3), (2, 4, 4), (2, 1, 4)]
    total = sum(int(np.prod(shape)) for shape in shapes)
    parameters = view_parameters(torch.arange(float(total)), shapes)
    flat = torch.cat([array.reshape(-1) for array in parameters.arrays()])
    assert torch.equal(flat.sort().values, torch.arange(float(total)))  # each place once
    assert [tuple(array.shape) for array in parameters.arrays()] == shapes


def test_the_linear_path_starts_where_it_is_told():
    networks = make_networks([3.0, 3.0], trained=False)
    coef, intercept = np.arange(6.0).reshape(2, 3), np.array([7.0, 8.0])
    networks.set_linear(1, coef, intercept)
    X, _, _ = draw_rows()
    expected = X[:, :-1].numpy() @ coef.T + intercept
    np.testing.assert_allclose(raw_of(networks, X, [0.0, 0.0])[1].T, expected, rtol=1e-12)
    assert not networks.weights.linear[0].any()
    assert torch.equal(networks.average.linear[1], networks.weights.linear[1])


# ------------------------------------------------------------------ sparse rows
@pytest.mark.parametrize("shared", [True, False])
@pytest.mark.parametrize("first_neurons", [None, 8])
@every_depth
def test_sparse_rows_give_what_dense_rows_give(depth, first_neurons, shared):
    networks = make_networks([5.0, 9.0, 7.0], depth)
    X, target, weight = draw_rows(n_networks=3)
    X = torch.where(X > 0.5, X, 0.0)
    csr = sp.csr_array(X.numpy())
    if shared:
        dense, sparse = X, csr
    else:
        parts = (slice(0, 2), slice(2, 3))
        dense, sparse = ([(part, rows) for part in parts] for rows in (X, csr))
    weights, out = networks.weights, networks.gradient
    if first_neurons:
        weights, out = networks.first_neurons(first_neurons)
    found = []
    for rows in (dense, sparse):
        raw = gradient(weights, rows, target, weight, None, "silu", SquaredError(), out)
        found.append([raw, *(array.clone() for array in out.arrays())])
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(one, other)
