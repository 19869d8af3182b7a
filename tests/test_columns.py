"""Tables as they come: whatever holds a column, it is the same numbers or the same levels.

What is refused, and in which words, is in test_bad_input.py.
"""

from decimal import Decimal

import numpy as np
import pandas as pd
import polars as pl
import pytest
from sklearn.base import BaseEstimator

from sknimble._columns import validate_table
from sknimble._tables import TableEncoder


def encode(X, **parameters):
    X = validate_table(NimbleStandIn(), X, reset=True)
    return TableEncoder(**parameters).fit(X).encode(X)


class NimbleStandIn(BaseEstimator):
    pass


# ------------------------------------------------------------------ whatever holds them


def test_object_array_of_numbers_equals_float_array():
    X = np.random.default_rng(0).normal(size=(30, 3))
    np.testing.assert_array_equal(encode(X.astype(object)), encode(X))
    np.testing.assert_array_equal(encode(X.tolist()), encode(X))


@pytest.mark.parametrize("make", [pd.DataFrame, pl.DataFrame, np.array])
def test_numbers_as_text_are_warned_of(make):
    texts = [f"{value:.2f}" for value in np.random.default_rng(0).normal(size=60)]
    texts[7] = "?"
    X = make({"d": texts}) if make is not np.array else make(texts, dtype=object)[:, None]
    with pytest.warns(UserWarning, match="different values in its first rows are numbers.*'\\?'"):
        TableEncoder().fit(X)
    name = 0 if make is np.array else "d"
    TableEncoder(categorical_features=[name]).fit(X)  # meant as levels: no warning


@pytest.mark.parametrize("levels", [list("abcdefghijklmnopqrstuvwxyz"), ["1", "2", "3"]])
def test_levels_are_not_warned_of(levels):
    TableEncoder().fit(pd.DataFrame({"d": levels * 3}))
    numbers = pd.Series(np.arange(60)).astype("category")
    TableEncoder().fit(pd.DataFrame({"d": numbers}))


def test_list_of_mixed_rows_keeps_its_numbers():
    Z = encode([[1, "a"], [2, "b"], [5, "a"]])
    assert Z[0, 0] < Z[1, 0] == 0 < Z[2, 0]
    np.testing.assert_array_equal(Z[:, 1:], [[1, 0], [0, 1], [1, 0]])


def test_array_of_strings_is_levels():
    np.testing.assert_array_equal(
        encode(np.array([["1"], ["2"], ["1"]])), [[1, 0], [0, 1], [1, 0]]
    )


@pytest.mark.parametrize(
    "dtype", [
        "int8", "uint64", "float32", "bool", "Int32", "Float64", "boolean", "Sparse[float]", ">f8",
        ">i4",
    ],
)  # fmt: skip
def test_every_numeric_dtype_gives_the_matrix_of_floats(dtype):
    values = [0, 1, 1, 0, 1]
    np.testing.assert_array_equal(
        encode(pd.DataFrame({"a": values}).astype(dtype)), encode(np.array(values, float)[:, None])
    )


@pytest.mark.parametrize("dtype", [">f8", ">f4", "<f8", ">i2", "float16"])
def test_every_numeric_dtype_of_an_array_gives_the_matrix_of_floats(dtype):
    X = np.random.default_rng(0).integers(-100, 100, (5_000, 1)).astype(float)
    np.testing.assert_array_equal(encode(X.astype(dtype)), encode(X))


LEVELS = ["x", "y", "x"]


@pytest.mark.parametrize(
    "frame",
    [
        pd.DataFrame({"a": pd.Categorical(LEVELS)}),
        pd.DataFrame({"a": pd.Series(LEVELS, dtype="string")}),
        pd.DataFrame({"a": pd.arrays.IntervalArray.from_tuples([(0, 1), (1, 2), (0, 1)])}),
        pl.DataFrame({"a": LEVELS}),
        pl.DataFrame({"a": pl.Series(LEVELS, dtype=pl.Enum(["y", "x"]))}),
        pl.DataFrame({"a": pl.Series(LEVELS, dtype=pl.Categorical)}),
    ],
    ids=lambda frame: str(frame.dtypes[0] if hasattr(frame, "lazy") else frame.dtypes["a"]),
)
def test_every_dtype_of_levels_gives_the_same_indicators(frame):
    np.testing.assert_array_equal(encode(frame), [[1, 0], [0, 1], [1, 0]])


def test_decimals_of_polars_are_numbers():
    frame = pl.DataFrame({"a": pl.Series([Decimal("1.5"), Decimal("2.5"), Decimal("4")])})
    np.testing.assert_array_equal(encode(frame), encode(np.array([[1.5], [2.5], [4.0]])))


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int16, bool])
def test_a_frame_of_numbers_is_the_array_of_its_numbers(dtype):
    array = np.random.default_rng(0).integers(0, 2, (40, 30)).astype(dtype)
    array[3] = 1
    frame = pd.DataFrame(array)
    frame.columns = [f"x{j}" for j in range(30)]
    with_gap = frame.astype(float)
    with_gap.iloc[2, 5] = np.nan
    np.testing.assert_array_equal(encode(frame), encode(array))
    np.testing.assert_array_equal(encode(with_gap), encode(with_gap.to_numpy()))
    mixed = frame.assign(level=list("ab") * 20)
    np.testing.assert_array_equal(encode(mixed)[:, :30], encode(array))
    before = frame.copy()
    encode(frame)
    pd.testing.assert_frame_equal(frame, before)


def test_columns_stored_sparsely_are_what_their_values_are():
    values = {"text": list("uvvv"), "mixed": [1, 2.5, 1, 1], "number": [0.0, 1.0, 0.0, 0.0]}
    plain = pd.DataFrame(values).astype({"text": object, "mixed": object})
    stored = plain.apply(lambda column: pd.arrays.SparseArray(column, fill_value=column[1]))
    assert all(isinstance(dtype, pd.SparseDtype) for dtype in stored.dtypes)
    table = TableEncoder().fit(plain)
    for columns in (table, TableEncoder().fit(stored)):
        np.testing.assert_array_equal(columns.encode(stored), table.encode(plain))
    with pytest.raises(ValueError, match="Column 'text' should hold numbers, could not convert"):
        encode(stored, categorical_features=None)
    times = pd.date_range("2020", periods=4).to_numpy()
    with pytest.raises(TypeError, match="Column 'day' holds dates"):
        encode(pd.DataFrame({"day": pd.arrays.SparseArray(times)}))


def test_masked_numbers_are_gaps():
    numbers = np.ma.masked_less(np.random.RandomState(0).randn(50, 2), -0.5)
    encoder = TableEncoder().fit(validate_table(NimbleStandIn(), numbers, reset=True))
    assert len(encoder.numbers_.incomplete) == 2
    texts = np.ma.array([["a"], ["b"], ["c"]], mask=[[0], [1], [0]])
    assert validate_table(NimbleStandIn(), texts, reset=True)[:, 0].tolist() == ["a", None, "c"]


class ArrowTable:
    """As a table of pyarrow: it has columns, without names or dtypes, and becomes a frame."""

    def __init__(self, frame):
        self.frame, self.shape, self.columns = frame, frame.shape, list(frame.to_numpy().T)

    def __array__(self, dtype=None, copy=None):
        return self.frame.to_numpy()

    def to_pandas(self):
        return self.frame


class ArrowTableWithGaps(ArrowTable):
    """What pandas makes of integers with gaps, unless told otherwise, are floats."""

    __module__ = "pyarrow.lib"

    def to_pandas(self, types_mapper):
        assert types_mapper is pd.ArrowDtype
        return self.frame


def test_a_table_of_arrow_keeps_its_names():
    frame = pd.DataFrame({"x": [1.0, 2.0, 4.0], "level": ["a", "b", "a"]})
    np.testing.assert_array_equal(encode(ArrowTable(frame)), encode(frame))
    owner = NimbleStandIn()
    validate_table(owner, ArrowTable(frame), reset=True)
    with pytest.raises(ValueError, match="same order"):
        validate_table(owner, ArrowTable(frame[["level", "x"]]), reset=False)


def test_a_table_of_pyarrow_keeps_all_digits():
    ids = pd.array([2**53, 2**53 + 1, None, 2**53 + 1], dtype="Int64")
    frame = pd.DataFrame({"id": ids})
    columns = {"categorical_features": ["id"]}
    found = encode(ArrowTableWithGaps(frame), **columns)
    np.testing.assert_array_equal(found, encode(frame, **columns))


# ------------------------------------------------------------------ which are levels


@pytest.mark.parametrize(
    ("chosen", "width"),
    [
        (None, 2),
        ([], 2),
        ([False, True], 4),
        ([1], 4),
        (["b"], 4),
        (np.array([False, True], object), 4),
        (np.array([0, 1]), 5),
    ],
)
def test_categorical_features_choose_columns_as_in_hist_gradient_boosting(chosen, width):
    frame = pd.DataFrame({"a": [1, 2, 1], "b": [5, 6, 7]})
    assert encode(frame, categorical_features=chosen).shape[1] == width


def test_category_of_numbers_can_be_numbers():
    frame = pd.DataFrame({"a": pd.Categorical([1, 2, 4])})
    np.testing.assert_array_equal(
        encode(frame, categorical_features=None), encode(np.array([[1], [2], [4]]))
    )


def test_columns_of_two_names_are_chosen_by_index():
    names = pd.MultiIndex.from_tuples([("a", "x"), ("b", "y")])
    X = pd.DataFrame([[1.0, 2.0], [3.0, 4.0]], columns=names)
    assert encode(X, categorical_features=[1]).shape == (2, 3)
    with pytest.raises(ValueError, match="must be one-dimensional.*by index or by a mask"):
        encode(X, categorical_features=[("b", "y")])


# ------------------------------------------------------------------ whose table it is


def test_validation_speaks_for_the_estimator_that_asks():
    estimator = NimbleStandIn()
    validate_table(estimator, pd.DataFrame({"a": [1], "b": ["x"]}), reset=True)
    assert estimator.feature_names_in_.tolist() == ["a", "b"]
    validate_table(estimator, np.ones((3, 2)), reset=True)
    assert not hasattr(estimator, "feature_names_in_")
    with pytest.raises(ValueError, match="X has 1 features, but NimbleStandIn is expecting 2"):
        validate_table(estimator, np.ones((3, 1)), reset=False)
