"""A path of prices is cross-validated in one computation."""

import pickle

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.datasets import load_breast_cancer, make_friedman1
from sklearn.model_selection import GroupKFold, KFold

from sknimble import (
    NimbleClassifier,
    NimbleClassifierCV,
    NimbleRegressor,
    NimbleRegressorCV,
    nimble_path,
)

PRICES = [1e-2, 1e-3, 1e-4]


@pytest.fixture(scope="module")
def rows():
    return make_friedman1(300, n_features=6, noise=0.5, random_state=0)


@pytest.fixture(scope="module")
def small():
    return NimbleRegressor(n_estimators=1, max_iter=25, early_stopping=False, random_state=0)


@pytest.fixture(scope="module")
def fitted(rows, small):
    return NimbleRegressorCV(small, size_penalties=PRICES, cv=3).fit(*rows)


def test_there_is_a_score_for_every_price_and_fold(fitted):
    assert fitted.scores_path_.shape == (3, 3)
    assert np.isfinite(fitted.scores_path_).all()


def test_the_best_mean_score_is_chosen(fitted):
    best = fitted.scores_path_.mean(axis=1).argmax()
    assert fitted.size_penalty_ == fitted.size_penalties_[best]


def test_dearer_neurons_make_smaller_networks(fitted):
    order = np.argsort(fitted.size_penalties_)
    sizes = np.asarray(fitted.size_path_).reshape(3, -1).mean(axis=1)[order]
    assert (np.diff(sizes) < 0).all()


def test_the_final_fit_is_that_of_the_chosen_price(fitted, rows, small):
    X, y = rows
    alone = clone(small).set_params(size_penalty=fitted.size_penalty_).fit(X, y)
    np.testing.assert_array_equal(fitted.predict(X), alone.predict(X))


def test_one_standard_error_never_chooses_a_cheaper_price(rows, small, fitted):
    frugal = NimbleRegressorCV(small, size_penalties=PRICES, cv=3, selection="one_se").fit(*rows)
    assert frugal.size_penalty_ >= fitted.size_penalty_


def test_a_splitter_and_groups_are_respected(rows, small):
    X, y = rows
    groups = np.arange(len(y)) // 60
    path = nimble_path(X, y, estimator=small, size_penalties=PRICES[:2], cv=GroupKFold(5), groups=groups)
    assert path.scores.shape == (2, 5)


def test_a_score_is_that_of_a_network_trained_on_the_fold_alone(rows, small):
    X, y = rows
    cv = KFold(3, shuffle=True, random_state=0)
    path = NimbleRegressorCV(small, size_penalties=[1e-3], cv=cv).fit(X, y)
    train, test = next(cv.split(X))
    alone = clone(small).set_params(size_penalty=1e-3).fit(X[train], y[train])
    assert abs(path.scores_path_[0, 0] - alone.score(X[test], y[test])) < 0.05


def test_the_classifier_chooses_and_predicts():
    X, y = load_breast_cancer(return_X_y=True)
    one = NimbleClassifier(n_estimators=1, max_iter=15, early_stopping=False, random_state=0)
    model = NimbleClassifierCV(one, size_penalties=PRICES[:2], cv=3).fit(X, y)
    assert model.score(X, y) > 0.95
    assert model.predict_proba(X).shape == (len(y), 2)


def test_a_pickle_predicts_the_same(fitted, rows):
    again = pickle.loads(pickle.dumps(fitted))
    np.testing.assert_array_equal(again.predict(rows[0]), fitted.predict(rows[0]))
