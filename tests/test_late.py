"""Rows encoded when they are read are the rows encoded at once, and take less memory."""

import tracemalloc

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from sklearn.datasets import make_friedman1

import sknimble._late as late
from sknimble import NimbleClassifier, NimbleRegressor, nimble_path
from sknimble._late import LateMatrix, encode_early_or_late, linear_inputs, read
from sknimble._tables import TableEncoder


@pytest.fixture
def table():
    X, y = make_friedman1(300, 5, random_state=0)
    X = pd.DataFrame(X, columns=list("abcde"))
    X["level"] = np.where(y > 14, "high", "low")
    X.loc[::9, "b"] = np.nan
    return X, y


@pytest.fixture(params=["frame", "array"])
def pair(table, request):
    """Return the same rows, late and early."""
    X = table[0] if request.param == "frame" else table[0].drop(columns="level").to_numpy()
    encoder = TableEncoder(encoding="piecewise").fit(X)
    return LateMatrix(encoder, encoder.compress(X)), encoder.encode(X)


def test_an_array_of_numbers_is_read_and_not_copied():
    X = np.random.default_rng(0).normal(size=(50, 3))
    encoder = TableEncoder().fit(X)
    lazy = LateMatrix(encoder, encoder.compress(X))
    columns = encoder.compress(np.asfortranarray(X))  # whose rows lie scattered: they are copied
    np.testing.assert_array_equal(LateMatrix(encoder, columns).toarray(), lazy.toarray())
    assert isinstance(columns, np.ndarray)
    X[7] = X[8]
    np.testing.assert_array_equal(read(lazy, [7]), read(lazy, [8]))
    X[7, 0] = np.inf
    with pytest.raises(ValueError, match="infinity .* in column 'x0'"):
        encoder.compress(X)


def test_it_is_the_matrix_that_the_table_makes(pair):
    lazy, matrix = pair
    assert lazy.shape == matrix.shape
    assert lazy.dtype == matrix.dtype
    np.testing.assert_array_equal(lazy.toarray(), matrix)


@pytest.mark.parametrize(
    "rows",
    [slice(3, 70), np.array([5, 1, 1, 200]), np.arange(300) % 3 == 0, slice(None)],
    ids=["slice", "positions", "mask", "all"],
)
def test_choosing_rows_chooses_rows_of_the_matrix(pair, rows):
    lazy, matrix = pair
    np.testing.assert_array_equal(lazy[rows].toarray(), matrix[rows])
    np.testing.assert_array_equal(lazy[10:][5:50].toarray(), matrix[10:][5:50])
    np.testing.assert_array_equal(read(lazy, rows), read(matrix, rows))


def test_plain_columns_and_ones(pair):
    lazy, matrix = pair
    n_plain = lazy.table.n_plain_features_
    plain = lazy.plain()
    assert plain.shape == (300, n_plain)
    np.testing.assert_array_equal(plain[7:9].toarray(), matrix[7:9, :n_plain])
    with_ones = lazy.add_ones()
    assert with_ones.shape == (300, matrix.shape[1] + 1)
    np.testing.assert_array_equal(with_ones[2:5].toarray()[:, -1], [1.0, 1.0, 1.0])


def test_a_linear_model_reads_the_same_inputs_from_either(pair, monkeypatch):
    lazy, matrix = pair
    rows, encoder = np.arange(300)[::3], lazy.table
    monkeypatch.setattr(late, "_BLOCK_CELLS", 7 * matrix.shape[1])
    expected = matrix[rows, : encoder.n_plain_features_], matrix[rows] @ encoder.unclipped
    for X in (matrix, lazy):
        used, inputs = linear_inputs(X, rows, encoder)
        np.testing.assert_array_equal(used, rows)
        for found, same in zip(inputs, expected, strict=True):
            np.testing.assert_allclose(found, same, rtol=1e-12, atol=1e-12)
    _, [everything] = linear_inputs(matrix, rows, None)
    np.testing.assert_array_equal(everything, matrix[rows])


def test_many_rows_are_read_in_blocks(pair, monkeypatch):
    lazy, matrix = pair
    monkeypatch.setattr(late, "_BLOCK_CELLS", 7 * matrix.shape[1])
    np.testing.assert_array_equal(lazy.toarray(), matrix)


def test_a_sample_is_spread_over_all_rows_and_enough_for_the_columns(pair, monkeypatch):
    lazy, matrix = pair
    rows, encoder = np.arange(300), lazy.table

    def used(X):
        return linear_inputs(X, rows, encoder)[0]

    monkeypatch.setattr(late, "_FEW_CELLS", 10 * encoder.n_plain_features_)
    monkeypatch.setattr(late, "_ROWS_PER_COLUMN", 0)
    np.testing.assert_array_equal(used(lazy), rows[::30])
    monkeypatch.setattr(late, "_ROWS_PER_COLUMN", 100)
    np.testing.assert_array_equal(used(lazy), rows)
    np.testing.assert_array_equal(used(matrix), rows)


def test_only_large_matrices_are_late(table, monkeypatch):
    X, _ = table
    encoder = TableEncoder().fit(X)
    assert isinstance(encode_early_or_late(encoder, X), np.ndarray)
    monkeypatch.setattr(late, "LATE_CELLS", len(X) * encoder.n_features_out_)
    assert isinstance(encode_early_or_late(encoder, X), LateMatrix)


def test_a_sparse_table_is_never_late(monkeypatch):
    monkeypatch.setattr(late, "LATE_CELLS", 1)
    X = sp.random_array((50, 4), density=0.2, rng=np.random.default_rng(0), format="csr")
    assert sp.issparse(encode_early_or_late(TableEncoder().fit(X), X))


@pytest.mark.parametrize("n_estimators", [1, 3])
@pytest.mark.parametrize("early_stopping", [True, False])
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_networks_are_the_same_early_and_late(table, monkeypatch, n_estimators, early_stopping):
    X, y = table
    parameters = {
        "max_iter": 4, "n_estimators": n_estimators, "early_stopping": early_stopping,
        "random_state": 0,
    }  # fmt: skip
    for model, target in [(NimbleRegressor(), y), (NimbleClassifier(), y > 14)]:
        model.set_params(**parameters)
        early = model.fit(X, target).predict(X)
        with monkeypatch.context() as patch:
            patch.setattr(late, "LATE_CELLS", 1)
            found = model.fit(X, target).predict(X)
            np.testing.assert_allclose(found, early, rtol=1e-5)  # sums in another order


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_a_path_is_the_same_early_and_late(table, monkeypatch):
    X, y = table

    def scores():
        model = NimbleRegressor(max_iter=4, random_state=0)
        return nimble_path(X, y, estimator=model, size_penalties=[1e-4, 1e-2], cv=2).scores

    early = scores()
    monkeypatch.setattr(late, "LATE_CELLS", 1)
    np.testing.assert_allclose(scores(), early, rtol=1e-5)


def test_a_late_fit_needs_little_more_memory_than_the_table(monkeypatch):
    monkeypatch.setattr(late, "LATE_CELLS", 1)
    X, y = make_friedman1(60_000, 30, random_state=0)
    X = np.tan(3 * (X - 0.5))  # heavy tails: eight pieces a column
    model = NimbleRegressor(n_estimators=1, max_iter=1, early_stopping=False, random_state=0)
    model.fit(X[:200], y[:200]).predict(X[:200])  # what is imported now takes no memory then
    tracemalloc.start()
    model.fit(X, y).predict(X)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    matrix = 4 * len(X) * model._table.n_features_out_
    assert matrix > 3 * X.nbytes
    assert peak < 0.5 * matrix
