"""The table as it came: every dtype in, one float matrix out."""

import datetime
import pickle
import subprocess
import sys
import tracemalloc

import numpy as np
import pandas as pd
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse
from sklearn import config_context
from sklearn.base import BaseEstimator, clone
from sklearn.exceptions import NotFittedError
from sklearn.utils.estimator_checks import check_estimator

from sknimble._tables import TableEncoder, validate_table

ENCODINGS = ["none", "piecewise"]
quick = settings(max_examples=30, deadline=None)


def torture_columns(n=200):
    """Return a dict of lists: every kind of column, most of them with gaps."""
    rng = np.random.default_rng(0)
    gap = rng.random(n) < 0.1

    def holes(values):
        return [None if missing else value for missing, value in zip(gap, values, strict=True)]

    return {
        "float": rng.normal(size=n).tolist(),
        "float with gaps": holes(rng.lognormal(size=n).tolist()),
        "integer": rng.integers(0, 1000, n).tolist(),
        "nullable": holes(rng.integers(0, 9, n).tolist()),
        "boolean": (rng.random(n) < 0.3).tolist(),
        "boolean with gaps": holes((rng.random(n) < 0.3).tolist()),
        "constant": [7.5] * n,
        "nothing": [None] * n,
        "text": holes(rng.choice(["größe", "名前", "", " ", "None"], n).tolist()),
        "digits": rng.choice(["1", "2", "10"], n).tolist(),
        "many": [f"level {k}" for k in rng.integers(0, 5000, n)],
        "category": holes(rng.choice(["a", "b", "c"], n).tolist()),
    }


def as_pandas(columns):
    frame = pd.DataFrame(columns, index=[0] * len(columns["float"]))
    frame["nullable"] = frame["nullable"].astype("Int64")
    return frame.astype({"boolean with gaps": "boolean", "category": "category"})


def as_polars(columns):
    return pl.DataFrame(columns).with_columns(pl.col("category").cast(pl.Categorical))


def encode(X, weight=None, **parameters):
    return TableEncoder(**parameters).fit_transform(X, sample_weight=weight)


# ------------------------------------------------------------------ the contract


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_encoder_keeps_the_contract_of_scikit_learn(encoding):
    check_estimator(TableEncoder(encoding=encoding), on_skip=None)


def test_transform_before_fit_says_so():
    with pytest.raises(NotFittedError):
        TableEncoder().transform([[1.0]])


def test_validation_speaks_for_the_estimator_that_asks():
    class Anyone(BaseEstimator):
        pass

    estimator = Anyone()
    validate_table(estimator, pd.DataFrame({"a": [1], "b": ["x"]}), reset=True)
    assert estimator.feature_names_in_.tolist() == ["a", "b"]
    with pytest.raises(ValueError, match="X has 1 features, but Anyone is expecting 2"):
        validate_table(estimator, np.ones((3, 1)), reset=False) if not hasattr(estimator, "feature_names_in_") else (
            delattr(estimator, "feature_names_in_"),
            validate_table(estimator, np.ones((3, 1)), reset=False),
        )


def test_import_needs_no_dataframe_library_and_no_torch():
    code = (
        "import sys, sknimble._tables as t; t.TableEncoder().fit([[1., 'a'], [2., None]]);"
        "print([m for m in ('pandas', 'polars', 'torch') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
