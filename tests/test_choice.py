"""The price that is chosen, and the estimator that is fitted with it."""

import pickle

import numpy as np
import pytest
import sklearn
from sklearn.base import clone, is_classifier, is_regressor
from sklearn.exceptions import NotFittedError
from sklearn.metrics import get_scorer
from sklearn.model_selection import GridSearchCV, GroupKFold, cross_validate
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sknimble import (
    NimbleClassifier,
    NimbleClassifierCV,
    NimbleRegressor,
    NimbleRegressorCV,
    nimble_path,
)
from sknimble._choice import choose

SHORT = {"max_iter": 20, "tol": 1e-3, "random_state": 0, "encoding": "none", "n_estimators": 1}
PRICES = [1e-4, 1e-2, 1e-1]
CVS = {NimbleRegressor: NimbleRegressorCV, NimbleClassifier: NimbleClassifierCV}
SCORES = np.array([[0.1, 0.3], [0.5, 0.9], [0.6, 1.0], [0.8, 0.7]])

every_cv = pytest.mark.parametrize("Estimator, CV", CVS.items())
# Short trainings may end while they still improve: what the warning says is so.
pytestmark = pytest.mark.filterwarnings("ignore:max_iter=:sklearn.exceptions.ConvergenceWarning")


def table(Estimator):
    """Return X and a target that suits the estimator."""
    rng = np.random.default_rng(0)
    X = rng.uniform(-1, 1, (120, 3))
    y = np.sin(4 * X[:, 0]) + X[:, 1] + 0.3 * rng.normal(size=len(X))
    return X, np.digitize(y, [-0.5, 0.6]) if Estimator is NimbleClassifier else y


# ------------------------------------------------------------------ the choice
def test_the_best_mean_score_is_chosen():
    assert choose(SCORES, "best") == 2


def test_within_one_standard_error_the_highest_price_is_chosen():
    # 0.8 is the best mean, its standard error 0.2: 0.7 is within, 0.2 is not.
    assert choose(SCORES, "one_se") == 1
    # 0.8 again: of two folds the deviation is 0.28, which 0.55 would be within
    assert choose(np.vstack([[0.3, 0.8], SCORES]), "one_se") == 2
    assert choose(np.vstack([[0.33, 0.93], SCORES]), "one_se") == 0  # 0.63 is
    assert choose(SCORES[:, :1], "one_se") == 3  # one fold has no standard error


def test_of_equal_scores_the_highest_price_is_chosen():
    scores = np.array([[0.2, 0.3], [0.5, 0.6], [0.5, 0.6 + 1e-12]])
    assert choose(scores, "best") == 1


def test_scores_that_differ_by_a_millionth_differ():
    scores = np.array([[0.5, 0.5], [0.500001, 0.500001]])
    assert choose(scores, "best") == 1


@pytest.mark.parametrize("unit", [1e-12, 1e-3, 1e9])
def test_the_unit_of_the_scores_does_not_matter(unit):
    assert choose(-unit * (1.0 - SCORES), "best") == 2
    assert choose(-unit * (1.0 - SCORES), "one_se") == 1


@pytest.mark.parametrize("selection", ["best", "one_se"])
def test_scores_may_be_infinite(selection):
    assert choose(np.array([[0.1, 0.3], [np.inf, 0.0], [0.2, 0.2]]), selection) == 1
    assert choose(np.full((3, 2), -np.inf), selection) == 0
    assert choose(np.array([[-1e9, -1e9], [0.5, 0.5], [0.9, 0.9]]), selection) == 2
    assert choose(np.array([[-np.inf, 0.3], [0.2, 0.2]]), selection) == 1


def test_a_score_that_is_no_number_is_never_chosen():
    scores = SCORES.copy()
    scores[2, 0] = np.nan
    assert choose(scores, "best") == 3
    with pytest.raises(ValueError, match="nan"):
        choose(np.full((2, 2), np.nan), "best")


# ------------------------------------------------------------------ the final fit
@every_cv
def test_the_final_fit_is_that_of_the_estimator_at_the_chosen_price(Estimator, CV):
    X, y = table(Estimator)
    estimator = Estimator(**SHORT).set_params(n_estimators=2)
    model = CV(estimator, size_penalties=PRICES, cv=3).fit(X, y)
    best = np.argmax(model.scores_path_.mean(axis=1))
    assert model.size_penalty_ == model.size_penalties_[best]
    alone = clone(estimator).set_params(size_penalty=model.size_penalty_).fit(X, y)
    np.testing.assert_array_equal(model.predict(X), alone.predict(X))
    assert model.score(X, y) == alone.score(X, y)
    for name in ("n_hidden_", "size_weight_", "n_parameters_", "n_iter_", "n_features_in_"):
        assert getattr(model, name) == getattr(alone, name)
    assert len(model.history_) == len(alone.history_)
    assert model.size_path_.shape == (3, 3)


def test_the_final_fit_has_the_weights_of_the_rows():
    X, y = table(NimbleRegressor)
    weight = np.linspace(0, 1, len(y))
    estimator = NimbleRegressor(**SHORT, size_penalty=1e-2)
    model = NimbleRegressorCV(estimator, size_penalties=[1e-2], cv=2)
    alone = estimator.fit(X, y, sample_weight=weight)
    np.testing.assert_array_equal(
        model.fit(X, y, sample_weight=weight).predict(X), alone.predict(X)
    )


def test_quantiles_are_scored_as_their_estimator_scores_them():
    X, y = table(NimbleRegressor)
    model = NimbleRegressor(**SHORT, loss="quantile", quantile=[0.2, 0.8])
    search = NimbleRegressorCV(model, size_penalties=PRICES[:2], cv=2).fit(X, y)
    assert search.score(X, y) == search.estimator_.score(X, y)


def test_a_classifier_tells_probabilities():
    X, y = table(NimbleClassifier)
    model = NimbleClassifierCV(NimbleClassifier(**SHORT), size_penalties=PRICES[:2], cv=2)
    model.fit(X, y)
    final = model.estimator_
    for method in ("predict_proba", "predict_log_proba", "decision_function"):
        np.testing.assert_array_equal(getattr(model, method)(X), getattr(final, method)(X))
    np.testing.assert_array_equal(model.classes_, [0, 1, 2])


def test_a_seed_of_its_own_comes_first():
    X, y = table(NimbleRegressor)
    estimator = NimbleRegressor(**SHORT)
    common = {"size_penalties": PRICES[:2], "cv": 2}
    one = NimbleRegressorCV(clone(estimator).set_params(random_state=5), **common).fit(X, y)
    other = NimbleRegressorCV(estimator, random_state=5, **common).fit(X, y)
    np.testing.assert_array_equal(one.scores_path_, other.scores_path_)
    np.testing.assert_array_equal(one.predict(X), other.predict(X))
    assert estimator.random_state == 0


def test_the_path_has_as_many_networks_as_asked_for():
    X, y = table(NimbleRegressor)
    options = {"size_penalties": PRICES[:2], "cv": 2, "path_estimators": 2}
    model = NimbleRegressorCV(NimbleRegressor(**SHORT), **options).fit(X, y)
    path = nimble_path(X, y, estimator=NimbleRegressor(**SHORT), **options)
    np.testing.assert_array_equal(model.scores_path_, path.scores)
    np.testing.assert_array_equal(model.size_path_, path.sizes)
    assert len(model.estimator_.estimators_) == 1


def test_the_estimator_given_is_left_alone():
    X, y = table(NimbleRegressor)
    estimator = NimbleRegressor(**SHORT)
    before = dict(vars(estimator))
    NimbleRegressorCV(estimator, size_penalties=PRICES[:2], cv=2).fit(X, y)
    assert vars(estimator) == before


def test_a_generator_goes_on_from_fit_to_fit():
    X = np.random.RandomState(0).randn(120, 3)
    model = NimbleRegressorCV(
        NimbleRegressor(n_estimators=1, max_iter=3), size_penalties=[1e-3], cv=2,
        random_state=np.random.RandomState(0),
    )  # fmt: skip
    first, second = (model.fit(X, X[:, 0] ** 2).predict(X) for _ in range(2))
    assert not np.array_equal(first, second)


# ------------------------------------------------------------------ scikit-learn's contract
@every_cv
def test_it_is_what_its_estimator_is(Estimator, CV):
    assert is_classifier(CV()) == is_classifier(Estimator())
    assert is_regressor(CV()) == is_regressor(Estimator())
    tags, inner = CV().__sklearn_tags__(), Estimator().__sklearn_tags__()
    assert tags.input_tags == inner.input_tags
    assert tags.target_tags == inner.target_tags
    assert tags.classifier_tags == inner.classifier_tags
    assert tags.regressor_tags == inner.regressor_tags


@every_cv
def test_before_fit_nothing_is_known(Estimator, CV):
    model = CV()
    for name in ("n_hidden_", "n_features_in_", "feature_names_in_", "history_"):
        assert not hasattr(model, name)
    with pytest.raises(NotFittedError):
        model.predict(np.zeros((1, 3)))


@every_cv
def test_an_estimator_of_another_kind_is_refused(Estimator, CV):
    X, y = table(Estimator)
    other = NimbleClassifier if Estimator is NimbleRegressor else NimbleRegressor
    with pytest.raises(ValueError, match="'estimator' parameter"):
        CV(other()).fit(X, y)


@every_cv
def test_saved_and_loaded_it_predicts_the_same(Estimator, CV):
    X, y = table(Estimator)
    model = CV(Estimator(**SHORT), size_penalties=PRICES[:2], cv=2).fit(X, y)
    restored = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(restored.predict(X), model.predict(X))
    np.testing.assert_array_equal(restored.scores_path_, model.scores_path_)


def test_parameters_of_its_estimator_can_be_searched_in_a_pipeline():
    X, y = table(NimbleRegressor)
    path = NimbleRegressorCV(NimbleRegressor(**SHORT), size_penalties=PRICES[:2], cv=2)
    grid = {"nimbleregressorcv__estimator__n_hidden_layers": [1, 2]}
    search = GridSearchCV(make_pipeline(StandardScaler(), path), grid, cv=2).fit(X, y)
    final = search.best_estimator_[-1].estimator_
    assert [final.n_hidden_layers] == list(search.best_params_.values())


def test_columns_of_a_frame_keep_their_names():
    pd = pytest.importorskip("pandas")
    X, y = table(NimbleRegressor)
    X = pd.DataFrame(X, columns=["a", "b", "c"])
    X["d"] = pd.Categorical(np.where(y > 0, "up", "down"))
    model = NimbleRegressorCV(NimbleRegressor(**SHORT), size_penalties=PRICES[:2], cv=2)
    assert list(model.fit(X, y).feature_names_in_) == ["a", "b", "c", "d"]
    assert model.score(X, y) > 0.5


def test_metadata_is_routed():
    X, y = table(NimbleRegressor)
    groups = np.arange(120) % 6
    seen = []

    class Recording(GroupKFold):
        def split(self, X, y=None, groups=None):
            seen.append(len(groups))
            return super().split(X, y, groups)

    with sklearn.config_context(enable_metadata_routing=True):
        model = NimbleRegressorCV(
            NimbleRegressor(**SHORT), size_penalties=PRICES[:2], cv=Recording(2)
        ).set_fit_request(groups=True, sample_weight=True)
        scoring = get_scorer("r2").set_score_request(sample_weight=True)
        result = cross_validate(
            model, X, y, cv=GroupKFold(3), scoring=scoring,
            params={"groups": groups, "sample_weight": np.ones(120)},
        )  # fmt: skip
    assert seen == [80, 80, 80]
    assert np.isfinite(result["test_score"]).all()
