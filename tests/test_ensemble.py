"""Several networks as one estimator, one of them as an estimator, and fewer of its neurons."""

import pickle

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.metrics import log_loss, root_mean_squared_error
from sklearn.model_selection import GridSearchCV

from sknimble import NimbleClassifier, NimbleRegressor, _regressor
from sknimble._calibration import mean_sharpness
from sknimble._noise import noise_at

SHORT = {"max_iter": 25, "tol": 1e-3, "random_state": 0, "encoding": "none", "size_penalty": 1e-3}
ESTIMATORS = [NimbleRegressor, NimbleClassifier]

every_estimator = pytest.mark.parametrize("Estimator", ESTIMATORS)
every_depth = pytest.mark.parametrize("n_hidden_layers", [1, 2, 3])
# Short trainings may end while they still improve: what the warning says is so.
pytestmark = pytest.mark.filterwarnings("ignore:max_iter=:sklearn.exceptions.ConvergenceWarning")


def table(Estimator, n_rows=200, seed=0):
    """Return X and a target that needs neurons and suits the estimator."""
    rng = np.random.default_rng(seed)
    X = rng.uniform(-1, 1, (n_rows, 2))
    y = np.sin(5 * X[:, 0]) + 0.3 * X[:, 1] + 0.2 * rng.normal(size=n_rows)
    return X, np.digitize(y, [-0.5, 0.6]) if Estimator is NimbleClassifier else y


def fitted(Estimator, n_estimators=3, **parameters):
    X, y = table(Estimator)
    model = Estimator(n_estimators=n_estimators, **(SHORT | parameters)).fit(X, y)
    assert model.n_hidden_ > 0
    return model, X, y


def answers(model, X):
    return model.predict_proba(X) if hasattr(model, "classes_") else model.predict(X)


# ------------------------------------------------------------------ several networks
def test_predictions_are_the_mean_over_the_networks():
    model, X, _ = fitted(NimbleRegressor)
    each = [answers(one, X) for one in model.estimators_]
    np.testing.assert_allclose(answers(model, X), np.mean(each, axis=0), rtol=1e-12)


@pytest.mark.parametrize("kind", ["two classes", "three classes", "labels"])
@pytest.mark.parametrize("judged", [True, False])
def test_probabilities_are_the_mean_and_sharpened_if_rows_have_judged(kind, judged):
    X, y = table(NimbleClassifier)
    y = {"two classes": y > 0, "three classes": y, "labels": np.eye(3, dtype=int)[y][:, :2]}[kind]
    model = NimbleClassifier(n_estimators=3, early_stopping=judged, **SHORT).fit(X, y)
    mean = np.mean([one.predict_proba(X) for one in model.estimators_], axis=0)
    factor = mean_sharpness(3) if judged else 1.0
    labels = np.column_stack([~y, y]) if kind == "two classes" else y
    labels = np.eye(3)[y] if kind == "three classes" else labels
    share = labels.mean(axis=0) ** (1.0 - factor)
    other = (1.0 - labels.mean(axis=0)) ** (1.0 - factor)
    sharp = mean**factor * share
    rest = sharp.sum(axis=1, keepdims=True) - sharp
    if kind == "labels":
        rest = (1.0 - mean) ** factor * other
    expected = sharp / (sharp + rest)
    np.testing.assert_allclose(model.predict_proba(X), expected, rtol=1e-9, atol=1e-12)


@pytest.mark.filterwarnings("ignore:The number of unique classes")
@pytest.mark.parametrize("seed", [0, 1])
def test_a_mean_is_sharpened_only_if_rows_have_judged_all_networks(seed):
    rng = np.random.RandomState(seed)
    X, y = rng.randn(30, 3), np.r_[np.arange(27), rng.randint(0, 27, 3)]
    model = NimbleClassifier(n_estimators=3, random_state=0, max_iter=5).fit(X, y)
    judged = [np.isfinite(one.history_[-1].validation_loss) for one in model.estimators_]
    assert 0 < sum(judged) < 3  # some folds would hold classes out
    mean = np.mean([one.predict_proba(X) for one in model.estimators_], axis=0)
    np.testing.assert_allclose(model.predict_proba(X), mean, rtol=1e-9)


@every_estimator
def test_the_networks_differ(Estimator):
    model, X, _ = fitted(Estimator)
    first, *others = (answers(one, X) for one in model.estimators_)
    assert all(np.abs(first - other).max() > 1e-3 for other in others)


@every_estimator
def test_with_rows_of_its_own_to_judge_it_a_network_is_as_if_alone(Estimator):
    X, y = table(Estimator)
    X_val, y_val = table(Estimator, 60, seed=1)
    many, one = (
        Estimator(n_estimators=k, initial_size=8, **SHORT).fit(X, y, X_val=X_val, y_val=y_val)
        for k in (3, 1)
    )
    found = answers(many.estimators_[0], X)
    np.testing.assert_allclose(found, answers(one, X), rtol=1e-10, atol=1e-12)
    assert many.estimators_[0].n_iter_ == one.n_iter_


@pytest.mark.parametrize("n_estimators", [2, 7, 9])
def test_every_row_trains_some_network(n_estimators):
    X, y = table(NimbleRegressor)
    model = NimbleRegressor(n_estimators=n_estimators, **SHORT).fit(X, y)
    held_out = model._hold_out(y[:, None])
    assert held_out.shape == (n_estimators, len(y))
    assert not held_out.all(axis=0).any()
    assert len(np.unique(held_out, axis=0)) == min(n_estimators, 7)


def test_sizes_add_up():
    model, _, _ = fitted(NimbleRegressor)
    each = model.estimators_
    for name in ("n_hidden_", "n_parameters_", "size_weight_"):
        total = sum(getattr(one, name) for one in each)
        assert getattr(model, name) == pytest.approx(total)
    assert model.n_iter_ == max(one.n_iter_ for one in each)


# ------------------------------------------------------------------ one of them
@every_estimator
def test_one_network_is_an_estimator_of_its_own(Estimator):
    model, X, _ = fitted(Estimator)
    for one in model.estimators_:
        assert one.n_estimators == 1
        assert len(one.estimators_) == 1
        assert {record.member for record in one.history_} == {0}
        restored = pickle.loads(pickle.dumps(one))
        np.testing.assert_array_equal(answers(restored, X), answers(one, X))
        assert clone(one).get_params() == {**model.get_params(), "n_estimators": 1}


def test_taking_networks_out_changes_nothing():
    model, X, _ = fitted(NimbleRegressor)
    before = model.predict(X)
    for one in model.estimators_:
        one.set_params(max_size=3)
        one.resized(0)
    assert model.max_size != 3
    np.testing.assert_array_equal(model.predict(X), before)


@every_estimator
def test_their_number_can_be_searched(Estimator):
    X, y = table(Estimator)
    search = GridSearchCV(Estimator(**SHORT), {"n_estimators": [1, 2]}, cv=2).fit(X, y)
    assert len(search.best_estimator_.estimators_) == search.best_params_["n_estimators"]


# ------------------------------------------------------------------ how far y may be
@pytest.mark.parametrize("n_estimators", [3, 9])
def test_the_variance_is_that_of_the_networks_and_of_the_noise(n_estimators):
    model, X, _ = fitted(NimbleRegressor, n_estimators)
    mean, std = model.predict(X, return_std=True)
    each = [one.predict(X) for one in model.estimators_]
    np.testing.assert_array_equal(mean, model.predict(X))
    noise = noise_at(model._noise, mean[:, None])[:, 0]
    np.testing.assert_allclose(std**2, np.var(each, axis=0) + noise, rtol=1e-10)


def test_the_noise_is_that_of_networks_that_have_not_learnt_from_their_held_out_rows(monkeypatch):
    asked, learn = [], NimbleRegressor._learn_noise
    monkeypatch.setattr(
        NimbleRegressor,
        "_learn_noise",
        lambda self, networks, *rows: asked.append(networks) or learn(self, networks, *rows),
    )
    X, y, _ = noisy(300, 0)
    y += np.sin(20 * X[:, 0])
    model = NimbleRegressor(random_state=0).fit(X, y)
    assert any(np.isnan(record.validation_loss) for record in model.history_)  # they finish
    (networks,), Z = asked, model._table.encode(X)
    for judged, published in zip(networks, model._networks, strict=True):
        assert judged.n_hidden == published.n_hidden
        assert np.abs(judged.raw(Z) - published.raw(Z)).max() > 1e-6


def test_without_held_out_rows_it_is_that_of_the_networks():
    model, X, _ = fitted(NimbleRegressor, early_stopping=False)
    each = [one.predict(X) for one in model.estimators_]
    with pytest.warns(UserWarning, match="std is only how far the networks are apart"):
        _, std = model.predict(X, return_std=True)
    np.testing.assert_allclose(std, np.std(each, axis=0), rtol=1e-10, atol=1e-12)


def noisy(n_rows, seed):
    """Return a slope whose noise grows from 0.1 to 1.1 along it, and the noise."""
    rng = np.random.default_rng(seed)
    X = rng.uniform(size=(n_rows, 1))
    noise = 0.1 + X[:, 0]
    return X, 5.0 * X[:, 0] + noise * rng.normal(size=n_rows), noise


@pytest.mark.parametrize("explicit", [False, True])
@pytest.mark.parametrize("n_estimators", [1, 3])
def test_the_standard_deviation_is_that_of_y(n_estimators, explicit):
    X, y, _ = noisy(1500, 0)
    X_val, y_val, _ = noisy(500, 1)
    rows = {"X_val": X_val, "y_val": y_val} if explicit else {}
    X_new, y_new, noise = noisy(2000, 2)
    model = NimbleRegressor(n_estimators=n_estimators, **SHORT).fit(X, y, **rows)
    mean, std = model.predict(X_new, return_std=True)
    assert (np.abs(y_new - mean) <= 2.0 * std).mean() > 0.92
    assert 0.85 < np.mean((y_new - mean) ** 2) / np.mean(std**2) < 1.15
    low, high = X_new[:, 0] < 0.2, X_new[:, 0] > 0.8
    np.testing.assert_allclose(std[low].mean(), noise[low].mean(), rtol=0.35)
    np.testing.assert_allclose(std[high].mean(), noise[high].mean(), rtol=0.35)


def test_rows_of_no_weight_do_not_tell_the_noise():
    X, y, _ = noisy(300, 0)
    X_val, y_val, _ = noisy(200, 1)
    wrong = np.where(np.arange(200) % 2, 100.0, y_val)
    weight = (np.arange(200) % 2 == 0).astype(float)
    half = {"X_val": X_val[::2], "y_val": y_val[::2]}
    whole = {"X_val": X_val, "y_val": wrong, "sample_weight_val": weight}
    stds = [NimbleRegressor(**SHORT).fit(X, y, **rows).predict(X, return_std=True)[1]
            for rows in (half, whole)]  # fmt: skip
    np.testing.assert_allclose(*stds, rtol=1e-5)


@pytest.mark.filterwarnings("ignore:the noise of y is not known:UserWarning")
def test_an_interrupt_after_training_keeps_the_networks(monkeypatch):
    def interrupt(*arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr(_regressor, "learn_noise", interrupt)
    X, y, _ = noisy(300, 0)
    with pytest.warns(UserWarning, match="the noise of y is not known"):
        model = NimbleRegressor(n_estimators=2, **SHORT).fit(X, y)
    each = [one.predict(X) for one in model.estimators_]
    np.testing.assert_allclose(model.predict(X, return_std=True)[1], np.std(each, axis=0))


def test_the_noise_of_a_later_fit_replaces_that_of_the_first():
    X, y, _ = noisy(300, 0)
    model = NimbleRegressor(warm_start=True, **SHORT).fit(X, y)
    model.set_params(max_iter=30).fit(X, 10.0 * y)
    _, std = model.predict(X, return_std=True)
    assert np.mean(std) > 2.0


def test_the_noise_is_saved():
    model, X, _ = fitted(NimbleRegressor)
    loaded = pickle.loads(pickle.dumps(model))
    for found, expected in zip(
        loaded.predict(X, return_std=True), model.predict(X, return_std=True), strict=True
    ):
        np.testing.assert_array_equal(found, expected)


def test_the_standard_deviation_has_the_units_of_y():
    X, y = table(NimbleRegressor)
    narrow, wide = (
        NimbleRegressor(n_estimators=2, **SHORT).fit(X, unit * y).predict(X, return_std=True)[1]
        for unit in (1.0, 1024.0)
    )
    np.testing.assert_allclose(wide, 1024.0 * narrow, rtol=1e-6)


@pytest.mark.filterwarnings("ignore:the noise of y is not known:UserWarning")
@pytest.mark.parametrize(
    "parameters, width", [({}, 2), ({"loss": "quantile", "quantile": [0.1, 0.9]}, 2)]
)
def test_there_is_a_standard_deviation_for_every_output(parameters, width):
    X, y = table(NimbleRegressor)
    y = y if parameters else np.column_stack([y, -y])
    model = NimbleRegressor(n_estimators=2, **SHORT, **parameters).fit(X, y)
    mean, std = model.predict(X, return_std=True)
    assert mean.shape == std.shape == (len(X), width)
    assert (std >= 0).all()


def test_a_single_network_that_held_nothing_out_has_no_standard_deviation():
    model, X, _ = fitted(NimbleRegressor, n_estimators=1, early_stopping=False)
    with pytest.raises(ValueError, match="n_estimators=2 or more"):
        model.predict(X, return_std=True)


# ------------------------------------------------------------------ fewer neurons
@every_estimator
@every_depth
def test_a_resized_estimator_has_the_first_neurons(Estimator, n_hidden_layers):
    model, X, _ = fitted(Estimator, n_estimators=1, n_hidden_layers=n_hidden_layers)
    (network,), Z = model._networks, model._table.encode(X)
    for n_hidden in range(model.n_hidden_ + 1):
        smaller = model.resized(n_hidden)
        assert smaller.n_hidden_ == n_hidden
        raw = network.truncated(n_hidden).raw(Z)
        np.testing.assert_array_equal(smaller._networks[0].raw(Z), raw)
        assert answers(smaller, X).shape == answers(model, X).shape
    np.testing.assert_array_equal(answers(smaller, X), answers(model, X))


@pytest.mark.filterwarnings("ignore:the noise of y is not known:UserWarning")
def test_a_resized_regressor_knows_no_noise():
    model, X, _ = fitted(NimbleRegressor)
    smaller = model.resized(2)
    each = [one.predict(X) for one in smaller.estimators_]
    np.testing.assert_allclose(smaller.predict(X, return_std=True)[1], np.std(each, axis=0))
    assert (model.predict(X, return_std=True)[1] > np.std(each, axis=0)).any()
    with pytest.raises(ValueError, match="rows held out, which tell `fit` the noise"):
        fitted(NimbleRegressor, n_estimators=1)[0].resized(2).predict(X, return_std=True)


@every_depth
def test_resized_to_nothing_an_estimator_is_linear(n_hidden_layers):
    model, X, _ = fitted(NimbleRegressor, n_hidden_layers=n_hidden_layers)
    empty = model.resized(0)
    Z = empty._table.encode(X)
    expected = np.mean([Z @ n.linear[0, :-1] + n.linear[0, -1] for n in empty._networks], axis=0)
    expected = empty._loss.decode(expected[:, None])[:, 0]
    np.testing.assert_allclose(empty.predict(X), expected, rtol=1e-9, atol=1e-9)


def test_resizing_leaves_smaller_networks_as_they_are():
    model, X, _ = fitted(NimbleRegressor, initial_size=8)
    sizes = [one.n_hidden_ for one in model.estimators_]
    assert len(set(sizes)) > 1
    middle = sorted(sizes)[1]
    found = [one.n_hidden_ for one in model.resized(middle).estimators_]
    assert found == [min(size, middle) for size in sizes]
    assert [one.n_hidden_ for one in model.estimators_] == sizes


def test_a_resized_estimator_can_be_saved():
    model, X, _ = fitted(NimbleRegressor)
    smaller = model.resized(2)
    restored = pickle.loads(pickle.dumps(smaller))
    np.testing.assert_array_equal(restored.predict(X), smaller.predict(X))
    assert restored.size_weight_ <= 2 * len(smaller.estimators_)


@pytest.mark.parametrize("n_hidden", [-1, 10_000, 2.5])
def test_a_size_there_is_not_is_refused(n_hidden):
    model, _, _ = fitted(NimbleRegressor, n_estimators=1)
    with pytest.raises(ValueError, match=f"n_hidden={n_hidden} must be an integer from 0 to"):
        model.resized(n_hidden)


# ------------------------------------------------------------------ what fewer would lose
@every_depth
def test_prefix_losses_of_a_regressor_are_those_of_resized_estimators(n_hidden_layers):
    model, X, y = fitted(NimbleRegressor, n_estimators=1, n_hidden_layers=n_hidden_layers)
    losses = model.prefix_losses(X, y)
    assert losses.shape == (model.n_hidden_ + 1,)
    model._loss.range_ = np.array([[-np.inf], [np.inf]])  # the loss does not clip, predict does
    for n_hidden, loss in enumerate(losses):
        error = root_mean_squared_error(y, model.resized(n_hidden).predict(X)) / y.std()
        assert loss == pytest.approx(error, rel=1e-5)


@pytest.mark.parametrize("n_classes", [2, 3])
def test_prefix_losses_of_a_classifier_are_those_of_resized_estimators(n_classes):
    X, y = table(NimbleClassifier)
    y = np.minimum(y, n_classes - 1)
    model = NimbleClassifier(n_estimators=1, **SHORT).fit(X, y)
    constant = log_loss(y, np.tile(np.bincount(y) / len(y), (len(y), 1)))
    for n_hidden, loss in enumerate(model.prefix_losses(X, y)):
        expected = log_loss(y, model.resized(n_hidden).predict_proba(X)) / constant
        assert loss == pytest.approx(np.sqrt(expected), rel=1e-5)


def test_prefix_losses_of_several_networks_are_their_mean():
    model, X, y = fitted(NimbleRegressor)
    each = [one.prefix_losses(X, y) for one in model.estimators_]
    longest = max(map(len, each))
    expected = np.mean([np.pad(c, (0, longest - len(c)), mode="edge") for c in each], axis=0)
    np.testing.assert_allclose(model.prefix_losses(X, y), expected, rtol=1e-12)


def test_a_row_of_weight_two_counts_twice_in_prefix_losses():
    model, X, y = fitted(NimbleRegressor)
    weight = np.arange(len(y)) % 3
    weighted = model.prefix_losses(X, y, sample_weight=weight)
    rows = np.repeat(np.arange(len(y)), weight)
    np.testing.assert_allclose(weighted, model.prefix_losses(X[rows], y[rows]), rtol=1e-10)


def test_prefix_losses_in_batches_of_rows_are_the_same(monkeypatch):
    model, X, y = fitted(NimbleRegressor)
    expected = model.prefix_losses(X, y)
    monkeypatch.setattr("sknimble._predictor._BATCH_CELLS", 200)
    np.testing.assert_allclose(model.prefix_losses(X, y), expected, rtol=1e-12)


def test_neurons_lower_the_loss_where_they_are_needed():
    model, _, _ = fitted(NimbleRegressor, max_iter=60)
    losses = model.prefix_losses(*table(NimbleRegressor, seed=1))
    assert losses[-1] < 0.7 * losses[0]
