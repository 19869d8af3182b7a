"""The table as it came: every dtype in, one float matrix out."""

import pickle
import tracemalloc

import numpy as np
import pandas as pd
import polars as pl
import pytest
import skops.io
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse
from scipy.stats import norm
from sklearn import config_context
from sklearn.base import BaseEstimator
from sklearn.utils import _safe_indexing

from sknimble._columns import validate_table
from sknimble._tables import TableEncoder

ENCODINGS = ["none", "piecewise"]
quick = settings(max_examples=30, deadline=None)


def torture_columns(n=200):
    """Return a dict of lists: columns of every kind, most with gaps, under strange names."""
    rng = np.random.default_rng(0)
    gap = rng.random(n) < 0.1

    def holes(values):
        return [None if missing else value for missing, value in zip(gap, values, strict=True)]

    number = rng.normal(size=n)
    return {
        "float": number.tolist(),
        "größe": holes(rng.lognormal(size=n).tolist()),
        "名前": rng.integers(0, 1000, n).tolist(),
        "1": holes(rng.integers(0, 9, n).tolist()),
        "2.5": (rng.random(n) < 0.3).tolist(),
        "a b": holes((rng.random(n) < 0.3).tolist()),
        "-inf": [7.5] * n,
        "": [None] * n,
        "text": holes(rng.choice(["größe", "名前", "", " ", "None", "nan"], n).tolist()),
        "digits": rng.choice(["1", "2", "10"], n).tolist(),
        "category": holes(rng.choice(["a", "b", "c"], n).tolist()),
        "ordered": holes(rng.choice(["low", "high"], n).tolist()),
        "many": [f"level {k}" for k in rng.permutation(n) % 5000],
        "tiny": (1e-12 * rng.normal(size=n)).tolist(),
        "vast": (1e12 * rng.standard_cauchy(size=n)).tolist(),
    }


def as_pandas(columns):
    """Return the table in pandas, with an index that repeats."""
    frame = pd.DataFrame(columns, index=np.arange(len(columns["float"])) // 100)
    frame["1"] = frame["1"].astype("Int64")
    frame["ordered"] = pd.Categorical(frame["ordered"], ["low", "high"], ordered=True)
    return frame.astype({"a b": "boolean", "category": "category", "名前": "int32"})


def as_polars(columns):
    return pl.DataFrame(columns).with_columns(pl.col("category", "ordered").cast(pl.Categorical))


class Encoder(TableEncoder):
    """As estimators use it: what it is given is validated, rows of weight zero are left out."""

    def __init__(self, most_pieces=8, most_levels=256, dtype=np.float64, **parameters):
        super().__init__(**parameters)
        self.most_pieces, self.most_levels, self.dtype = most_pieces, most_levels, dtype
        self.owner = BaseEstimator()

    def fit(self, X, weight=None):
        X = validate_table(self.owner, X, reset=True)
        if weight is not None:
            rows = np.flatnonzero(weight)
            X, weight = _safe_indexing(X, rows), np.asarray(weight, dtype=float)[rows]
        return super().fit(X, None, weight)

    def transform(self, X):
        return self.encode(validate_table(self.owner, X, reset=False))


def encode(X, weight=None, **parameters):
    return Encoder(**parameters).fit(X, weight).transform(X)


# ------------------------------------------------------------------ the contract


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_fitted_encoder_survives_pickle_and_skops(encoding):
    frame = as_pandas(torture_columns())
    table = TableEncoder(encoding=encoding).fit(frame)
    stored = skops.io.dumps(table)
    types = skops.io.get_untrusted_types(data=stored)
    assert all(name.startswith("sknimble.") for name in types)
    for copy in (pickle.loads(pickle.dumps(table)), skops.io.loads(stored, trusted=types)):
        np.testing.assert_array_equal(copy.encode(frame), table.encode(frame))


def test_fitted_state_holds_no_pandas_object():
    table = Encoder(encoding="piecewise").fit(as_pandas(torture_columns()))
    assert b"pandas" not in pickle.dumps(table)


def test_output_configuration_of_scikit_learn_changes_nothing():
    frame = as_pandas(torture_columns())
    with config_context(transform_output="pandas"):
        assert isinstance(encode(frame), np.ndarray)
        assert sparse.issparse(encode(sparse.csr_array(np.eye(3))))


# ------------------------------------------------------------------ any table


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_polars_and_pandas_give_the_same_matrix(encoding):
    columns = torture_columns()
    np.testing.assert_array_equal(
        encode(as_pandas(columns), encoding=encoding),
        encode(as_polars(columns), encoding=encoding),
    )


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_matrix_of_a_torture_table_is_finite_and_as_described(encoding):
    table = Encoder(encoding=encoding)
    Z = table.fit(as_pandas(torture_columns())).transform(as_pandas(torture_columns()))
    assert np.isfinite(Z).all()
    assert Z.flags.c_contiguous
    assert Z.shape[1] == table.n_features_out_
    assert (table.n_plain_features_ == table.n_features_out_) == (encoding == "none")


def test_mixed_rows_can_be_permuted():
    frame = as_pandas(torture_columns()).reset_index(drop=True)
    table = Encoder(encoding="piecewise").fit(frame)
    order = np.random.default_rng(0).permutation(len(frame))
    np.testing.assert_array_equal(
        table.transform(frame.iloc[order]), table.transform(frame)[order]
    )


def test_rows_are_encoded_alike_alone_and_in_a_long_table():
    X = np.random.default_rng(0).normal(size=(300_000, 2))
    table = Encoder(encoding="piecewise").fit(X[:1000])
    np.testing.assert_array_equal(table.transform(X)[-3:], table.transform(X[-3:]))


# ------------------------------------------------------------------ numbers


def test_zero_is_the_median_and_a_scale_away_is_close_to_one():
    X = np.array([[-2.0], [-1.0], [0.0], [1.0], [2.0]])
    z = X[:, 0] / 1.5
    np.testing.assert_allclose(encode(X)[:, 0], z / np.sqrt(1 + (z / 4) ** 2))


def test_outliers_are_clipped_at_four():
    X = np.append(np.linspace(-1, 1, 99), [1e12, -1e300])[:, None]
    assert 3.9 < np.abs(encode(X)).max() <= 4.0


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_largest_and_smallest_floats_are_encoded_finitely(encoding):
    rng = np.random.default_rng(0)
    X = np.column_stack([rng.uniform(-1, 1, 100) * 1.7e308, rng.uniform(-1, 1, 100) * 1e-310])
    X[:40] = [-1.7e308, 5e-324]
    assert np.isfinite(encode(X, encoding=encoding)).all()


def test_column_of_mostly_zeros_has_the_scale_of_its_other_values():
    X = np.zeros((100, 1))
    X[:10, 0] = np.arange(101, 111)
    assert np.ptp(encode(X)) == pytest.approx(0.67, abs=0.05)


def test_two_valued_columns_become_zero_and_almost_one():
    Z = encode(np.array([[0, 700.0], [0, 700.0], [1, 700.0], [0, -3.0]]))
    one = 1 / np.sqrt(1 + 1 / 16)
    np.testing.assert_allclose(Z, [[0, 0], [0, 0], [one, 0], [0, -one]])


def test_constant_column_is_zero_for_ever():
    table = Encoder(encoding="piecewise").fit(np.full((5, 1), 7.0))
    np.testing.assert_array_equal(table.transform([[7.0], [1e9], [np.nan]]), np.zeros((3, 1)))


def test_all_missing_column_is_zero_for_ever():
    table = Encoder().fit(pd.DataFrame({"a": [np.nan, np.nan], "b": [None, None]}))
    later = table.transform(pd.DataFrame({"a": [1.0, 2.0], "b": ["x", None]}))
    np.testing.assert_array_equal(later, np.zeros((2, 2)))


def test_gaps_get_the_median_and_an_indicator():
    Z = encode([[1.0, 1.0], [2.0, np.nan], [3.0, 3.0]])
    np.testing.assert_array_equal(Z[1], [0, 0, 1])
    np.testing.assert_array_equal(Z[:, 2], [0, 1, 0])


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_gap_in_a_column_once_complete_is_the_median(encoding):
    X = np.arange(101.0)[:, None]
    table = Encoder(encoding=encoding).fit(X)
    np.testing.assert_array_equal(table.transform([[np.nan]]), table.transform([[50.0]]))


@quick
@given(
    st.lists(st.integers(-1000, 1000), min_size=3, max_size=40),
    st.sampled_from([2**-10, 3, 10_000]),
    st.sampled_from([0, 10**6]),
    st.sampled_from(ENCODINGS),
)
def test_scale_and_offset_of_a_column_do_not_matter(values, scale, offset, encoding):
    X = np.array(values, float)[:, None]  # integers, so that nothing is rounded on the way
    np.testing.assert_array_equal(
        encode(scale * (X + offset), encoding=encoding), encode(X, encoding=encoding)
    )


def test_scale_of_a_column_of_fractions_changes_rounding_only():
    X = np.random.default_rng(0).normal(size=(50, 3))
    for encoding in ENCODINGS:
        np.testing.assert_allclose(
            encode(1e4 * X, encoding=encoding), encode(X, encoding=encoding), atol=1e-12
        )


def test_float32_matrix_keeps_the_digits_of_a_column_with_a_large_offset():
    X = np.random.default_rng(0).normal(size=(50, 1))
    np.testing.assert_allclose(encode(X + 1.7e9, dtype=np.float32), encode(X), atol=1e-6)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_matrix_has_the_dtype_asked_for(dtype):
    assert encode(as_pandas(torture_columns()), dtype=dtype).dtype == dtype
    assert encode(sparse.csr_array(np.eye(3)), dtype=dtype).dtype == dtype


def test_codes_are_as_wide_as_the_table_and_make_its_matrix():
    X = pd.DataFrame({"a": np.arange(60.0), "b": list("xyz") * 20, "c": [np.nan, 1.0, 5.0] * 20})
    table = Encoder(encoding="piecewise").fit(X)
    codes = table.compress(X)
    assert codes.shape == (60, 4)  # one column tells which c is missing
    assert table.n_features_out_ > 8
    np.testing.assert_array_equal(table.expand(codes), table.transform(X))
    plain = table.expand(codes[7:9], pieces=False, with_ones=True)
    expected = table.transform(X)[7:9, : table.n_plain_features_]
    np.testing.assert_array_equal(plain, np.column_stack([expected, [1.0, 1.0]]))


def test_numbers_far_from_zero_keep_their_pieces():
    x = 1e9 + np.random.default_rng(0).permutation(400.0 * np.arange(1, 401))
    near = encode((x - 1e9)[:, None], encoding="piecewise")
    np.testing.assert_allclose(encode(x[:, None], encoding="piecewise"), near, atol=1e-6)


def test_memory_stays_below_twice_the_matrix():
    X = np.random.default_rng(0).normal(size=(200_000, 20)).astype(np.float32)
    tracemalloc.start()
    encode(X, dtype=np.float32)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2.0 * X.nbytes


# ------------------------------------------------------------------ piecewise-linear encoding


def test_encoding_comes_last_and_is_zero_at_the_median():
    X = np.arange(101.0)[:, None]
    table = Encoder(encoding="piecewise", most_pieces=4)
    Z = table.fit(X).transform(X)
    assert (table.n_plain_features_, table.n_features_out_) == (1, 5)
    np.testing.assert_array_equal(Z[50], np.zeros(5))
    np.testing.assert_array_equal(Z[0, 1:], [-1, -1, 0, 0])
    np.testing.assert_array_equal(Z[100, 1:], [0, 0, 1, 1])


def test_encoding_spans_piecewise_linear_functions():
    x = np.sort(np.random.default_rng(0).normal(size=400))
    Z = encode(x[:, None], encoding="piecewise", most_pieces=4)[:, 1:]
    knots = np.quantile(x, [0, 0.25, 0.5, 0.75, 1], method="inverted_cdf")
    target = np.interp(x, knots, [3.0, -1.0, 4.0, -1.0, 5.0])
    design = np.column_stack([np.ones_like(x), Z])
    fitted = design @ np.linalg.lstsq(design, target)[0]
    # Columns are rounded to the float32 grid, and so are the knots between them.
    np.testing.assert_allclose(fitted, target, atol=4 * np.finfo(np.float32).eps)


def test_pieces_add_up_to_the_number_without_its_clip():
    rng = np.random.default_rng(0)
    X = pd.DataFrame({"a": rng.lognormal(0, 2, 400), "few": rng.integers(0, 5, 400) ** 3.0,
                      "level": list("uvwx") * 100, "gap": rng.standard_cauchy(400)})  # fmt: skip
    X.loc[::7, "gap"] = np.nan
    table = Encoder(encoding="piecewise").fit(X)
    plain = table.transform(X) @ table.unclipped
    numbers = table.numbers_
    scaled = (X[["a", "few", "gap"]].to_numpy() - numbers.center) / numbers.scale
    np.testing.assert_allclose(plain[:, 0], scaled[:, 0], rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(plain[:, 2], np.nan_to_num(scaled[:, 2]), rtol=1e-5, atol=1e-5)
    kept = [1, *range(3, table.n_plain_features_)]  # no pieces: few values, the gaps, levels
    np.testing.assert_array_equal(plain[:, kept], table.transform(X)[:, kept])
    largest = X.max(numeric_only=True)
    beyond = table.transform(X.assign(a=1e9 * largest["a"])) @ table.unclipped
    np.testing.assert_allclose(beyond[:, 0], scaled[:, 0].max() + 1.0, rtol=1e-5)


@pytest.mark.parametrize("make", [np.asarray, sparse.csr_array])
def test_without_pieces_nothing_can_be_had_without_its_clip(make):
    assert Encoder(encoding="none").fit(make(np.arange(300.0).reshape(100, 3))).unclipped is None


def test_the_outer_pieces_go_on_for_their_length_or_one_scale():
    x = np.append(np.arange(100.0), 1e4)
    table = Encoder(encoding="piecewise", most_pieces=4).fit(x[:, None])
    scale = table.numbers_.scale[0]
    lowest, *_, second, largest = table.numbers_.knots[0] * scale + table.numbers_.center[0]
    assert (lowest, largest) == pytest.approx((0.0, 1e4), abs=1e-3)
    short, long = table.numbers_.pieces.length[[0, -1]] * scale
    assert short < scale < long
    beyond = [[-short / 2], [-1e9], [largest + scale / 2], [1e9]]
    Z = table.transform(beyond)[:, 1:]
    np.testing.assert_allclose(Z[:, 0], [-1.5, -2, 0, 0], rtol=1e-5)
    share = scale / long
    np.testing.assert_allclose(Z[:, -1], [0, 0, 1 + share / 2, 1 + share], rtol=1e-5)
    np.testing.assert_array_equal(np.abs(Z[:, 1:-1]).max(), 1.0)


def test_a_short_outer_piece_ends_at_twice_its_length():
    rng = np.random.default_rng(0)
    x = np.append(rng.uniform(0, 1e-6, 350), rng.uniform(0, 4, 650))  # bunched at the least value
    Z = Encoder(encoding="piecewise").fit(x[:, None]).transform([[-0.1], [-1e9]])
    assert np.abs(Z[:, 1:]).max() <= 2.0


def test_a_column_of_zeros_is_split_among_its_other_values():
    x = np.append(np.zeros(900), np.arange(1.0, 101.0))
    ramps = encode(x[:, None], encoding="piecewise", most_pieces=4)[:, 1:].T
    jump, *others = (np.count_nonzero((0 < ramp) & (ramp < 1)) for ramp in ramps)
    assert jump <= 1  # zero or not
    assert len(others) > 1  # by quantiles of all rows one piece would span them all
    assert min(others) >= 10


@pytest.mark.parametrize(
    ("quantile", "n_pieces"),
    [(lambda p: p, 4), (norm.ppf, 6), (lambda p: np.tan(np.pi * (p - 0.5)), 8)],
    ids=["uniform", "normal", "heavy tails"],
)
def test_as_many_pieces_as_the_distribution_has_bends(quantile, n_pieces):
    x = quantile(np.arange(0.5, 1000) / 1000)
    two = np.column_stack([x, x])
    assert encode(two, encoding="piecewise").shape[1] == 2 + 2 * n_pieces
    # straight lines from knot to knot draw the distribution function to within .05
    knots = Encoder(encoding="piecewise").fit(two).numbers_.knots[0]
    z = (x - np.median(x)) / (1.5 * np.median(np.abs(x - np.median(x))))
    share = np.arange(1, 1001) / 1000
    at = share[np.clip(np.searchsorted(z, knots), 0, 999)]
    error = np.abs(np.interp(z, knots, at) - share).max()
    assert error < 0.05 or n_pieces == 8


def test_a_column_that_is_alone_has_all_pieces():
    x = np.linspace(0, 1, 1000)
    assert encode(x[:, None], encoding="piecewise").shape[1] == 1 + 8
    assert encode(np.column_stack([x, x]), encoding="piecewise").shape[1] == 2 + 2 * 4


@pytest.mark.parametrize(("n_columns", "n_pieces"), [(256, 8), (300, 6), (600, 3), (1024, 2)])
def test_a_wide_table_has_few_pieces(n_columns, n_pieces):
    values = np.linspace(0.0, 1.0, 200) ** 9
    X = np.tile(values[:, None], n_columns)
    assert encode(X, encoding="piecewise").shape[1] == n_columns * (1 + n_pieces)


def test_a_very_wide_table_has_no_pieces():
    X = np.tile(np.linspace(0.0, 1.0, 200)[:, None], 1025)
    assert encode(X, encoding="piecewise").shape[1] == 1025


@pytest.mark.parametrize(("n_distinct", "n_pieces"), [(600, 4), (250, 8), (48, 6), (20, 4)])
def test_columns_whose_values_repeat_have_as_many_pieces_as_they_may(n_distinct, n_pieces):
    values = np.arange(n_distinct) / n_distinct
    x = np.tile(values, 1000 // n_distinct)
    two = np.column_stack([x, x])
    assert encode(two, encoding="piecewise").shape[1] == 2 + 2 * n_pieces


def test_a_weight_is_as_good_as_a_repeated_row_for_the_number_of_pieces():
    values = np.linspace(0, 1, 100)
    two = np.column_stack([values, values])
    for least, n_pieces in [(1, 4), (2, 4), (4, 8)]:
        weight = least + np.arange(100) % 2
        for Z in (
            encode(two, weight, encoding="piecewise"),
            encode(np.repeat(two, weight, axis=0), encoding="piecewise"),
        ):
            assert Z.shape[1] == 2 + 2 * n_pieces


def test_columns_of_few_values_are_not_encoded():
    X = np.tile(np.arange(16.0), 10)[:, None]
    assert encode(X, encoding="piecewise").shape[1] == 1


# ------------------------------------------------------------------ weights


@quick
@given(st.integers(0, 2**32 - 1), st.sampled_from(ENCODINGS))
def test_a_row_of_weight_two_is_two_rows(seed, encoding):
    rng = np.random.default_rng(seed)
    n = 40
    weight = rng.integers(0, 4, n)
    weight[0] = 1
    frame = pd.DataFrame(
        {
            "dense": rng.normal(size=n),
            "discrete": rng.integers(0, 5, n),
            "gaps": np.where(rng.random(n) < 0.2, np.nan, rng.normal(size=n)),
            "levels": rng.choice(list("abcdefg"), n),
        }
    )
    repeated = frame.loc[np.repeat(np.arange(n), weight)]
    by_weight = Encoder(encoding=encoding, most_levels=4).fit(frame, weight)
    by_rows = Encoder(encoding=encoding, most_levels=4).fit(repeated)
    np.testing.assert_array_equal(by_weight.transform(frame), by_rows.transform(frame))


def test_scale_of_the_weights_does_not_matter():
    X = np.random.default_rng(0).normal(size=(50, 2))
    weight = np.random.default_rng(1).integers(1, 5, 50)
    np.testing.assert_array_equal(encode(X, weight), encode(X, weight / 1024))


# ------------------------------------------------------------------ sparse


def test_sparse_table_stays_sparse_and_is_scaled_without_centring():
    X = sparse.random_array((50, 8), density=0.2, rng=np.random.default_rng(0), format="csc")
    Z = encode(X)
    assert Z.format == "csr"
    assert Z.nnz == X.nnz
    np.testing.assert_allclose(abs(encode(1e4 * X) - Z).max(), 0, atol=1e-12)


def test_dense_and_sparse_rows_of_one_table_agree():
    X = sparse.random_array((50, 8), density=0.2, rng=np.random.default_rng(0), format="csr")
    for seen, later in [(X, X.toarray()), (X.toarray(), X)]:
        table = Encoder().fit(seen)
        Z, same = table.transform(later), table.transform(seen)
        np.testing.assert_array_equal(
            *(m.toarray() if sparse.issparse(m) else m for m in (Z, same))
        )


def test_dense_rows_of_a_sparse_table_have_no_gaps():
    table = Encoder().fit(sparse.csr_array(np.eye(3)))
    for wrong, word in [(np.nan, "has NaN"), (np.inf, "inf")]:
        with pytest.raises(ValueError, match=f"{word}.*column 'x1'|column 'x1'.*{word}"):
            table.transform(np.array([[0.0, wrong, 1.0]]))


def test_large_sparse_table_needs_little_memory():
    X = sparse.random_array(
        (50_000, 20_000), density=1e-4, rng=np.random.default_rng(0), format="csr"
    )
    tracemalloc.start()
    table = Encoder()
    table.fit(X).transform(X)
    assert tracemalloc.get_traced_memory()[1] < 10e6
    tracemalloc.stop()
    assert (table.n_features_out_, table.n_plain_features_) == (20_000, 20_000)


def test_a_rare_column_of_a_sparse_table_does_not_explode():
    seen, new = (
        sparse.csr_array([[0.01, 1.0], [0.0, 2.0]]),
        sparse.csr_array([[1.0, 1.0], [-1.0, 4.0]]),
    )
    table = Encoder().fit(seen)
    np.testing.assert_array_equal(table.transform(new).toarray(), [[3.0, 0.5], [-3.0, 2.0]])


# ------------------------------------------------------------------ random tables

cells = st.one_of(
    st.none(),
    st.floats(allow_infinity=False),
    st.integers(-(10**6), 10**6),
    st.booleans(),
    st.text(max_size=3),
)


@quick
@given(
    st.lists(st.lists(cells, min_size=3, max_size=3), min_size=1, max_size=12),
    st.sampled_from(ENCODINGS),
)
def test_any_table_of_cells_is_encoded_finitely(rows, encoding):
    X = np.empty((len(rows), 3), dtype=object)
    X[:] = rows
    table = Encoder(encoding=encoding, most_pieces=3)
    Z = table.fit(X).transform(X)
    assert Z.shape == (len(rows), table.n_features_out_)
    assert np.isfinite(Z).all()
    np.testing.assert_array_equal(table.transform(X), Z)


@pytest.mark.parametrize("unit", [1e-300, 1e-16, 1.0, 1e300])
def test_the_unit_of_a_sparse_column_does_not_matter(unit):
    X = np.random.default_rng(0).normal(size=(30, 3))
    found = encode(sparse.csr_matrix(X * unit)).toarray()
    np.testing.assert_allclose(found, encode(sparse.csr_matrix(X)).toarray(), rtol=1e-6)


def test_a_second_value_gives_a_column_its_scale_and_leaves_the_encoder_as_it_was():
    X = np.array([[1.0, 0.0], [1.0, 1.0]])
    table = TableEncoder().fit(X)
    assert table.rescaled(X) is table
    later = table.rescaled(np.array([[3.0, 0.0], [3.0, 0.0], [3.0, 0.0]]))
    assert (later.numbers_.center[0], later.numbers_.scale[0]) == (3.0, 2.0)
    assert (table.numbers_.center[0], table.numbers_.scale[0]) == (1.0, np.inf)


def test_a_column_that_was_empty_in_sparse_pieces_gets_its_scale_later():
    first = sparse.csr_matrix(np.array([[0.0, 2.0, 0.0], [0.0, 1.0, 0.0]]))
    table = TableEncoder().fit(first)
    assert table.rescaled(first) is table
    later = table.rescaled(sparse.csr_matrix(np.array([[500.0, 8.0, 0.0], [-1000.0, 0.0, 0.0]])))
    np.testing.assert_array_equal(later.scaler_.scale_, [1000.0, 2.0, 1.0])
    np.testing.assert_array_equal(table.scaler_.scale_, [1.0, 2.0, 1.0])
    for make in (np.array, pd.DataFrame):
        again = table.rescaled(make([[500.0, 8.0, 0.0]]))
        np.testing.assert_array_equal(again.scaler_.scale_, [500.0, 2.0, 1.0])


def test_values_that_differ_by_rounding_are_one():
    X = np.column_stack([np.where(np.arange(60) % 2, 0.3, 0.1 + 0.2), np.arange(60.0)])
    assert np.ptp(X[:, 0]) > 0.0
    scale = TableEncoder().fit(X).numbers_.scale
    assert np.isinf(scale[0])
    assert np.isfinite(scale[1])


@pytest.mark.parametrize("make", [pd.DataFrame, pl.DataFrame])
def test_a_column_of_nothing_becomes_numbers_when_numbers_come(make):
    table = TableEncoder().fit(make({"a": [1.0, 2.0], "b": [None, None]}))
    later = table.rescaled(make({"a": [1.0, 2.0, 3.0], "b": [3.0, 5.0, 7.0]}))
    assert (later.numbers_.center[1], later.numbers_.scale[1]) == (5.0, 3.0)
    with pytest.raises(ValueError, match="Column 'b' should hold numbers.*categorical_features"):
        table.rescaled(make({"a": [1.0, 2.0], "b": ["x", None]}))


def test_much_weight_among_little_counts_as_it_is():
    X = np.random.default_rng(0).uniform(size=(400, 2))
    weight = np.where(np.arange(400) % 10, 1e-3, 40.5)  # 1,620 in all
    y = np.sin(20.0 * X[:, [0]])
    tables = [TableEncoder(encoding="piecewise").fit(X, y, unit * weight) for unit in (1.0, 1e-3)]
    many, few = (len(table.numbers_.knots[0]) for table in tables)  # 1e-3: 400 in all
    assert few < 12 < many


def test_numbers_that_a_sparse_matrix_stores_in_parts_are_their_sums():
    n, rng = 120, np.random.RandomState(0)
    b, a = rng.randint(0, 5, n), rng.randn(n)
    stored = np.column_stack([100.0 + b, np.full(n, -99.0), a]).ravel()
    X = sparse.csr_matrix((stored, np.tile([0, 0, 1], n), 3 * np.arange(n + 1)), shape=(n, 2))
    summed = sparse.csr_matrix(X.toarray())
    encoder = TableEncoder().fit(summed)
    np.testing.assert_array_equal(encoder.encode(X).toarray(), encoder.encode(summed).toarray())


def test_columns_without_numbers_take_no_pieces_from_others():
    x = np.random.RandomState(0).rand(500, 2)
    alone = TableEncoder(encoding="piecewise").fit(x)
    gaps, zeros = np.full((500, 900), np.nan), np.zeros((500, 900))
    beside = TableEncoder(encoding="piecewise").fit(np.hstack([x, gaps, zeros]))
    assert len(beside.numbers_.pieces) == len(alone.numbers_.pieces) > 0
