"""What the estimators promise: known special cases, their attributes, the same answer again."""

import copy
import doctest
import hashlib
import inspect
import pickle
import random
import subprocess
import sys
from dataclasses import replace

import joblib
import numpy as np
import pytest
import torch
from scipy.sparse import csr_array
from scipy.special import expit, softmax
from sklearn.base import is_classifier, is_regressor
from sklearn.datasets import load_breast_cancer, load_diabetes, load_iris, make_moons
from sklearn.exceptions import ConvergenceWarning, NotFittedError
from sklearn.linear_model import LogisticRegression, Ridge

from sknimble import NimbleClassifier, NimbleRegressor, _classifier, _late, _regressor
from sknimble._folds import EARLY_STOPPING_ROWS
from sknimble._history import Epoch
from sknimble._tables import TableEncoder

ESTIMATORS = [NimbleRegressor, NimbleClassifier]
# One network on the table as it is, whatever the defaults are.
ONE = {"n_estimators": 1, "encoding": "none", "random_state": 0}
# A few epochs whose number does not depend on what is held out.
SHORT = ONE | {"max_iter": 8, "early_stopping": False}

every_estimator = pytest.mark.parametrize("Estimator", ESTIMATORS)
every_depth = pytest.mark.parametrize("n_hidden_layers", [1, 2, 3])


def table(Estimator, n_rows=150, n_columns=4, seed=0):
    """Return X and a target that suits the estimator."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n_rows, n_columns))
    y = np.sin(3 * X[:, 0]) + X[:, 1] + 0.1 * rng.normal(size=n_rows)
    return X, np.digitize(y, [-0.5, 0.8]) if Estimator is NimbleClassifier else y


def waves(n_rows=300):
    """Return a table of which a linear model explains a fraction only."""
    rng = np.random.default_rng(0)
    X = rng.uniform(-1, 1, (n_rows, 2))
    return X, np.sin(6 * X[:, 0]) + 0.1 * rng.normal(size=n_rows)


def answers(model, X):
    """Return all a model predicts, as one array."""
    if is_regressor(model):
        return model.predict(X)
    return np.column_stack([model.predict_proba(X), model.decision_function(X)])


# ------------------------------------------------------------------ special cases
UNTRAINED = SHORT | {"max_size": 0, "initial_size": 0, "learning_rate_init": 1e-15}


def test_a_regressor_of_size_zero_is_ridge():
    X, y = load_diabetes(return_X_y=True)
    Z = TableEncoder().fit(X).encode(X)
    ridge = Ridge().fit(Z, (y - y.mean()) / y.std())
    expected = np.clip(ridge.predict(Z) * y.std() + y.mean(), y.min(), y.max())
    found = NimbleRegressor(**UNTRAINED).fit(X, y).predict(X)
    # targets are learnt in single precision
    np.testing.assert_allclose(found, expected, rtol=1e-6)


@pytest.mark.parametrize("load", [load_breast_cancer, load_iris])
def test_a_classifier_of_size_zero_is_logistic_regression(load):
    X, y = load(return_X_y=True)
    Z = TableEncoder().fit(X).encode(X)
    model = LogisticRegression(max_iter=200, tol=1e-4).fit(Z, y)
    found = NimbleClassifier(**UNTRAINED).fit(X, y)
    np.testing.assert_allclose(found.predict_proba(X), model.predict_proba(Z), atol=1e-6)


@every_estimator
def test_at_a_price_that_no_neuron_is_worth_the_linear_model_remains(Estimator):
    X, y = table(Estimator)
    model = Estimator(size_penalty=10.0, **ONE).fit(X, y)
    assert model.n_hidden_ == 0
    n_outputs = 3 if Estimator is NimbleClassifier else 1
    assert model.n_parameters_ == n_outputs * 5


@pytest.mark.parametrize("n_classes", [2, 3])
def test_decisions_of_one_network_are_its_logits(n_classes):
    X, y = table(NimbleClassifier)
    model = NimbleClassifier(**SHORT).fit(X, np.minimum(y, n_classes - 1))
    raw = model._networks[0].raw(model._table.encode(X))
    decision = model.decision_function(X)
    if n_classes == 2:
        np.testing.assert_allclose(decision, raw[:, 0], rtol=1e-9)
        np.testing.assert_allclose(model.predict_proba(X)[:, 1], expit(decision), rtol=1e-12)
    else:
        np.testing.assert_allclose(softmax(decision, axis=1), softmax(raw, axis=1), rtol=1e-9)


# ------------------------------------------------------------------ fitted attributes
@every_estimator
@pytest.mark.parametrize("n_estimators", [1, 3])
def test_fitted_attributes_describe_the_networks(Estimator, n_estimators):
    X, y = table(Estimator)
    model = Estimator(**SHORT | {"n_estimators": n_estimators}).fit(X, y)
    assert type(model.size_weight_) is float
    assert type(model.n_hidden_) is int
    assert abs(model.n_hidden_ - model.size_weight_) <= 0.5 * n_estimators
    assert model.n_parameters_ == sum(network.n_parameters for network in model._networks)
    assert model.n_iter_ == 8
    assert len(model.loss_curve_) == 8
    assert model.n_features_in_ == 4
    assert len(model.history_) == 8 * n_estimators
    assert all(isinstance(record, Epoch) for record in model.history_)


@every_estimator
def test_the_loss_curve_is_the_objective_of_the_record(Estimator):
    model = Estimator(**SHORT).fit(*table(Estimator))
    assert model.loss_curve_ == [record.loss for record in model.history_]


@pytest.mark.filterwarnings("ignore:max_iter:sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("kind", ["dense", "sparse", "held out"])
def test_units_of_columns_and_target_do_not_matter(kind):
    X, y = waves(400)
    models = [NimbleRegressor(max_iter=3, random_state=0) for _ in range(2)]
    for model, unit in zip(models, (1.0, 3.7), strict=True):
        Z = csr_array(unit * X) if kind == "sparse" else unit * X
        held_out = {"X_val": Z[::7], "y_val": unit * y[::7]} if kind == "held out" else {}
        model.fit(Z, unit * y, **held_out)
    first, second = ([replace(row, seconds=0.0) for row in m.history_] for m in models)
    assert first == second
    found = models[1].predict(3.7 * X) / 3.7
    np.testing.assert_allclose(found, models[0].predict(X), rtol=1e-5, atol=1e-7)


def test_few_rows_of_very_many_columns_are_fitted(monkeypatch):
    monkeypatch.setattr(_late, "LATE_CELLS", 2)
    X, y = waves(60)
    model = NimbleRegressor(**SHORT).fit(X, y).partial_fit(X, y)
    assert np.isfinite(model.predict(X)).all()


def test_one_heavy_row_leaves_the_linear_start_to_the_others():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(400, 30))
    y = X @ rng.normal(size=30)
    weight = np.where(np.arange(400) == 0, 1000.0, 1.0)
    start = {"max_iter": 1, "max_size": 0, "learning_rate_init": 1e-12, "early_stopping": False}
    for encoding in ("none", "piecewise"):
        model = NimbleRegressor(**start, **ONE | {"encoding": encoding})
        assert model.fit(X, y, weight).score(X, y) > 0.99


def test_the_last_size_is_published_where_nothing_is_held_out():
    model = NimbleRegressor(**SHORT | {"max_iter": 80}).fit(*waves())
    assert model.size_weight_ == model.history_[-1].size


def test_kinds_are_known_to_scikit_learn():
    assert is_regressor(NimbleRegressor())
    assert is_classifier(NimbleClassifier())
    assert not hasattr(NimbleRegressor(), "predict_proba")


@every_estimator
def test_parameters_are_keywords_and_at_most_24(Estimator):
    parameters = inspect.signature(Estimator).parameters.values()
    assert len(parameters) <= 24
    assert {parameter.kind for parameter in parameters} == {inspect.Parameter.KEYWORD_ONLY}


@every_estimator
def test_predictions_are_in_double_precision_whatever_was_computed_in(Estimator):
    X, y = table(Estimator, 600, 40)
    model = Estimator(**SHORT | {"max_iter": 1}).fit(X, y)
    assert model._networks[0].linear.dtype == np.float32
    assert answers(model, X).dtype == np.float64


# ------------------------------------------------------------------ the size
@pytest.mark.parametrize(("max_size", "start"), [(512, 8.0), (5, 5.0), (0, 0.0)])
def test_by_default_it_starts_small_whatever_the_cap(max_size, start):
    X, y = waves(100)
    model = NimbleRegressor(max_size=max_size, max_iter=1, early_stopping=False).fit(X, y)
    assert model.history_[0].size == start


@pytest.mark.parametrize(("n_classes", "start"), [(2, 8.0), (4, 16.0), (9, 24.0)])
def test_classes_that_share_neurons_start_with_more_of_them(n_classes, start):
    X, _ = waves(100)
    y = np.arange(100) % n_classes
    model = NimbleClassifier(max_iter=1, early_stopping=False).fit(X, y)
    assert model.history_[0].size == start


@pytest.mark.parametrize(("n_estimators", "start"), [(1, 64.0), (2, 16.0), (3, 8.0), (9, 8.0)])
def test_the_fewer_networks_the_larger_they_start(n_estimators, start):
    X, y = waves(100)
    model = NimbleRegressor(max_iter=1, early_stopping=False, n_estimators=n_estimators)
    assert model.fit(X, y).history_[0].size == start


@pytest.mark.parametrize("initial_size, target_size", [(0, 10), (40, 10), (40, 0)])
def test_with_a_target_and_a_high_price_the_size_gets_there(initial_size, target_size):
    model = NimbleRegressor(
        initial_size=initial_size, target_size=target_size, size_penalty=1.0,
        early_stopping=False, **ONE,
    )  # fmt: skip
    assert model.fit(*waves()).n_hidden_ == target_size


@pytest.mark.parametrize("target_size", [2.4, 5.5])
def test_beside_a_target_with_a_fraction_annealed_networks_are_kept(target_size):
    X, y = make_moons(300, noise=0.2, random_state=0)
    model = NimbleClassifier(target_size=target_size, size_penalty=1.0, random_state=1).fit(X, y)
    sizes = [one.size_weight_ for one in model.estimators_]
    assert sizes == [round(sizes[0])] * 3  # N becomes whole when the anneal begins
    assert abs(sizes[0] - target_size) <= 0.5


@pytest.mark.parametrize("max_size", [0, 3, 9])
def test_no_network_is_larger_than_max_size(max_size):
    model = NimbleRegressor(
        initial_size=0, max_size=max_size, size_penalty=0.0, early_stopping=False, **ONE
    ).fit(*waves())
    assert max(record.size for record in model.history_) <= max_size
    assert model.n_hidden_ == max_size


RECIPES = {
    "ordinary": {"activation": "silu"},
    "high rate": {"learning_rate_init": 5e-2, "activation": "silu"},
    "strong decay": {"alpha": 0.4, "activation": "relu"},
}


@pytest.mark.filterwarnings("ignore:max_iter=:sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("n_hidden_layers, recipe", list(enumerate(RECIPES, start=1)))
def test_from_nothing_a_network_finds_the_neurons_it_needs(n_hidden_layers, recipe):
    X, y = waves(400)
    model = NimbleRegressor(
        initial_size=0, n_hidden_layers=n_hidden_layers, **ONE, **RECIPES[recipe]
    ).fit(X[:300], y[:300])
    linear = Ridge().fit(X[:300], y[:300])
    assert linear.score(X[300:], y[300:]) < 0.3
    assert model.n_hidden_ >= 3
    assert model.score(X[300:], y[300:]) > 0.7


# ------------------------------------------------------------------ rows and weights
@pytest.mark.filterwarnings("ignore:max_iter=:sklearn.exceptions.ConvergenceWarning")
@every_estimator
@pytest.mark.parametrize("n_estimators", [1, 3])
@pytest.mark.parametrize("early_stopping", [False, True])
@pytest.mark.parametrize("batch_size", ["auto", 8])
def test_on_a_tiny_table_whole_weights_are_repeated_rows_to_the_last_bit(
    Estimator, batch_size, early_stopping, n_estimators
):
    X, y = table(Estimator, 40)
    weight = np.random.default_rng(0).integers(0, 4, 40)
    order = np.random.default_rng(1).permutation(np.repeat(np.arange(40), weight))
    model = Estimator(
        batch_size=batch_size, early_stopping=early_stopping, n_estimators=n_estimators,
        max_iter=50, random_state=0,
    )  # fmt: skip
    weighted = answers(model.fit(X, y, weight), X)
    repeated = answers(model.fit(X[order], y[order]), X)
    np.testing.assert_array_equal(weighted, repeated)


@every_estimator
@pytest.mark.parametrize("n_rows", [60, 300])
def test_a_row_of_weight_zero_is_absent(Estimator, n_rows):
    X, y = table(Estimator, n_rows)
    weight = np.random.default_rng(0).integers(0, 2, n_rows) * 1.5
    model = Estimator(max_iter=15, random_state=0, early_stopping=False)
    weighted = answers(model.fit(X, y, weight), X)
    absent = answers(model.fit(X[weight > 0], y[weight > 0], weight[weight > 0]), X)
    np.testing.assert_array_equal(weighted, absent)


# ------------------------------------------------------------------ held-out rows
@pytest.mark.filterwarnings("ignore:max_iter=:sklearn.exceptions.ConvergenceWarning")
def test_small_tables_train_on_all_rows_and_larger_ones_hold_some_out():
    for n_rows, watched in [(EARLY_STOPPING_ROWS - 1, False), (EARLY_STOPPING_ROWS, True)]:
        model = NimbleRegressor(max_iter=2).fit(*table(NimbleRegressor, n_rows))
        assert np.isfinite(model.history_[0].validation_loss) == watched


@pytest.mark.filterwarnings("ignore:max_iter=:sklearn.exceptions.ConvergenceWarning")
def test_explicit_rows_judge_in_place_of_held_out_ones():
    X, y = waves(200)
    first = []
    for _ in range(2):
        model = NimbleRegressor(**ONE, max_iter=5)
        model.fit(X[:100], y[:100], X_val=X[100:], y_val=y[100:])
        first.append(model.history_[0])
        y[100:] = y[100:][::-1]
    assert first[0].data_loss == first[1].data_loss
    assert 0.0 < first[0].validation_loss < first[1].validation_loss


def test_rows_that_judge_have_weights_of_their_own():
    X, y = waves(200)
    y[150:] = 100.0
    weight = np.repeat([1.0, 0.0], 50)
    judged = NimbleRegressor(**ONE, max_iter=5, early_stopping=True)
    with pytest.warns(ConvergenceWarning):
        judged.fit(X[:100], y[:100], X_val=X[100:], y_val=y[100:], sample_weight_val=weight)
    assert judged.history_[0].validation_loss < 2.0


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("scale", [1e-46, 1e39, 1e307])
def test_the_scale_of_weights_of_rows_that_judge_does_not_matter(scale):
    X, y = table(NimbleRegressor, 600, 40)  # in single precision
    weight = np.linspace(0.5, 1.5, 100)
    usual, extreme = (
        NimbleRegressor(**ONE, max_iter=2, early_stopping=True).fit(
            X[100:], y[100:], X_val=X[:100], y_val=y[:100], sample_weight_val=factor * weight
        ) for factor in (1.0, scale)
    )  # fmt: skip
    for one, other in zip(usual.history_, extreme.history_, strict=True):
        assert one.validation_loss == pytest.approx(other.validation_loss, rel=1e-6)
    losses = usual.prefix_losses(X[:100], y[:100], weight)
    extremes = usual.prefix_losses(X[:100], y[:100], scale * weight)
    np.testing.assert_allclose(extremes, losses, rtol=1e-6)


def test_a_training_cut_short_says_so():
    with pytest.warns(ConvergenceWarning, match="max_iter=3 epochs ended and"):
        NimbleRegressor(max_iter=3, early_stopping=True).fit(*waves())


# ------------------------------------------------------------------ the same answer again
def fit_and_digest(Estimator, kind):
    """Return a digest of all predictions of a model fitted from scratch."""
    n_columns = 40 if kind == "single precision" else 4
    X, y = table(Estimator, 600, n_columns)
    options = {"three networks": {"n_estimators": 3}, "batches": {"batch_size": 50}}.get(kind, {})
    model = Estimator(max_iter=5, early_stopping=False, random_state=7, **options).fit(X, y)
    return hashlib.sha256(answers(model, X).tobytes()).hexdigest()


KINDS = ["ordinary", "single precision", "three networks", "batches"]
EVERY_CASE = [(Estimator, kind) for Estimator in ESTIMATORS for kind in KINDS]


@pytest.mark.parametrize(("Estimator", "kind"), EVERY_CASE)
def test_the_same_seed_gives_the_same_bits_in_one_process(Estimator, kind):
    assert fit_and_digest(Estimator, kind) == fit_and_digest(Estimator, kind)


def test_the_same_seed_gives_the_same_bits_in_a_fresh_process():
    code = (
        f"import sys; sys.path.insert(0, {str(__import__('pathlib').Path(__file__).parent)!r})\n"
        "from test_shell import EVERY_CASE, fit_and_digest\n"
        "print(*[fit_and_digest(*case) for case in EVERY_CASE])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == [fit_and_digest(*case) for case in EVERY_CASE]


def test_the_same_seed_gives_the_same_bits_in_two_workers_of_joblib():
    # Workers import this module by name.
    with joblib.parallel_config("loky", n_jobs=2):
        found = joblib.Parallel()(joblib.delayed(fit_and_digest)(*case) for case in EVERY_CASE)
    assert found == [fit_and_digest(*case) for case in EVERY_CASE]


@every_estimator
def test_another_seed_gives_another_network(Estimator):
    X, y = table(Estimator)
    one, other = (Estimator(max_iter=8, early_stopping=False, random_state=s) for s in (0, 1))
    assert not np.array_equal(answers(one.fit(X, y), X), answers(other.fit(X, y), X))


def global_state():
    """Return everything of the process that a fit must leave alone."""
    return {
        "torch random": torch.get_rng_state().numpy().tobytes(),
        "numpy random": str(np.random.get_state()),  # noqa: NPY002
        "python random": random.getstate(),
        "threads": (torch.get_num_threads(), torch.get_num_interop_threads()),
        "grad mode": torch.is_grad_enabled(),
        "inference mode": torch.is_inference_mode_enabled(),
        "dtype": torch.get_default_dtype(),
        "device": torch.get_default_device(),
        "autocast": torch.is_autocast_enabled("cpu"),
        "deterministic": torch.are_deterministic_algorithms_enabled(),
        "print options": str(np.get_printoptions()),
        "errors": np.geterr(),
    }


@every_estimator
@pytest.mark.parametrize("kind", ["ordinary", "single precision"])
def test_nothing_global_is_changed(Estimator, kind):
    before = global_state()
    fit_and_digest(Estimator, kind)
    assert global_state() == before


def test_nothing_global_is_changed_by_a_fit_that_fails():
    before = global_state()
    with pytest.raises(ValueError, match="learning_rate_init"):
        NimbleRegressor(learning_rate_init=1e200, random_state=0).fit(*waves())
    assert global_state() == before


def test_nothing_global_is_relied_on():
    expected = fit_and_digest(NimbleRegressor, "ordinary")
    threads, dtype = torch.get_num_threads(), torch.get_default_dtype()
    try:
        torch.set_num_threads(2)
        torch.set_default_dtype(torch.float64)
        with torch.no_grad():
            assert fit_and_digest(NimbleRegressor, "ordinary") == expected
    finally:
        torch.set_num_threads(threads)
        torch.set_default_dtype(dtype)


@every_estimator
@pytest.mark.parametrize("kind", ["ordinary", "single precision", "batches"])
@pytest.mark.parametrize(
    "in_force", [torch.device("meta"), torch.autocast("cpu", dtype=torch.bfloat16)]
)
def test_neither_a_default_device_nor_autocast_is_relied_on(Estimator, kind, in_force):
    expected = fit_and_digest(Estimator, kind)
    with in_force:
        before = global_state()
        assert fit_and_digest(Estimator, kind) == expected
        assert global_state() == before


@every_estimator
def test_fitting_and_predicting_are_silent(Estimator, capfd):
    X, y = table(Estimator)
    answers(Estimator(**SHORT).fit(X, y), X)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("target_size", [None, 3])
def test_the_record_of_any_price_is_finite_and_can_be_stored(target_size):
    model = NimbleRegressor(size_penalty=1e308, target_size=target_size, **SHORT).fit(*waves())
    stored = pickle.loads(pickle.dumps(model)).history_
    assert np.isfinite([[r.loss, r.size_loss] for r in model.history_ + stored]).all()


@every_estimator
@pytest.mark.parametrize(
    "name", ["size_weight_", "n_hidden_", "n_parameters_", "n_iter_", "loss_curve_", "estimators_"]
)
def test_fitted_attributes_asked_for_before_fit_say_so(Estimator, name):
    assert not hasattr(Estimator(), name)
    with pytest.raises(NotFittedError, match=f"This {Estimator.__name__} instance is not fitted"):
        getattr(Estimator(), name)


# ------------------------------------------------------------------ bad input
@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("size_penalty", -1e-3),
        ("size_penalty", np.nan),
        ("size_penalty", np.inf),
        ("alpha", -0.1),
        ("alpha", np.nan),
        ("alpha", np.inf),
        ("learning_rate_init", np.inf),
        ("learning_rate_init", -1e-3),
        ("target_size", -1),
        ("target_size", np.nan),
        ("initial_size", -1),
        ("initial_size", np.nan),
        ("max_size", 12.5),
        ("n_hidden_layers", 1.5),
        ("n_estimators", 2.5),
        ("batch_size", 10.5),
        ("validation_fraction", np.nan),
        ("tol", np.nan),
    ],
)
@every_estimator
def test_a_parameter_that_makes_no_sense_is_named_with_its_value(Estimator, name, value):
    with pytest.raises(ValueError, match=rf"(?s)'{name}' parameter .*Got {value}"):
        Estimator(**{name: value}).fit(*table(Estimator))


@pytest.mark.parametrize("batch_size", ["auto", 20])
@pytest.mark.parametrize("early_stopping", [False, True])
@pytest.mark.parametrize("rate", [1.0, 1e3, 1e10, 1e20, 1e38, 1e100, 1e300])
@pytest.mark.filterwarnings("ignore:max_iter=:sklearn.exceptions.ConvergenceWarning")
@every_estimator
def test_a_rate_too_high_is_named_or_does_no_harm(Estimator, rate, early_stopping, batch_size):
    X, y = table(Estimator, 120)
    model = Estimator(
        learning_rate_init=rate, early_stopping=early_stopping, batch_size=batch_size,
        max_iter=40, max_size=32, random_state=0,
    )  # fmt: skip
    try:
        model.fit(X, y)
    except ValueError as error:
        assert f"learning_rate_init={rate}" in str(error)
        assert "scale" in str(error)
    else:
        assert np.isfinite(answers(model, X)).all()


# ------------------------------------------------------------------ the docstrings


@pytest.mark.parametrize("module", [_regressor, _classifier])
def test_examples_in_docstrings_run(module):
    failed, tried = doctest.testmod(module, optionflags=doctest.ELLIPSIS)
    assert tried > 0
    assert failed == 0


def test_a_copy_that_a_callback_kept_does_not_go_on_from_another_training():
    class Keep:
        def setup(self, estimator, context):
            pass

        teardown = setup

        def on_fit_task_begin(self, estimator, context, **_):
            pass

        def on_fit_task_end(self, estimator, context, *, fitted_estimator=None, **_):
            if context.task_name == "epoch":
                self.last = fitted_estimator

    X = np.random.RandomState(0).randn(80, 3)
    model, keep = (
        NimbleRegressor(random_state=0, early_stopping=False).partial_fit(X, -10.0 * X[:, 0]),
        Keep(),
    )
    if not hasattr(model, "set_callbacks"):
        pytest.skip("scikit-learn has no callbacks")
    model.set_callbacks(keep).fit(X, X[:, 0])
    kept = keep.last
    kept.set_callbacks()
    assert kept._progress is None
    kept.partial_fit(X, X[:, 0])
    assert kept.score(X, X[:, 0]) > 0.9


def test_a_copy_shares_what_was_fitted():
    X = np.random.RandomState(0).randn(80, 3)
    model = NimbleRegressor(random_state=0).fit(X, X[:, 0])
    copied = copy.copy(model)
    assert vars(copied) == vars(model) and copied.history_ is model.history_


def test_a_network_pulled_to_a_size_starts_no_larger():
    X = np.random.RandomState(0).randn(80, 3)
    model = NimbleRegressor(target_size=4, n_estimators=1, random_state=0)
    assert model.fit(X, X[:, 0]).history_[0].size < 6.0


def test_levels_given_as_a_list_may_change_after_a_fit():
    X, levels = np.random.RandomState(0).randn(60, 2), [0.1, 0.9]
    model = NimbleRegressor(loss="quantile", quantile=levels, random_state=0)
    expected = model.fit(X, X.sum(axis=1) ** 2).predict(X)
    levels[:] = [0.9, 0.1]
    np.testing.assert_array_equal(model.predict(X), expected)
