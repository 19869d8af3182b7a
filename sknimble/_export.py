"""Fitted networks for other runtimes: a PyTorch module, and an ONNX file.

Both contain everything from the user's numeric matrix to predictions or probabilities: scaling,
networks, mean over the networks, units. The computation is written once, in `compute`; it runs on
tensors, or on symbols that record a graph of ONNX operators.
"""

import json

import numpy as np
import torch

from ._numbers import CLIP, FAR
from ._predictor import GELU_SLOPE
from ._tables import SPARSE_FAR
from ._version import __version__

OPSET, IR_VERSION = 17, 8  # read by onnxruntime 1.12 and everything since
LEAST = 1e-30  # added to probabilities before their logarithm, as they may have rounded to 0


# --------------------------------------------------------------------------- what is exported
def constants(table, loss, sharpness):
    """Return by name the arrays that training never changes: scales of inputs and outputs.

    Parameters
    ----------
    table : TableEncoder
    loss : object
        A fitted loss.
    sharpness : float
        Factor on the logits of the mean of the networks.

    Returns
    -------
    dict of str to ndarray

    Raises
    ------
    ValueError
        If the table has columns of levels: exported networks take a matrix of numbers.
    """
    return _input_constants(table) | _output_constants(loss, sharpness)


def _input_constants(table):
    """Return by name the arrays that turn a table into the matrix that the networks read."""
    if table.is_sparse:
        return {"divisor": table.scaler_.scale_}
    if table.levels_:
        names = [levels.name for levels in table.levels_]
        raise ValueError(
            f"columns {names} are categories, and what is exported takes a matrix of numbers: "
            "encode them before fitting, for example with OneHotEncoder in a pipeline"
        )
    numbers = table.numbers_
    arrays = {"center": np.nan_to_num(numbers.center), "scale": numbers.scale}
    if len(numbers.incomplete):
        arrays["incomplete"] = numbers.incomplete
    pieces = numbers.pieces
    if len(pieces):
        arrays |= {"piece_column": pieces.column, "piece_start": pieces.start}
        arrays |= {"piece_length": pieces.length, "piece_height": pieces.height}
        arrays |= {"piece_low": pieces.low, "piece_high": pieces.high}
        arrays["piece_middle"] = np.clip(-pieces.start / pieces.length, 0.0, 1.0)
    return arrays


def _output_constants(loss, sharpness):
    """Return by name the arrays that turn raw outputs into predictions."""
    if loss.link == "range":
        low, high = loss.range_
        arrays = {"unit": loss.scale_, "location": loss.location_, "low": low, "high": high}
        if np.ndim(getattr(loss, "quantile", None)):
            arrays["rank"] = loss.rank
        return arrays
    if loss.link == "exponential":
        return {"unit": loss.mean_, "low": loss.low_, "high": loss.high_}
    if sharpness == 1.0:
        return {}
    return {"sharpness": np.asarray(sharpness), "shift": loss.shift_of(sharpness)}


def layers(network):
    """Return the weights of one network by name, laid out for ``x @ weight + bias``."""
    stack = {"linear": network.linear}
    if network.n_hidden:
        stack |= {f"hidden{i}": w for i, w in enumerate([network.first, *network.hidden])}
    arrays = {}
    for name, weights in stack.items():
        arrays[f"{name}_weight"] = weights[:, :-1].T.copy()
        arrays[f"{name}_bias"] = weights[:, -1].copy()
    if network.n_hidden:
        arrays["output_weight"] = network.output.T.copy()
    return arrays


# ---------------------------------------------------------------------------- the computation
def compute(ops, x, fixed, members, activation, link, flat):
    """Return predictions for a matrix.

    Parameters
    ----------
    ops : type
        Elementary functions: `TorchOps` or `OnnxOps`.
    x : Tensor or Symbol of shape (n, d)
    fixed : dict of str to Tensor or Symbol
        As in `constants`.
    members : list of dict of str to Tensor or Symbol
        As in `layers`.
    activation, link : str
    flat : bool
        Whether the target is one column: values then have shape (n,), and one probability
        becomes two.

    Returns
    -------
    Tensor or Symbol of shape (n,) or (n, n_outputs)
    """
    z = encode(ops, x, fixed)
    raws = [raw(ops, z, weights, activation) for weights in members]
    if "sharpness" in fixed:
        values = sharpened(ops, raws, fixed["sharpness"], fixed["shift"], link)
    else:
        values = _mean([decode(ops, one, fixed, link) for one in raws])
    if not flat or link == "softmax":
        return values
    if link == "sigmoid":
        return ops.columns([values * -1.0 + 1.0, values])
    return ops.flatten(values)


def encode(ops, x, fixed):
    """Return the matrix that the networks read, as `TableEncoder` does."""
    if "divisor" in fixed:
        return ops.single(ops.clip(x / fixed["divisor"], -SPARSE_FAR, SPARSE_FAR))
    missing = ops.isnan(x)
    x = ops.where(missing, fixed["center"], x)
    z = ops.single(ops.clip((x - fixed["center"]) / fixed["scale"], -FAR, FAR))
    bend = z * (1.0 / CLIP)
    parts = [z / ops.sqrt(bend * bend + 1.0)]
    if "incomplete" in fixed:
        parts.append(ops.number(ops.take(missing, fixed["incomplete"]), x))
    if "piece_column" in fixed:
        along = ops.take(z, fixed["piece_column"]) - fixed["piece_start"]
        along = ops.clip(along / fixed["piece_length"], fixed["piece_low"], fixed["piece_high"])
        along = along - fixed["piece_middle"]
        parts.append(along * fixed["piece_height"])
    return ops.columns(parts)


def raw(ops, z, weights, activation):
    """Return the raw output of one network."""
    out = z @ weights["linear_weight"] + weights["linear_bias"]
    if "output_weight" not in weights:
        return out
    layer = 0
    while f"hidden{layer}_weight" in weights:
        z = z @ weights[f"hidden{layer}_weight"] + weights[f"hidden{layer}_bias"]
        z, layer = ACTIVATIONS[activation](ops, z), layer + 1
    return out + z @ weights["output_weight"]


def _swish(ops, z, slope):
    """Return ``z * sigmoid(slope * z)``, written with a tanh.

    ONNX Runtime fuses the form with a sigmoid into an operator that, before 1.31, has single
    precision only.
    """
    half = z * 0.5
    return half + half * ops.tanh(z * (0.5 * slope))


ACTIVATIONS = {
    "relu": lambda ops, z: ops.relu(z),
    "tanh": lambda ops, z: ops.tanh(z),
    "silu": lambda ops, z: _swish(ops, z, 1.0),
    "gelu": lambda ops, z: _swish(ops, z, GELU_SLOPE),
}


def decode(ops, raw, fixed, link):
    """Return raw outputs in the user's units, as the loss's ``decode`` does."""
    if link == "sigmoid":
        return ops.sigmoid(raw)
    if link == "softmax":
        return ops.softmax(raw)
    if link == "exponential":
        return ops.exp(ops.clip(raw, fixed["low"], fixed["high"])) * fixed["unit"]
    if "rank" in fixed:
        raw = ops.take(ops.sort(raw), fixed["rank"])
    return ops.clip(raw * fixed["unit"] + fixed["location"], fixed["low"], fixed["high"])


def sharpened(ops, raws, factor, shift, link):
    """Return probabilities whose logits are those of the mean, times a factor, and shifted."""
    if link == "softmax":
        mean = _mean([ops.softmax(one) for one in raws])
        return ops.softmax(ops.log(mean + LEAST) * factor + shift)
    # Probabilities of 1 and of 0: as 1 - p, the second might round to 0, where log has no slope.
    one, none = (_mean([ops.sigmoid(raw * sign) for raw in raws]) for sign in (1.0, -1.0))
    return ops.sigmoid((ops.log(one + LEAST) - ops.log(none + LEAST)) * factor + shift)


def _mean(values):
    """Return the mean over the networks."""
    first, *others = values
    return sum(others, first) * (1.0 / len(values))


# ------------------------------------------------------------------------------------- PyTorch
class TorchOps:
    """The elementary functions on tensors."""

    isnan, where, sqrt, exp, log = torch.isnan, torch.where, torch.sqrt, torch.exp, torch.log
    sigmoid, tanh, relu, clip = torch.sigmoid, torch.tanh, torch.relu, torch.clamp

    @staticmethod
    def softmax(x):
        """Return the softmax of every row."""
        return x.softmax(dim=1)

    @staticmethod
    def sort(x):
        """Return every row in order."""
        return x.sort(dim=1).values

    @staticmethod
    def take(x, indices):
        """Return some columns."""
        return x[:, indices]

    @staticmethod
    def number(x, like):
        """Return truth values as numbers."""
        return x.to(like.dtype)

    @staticmethod
    def single(x):
        """Return x rounded to single precision, as the table rounds what it encodes."""
        return x.float().to(x.dtype)

    @staticmethod
    def columns(parts):
        """Join matrices side by side."""
        return torch.cat(parts, dim=1)

    @staticmethod
    def flatten(x):
        """Return the only column."""
        return x[:, 0]


class TorchNetworks(torch.nn.Module):
    """Networks that predict from a numeric matrix: scaling and units are part of them.

    Weights are parameters, scales are buffers. All are float64, as predictions are; ``float()``
    makes them float32. Input is converted to whichever they are.

    Parameters
    ----------
    fixed : dict of str to ndarray
    members : list of dict of str to ndarray
    activation, link : str
    flat : bool
    """

    def __init__(self, fixed, members, activation, link, flat):
        super().__init__()
        self.activation, self.link, self.flat = activation, link, flat
        for name, array in fixed.items():
            self.register_buffer(name, _tensor(array))
        self.members = torch.nn.ModuleList(
            torch.nn.ParameterDict({k: torch.nn.Parameter(_tensor(a)) for k, a in arrays.items()})
            for arrays in members
        )

    def forward(self, X):
        """Return what `predict` or `predict_proba` returns, for a tensor of shape (n, d)."""
        fixed, X = self._read(X)
        return compute(TorchOps, X, fixed, self.members, self.activation, self.link, self.flat)

    def raw(self, X):
        """Return the raw outputs before mean and units, shape (n_networks, n, n_outputs).

        These are logits for a classifier, and what to train further: predictions of a regressor
        are clipped to the range of its targets, where gradients vanish.
        """
        fixed, X = self._read(X)
        z = encode(TorchOps, X, fixed)
        return torch.stack([raw(TorchOps, z, m, self.activation) for m in self.members])

    def _read(self, X):
        """Return the buffers by name, and X in the precision of the weights."""
        fixed = dict(self.named_buffers(recurse=False))
        width = len(fixed["divisor" if "divisor" in fixed else "center"])
        if X.ndim != 2 or X.shape[1] != width:
            raise ValueError(f"X must have shape (n_samples, {width}), got {tuple(X.shape)}")
        return fixed, X.to(self.members[0]["linear_bias"])


def _tensor(array):
    """Return an array as a tensor, floats in double precision."""
    array = np.asarray(array)
    return torch.tensor(array, dtype=torch.float64 if array.dtype.kind == "f" else torch.int64)


def to_torch(networks, table, loss, *, flat, sharpness):
    """Return fitted networks as a `torch.nn.Module`.

    Parameters
    ----------
    networks : list of FittedNetwork
    table : TableEncoder
    loss : object
        The fitted loss.
    flat : bool
        Whether the target is one column.
    sharpness : float
        Factor on the logits of the mean of the networks.

    Returns
    -------
    TorchNetworks

    Raises
    ------
    ValueError
        If the table has columns of levels.
    """
    members = [layers(network) for network in networks]
    fixed = constants(table, loss, sharpness)
    return TorchNetworks(fixed, members, networks[0].activation, loss.link, flat)


# ---------------------------------------------------------------------------------------- ONNX
class Graph:
    """An ONNX graph under construction.

    Parameters
    ----------
    dtype : numpy.dtype
        Of all numbers.
    n_outputs : int
        Width of the raw output.
    """

    def __init__(self, dtype, n_outputs):
        self.dtype, self.n_outputs = np.dtype(dtype), n_outputs
        self.nodes, self.initializers = [], []

    def node(self, operator, *inputs, n_spare=0, **attributes):
        """Add a node; return the symbol of its first output. ``n_spare`` more are not used."""
        from onnx import helper

        names = [self.symbol(value).name for value in inputs]
        name = f"{operator.lower()}_{len(self.nodes)}"
        outputs = [name] + [f"{name}_spare{i}" for i in range(n_spare)]
        self.nodes.append(helper.make_node(operator, names, outputs, **attributes))
        return Symbol(self, name)

    def symbol(self, value, name=None):
        """Return the symbol of a number or array; return a symbol as it is."""
        from onnx import numpy_helper

        if isinstance(value, Symbol):
            return value
        array = np.asarray(value)
        array = array.astype(np.int64 if array.dtype.kind in "iu" else self.dtype)
        name = name or f"number_{len(self.initializers)}"
        self.initializers.append(numpy_helper.from_array(array, name))
        return Symbol(self, name)

    def model(self, out, name, n_inputs, shape):
        """Return the ONNX model whose output is the symbol ``out``, with this name and shape."""
        from onnx import helper

        self.nodes.append(helper.make_node("Identity", [out.name], [name]))
        kind = helper.np_dtype_to_tensor_dtype(self.dtype)
        inputs = [helper.make_tensor_value_info("X", kind, ["n", n_inputs])]
        outputs = [helper.make_tensor_value_info(name, kind, shape)]
        graph = helper.make_graph(self.nodes, "sknimble", inputs, outputs, self.initializers)
        return helper.make_model(
            graph, producer_name="sknimble", producer_version=__version__,
            ir_version=IR_VERSION, opset_imports=[helper.make_opsetid("", OPSET)],
        )  # fmt: skip


class Symbol:
    """A value in a `Graph`: operators on it become nodes."""

    def __init__(self, graph, name):
        self.graph, self.name = graph, name

    def __add__(self, other):
        return self.graph.node("Add", self, other)

    def __sub__(self, other):
        return self.graph.node("Sub", self, other)

    def __mul__(self, other):
        return self.graph.node("Mul", self, other)

    def __truediv__(self, other):
        return self.graph.node("Div", self, other)

    def __matmul__(self, other):
        return self.graph.node("MatMul", self, other)


def _unary(operator, **attributes):
    """Return a static method that adds a node with one input."""
    return staticmethod(lambda x: x.graph.node(operator, x, **attributes))


class OnnxOps:
    """The elementary functions on symbols."""

    isnan, sqrt, exp, log, sigmoid = map(_unary, ("IsNaN", "Sqrt", "Exp", "Log", "Sigmoid"))
    tanh, relu, softmax = _unary("Tanh"), _unary("Relu"), _unary("Softmax", axis=1)

    @staticmethod
    def where(condition, a, b):
        """Return a where a condition holds, else b."""
        return condition.graph.node("Where", condition, a, b)

    @staticmethod
    def clip(x, low, high):
        """Return x between two bounds, numbers or arrays."""
        return x.graph.node("Max", x.graph.node("Min", x, high), low)

    @staticmethod
    def sort(x):
        """Return every row in order."""
        width = np.array([x.graph.n_outputs])
        return x.graph.node("TopK", x, width, n_spare=1, largest=0, axis=1)

    @staticmethod
    def take(x, indices):
        """Return some columns."""
        return x.graph.node("Gather", x, indices, axis=1)

    @staticmethod
    def number(x, like):
        """Return truth values as numbers."""
        from onnx import helper

        return x.graph.node("Cast", x, to=helper.np_dtype_to_tensor_dtype(x.graph.dtype))

    @staticmethod
    def single(x):
        """Return x rounded to single precision, as the table rounds what it encodes."""
        from onnx import TensorProto

        return OnnxOps.number(x.graph.node("Cast", x, to=TensorProto.FLOAT), x)

    @staticmethod
    def columns(parts):
        """Join matrices side by side."""
        return parts[0].graph.node("Concat", *parts, axis=1)

    @staticmethod
    def flatten(x):
        """Return the only column."""
        return x.graph.node("Squeeze", x, np.array([1]))


def to_onnx(path, networks, table, loss, *, flat, sharpness, classes, dtype):
    """Write fitted networks to an ONNX file.

    Parameters
    ----------
    path : str or path-like
    networks : list of FittedNetwork
    table : TableEncoder
    loss : object
        The fitted loss.
    flat : bool
        Whether the target is one column.
    sharpness : float
        Factor on the logits of the mean of the networks.
    classes : ndarray or None
        Class labels, kept in the metadata of the file.
    dtype : {numpy.float64, numpy.float32}
        Of input, output and everything between.

    Raises
    ------
    ImportError
        If onnx is not installed.
    ValueError
        If the table has columns of levels.
    """
    if dtype not in (np.float64, np.float32):
        raise ValueError(f"dtype={dtype!r} must be numpy.float64 or numpy.float32")
    try:
        import onnx
    except ImportError:
        raise ImportError("to_onnx needs onnx: pip install 'sknimble[onnx]'") from None
    link, graph = loss.link, Graph(dtype, loss.n_outputs_)
    fixed = {k: graph.symbol(a, k) for k, a in constants(table, loss, sharpness).items()}
    members = [
        {k: graph.symbol(a, f"network{i}_{k}") for k, a in layers(network).items()}
        for i, network in enumerate(networks)
    ]
    x, activation = Symbol(graph, "X"), networks[0].activation
    out = compute(OnnxOps, x, fixed, members, activation, link, flat)
    name, shape = "prediction", ["n"] if flat else ["n", loss.n_outputs_]
    if classes is not None:
        name, shape = "probabilities", ["n", max(2, loss.n_outputs_)]
    model = graph.model(out, name, table.n_features_in_, shape)
    if classes is not None:
        onnx.helper.set_model_props(model, {"classes": json.dumps(classes.tolist(), default=str)})
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, path)
