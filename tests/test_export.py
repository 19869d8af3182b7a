"""What is exported predicts what the estimator does: as a PyTorch module and as an ONNX file."""

import json
import pickle
import sys

import numpy as np
import pandas as pd
import pytest
import torch
from scipy import sparse
from sklearn.datasets import make_friedman1
from sklearn.exceptions import NotFittedError

from sknimble import NimbleClassifier, NimbleRegressor
from sknimble._losses import REGRESSION_LOSSES

X, Y = make_friedman1(160, 6, noise=0.5, random_state=0)
X[:, 4] = 1e6 + 1e3 * X[:, 4]  # a column far from zero
X[:, 5] = 7.0  # a column that says nothing
GAPS = np.where(np.random.default_rng(0).random(X.shape) < 0.05, np.nan, X)
GAPS[:, 3] = X[:, 3]  # a column without gaps

TASKS = {
    "regression": (NimbleRegressor, {}, Y),
    "two outputs": (NimbleRegressor, {}, np.column_stack([Y, -Y])),
    "quantiles": (NimbleRegressor, {"loss": "quantile", "quantile": [0.9, 0.1, 0.5]}, Y),
    "poisson": (NimbleRegressor, {"loss": "poisson"}, Y - Y.min()),
    "binary": (NimbleClassifier, {}, Y > 14),
    "multiclass": (NimbleClassifier, {}, np.digitize(Y, [10, 14, 18])),
    "labels": (NimbleClassifier, {}, np.column_stack([Y > 10, Y > 14]).astype(int)),
}

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


def fit(task, table=GAPS, **parameters):
    kind, own, y = TASKS[task]
    defaults = {"random_state": 0, "max_iter": 20, "n_estimators": 1, "size_penalty": 1e-6}
    return kind(**(defaults | own | parameters)).fit(table, y)


def expected(model, table):
    """Return what an export must predict."""
    return (model.predict_proba if hasattr(model, "classes_") else model.predict)(table)


def through_torch(model, table, dtype=torch.float64):
    module = model.to_torch().to(dtype)
    return module(torch.as_tensor(table, dtype=dtype)).detach().numpy()


def through_onnx(model, table, path, dtype=np.float64):
    onnxruntime = pytest.importorskip("onnxruntime")
    pytest.importorskip("onnx")
    model.to_onnx(path / "model.onnx", dtype=dtype)
    session = onnxruntime.InferenceSession(path / "model.onnx")
    return session.run(None, {"X": np.asarray(table, dtype=dtype)})[0]


def assert_agree(got, want, share=1e-6):
    """Compare up to a share of the largest value: the estimator reads single precision."""
    assert got.shape == want.shape
    assert np.abs(got - want).max() < share * np.abs(want).max()


every_task = pytest.mark.parametrize("task", TASKS)


@every_task
@pytest.mark.parametrize("n_hidden_layers", [1, 2])
@pytest.mark.parametrize("encoding", ["none", "piecewise"])
def test_exports_predict_the_same(task, n_hidden_layers, encoding, tmp_path):
    model = fit(task, n_hidden_layers=n_hidden_layers, encoding=encoding)
    want = expected(model, GAPS)
    for got in (through_torch(model, GAPS), through_onnx(model, GAPS, tmp_path)):
        assert_agree(got, want)


@pytest.mark.parametrize("activation", ["relu", "tanh", "silu", "gelu"])
@pytest.mark.parametrize("n_hidden_layers", [1, 3])
def test_every_activation_and_the_mean_of_several_networks(activation, n_hidden_layers, tmp_path):
    model = fit(
        "multiclass", activation=activation, n_hidden_layers=n_hidden_layers, n_estimators=3
    )
    assert model.n_hidden_ > 0
    want = expected(model, GAPS)
    assert_agree(through_torch(model, GAPS), want)
    assert_agree(through_onnx(model, GAPS, tmp_path), want)


@pytest.mark.parametrize("loss", REGRESSION_LOSSES)
def test_every_loss_has_a_link(loss):
    _, _, y = TASKS["regression"]
    model = NimbleRegressor(loss=loss, max_iter=3, random_state=0).fit(X, y - y.min() + 1.0)
    assert_agree(through_torch(model, X), model.predict(X))


def test_a_linear_model_is_exported_too(tmp_path):
    model = fit("regression", max_size=0, initial_size=0)
    assert model.n_hidden_ == 0
    assert_agree(through_torch(model, GAPS), model.predict(GAPS))
    assert_agree(through_onnx(model, GAPS, tmp_path), model.predict(GAPS))


@every_task
def test_networks_trained_in_single_precision_agree_to_1e_5(task, tmp_path):
    wide = np.hstack([GAPS, np.random.default_rng(0).normal(size=(len(GAPS), 130))])
    model = fit(task, wide, max_iter=5)
    assert model._table.dtype == np.float32
    want = expected(model, wide)
    assert_agree(through_torch(model, wide), want, 1e-5)
    assert_agree(through_onnx(model, wide, tmp_path), want, 1e-5)


def test_exports_can_compute_in_single_precision(tmp_path):
    near = X[:, :4]  # inputs of the size of their spread lose nothing
    model = fit("regression", near)
    want = model.predict(near)
    single = through_onnx(model, near, tmp_path, dtype=np.float32)
    assert single.dtype == np.float32
    assert_agree(single, want, 1e-5)
    assert_agree(through_torch(model, near, torch.float32), want, 1e-5)


def test_values_never_seen_in_training_agree(tmp_path):
    model = fit("regression", encoding="piecewise")
    far = np.vstack([GAPS * 50.0, -GAPS, np.full((1, 6), np.nan), np.full((1, 6), 1e300)])
    assert_agree(through_torch(model, far), model.predict(far))
    assert_agree(through_onnx(model, far, tmp_path), model.predict(far))


def test_columns_of_many_pieces_agree(tmp_path):
    table = np.random.default_rng(0).uniform(size=(2000, 2))
    model = NimbleRegressor(max_iter=3, random_state=0).fit(table, np.sin(60 * table[:, 0]))
    assert (model._table.numbers_.pieces.height < 1.0).any()
    assert_agree(through_torch(model, table), model.predict(table))
    assert_agree(through_onnx(model, table, tmp_path), model.predict(table))


def test_a_sparse_fit_is_exported_for_dense_rows(tmp_path):
    rows = sparse.random_array((160, 8), density=0.3, random_state=np.random.default_rng(0))
    _, _, y = TASKS["binary"]
    model = NimbleClassifier(max_iter=5, random_state=0).fit(sparse.csr_array(rows), y)
    want, dense = model.predict_proba(rows.tocsr()), rows.toarray()
    assert_agree(through_torch(model, dense), want)
    assert_agree(through_onnx(model, dense, tmp_path), want)


# ---------------------------------------------------------------------------------- the module
def test_the_module_is_differentiable_in_its_input():
    model = fit("regression", X, encoding="none", activation="silu")
    module, rows = model.to_torch(), torch.tensor(X[:5], requires_grad=True)
    module(rows).sum().backward()
    step = np.zeros(6)
    step[0] = 1e-3
    difference = (model.predict(X[:5] + step) - model.predict(X[:5] - step)) / 2e-3
    np.testing.assert_allclose(rows.grad[:, 0].numpy(), difference, rtol=1e-2)


def test_gaps_do_not_spoil_gradients():
    module = fit("regression", encoding="piecewise").to_torch()
    module(torch.tensor(GAPS)).sum().backward()
    assert all(p.grad is None or p.grad.isfinite().all() for p in module.parameters())


def test_the_module_can_be_trained():
    module = fit("multiclass", n_estimators=2, max_iter=2).to_torch()
    rows, classes = torch.tensor(GAPS), torch.tensor(TASKS["multiclass"][2])
    before = {name: value.clone() for name, value in module.state_dict().items()}

    def loss():
        return sum(torch.nn.functional.cross_entropy(raw, classes) for raw in module.raw(rows))

    first, optimiser = loss().item(), torch.optim.Adam(module.parameters(), lr=1e-2)
    for _ in range(30):
        optimiser.zero_grad()
        loss().backward()
        optimiser.step()
    assert loss().item() < first
    scales = dict(module.named_buffers())
    assert all(torch.equal(scales[name], before[name]) for name in scales)


def test_the_module_shares_no_memory_with_the_estimator():
    model = fit("regression", X)
    before = model.predict(X)
    with torch.no_grad():
        for parameter in model.to_torch().parameters():
            parameter.zero_()
    np.testing.assert_array_equal(model.predict(X), before)


def test_the_module_has_the_weights_of_the_estimator_and_can_be_saved(tmp_path):
    model = fit("regression", n_estimators=2)
    module = model.to_torch()
    assert sum(parameter.numel() for parameter in module.parameters()) == model.n_parameters_
    copy = pickle.loads(pickle.dumps(module))
    rows = torch.tensor(GAPS)
    assert torch.equal(copy(rows), module(rows))
    torch.save(module.state_dict(), tmp_path / "weights.pt")
    module.load_state_dict(torch.load(tmp_path / "weights.pt", weights_only=True))


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize("task", ["binary", "multiclass", "labels"])
def test_rows_that_are_certain_have_gradients(task, dtype):
    model = fit(task, X, n_estimators=2)
    for network in model._networks:
        network.linear[:] *= 1e3
    module, rows = model.to_torch().to(dtype), torch.tensor(X, dtype=dtype, requires_grad=True)
    P = module(rows)
    P[:, 0].sum().backward()
    assert (P == 1).any()
    for tensor in (rows, *module.parameters()):
        assert tensor.grad.isfinite().all()


# ------------------------------------------------------------------------------------ the file
def test_an_onnx_file_takes_any_number_of_rows_and_knows_the_classes(tmp_path):
    onnxruntime = pytest.importorskip("onnxruntime")
    model = fit("multiclass")
    model.to_onnx(str(tmp_path / "model.onnx"))
    session = onnxruntime.InferenceSession(tmp_path / "model.onnx")
    for n in (1, 7, 160):
        (out,) = session.run(["probabilities"], {"X": GAPS[:n]})
        assert_agree(out, model.predict_proba(GAPS[:n]))
    meta = session.get_modelmeta()
    assert json.loads(meta.custom_metadata_map["classes"]) == [0, 1, 2, 3]
    assert meta.producer_name == "sknimble"


def test_an_onnx_file_knows_classes_that_are_dates(tmp_path):
    onnx = pytest.importorskip("onnx")
    days = np.array(["2020-01-01", "2021-01-01"], dtype="datetime64[D]")
    model = NimbleClassifier(n_estimators=1, max_iter=5).fit(X, days[(Y > 14).astype(int)])
    model.to_onnx(tmp_path / "model.onnx")
    (classes,) = onnx.load(tmp_path / "model.onnx").metadata_props
    assert json.loads(classes.value) == ["2020-01-01", "2021-01-01"]


@pytest.mark.parametrize("activation", ["silu", "gelu"])
def test_no_onnx_operator_that_older_runtimes_lack_in_double_precision(activation, tmp_path):
    # They fuse z * Sigmoid(a z), and have what comes of it in single precision only.
    onnx = pytest.importorskip("onnx")
    fit("regression", activation=activation).to_onnx(tmp_path / "model.onnx")
    operators = {node.op_type for node in onnx.load(tmp_path / "model.onnx").graph.node}
    assert "Tanh" in operators
    assert "Sigmoid" not in operators


def test_without_onnx_the_error_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(ImportError, match=r"pip install 'sknimble\[onnx\]'"):
        fit("regression").to_onnx(tmp_path / "model.onnx")


# ------------------------------------------------------------------------ what cannot be carried
def test_categories_are_refused_by_name(tmp_path):
    table = pd.DataFrame({"size": X[:, 0], "colour": np.where(Y > 14, "red", "blue")})
    model = fit("regression", table)
    for export in (model.to_torch, lambda: model.to_onnx(tmp_path / "model.onnx")):
        with pytest.raises(ValueError, match=r"columns \['colour'\] are categories"):
            export()
    assert not (tmp_path / "model.onnx").exists()


def test_an_estimator_that_is_not_fitted_cannot_be_exported(tmp_path):
    with pytest.raises(NotFittedError):
        NimbleRegressor().to_torch()
    with pytest.raises(NotFittedError):
        NimbleRegressor().to_onnx(tmp_path / "model.onnx")


def test_pieces_that_are_a_few_steps_of_single_precision_long_agree():
    rng = np.random.RandomState(0)
    near = np.where(rng.rand(1000) < 0.45, 1 + 1e-6 * rng.rand(1000), rng.uniform(-1, 1, 1000))
    X = np.column_stack([near, rng.randn(1000, 2)])
    y = X[:, 1] + (near > 1 + 5e-7) * 3.0
    model = NimbleRegressor(random_state=0, max_iter=10, early_stopping=False).fit(X, y)
    found = model.to_torch()(torch.as_tensor(X)).detach().numpy()
    np.testing.assert_allclose(found, model.predict(X), atol=1e-6 * np.ptp(y))


@pytest.mark.parametrize("shape", [(2, 1), (2, 4), (3,)])
def test_a_module_refuses_a_tensor_of_another_width(shape):
    X = np.random.RandomState(0).randn(60, 3)
    module = NimbleRegressor(random_state=0, max_iter=2).fit(X, X[:, 0]).to_torch()
    with pytest.raises(ValueError, match=r"X must have shape \(n_samples, 3\)"):
        module(torch.zeros(shape))
