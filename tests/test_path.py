"""All folds at all prices in one computation: as one by one."""

import re

import numpy as np
import pytest
import sklearn
from scipy.sparse import csr_array
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import f1_score, log_loss, make_scorer
from sklearn.model_selection import (
    GridSearchCV,
    GroupKFold,
    KFold,
    LeaveOneGroupOut,
    PredefinedSplit,
    ShuffleSplit,
    StratifiedKFold,
    TimeSeriesSplit,
)

from sknimble import (
    NimbleClassifier,
    NimbleRegressor,
    NimbleRegressorCV,
    _start,
    nimble_path,
)
from sknimble._path import _Folds

SHORT = {"max_iter": 20, "tol": 1e-3, "random_state": 0, "encoding": "none", "n_estimators": 1}
PRICES = [1e-4, 1e-2, 1e-1]

every_estimator = pytest.mark.parametrize("Estimator", [NimbleRegressor, NimbleClassifier])
# Short trainings may end while they still improve: what the warning says is so.
pytestmark = pytest.mark.filterwarnings("ignore:max_iter=:sklearn.exceptions.ConvergenceWarning")


def table(Estimator, n_rows=120, n_blocks=1, seed=0):
    """Return X, the same in every block of rows, and a target that suits the estimator."""
    rng = np.random.default_rng(seed)
    X = np.tile(rng.uniform(-1, 1, (n_rows // n_blocks, 3)), (n_blocks, 1))
    y = np.sin(4 * X[:, 0]) + X[:, 1] + 0.3 * rng.normal(size=len(X))
    return X, np.digitize(y, [-0.5, 0.6]) if Estimator is NimbleClassifier else y


def grid_scores(estimator, X, y, penalties, **more):
    """Return what scikit-learn's search finds, prices in rows and folds in columns."""
    search = GridSearchCV(estimator, {"size_penalty": penalties}, refit=False, **more).fit(X, y)
    n_splits = search.n_splits_
    return np.array([search.cv_results_[f"split{i}_test_score"] for i in range(n_splits)]).T


# ------------------------------------------------------------------ as one by one
# With the same X in every fold, its encoding is the same whether learned from all rows or not.
@pytest.mark.parametrize("n_estimators", [1, 2])
@pytest.mark.parametrize("n_rows", [80, 200], ids=["all rows at once", "batches"])
@every_estimator
def test_scores_are_those_of_a_grid_search(Estimator, n_rows, n_estimators):
    X, y = table(Estimator, n_rows, n_blocks=4)
    scoring = "neg_log_loss" if Estimator is NimbleClassifier else None
    cv, estimator = KFold(4), Estimator(**SHORT).set_params(n_estimators=n_estimators)
    path = nimble_path(
        X, y, estimator=estimator, size_penalties=PRICES, cv=cv, scoring=scoring,
        path_estimators=n_estimators,
    )  # fmt: skip
    expected = grid_scores(estimator, X, y, path.size_penalties, cv=cv, scoring=scoring)
    assert (path.sizes[-1] > 0).any()
    np.testing.assert_allclose(path.scores, expected, rtol=1e-7, atol=1e-9)


def test_sizes_are_those_of_single_fits():
    X, y = table(NimbleRegressor, 200, n_blocks=4)
    estimator = NimbleRegressor(**SHORT)
    path = nimble_path(X, y, estimator=estimator, size_penalties=PRICES, cv=KFold(4))
    for row, penalty in zip(path.sizes, path.size_penalties):
        for size, (train, _) in zip(row, KFold(4).split(X)):
            one = clone(estimator).set_params(size_penalty=penalty).fit(X[train], y[train])
            assert size == pytest.approx(one.size_weight_, rel=1e-8)


@pytest.mark.parametrize(
    "parameters",
    [
        {"loss": "poisson"}, {"loss": "quantile", "quantile": [0.2, 0.8]}, {"loss": "huber"},
        {"early_stopping": False}, {"target_size": 3}, {"n_hidden_layers": 1},
    ],
    ids=str,
)  # fmt: skip
def test_scores_are_those_of_a_grid_search_for(parameters):
    X, y = table(NimbleRegressor, 200, n_blocks=4)
    y = np.exp(y) if parameters.get("loss") == "poisson" else y
    estimator = NimbleRegressor(**SHORT, **parameters)
    path = nimble_path(X, y, estimator=estimator, size_penalties=PRICES[:2], cv=KFold(4))
    expected = grid_scores(estimator, X, y, path.size_penalties, cv=KFold(4))
    np.testing.assert_allclose(path.scores, expected, rtol=1e-6, atol=1e-9)


def test_balanced_classes_are_balanced_in_every_fold():
    X, y = table(NimbleClassifier, 200, n_blocks=4)
    # Linear: what has neurons also depends on the scales, for which rows count as in all folds.
    estimator = NimbleClassifier(**SHORT, class_weight="balanced").set_params(tol=0.5)
    path = nimble_path(X, y, estimator=estimator, size_penalties=PRICES[:2], cv=KFold(4))
    expected = grid_scores(estimator, X, y, path.size_penalties, cv=KFold(4))
    np.testing.assert_allclose(path.scores, expected, rtol=1e-7)


def test_a_fold_of_all_rows_is_a_fit_even_with_class_weights():
    X, y = table(NimbleClassifier)
    everything = [(np.arange(120), np.arange(120))]
    estimator = NimbleClassifier(**SHORT, class_weight={0: 1, 1: 1, 2: 20})
    options = {"cv": everything, "scoring": "neg_log_loss"}
    path = nimble_path(X, y, estimator=estimator, size_penalties=[1e-2], **options)
    expected = grid_scores(estimator, X, y, [1e-2], **options)
    np.testing.assert_allclose(path.scores, expected, rtol=1e-9)


def test_a_fold_takes_steps_of_as_many_rows_as_a_fit_to_it():
    X, y = table(NimbleRegressor, 1280, n_blocks=2)  # 40 rows a step, of 640
    estimator = NimbleRegressor(**SHORT | {"max_iter": 2}, early_stopping=False)
    options = {"cv": KFold(2)}
    path = nimble_path(X, y, estimator=estimator, size_penalties=[1e-3], **options)
    expected = grid_scores(estimator, X, y, [1e-3], **options)
    np.testing.assert_allclose(path.scores, expected, rtol=1e-7)


def test_losses_of_a_fold_are_shares_of_what_its_own_constant_loses():
    # X says nothing of y. Half of one fold's rows are in class 1, and a tenth of the other's.
    X = np.where(np.arange(200) % 2, 1.0, -1.0)[:, None]
    y = np.repeat([0, 1, 0, 1], [50, 50, 90, 10])
    folds = [(rows, rows) for rows in (np.arange(100), np.arange(100, 200))]
    slow = {"learning_rate_init": 1e-9, "early_stopping": False}  # it stays the constant
    path = nimble_path(
        X, y, estimator=NimbleClassifier(**SHORT, **slow), size_penalties=[1e-3], cv=folds,
        scoring=lambda model, X, y: model.prefix_losses(X, y)[0],
    )  # fmt: skip
    np.testing.assert_allclose(path.scores, 1.0, atol=1e-3)


def test_the_order_of_folds_makes_no_difference():
    X, y = table(NimbleRegressor)
    folds = [(np.flatnonzero(y < 1.0), np.arange(20)), (np.arange(20, 120), np.arange(20))]
    model = NimbleRegressor(**SHORT, loss="poisson", early_stopping=False)
    one, other = (
        nimble_path(X, np.exp(2 * y), estimator=model, size_penalties=2, cv=cv)
        for cv in (folds, folds[::-1])
    )
    np.testing.assert_allclose(one.size_penalties, other.size_penalties, rtol=1e-9)
    np.testing.assert_allclose(one.scores, other.scores[:, ::-1], rtol=1e-6)


def test_predictions_of_a_fold_reach_as_far_as_its_own_targets():
    y = np.linspace(-1.0, 1.0, 120)
    path = nimble_path(
        y[:, None], y, estimator=NimbleRegressor(**SHORT), size_penalties=[1e-2],
        cv=[(np.arange(60), np.arange(60, 120))],
        scoring=lambda model, X, y: model.predict(X).max(),
    )  # fmt: skip
    assert path.scores[0, 0] == pytest.approx(y[59])


@every_estimator
def test_on_any_table_scores_are_close_to_those_of_a_grid_search(Estimator):
    X, y = table(Estimator, 300)
    estimator = Estimator(**SHORT)
    path = nimble_path(X, y, estimator=estimator, size_penalties=PRICES, cv=3)
    expected = grid_scores(estimator, X, y, path.size_penalties, cv=3)
    np.testing.assert_allclose(path.scores.mean(axis=1), expected.mean(axis=1), atol=0.03)


# ------------------------------------------------------------------ rows
SPLITTERS = {
    "folds": 4,
    "shuffled": StratifiedKFold(3, shuffle=True, random_state=0),
    "one split": ShuffleSplit(1, random_state=0),
    "groups": GroupKFold(3),
    "uneven groups": LeaveOneGroupOut(),
    "predefined": PredefinedSplit(np.arange(120) % 3 - 1),
    "positions": [(np.arange(90), np.arange(90, 120)), (np.arange(20, 120), np.arange(20))],
    "masks": [(np.arange(120) < 90, np.arange(120) >= 90)],
}


@pytest.mark.parametrize("cv", SPLITTERS.values(), ids=SPLITTERS)
def test_any_splitter_will_do(cv):
    X, y = table(NimbleClassifier)
    needs_groups = isinstance(cv, GroupKFold | LeaveOneGroupOut)
    groups = np.repeat([0, 1, 2, 3], [10, 20, 40, 50]) if needs_groups else None
    estimator = NimbleClassifier(**SHORT)
    path = nimble_path(
        X, y, estimator=estimator, size_penalties=PRICES[1:], cv=cv, groups=groups,
        scoring="accuracy",
    )  # fmt: skip
    n_folds = len(list(sklearn.model_selection.check_cv(cv, y).split(X, y, groups)))
    assert path.scores.shape == path.sizes.shape == (2, n_folds)
    assert (path.scores.mean(axis=1) > 0.4).all()


def test_groups_that_a_splitter_needs_are_asked_for():
    X, y = table(NimbleRegressor)
    with pytest.raises(ValueError, match="groups"):
        nimble_path(X, y, cv=GroupKFold(3))


def test_a_row_of_weight_zero_is_absent():
    X, y = table(NimbleRegressor, 160)
    groups = np.arange(160) % 4
    weight = (np.arange(160) // 4 % 3 > 0).astype(float)
    kept = weight > 0
    common = {"estimator": NimbleRegressor(**SHORT), "size_penalties": PRICES}
    weighted = nimble_path(
        X, y, cv=LeaveOneGroupOut(), groups=groups, sample_weight=weight, **common
    )
    absent = nimble_path(X[kept], y[kept], cv=LeaveOneGroupOut(), groups=groups[kept], **common)
    np.testing.assert_allclose(weighted.scores, absent.scores, rtol=1e-7)
    np.testing.assert_allclose(weighted.sizes, absent.sizes, rtol=1e-7)


def test_a_row_of_weight_two_is_two_rows():
    X, y = table(NimbleRegressor, 60)
    groups, weight = np.arange(60) % 3, 1 + np.arange(60) // 3 % 2
    twice = np.repeat(np.arange(60), weight)
    common = {"estimator": NimbleRegressor(**SHORT), "size_penalties": PRICES}
    weighted = nimble_path(
        X, y, cv=LeaveOneGroupOut(), groups=groups, sample_weight=weight, **common
    )
    repeated = nimble_path(
        X[twice], y[twice], cv=LeaveOneGroupOut(), groups=groups[twice], **common
    )
    np.testing.assert_allclose(weighted.scores, repeated.scores, rtol=1e-7)


def test_a_fold_knows_nothing_of_the_classes_of_another():
    X, y = table(NimbleClassifier, n_rows=200)
    order = np.argsort(y)  # the first fold has hardly a row of the first class, the other all
    cv = [(np.sort(order[40:]), np.sort(order[:40])), (np.sort(order[:160]), np.sort(order[160:]))]
    sureness = make_scorer(lambda y, P: P.max(axis=1).mean(), response_method="predict_proba")
    options = {
        "estimator": NimbleClassifier(**SHORT), "size_penalties": [1e-3], "scoring": sureness,
    }  # fmt: skip
    together = nimble_path(X, y, cv=cv, **options).scores
    alone = [nimble_path(X, y, cv=[fold], **options).scores[:, 0] for fold in cv]
    np.testing.assert_allclose(together, np.transpose(alone), rtol=1e-9)


def test_a_fold_may_lack_a_class():
    X, y = table(NimbleClassifier)
    y[:3] = 7
    splits = [(np.arange(3, 120), np.arange(3)), (np.arange(60), np.arange(60, 120))]
    path = nimble_path(
        X, y, estimator=NimbleClassifier(**SHORT), size_penalties=PRICES[1:], cv=splits
    )
    assert (path.scores[:, 0] == 0).all()
    assert (path.scores[:, 1] > 0.4).all()


def test_the_table_is_held_once():
    X, y = table(NimbleRegressor, 200)
    model = NimbleRegressor(**SHORT)
    rows = model._check_data(X, y, None, reset=True)
    trains = [train for train, _ in KFold(4).split(X)]
    launched = []
    launch, model._launch = model._launch, lambda *a, **k: launched.append(launch(*a, **k))
    with pytest.raises(AttributeError):  # nothing was launched
        _Folds(model, *rows, trains).train(np.array(PRICES), 1)
    (training,) = launched
    assert len(training.members) == 12
    assert len(training.batches.rows) <= 200
    assert len(training.batches.own) == 4  # per fold those to learn from: nobody finishes


def test_too_many_networks_for_the_memory_are_refused(monkeypatch):
    monkeypatch.setattr(_start, "MEMORY_LIMIT", 2**22)
    X, y = table(NimbleRegressor)
    with pytest.raises(ValueError, match="40 networks of max_size=512.*folds and penalties"):
        nimble_path(X, y, estimator=NimbleRegressor(**SHORT))


# ------------------------------------------------------------------ scores
def test_a_scorer_may_have_a_name_or_be_a_function():
    X, y = table(NimbleRegressor)
    common = {"estimator": NimbleRegressor(**SHORT), "size_penalties": PRICES, "cv": 2}
    named = nimble_path(X, y, scoring="r2", **common).scores
    np.testing.assert_array_equal(nimble_path(X, y, **common).scores, named)
    np.testing.assert_array_equal(
        nimble_path(X, y, scoring=lambda model, X, y: model.score(X, y), **common).scores, named
    )


@pytest.mark.parametrize("takes_weights", [True, False])
def test_scores_are_weighted_where_the_scorer_takes_weights(takes_weights):
    X, y = table(NimbleRegressor)
    weight, seen = np.arange(120.0), []

    def weighted(model, X, y, sample_weight=None):
        seen.append(sample_weight)
        return model.score(X, y)

    def plain(model, X, y):
        return model.score(X, y)

    def mean_error(y, y_pred):
        return np.mean(np.abs(y - y_pred))

    common = {"estimator": NimbleRegressor(**SHORT), "size_penalties": [1e-2], "cv": KFold(2)}
    path = nimble_path(
        X, y, scoring=weighted if takes_weights else plain, sample_weight=weight, **common
    )
    assert path.scores.shape == (1, 2)
    if takes_weights:
        np.testing.assert_array_equal(np.concatenate(seen), weight)
    metric = make_scorer(mean_error, greater_is_better=False)
    path = nimble_path(X, y, scoring=metric, sample_weight=weight, **common)
    assert np.isfinite(path.scores).all()


@pytest.mark.parametrize("wish, takes_weights", [(None, True), (True, True), (False, False)])
def test_a_scorer_that_refuses_weights_gets_none(wish, takes_weights):
    X, y = table(NimbleRegressor)
    seen = []

    def metric(y, y_pred, sample_weight=None):
        seen.append(sample_weight is not None)
        return 0.0

    with sklearn.config_context(enable_metadata_routing=True):
        scorer = make_scorer(metric).set_score_request(sample_weight=wish)
    common = {"estimator": NimbleRegressor(**SHORT), "size_penalties": [1e-2], "cv": KFold(2)}
    nimble_path(X, y, scoring=scorer, sample_weight=np.ones(120), **common)
    assert seen == [takes_weights] * 2


def test_a_scorer_of_probabilities_takes_folds_that_lack_a_class():
    X, y = table(NimbleClassifier)
    y[:3] = 7
    path = nimble_path(
        X, y, estimator=NimbleClassifier(**SHORT), size_penalties=[1e-2], scoring="neg_log_loss",
        cv=[(np.arange(90), np.arange(90, 120))],
    )  # fmt: skip
    model = NimbleClassifier(**SHORT, size_penalty=1e-2).fit(X[:90], y[:90])
    expected = -log_loss(y[90:], model.predict_proba(X[90:]), labels=model.classes_)
    assert path.scores[0, 0] == pytest.approx(expected, abs=0.05)


def test_a_scorer_of_labels_is_asked_for_those_that_are_there_alone():
    X, y = table(NimbleClassifier)
    y[:3] = 7
    common = {
        "estimator": NimbleClassifier(**SHORT), "size_penalties": [1e-2],
        "cv": [(np.arange(90), np.arange(90, 120))],
    }  # fmt: skip
    found = nimble_path(X, y, scoring="f1_macro", **common).scores
    expected = nimble_path(
        X, y, scoring=lambda model, X, y: f1_score(y, model.predict(X), average="macro"), **common
    ).scores
    assert found[0, 0] == expected[0, 0] > 0.4


@pytest.mark.parametrize("scoring", ["neg_log_loss", "roc_auc"])
def test_a_scorer_of_probabilities_takes_several_labels(scoring):
    X, y = table(NimbleClassifier)
    Y = np.column_stack([y == 1, y == 2]).astype(int)
    estimator = NimbleClassifier(**SHORT)
    path = nimble_path(
        X, Y, estimator=estimator, size_penalties=[1e-2], cv=KFold(2), scoring=scoring
    )
    expected = grid_scores(estimator, X, Y, path.size_penalties, cv=KFold(2), scoring=scoring)
    np.testing.assert_allclose(path.scores, expected, atol=0.1)


@pytest.mark.parametrize("score", [{"r2": 0.5}, None, "good", [0.5, 0.5]])
def test_a_scorer_that_returns_no_number_is_named(score):
    X, y = table(NimbleRegressor)
    common = {"estimator": NimbleRegressor(**SHORT), "size_penalties": [1e-2], "cv": KFold(2)}
    with pytest.raises(
        TypeError, match=f"scoring must return a number, got {re.escape(repr(score))}"
    ):
        nimble_path(X, y, scoring=lambda model, X, y: score, **common)


def test_the_score_of_the_estimator_is_weighted():
    X, y = table(NimbleRegressor)
    weight = np.r_[np.ones(60), np.arange(60.0)]
    split = [(np.arange(60), np.arange(60, 120))]
    path = nimble_path(
        X, y, estimator=NimbleRegressor(**SHORT), size_penalties=[1e-1], cv=split,
        sample_weight=weight,
    )  # fmt: skip
    model = NimbleRegressor(**SHORT, size_penalty=1e-1).fit(X[:60], y[:60])
    expected = model.score(X[60:], y[60:], sample_weight=weight[60:])
    assert path.scores[0, 0] == pytest.approx(expected, abs=0.02)
    assert abs(model.score(X[60:], y[60:]) - expected) > 0.03


def test_a_scorer_sees_estimators_that_can_do_everything():
    X, y = table(NimbleRegressor)

    def scorer(model, X, y):
        assert len(model.estimators_) == model.n_estimators == 2
        assert max(one.n_iter_ for one in model.estimators_) == model.n_iter_
        assert all(one.history_ for one in model.estimators_)
        return model.resized(0).prefix_losses(X, y)[-1] * model._loss.scale_[0]

    common = {"estimator": NimbleRegressor(**SHORT), "cv": 3, "path_estimators": 2}
    found = nimble_path(X, y, scoring=scorer, size_penalties=[1e-3, 1e-2], **common).scores[0]
    expected = -nimble_path(
        X, y, scoring="neg_root_mean_squared_error", size_penalties=[1e3], **common
    ).scores[0]  # fmt: skip
    np.testing.assert_allclose(found, expected, rtol=0.02)


def test_a_fold_without_rows_that_weigh_is_refused():
    X, y = table(NimbleRegressor)
    weight = np.repeat([0.0, 1.0], 60)
    with pytest.raises(ValueError, match="cv leaves a fold no row to learn from"):
        nimble_path(X, y, cv=KFold(2), sample_weight=weight)


def test_a_fold_with_one_class_is_refused():
    X, y = table(NimbleClassifier)
    order = np.argsort(y != 1, kind="stable")
    with pytest.raises(ValueError, match="cv leaves a fold with one class to learn from, .*1"):
        nimble_path(X[order], y[order], estimator=NimbleClassifier(**SHORT), cv=TimeSeriesSplit(4))


def test_a_parameter_of_the_estimator_is_named_as_its_own():
    X, y = table(NimbleRegressor)
    with pytest.raises(ValueError, match="'max_iter' parameter of NimbleRegressor must be"):
        NimbleRegressorCV(NimbleRegressor(max_iter=-1)).fit(X, y)


def test_a_mask_of_another_table_is_refused():
    X, y = table(NimbleRegressor)
    cv = [(np.arange(120) < 90, np.arange(100) >= 90)]
    with pytest.raises(ValueError, match="cv has a mask of 100 rows, but X has 120"):
        nimble_path(X, y, cv=cv)


@pytest.mark.parametrize("scale", [1e-42, 1e38])
def test_the_scale_of_weights_may_be_extreme(scale):
    X, y = table(NimbleClassifier, 1000)
    weight = np.linspace(0.5, 1.5, len(y))
    common = {
        "estimator": NimbleClassifier(**SHORT | {"max_iter": 3}), "size_penalties": [1e-3],
        "scoring": "neg_log_loss", "cv": 2,
    }  # fmt: skip
    usual = nimble_path(X, y, sample_weight=weight, **common).scores
    extreme = nimble_path(X, y, sample_weight=scale * weight, **common).scores
    np.testing.assert_allclose(extreme, usual, rtol=0.02)


def test_rows_that_weigh_next_to_nothing_beside_others_are_still_rows():
    X, y = table(NimbleRegressor)
    weight = np.where(np.arange(len(y)) % 3, 1e30, 1e-300)
    common = {"estimator": NimbleRegressor(**SHORT), "size_penalties": [1e-3], "cv": 2}
    found = nimble_path(X, y, sample_weight=weight, **common).scores
    expected = nimble_path(X, y, sample_weight=np.maximum(weight / 1e30, 1e-300), **common).scores
    np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_one_network_of_a_path_starts_as_one_of_many():
    X, y = table(NimbleRegressor)
    paths = {"size_penalties": [1e-3], "cv": 2}
    alone = NimbleRegressor(early_stopping=False, **SHORT)
    many = clone(alone).set_params(n_estimators=4)
    found, small, large = (
        nimble_path(X, y, estimator=estimator, **paths).scores
        for estimator in (many, clone(alone).set_params(initial_size=8), alone)
    )
    np.testing.assert_array_equal(found, small)
    assert not np.array_equal(found, large)


def test_a_row_that_a_splitter_repeats_counts_as_often():
    X, y = table(NimbleRegressor)
    model = NimbleRegressor(initial_size=8, batch_size=120, early_stopping=False, **SHORT)
    common = {"estimator": model, "size_penalties": [1e-3]}
    train, test = np.arange(80), np.arange(80, 120)
    weight = np.where(np.arange(120) < 20, 9.0, 1.0)
    repeated = [(np.r_[train, np.repeat(train[:20], 8)], test)]
    by_weight = nimble_path(X, y, **common, cv=[(train, test)], sample_weight=weight)
    by_rows = nimble_path(X, y, **common, cv=repeated)
    once = nimble_path(X, y, **common, cv=[(train, test)])
    assert by_rows.scores[0, 0] == pytest.approx(by_weight.scores[0, 0], abs=2e-3)
    assert abs(by_rows.scores[0, 0] - once.scores[0, 0]) > 1e-2


def test_a_sparse_indicator_and_one_weight_for_all_are_taken():
    X, y = table(NimbleClassifier)
    common = {"estimator": NimbleClassifier(**SHORT), "size_penalties": [1e-3], "cv": KFold(2)}
    Y = np.eye(3, dtype=int)[y]
    dense = nimble_path(X, Y, **common)
    found = nimble_path(X, csr_array(Y), **common)
    np.testing.assert_array_equal(found.scores, dense.scores)
    weighted = nimble_path(X, csr_array(Y), **common, sample_weight=2.0)
    np.testing.assert_allclose(weighted.scores, dense.scores, atol=0.04)


# ------------------------------------------------------------------ prices
def test_prices_are_sorted_and_distinct():
    X, y = table(NimbleRegressor)
    path = nimble_path(
        X, y, estimator=NimbleRegressor(**SHORT), size_penalties=[1e-3, 0, 1e-1, 1e-3], cv=2
    )
    np.testing.assert_array_equal(path.size_penalties, [1e-1, 1e-3, 0])


@pytest.mark.parametrize("size_penalties, n_penalties", [(None, 8), (3, 3)])
def test_an_automatic_grid_begins_where_no_neuron_pays(size_penalties, n_penalties):
    X, y = table(NimbleRegressor)
    path = nimble_path(
        X, y, estimator=NimbleRegressor(**SHORT | {"max_iter": 1000, "tol": 5e-3}),
        size_penalties=size_penalties, cv=2,
    )  # fmt: skip
    assert len(path.size_penalties) == n_penalties
    assert path.size_penalties[0] == pytest.approx(1000 * path.size_penalties[-1])
    assert (path.sizes[0] == 0).all()
    assert (path.sizes[-1] > 0).all()


@pytest.mark.parametrize("max_size, n_first", [(512, 8), (3, 3)])
def test_an_automatic_grid_begins_where_the_first_neurons_would_have_to_explain_all(
    max_size, n_first
):
    X = np.random.default_rng(0).uniform(size=(60, 1))
    X = np.stack([X, -X], axis=1).reshape(-1, 1)  # of whose squares a line explains nothing
    model = NimbleRegressor(**SHORT | {"max_iter": 1}, max_size=max_size, initial_size=0)
    path = nimble_path(X, np.ravel(X**2), estimator=model, size_penalties=2, cv=KFold(2))
    assert path.size_penalties[0] == pytest.approx(1.0 / n_first)


def test_an_automatic_grid_has_no_unit():
    X, y = table(NimbleRegressor)
    common = {"estimator": NimbleRegressor(**SHORT), "size_penalties": 2, "cv": 2}
    one, other = (nimble_path(X, unit * y, **common).size_penalties for unit in (1.0, 1e5))
    np.testing.assert_allclose(one, other, rtol=1e-6)


def test_there_is_a_grid_where_a_linear_model_explains_all():
    X, _ = table(NimbleRegressor)
    path = nimble_path(X, X[:, 0], estimator=NimbleRegressor(**SHORT), size_penalties=2, cv=2)
    assert (path.size_penalties > 0).all()


@pytest.mark.parametrize(
    "size_penalties", [[1e-3, -1e-3], [[1e-3]], [np.nan], [np.inf], ["a"], [], 0, -2]
)
def test_prices_that_make_no_sense_are_refused(size_penalties):
    X, y = table(NimbleRegressor)
    with pytest.raises(ValueError, match="size_penalties"):
        nimble_path(X, y, size_penalties=size_penalties)


# ------------------------------------------------------------------ trainings
@pytest.mark.parametrize("warm_start", [False, True])
def test_a_path_anneals_unless_the_estimator_goes_on(warm_start):
    rng = np.random.default_rng(0)
    X, everything = rng.normal(size=(200, 3)), np.arange(200)
    y = np.sin(2.0 * X[:, 0]) + 0.1 * rng.normal(size=200)
    estimator = NimbleRegressor(
        n_estimators=1, warm_start=warm_start, max_iter=50, early_stopping=False, initial_size=16,
        size_penalty=1e-3, random_state=0,
    )  # fmt: skip
    cv = [(everything, everything)]
    path = nimble_path(X, y, estimator=estimator, size_penalties=[1e-3], cv=cv)
    alone = estimator.fit(X, y)
    assert path.sizes[0, 0] == pytest.approx(alone.size_weight_, rel=1e-6)
    assert path.scores[0, 0] == pytest.approx(alone.score(X, y), rel=1e-6)


def test_a_warning_tells_once_that_max_iter_cut_the_path_short():
    X, y = table(NimbleRegressor, 200)
    estimator = NimbleRegressor(**SHORT).set_params(max_iter=2, tol=0.0)
    with pytest.warns(ConvergenceWarning, match="max_iter=2 epochs") as caught:
        nimble_path(X, y, estimator=estimator, size_penalties=PRICES, cv=2)
    assert len(caught) == 1
    assert caught[0].filename == __file__


def test_a_divergence_names_the_learning_rate():
    X, y = table(NimbleRegressor)
    estimator = NimbleRegressor(**SHORT, learning_rate_init=1e30)
    with pytest.raises(ValueError, match="learning_rate_init=1e\\+30"):
        nimble_path(X, y, estimator=estimator, cv=2)


def test_folds_of_other_means_do_not_share_the_range_of_a_log_link():
    rng = np.random.RandomState(0)
    X, part = rng.rand(450, 2), np.repeat([0, 1, 2], 150)
    y = rng.poisson(np.where(part < 2, np.exp(10.0 * X[:, 0] - 6.0), 1000.0)).astype(float)
    first, second, third = (np.flatnonzero(part == k) for k in range(3))
    model = NimbleRegressor(loss="poisson", n_estimators=1, random_state=0, max_iter=60)
    options = {"estimator": model, "size_penalties": [1e-3], "scoring": "r2"}
    together = nimble_path(X, y, cv=[(first, second), (third, second)], **options)
    alone = nimble_path(X, y, cv=[(first, second)], **options)
    np.testing.assert_allclose(together.scores[0, 0], alone.scores[0, 0], atol=1e-3)
