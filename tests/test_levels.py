"""Columns of levels: which level owns which column, and how high it is."""

import datetime
import enum
import pickle
from decimal import Decimal
from fractions import Fraction

import numpy as np
import pandas as pd
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sknimble._tables import TableEncoder


def fitted_to(X, most_levels=256):
    table = TableEncoder()
    table.most_levels = most_levels
    return table.fit(X)


def encode(X, most_levels=256):
    return fitted_to(X, most_levels).encode(X)


@pytest.mark.parametrize("missing", [None, np.nan, pd.NA, float("nan"), pd.NaT])
def test_every_kind_of_missing_level_is_the_same(missing):
    X = np.array([["a"], [1], [missing], ["a"]], dtype=object)
    levels = np.array([[1, 0, 0], [0, 1, 0], [0, 0, 1], [1, 0, 0]])
    np.testing.assert_array_equal(encode(X), levels * 3**-0.5)


@pytest.mark.parametrize("n_levels, height", [(2, 1.0), (3, 3**-0.5), (100, 0.1)])
def test_columns_of_many_levels_are_lower(n_levels, height):
    Z = encode(pd.DataFrame({"a": [f"level {k % n_levels}" for k in range(5 * n_levels)]}))
    np.testing.assert_allclose(Z.max(axis=1), height)
    np.testing.assert_allclose(Z.sum(axis=1), height)


def test_unseen_level_is_all_zeros():
    table = fitted_to(pd.DataFrame({"a": ["x", "y", "x"]}))
    np.testing.assert_array_equal(
        table.encode(pd.DataFrame({"a": ["z", None, "y"]})), [[0, 0], [0, 0], [0, 1]]
    )


def test_five_thousand_levels_have_a_bounded_width_and_state():
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"a": [f"level {k}" for k in rng.zipf(1.3, 20_000) % 5000]})
    frame.iloc[::100] = None
    table = fitted_to(frame, most_levels=32)
    Z = table.encode(frame)
    assert Z.shape[1] == 33  # 31 levels, all others, missing
    np.testing.assert_array_equal(Z.sum(axis=1), 33**-0.5)
    assert len(pickle.dumps(table)) < 3000
    assert Z[0].argmax() == 32  # the gap is last


def test_as_many_levels_as_there_may_be_are_not_pooled():
    table = fitted_to(pd.DataFrame({"a": ["a", "a", "b"]}), most_levels=2)
    Z = table.encode(pd.DataFrame({"a": ["a", "b", "new"]}))
    np.testing.assert_array_equal(Z, [[1, 0], [0, 1], [0, 0]])


def test_unseen_level_of_a_pooled_column_is_pooled():
    table = fitted_to(pd.DataFrame({"a": ["a", "a", "b", "c"]}), most_levels=2)
    Z = table.encode(pd.DataFrame({"a": ["a", "c", "new"]}))
    np.testing.assert_array_equal(Z, [[1, 0], [0, 1], [0, 1]])


@settings(max_examples=30, deadline=None)
@given(st.lists(st.sampled_from("abcdefgh"), min_size=2, max_size=40), st.permutations("abcdefgh"))
def test_names_of_levels_do_not_matter(values, names):
    renamed = [names["abcdefgh".index(value)] for value in values]
    for make in (pd.DataFrame, pl.DataFrame):
        np.testing.assert_array_equal(
            encode(make({"a": values}), most_levels=5), encode(make({"a": renamed}), most_levels=5)
        )


class Colour(enum.StrEnum):
    RED, BLUE = "red", "blue"


class Size(enum.IntEnum):
    SMALL = 1


WEST = datetime.timezone(datetime.timedelta(hours=-5))
LAST_MINUTE = datetime.datetime(9999, 12, 31, 23, 59, tzinfo=WEST)


@pytest.mark.parametrize(
    "fitted, later",
    [
        ([Colour.RED, Colour.BLUE], ["red", "blue"]),
        (["red", "blue"], [Colour.RED, Colour.BLUE]),
        ([Decimal("1.0"), "other"], [Decimal("1.00"), "other"]),
        ([Fraction(1), "other"], [1, "other"]),
        ([Size.SMALL, "other"], [1, "other"]),
        ([np.longdouble(1), "other"], [1.0, "other"]),
        (pd.interval_range(0, 2).tolist(), pd.interval_range(0.0, 2.0).tolist()),
        ([np.timedelta64(1, "h"), "x"], [np.timedelta64(3600, "s"), "x"]),
        ([Fraction(10**400, 3), "x"], [Fraction(10**400, 3), "x"]),
        ([LAST_MINUTE, "x"], [LAST_MINUTE, "x"]),
    ],
)
def test_levels_that_are_equal_are_the_same(fitted, later):
    fitted, later = (np.array(levels, dtype=object)[:, None] for levels in (fitted, later))
    table = TableEncoder(categorical_features=[0]).fit(fitted)
    assert table.encode(fitted).any()
    np.testing.assert_array_equal(table.encode(later), table.encode(fitted))
    assert b"Colour" not in pickle.dumps(table)  # a file needs no class of the user's


def test_equal_times_are_one_level_whatever_holds_them():
    times = pd.Series(pd.date_range("2020", periods=3)[np.arange(60) % 3])
    forms = [
        pd.DataFrame({"when": times}),
        pd.DataFrame({"when": times.astype("category")}),
        pd.DataFrame({"when": times.dt.date.astype("category")}),
        pl.DataFrame({"when": times.dt.date.tolist()}),
        *(times.to_numpy()[:, None].astype(f"M8[{unit}]") for unit in ("D", "us", "ns")),
        pd.DataFrame({"when": times.astype(str)}),
        pd.DataFrame({"when": times.dt.strftime("%Y-%m-%d %H:%M:%S")}),
        pd.DataFrame({"when": pd.Series(list(times.to_numpy()), dtype=object)}),
    ]
    expected = TableEncoder(categorical_features=[0]).fit(forms[0]).encode(forms[0])
    assert len(np.unique(expected, axis=0)) == 3
    for fitted in forms:
        table = TableEncoder(categorical_features=[0]).fit(fitted)
        for later in forms:
            np.testing.assert_array_equal(table.encode(later), expected)


def test_equal_times_of_two_time_zones_are_one_level():
    times = pd.Series(pd.date_range("2020", periods=3, tz="UTC"))
    here, there = (
        pd.DataFrame({"when": times.dt.tz_convert(zone).astype("category")})
        for zone in ("UTC", "Europe/Berlin")
    )
    table = fitted_to(here)
    np.testing.assert_array_equal(table.encode(there), table.encode(here))


@pytest.mark.parametrize("fitted, later", [([1, 2], ["1", "2"]), (["1", "2"], [1, 2])])
def test_levels_of_another_type_are_no_levels(fitted, later):
    def column(levels):
        return pd.DataFrame({"k": np.array(levels * 5, dtype=object)}).astype("category")

    table = fitted_to(column(fitted))
    with pytest.raises(ValueError, match="Column 'k' should hold (strings|numbers) for levels"):
        table.encode(column(later))
    gaps = pd.DataFrame({"k": np.array([None, None], dtype=object)})
    assert not table.encode(gaps).any()
    some = pd.DataFrame({"k": np.array([fitted[0], later[0]], dtype=object)})
    assert table.encode(some).any(axis=1).tolist() == [True, False]


def test_times_are_not_the_texts_of_when_it_was_fitted():
    times = pd.date_range("2020", periods=3)[np.arange(60) % 3]
    texts = pd.DataFrame({"when": times.strftime("%d.%m.%Y")})
    encoder = fitted_to(texts)
    with pytest.raises(ValueError, match="Column 'when' holds '2020-01-01' for a level"):
        encoder.encode(pd.DataFrame({"when": times}))
    with pytest.raises(ValueError, match="Column 'when' holds '2020-01-02' for a level"):
        encoder.encode(pd.DataFrame({"when": [pd.NaT, *times[1:]]}))


def test_bytes_are_not_the_texts_of_when_it_was_fitted():
    texts, data = (
        np.array(kind * 5, dtype=object)[:, None] for kind in (["a", "b"], [b"a", b"b"])
    )
    for fitted, later in ((texts, data), (data, texts)):
        with pytest.raises(ValueError, match="for a level, which is unknown"):
            fitted_to(fitted).encode(later)


def test_times_may_be_missing_later():
    times = pd.Categorical(pd.date_range("2020", periods=3))
    encoder = fitted_to(pd.DataFrame({"when": times}))
    assert not encoder.encode(pd.DataFrame({"when": times[:2].remove_categories(times[:2])})).any()
