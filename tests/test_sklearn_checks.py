"""The contract of scikit-learn holds: every check passes, for every kind of training."""

import os
import subprocess
import sys

import pytest
import sklearn
from sklearn.base import clone
from sklearn.datasets import make_classification
from sklearn.utils.estimator_checks import (
    check_class_weight_balanced_classifiers,
    check_dataframe_column_names_consistency,
    check_param_validation,
    parametrize_with_checks,
)
from sklearn.utils.fixes import parse_version

from sknimble import NimbleClassifier, NimbleClassifierCV, NimbleRegressor, NimbleRegressorCV

ESTIMATORS = [NimbleRegressor, NimbleClassifier]

# Few epochs: a variant differs from the defaults in what it does, not in how long it does it.
VARIANTS = {
    "one layer of tanh, in batches": {
        "n_hidden_layers": 1,
        "activation": "tanh",
        "batch_size": 8,
    },
    "early stopping and a target size": {"early_stopping": True, "target_size": 5},
    "one plain network": {"n_estimators": 1, "encoding": "none"},
    "warm start": {"warm_start": True},
}

every_estimator = pytest.mark.parametrize("Estimator", ESTIMATORS)


def with_checks(estimators):
    """Return scikit-learn's mark, its cases in a list: 1.6 leaves them in a generator."""
    mark = parametrize_with_checks(estimators)
    names, cases = mark.args
    return pytest.mark.parametrize(names, list(cases), **mark.kwargs)


def run(check, estimator):
    """Run a check; two epochs are enough for many fits to tables that differ in format alone."""
    if check.func.__name__ in ("check_estimator_sparse_array", "check_estimator_sparse_matrix"):
        estimator = clone(estimator).set_params(max_iter=2)
    check(estimator)


@with_checks([Estimator() for Estimator in ESTIMATORS])
@pytest.mark.filterwarnings("ignore:max_iter=2 :sklearn.exceptions.ConvergenceWarning")
def test_defaults_pass_every_check(estimator, check):
    run(check, estimator)


@with_checks([NimbleClassifier(class_weight="balanced", max_iter=15)])
@pytest.mark.filterwarnings("ignore:max_iter=:sklearn.exceptions.ConvergenceWarning")
def test_balanced_classes_pass_every_check(estimator, check):
    run(check, estimator)


# A few epochs may end while a held-out loss still improves: what the warning says is so.
@pytest.mark.filterwarnings("ignore:max_iter=:sklearn.exceptions.ConvergenceWarning")
@with_checks(
    [
        Estimator(max_iter=15, **parameters)
        for parameters in VARIANTS.values()
        for Estimator in ESTIMATORS
    ]
)
def test_variants_pass_every_check(estimator, check):
    run(check, estimator)


# Its checks hand over tiny tables, of which scikit-learn's own splitter warns.
@pytest.mark.filterwarnings("ignore:max_iter=:sklearn.exceptions.ConvergenceWarning")
@pytest.mark.filterwarnings("ignore:The least populated class")
@with_checks(
    [
        NimbleRegressorCV(NimbleRegressor(max_iter=5, n_estimators=1), size_penalties=2, cv=3),
        NimbleClassifierCV(NimbleClassifier(max_iter=5, n_estimators=1), size_penalties=2, cv=3),
        NimbleRegressorCV(
            NimbleRegressor(max_iter=5, n_estimators=2), size_penalties=[1e-3], cv=2,
            path_estimators=2, selection="one_se",
        ),
        NimbleClassifierCV(
            NimbleClassifier(max_iter=5, n_estimators=2), size_penalties=[1e-3], cv=2,
            path_estimators=2, selection="one_se",
        ),
    ]
)  # fmt: skip
def test_searches_pass_every_check(estimator, check):
    check(estimator)


@every_estimator
def test_parameters_are_validated(Estimator):
    check_param_validation(Estimator.__name__, Estimator(max_iter=2))


@every_estimator
def test_column_names_are_compared(Estimator):
    estimator = Estimator(max_iter=2, early_stopping=False)
    check_dataframe_column_names_consistency(Estimator.__name__, estimator)


def test_balanced_class_weights_help_on_unequal_classes():
    # The table scikit-learn's own tests of this check were made for.
    X, y = make_classification(200, 10, weights=[0.8, 0.2], n_informative=2, random_state=0)
    check_class_weight_balanced_classifiers(
        "NimbleClassifier", NimbleClassifier(), X[:100], y[:100], X[100:], y[100:], [0.8, 0.2]
    )


@pytest.mark.skipif(parse_version(sklearn.__version__) < parse_version("1.9"), reason="no check")
def test_array_api_input_is_checked_too():
    # scikit-learn skips this check unless scipy was imported with this variable set.
    code = (
        "from sklearn.utils.estimator_checks import check_array_api_input\n"
        "from sknimble import NimbleClassifier, NimbleRegressor\n"
        "for Estimator in NimbleClassifier, NimbleRegressor:\n"
        "    model = Estimator(max_iter=5, early_stopping=False)\n"
        "    check_array_api_input(Estimator.__name__, model, 'numpy')"
    )
    subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        env=os.environ | {"SCIPY_ARRAY_API": "1"}, check=True,
    )  # fmt: skip
