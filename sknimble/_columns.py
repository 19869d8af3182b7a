"""Tables of any type (pandas, polars, arrays, sparse): checked, and read column by column.

A column is either *numbers* or *levels*, by its dtype or, if that is object, by its values.
"""

import datetime
import numbers
import re
import warnings
from decimal import Decimal

import numpy as np
from scipy import sparse
from sklearn.utils.validation import validate_data

# Names of dtypes of numpy, pandas (with and without arrow) and polars, in lower case.
_NUMBERS = re.compile(r"([<>][fiu]\d|u?int\d|float|double|half|bool|decimal)")
_CATEGORIES = re.compile(r"(categor|enum|dictionary|interval)")
_LEVELS = re.compile(rf"({_CATEGORIES.pattern}|object|null|(large_)?str(ing)?(_view)?(\W|$))")
_TIMES = re.compile(r"(date|time|period|duration)")
TIME_TYPES = (datetime.date, datetime.time, datetime.timedelta, np.datetime64, np.timedelta64)
_MISSING_TYPES = ("NoneType", "NAType", "NaTType")  # by name: pandas need not be installed
# Levels are numbers by mistake, it seems, if in the first rows there are more than so many, of
# which at least this share are numbers.
LOOKED_AT, MANY_LEVELS, MOST_NUMBERS = 1000, 20, 0.9
NUMBER_TYPES = (numbers.Real, Decimal, np.bool_)


def validate_table(owner, X, *, reset):
    """Check the shape, the width and the column names of a table, for an estimator.

    Parameters
    ----------
    owner : estimator
        Its `n_features_in_` and `feature_names_in_` are set or compared; messages name it.
    X : DataFrame, array-like or sparse matrix of shape (n_samples, n_features)
        A pandas or polars DataFrame, an array or list of anything, or a sparse matrix of numbers.
    reset : bool
        True when fitting: set the attributes. False: compare with them.

    Returns
    -------
    DataFrame, ndarray or CSR matrix of shape (n_samples, n_features)
        A DataFrame unchanged, everything else as an array; only lists are copied.

    Raises
    ------
    ValueError
        If X is not two-dimensional, is empty, or does not fit what was seen when fitting; if a
        sparse X holds anything but finite numbers.
    TypeError
        If some, but not all, column names are strings.
    """
    if is_frame(X):
        validate_data(owner, X, reset=reset, skip_check_array=True)
        if 0 in X.shape:
            what = ("sample(s)", "feature(s)")[X.shape.index(0)]
            raise ValueError(
                f"Found array with 0 {what} (shape={X.shape}), at least 1 is required."
            )
        return X
    if sparse.issparse(X):
        floats = (np.float64, np.float32)
        X = validate_data(
            owner, X, reset=reset, accept_sparse="csr", dtype=floats, ensure_all_finite=False
        )
        check_stored(X)
        return X
    if hasattr(X, "to_pandas"):  # numpy would drop the column names
        return validate_table(owner, _as_pandas(X), reset=reset)
    if isinstance(X, np.ma.MaskedArray):
        values = X.data if X.dtype.kind in "biuf" else X.data.astype(object)
        X = np.where(np.ma.getmaskarray(X), None if values.dtype == object else np.nan, values)
    array = X if hasattr(X, "dtype") else np.asarray(X)
    if isinstance(array, np.ndarray) and array.dtype.kind in "UST":
        array = np.asarray(X, dtype=object)  # undo numpy's conversion of mixed lists to strings
    return validate_data(owner, array, reset=reset, dtype=None, ensure_all_finite=False)


def _as_pandas(X):
    """Return a table as a pandas DataFrame; pyarrow's integers do not become floats."""
    if not type(X).__module__.startswith("pyarrow"):
        return X.to_pandas()
    from pandas import ArrowDtype

    return X.to_pandas(types_mapper=ArrowDtype)


def check_stored(X):
    """Raise if a sparse matrix stores anything but finite numbers."""
    wrong = np.flatnonzero(~np.isfinite(X.data))
    if not len(wrong):
        return
    column = f"x{X.indices[wrong[0]]}"
    if np.isnan(X.data[wrong[0]]):
        raise ValueError(
            f"Input X is, or was when fitted, sparse and has NaN in column {column!r}. Gaps are "
            "understood in dense tables only: use X.toarray(), or replace NaN by a number."
        )
    raise ValueError(
        f"Input X contains infinity or a value too large for {X.dtype!r} in column {column!r}. "
        "Replace it by a finite number."
    )


def is_frame(X):
    """Tell whether a table is a DataFrame, of pandas or polars."""
    return hasattr(X, "columns") and hasattr(X, "dtypes") and hasattr(X, "shape")


def column_names(X):
    """Return the names of columns as strings; x0, x1, ... if there are none."""
    if is_frame(X):
        return [str(name) for name in X.columns]
    return [f"x{j}" for j in range(X.shape[1])]


def column_values(X, j):
    """Return the values of column j as a list of Python objects."""
    return _values(column_at(X, j))


def column_at(X, j):
    """Return column j of a DataFrame or an array, as it is stored there."""
    return X.iloc[:, j] if hasattr(X, "iloc") else X[:, int(j)]


def _values(column):
    if hasattr(column, "to_list"):
        return column.to_list()
    # numpy's tolist turns nanoseconds into integers
    return list(column) if column.dtype.kind in "mM" else column.tolist()


def level_mask(X, categorical_features):
    """Return which columns of X are levels, a bool array of shape (n_features,)."""
    n_features = X.shape[1]
    if categorical_features is None:
        return np.zeros(n_features, dtype=bool)
    if isinstance(categorical_features, str):  # "from_dtype"
        if not is_frame(X) and X.dtype != object:
            return np.full(n_features, _is_level(X, "x0"))
        names = column_names(X)
        return np.array([_is_level(column_at(X, j), names[j]) for j in range(n_features)])
    if sparse.issparse(X):
        raise ValueError("categorical_features needs a dense table, got a sparse X.")
    chosen = np.atleast_1d(categorical_features)
    types = sorted({type(feature).__name__ for feature in chosen.ravel().tolist()})
    if chosen.ndim > 1 and types != ["bool"]:
        raise ValueError(
            f"categorical_features must be one-dimensional, got shape {chosen.shape}; columns "
            "whose names are no strings are chosen by index or by a mask."
        )
    if chosen.size and types not in (["bool"], ["int"], ["str"]):
        raise ValueError(
            "categorical_features must be an array-like of bool, int or str, "
            f"got: {', '.join(types)}."
        )
    if types == ["bool"]:
        if chosen.shape != (n_features,):
            raise ValueError(
                "categorical_features set as a boolean mask must have shape (n_features,), "
                f"got: {chosen.shape} for {n_features} features."
            )
        return chosen.astype(bool)
    return np.isin(np.arange(n_features), _indices_of(chosen, types == ["str"], X))


def _indices_of(chosen, by_name, X):
    """Return indices of the columns chosen, checked."""
    if not by_name:
        if chosen.size and not 0 <= chosen.min() <= chosen.max() < X.shape[1]:
            raise ValueError(
                "categorical_features set as integer indices must be in [0, n_features - 1]."
            )
        return chosen
    if not is_frame(X):
        raise ValueError(
            "categorical_features should be passed as an array of integers or as a boolean mask "
            "when the model is fitted on data without feature names."
        )
    names = list(X.columns)
    for name in chosen:
        if name not in names:
            raise ValueError(
                f"categorical_features has an item value '{name}' which is not a valid feature "
                f"name of the training data. Observed feature names: {names}"
            )
    return [names.index(name) for name in chosen]


def _dtype_name(column):
    """Return the name of a column's dtype in lower case, of its values if it is pandas' Sparse."""
    name = str(column.dtype).lower()
    return name[len("sparse[") :].split(",")[0] if name.startswith("sparse[") else name


def _is_level(column, name):
    """Return whether a column is levels, by its dtype or, if that is object or null, by values."""
    dtype = _dtype_name(column)
    if _NUMBERS.match(dtype):
        return False
    if _TIMES.match(dtype):
        raise _time_error(name, column.dtype)
    if not _LEVELS.match(dtype):
        raise TypeError(
            f"Column {name!r} has dtype {column.dtype}, expected numbers, booleans, strings or "
            "categories."
        )
    if dtype in ("object", "null") and _hold_numbers(_values(column), name):
        return False
    if not _CATEGORIES.match(dtype):
        _warn_of_numbers(column, name)
    return True


def _warn_of_numbers(column, name):
    """Warn if nearly all of many different values that become levels are numbers as text."""
    few = column.head(LOOKED_AT) if hasattr(column, "head") else column[:LOOKED_AT]
    distinct = {value for value in _values(few) if not is_missing(value)}
    numeric = {value for value in distinct if _is_number(value)}
    if len(distinct) > MANY_LEVELS and len(numeric) >= MOST_NUMBERS * len(distinct):
        odd = next(iter(distinct - numeric), None)
        rest = "" if odd is None else f"; the others, such as '{odd}', may mark missing values"
        warnings.warn(
            f"Column {name!r} is taken as categories, but {len(numeric)} of {len(distinct)} "
            f"different values in its first rows are numbers{rest}. pandas.to_numeric(column, "
            "errors='coerce') makes numbers of it; if it holds codes, name it in "
            "categorical_features",
            stacklevel=2,
        )


def _is_number(value):
    """Tell whether a value is a number, or a text that is one."""
    if isinstance(value, str):
        try:
            float(value)
        except ValueError:
            return False
        return True
    return isinstance(value, NUMBER_TYPES)


def _hold_numbers(values, name):
    """Return whether objects are all numbers or missing; raise if some cannot even be levels."""
    types = {kind for kind in set(map(type, values)) if kind.__name__ not in _MISSING_TYPES}
    for kind in types:
        if issubclass(kind, TIME_TYPES) or kind.__name__ == "Period":
            raise _time_error(name, kind.__name__)
        if kind.__hash__ is None or issubclass(kind, complex):
            raise TypeError(
                f"Column {name!r}: argument must be a string or a number, not a {kind.__name__}."
            )
    return all(issubclass(kind, NUMBER_TYPES) for kind in types)


def _time_error(name, dtype):
    return TypeError(
        f"Column {name!r} holds dates or times ({dtype}), which have no scale of their own. "
        "Replace it by numbers, such as the days since a fixed date, and by what may matter of "
        "it, such as month, weekday or hour."
    )


def gather_numbers(X, indices, unseen=()):
    """Return the columns with these indices as a float table, missing values as NaN.

    Columns in ``unseen`` had no value when fitted; if they turn out to be levels, all is NaN.
    """
    names = column_names(X)
    single = is_frame(X) and all(str(dtype).lower() == "float32" for dtype in X.dtypes)
    dtype = np.float32 if single else np.float64
    if not is_frame(X) and X.dtype.kind in "fiub" and len(indices) == X.shape[1]:
        table = X
    elif hasattr(X, "iloc") and all(map(_is_plain, X.dtypes)):
        table = X.iloc[:, indices].to_numpy(dtype=dtype)
    else:
        table = np.empty((X.shape[0], len(indices)), dtype=dtype)
        for k, j in enumerate(indices):
            column = column_at(X, j)
            level = j in unseen and _is_level(column, names[j])
            table[:, k] = np.nan if level else _as_floats(column, names[j])
    infinite = np.isinf(table)
    if infinite.any():
        first = infinite.any(axis=0).argmax()
        raise ValueError(
            f"Input X contains infinity or a value too large for {table.dtype!r} in column "
            f"{names[indices[first]]!r}. Replace it by a finite number, or by NaN if it is "
            "unknown."
        )
    return table


def _is_plain(dtype):
    """Tell whether a dtype of a DataFrame is a numeric dtype of numpy."""
    return isinstance(dtype, np.dtype) and dtype.kind in "fiub"


def _as_floats(column, name):
    """Return one column of an array, pandas or polars table as floats."""
    dtype = _dtype_name(column)
    if _TIMES.match(dtype):
        raise _time_error(name, column.dtype)
    if not _NUMBERS.match(dtype):
        return _parse(_values(column), name)
    if isinstance(column, np.ndarray):
        return column
    if hasattr(column, "iloc"):
        return column.to_numpy(dtype=np.float64, na_value=np.nan)
    return column.cast(float).to_numpy()


def _parse(values, name):
    """Return objects as floats, for a column that should hold numbers only."""
    _hold_numbers(values, name)
    floats = np.empty(len(values))
    for row, value in enumerate(values):
        try:
            floats[row] = np.nan if is_missing(value) else value
        except (TypeError, ValueError, ArithmeticError) as error:
            raise ValueError(
                f"Column {name!r} should hold numbers, could not convert {type(value).__name__} "
                f"to float: {value!r}. To treat it as categories, name it in "
                "categorical_features when fitting."
            ) from error
    return floats


def is_missing(value):
    return type(value).__name__ in _MISSING_TYPES or bool(value != value)
