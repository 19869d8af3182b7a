"""The shipped search space suits every search, and every point of it fits."""

import numpy as np
import pytest
from sklearn.datasets import make_friedman1
from sklearn.experimental import enable_halving_search_cv  # noqa: F401
from sklearn.model_selection import HalvingRandomSearchCV, ParameterSampler, RandomizedSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sknimble import NimbleClassifier, NimbleRegressor, search_space
from sknimble._search import CHOICES, RANGES

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


@pytest.fixture
def data():
    return make_friedman1(120, 5, random_state=0)


class Trial:
    """Suggests as Optuna's trials do: the lowest value or the last choice."""

    def suggest_float(self, name, low, high, *, log):
        assert log
        return low

    def suggest_categorical(self, name, choices):
        return choices[-1]


@pytest.mark.parametrize("kind", [NimbleRegressor, NimbleClassifier])
def test_the_space_names_parameters_of_both_estimators(kind):
    assert search_space().keys() <= kind().get_params().keys()


def test_every_range_holds_the_default_and_every_choice_offers_it():
    defaults = NimbleRegressor().get_params()
    for name, (low, high) in RANGES.items():
        assert low < defaults[name] < high
    for name, values in CHOICES.items():
        assert defaults[name] in values


def test_a_trial_gives_values_and_none_gives_distributions():
    assert search_space(Trial()).keys() == search_space().keys()
    assert search_space(Trial())["size_penalty"] == RANGES["size_penalty"][0]
    draws = search_space()["size_penalty"].rvs(100, random_state=0)
    assert np.ptp(np.log10(draws)) > 2


def test_a_prefix_is_put_before_every_name():
    assert set(search_space(prefix="a__")) == {f"a__{name}" for name in search_space()}


def test_every_corner_of_the_space_can_be_fitted(data):
    for values in ParameterSampler(search_space(), 6, random_state=0):
        NimbleRegressor(**values, max_iter=2, n_estimators=1).fit(*data)
    NimbleRegressor(**search_space(Trial()), max_iter=2, n_estimators=1).fit(*data)


def test_it_can_be_searched_at_random_in_a_pipeline(data):
    model = make_pipeline(StandardScaler(), NimbleRegressor(max_iter=3, n_estimators=1))
    space = search_space(prefix="nimbleregressor__")
    search = RandomizedSearchCV(model, space, n_iter=3, cv=2, random_state=0).fit(*data)
    assert set(search.best_params_) == set(space)


def test_epochs_can_be_the_resource_of_a_halving_search(data):
    search = HalvingRandomSearchCV(
        NimbleRegressor(n_estimators=1, random_state=0), search_space(), resource="max_iter",
        min_resources=2, max_resources=8, factor=2, n_candidates=4, cv=2, random_state=0,
    ).fit(*data)  # fmt: skip
    assert search.n_resources_ == [2, 4, 8]
    assert search.best_estimator_.n_iter_ <= 8


def test_optuna_can_search_it(data):
    optuna = pytest.importorskip("optuna")
    optuna.logging.set_verbosity(optuna.logging.ERROR)

    def objective(trial):
        model = NimbleRegressor(**search_space(trial), max_iter=2, n_estimators=1)
        return model.fit(*data).score(*data)

    study = optuna.create_study(direction="maximize")
    study.optimize(objective, n_trials=2)
    assert study.best_params.keys() == search_space().keys()
