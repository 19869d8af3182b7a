"""From the user's table to the float matrix that the network reads.

A column is either *numbers* or *levels* (categories), decided once, when fitting:

- numbers are centred at their median, divided by a robust scale and smoothly clipped, so that
  zero means "the median, or missing"; a column with gaps gets a 0/1 indicator beside it;
- levels become one indicator column each, the most frequent first; rare levels are pooled, missing
  is one more level. An indicator is 0 or 1 for two levels, 0 or 1 / sqrt(k) for k: of many levels
  each has few rows, and the network could fit their noise.

scikit-learn's transformers do the same, but without sample weights, with several copies of the
data, and with levels sorted by name. Here a row of weight two *is* two rows, to the last bit, and
names carry no meaning. Sparse matrices go through `MaxAbsScaler` and stay sparse.

>>> import numpy as np
>>> X = np.array([[1.0, "red"], [2.0, "blue"], [4.0, "red"]], dtype=object)
>>> TableEncoder().fit(X).encode(X).round(2)
array([[-0.66,  1.  ,  0.  ],
       [ 0.  ,  0.  ,  1.  ],
       [ 1.26,  1.  ,  0.  ]])
"""

from copy import copy

import numpy as np
from scipy import sparse
from sklearn.preprocessing import MaxAbsScaler
from sklearn.utils import gen_batches

from ._columns import check_stored, column_names, column_values, gather_numbers, level_mask
from ._levels import Levels
from ._numbers import Numbers
from ._row_weights import for_quantiles

# Numbers of sparse tables are clipped at so many times their column's largest when fitted: of few
# stored numbers the largest may be tiny.
SPARSE_FAR = 3.0
_BLOCK = 2**17  # numbers handled at once: about a megabyte, whatever the length of the table
_SUMS_MAY_OVERFLOW = {"over": "ignore", "invalid": "ignore"}  # in the sums that look for NaN


class TableEncoder:
    r"""Turn a table of mixed columns into a float matrix, and remember how.

    Parameters
    ----------
    categorical_features : {"from_dtype"}, array-like of bool, int or str, or None, \
            default="from_dtype"
        Which columns are levels. A mask, indices, names and None mean what they mean to
        `HistGradientBoostingRegressor`: these columns, and all others must be numbers.
        "from_dtype" takes the columns of dtype category, Categorical or Enum and, unlike there,
        columns of strings, and of objects that are not all numbers, also in arrays.
    encoding : {"none", "piecewise"}, default="none"
        Whether columns of numbers are followed by a piecewise-linear encoding.

    Attributes
    ----------
    dtype : dtype
        Of the matrix; float64 unless set to another.
    n_features_out_ : int
        Width of the matrix.
    n_plain_features_ : int
        How many of its columns come before the piecewise-linear encoding.
    n_features_in_ : int
        Width of the table.

    Notes
    -----
    With m the median of a column and s its scale, numbers become

    .. math:: z / \sqrt{1 + (z / 4)^2}, \qquad z = (x - m) / s.

    The scale is 1.5 times the median distance from m among values other than m. It is close to
    the standard deviation where values are normal, and remains a typical distance where most of
    them are equal. With two distinct values it is the distance between them; with one, infinite.

    The encoding splits the range of a column at quantiles and has one column per piece: how far
    along the piece x is, from 0 to 1, less the same for m. The outer pieces go on beyond the
    range, for one scale or their own length, whichever is less. The quantiles are the quartiles,
    and as many more as it takes to draw the distribution function to within 0.05 by straight
    lines: four pieces for a uniform distribution, six for a normal one, up to eight for heavy
    tails. There are always eight if distinct values have four rows each on average, or if there is
    no other column of numbers. More than four pieces need eight distinct values for each. All
    columns together have 2,048 pieces at most: with more than 256 columns of numbers each has
    fewer, with more than 1,024 none; columns that do not vary are not counted. A value that many
    rows share counts for one piece at most: a column that is mostly zeros is split among its other
    values.

    If y is given, and there are several columns of numbers, a column may have four times as many
    pieces: first half of these is tried, then all; or, with 3 to 16 distinct values, one piece
    between any two adjacent values. It gets them if the means of y, in at most 128 bins of the
    column, lie farther from the best fit of its pieces than noise explains, by a twentieth of the
    variance of y and by six standard deviations (an analysis of variance), and if there are 40
    rows per piece, or 20 with few values. Pieces of a column with more than eight are lower, by
    sqrt(8 / pieces).

    A column with more than 256 levels keeps the most frequent ones and pools all others, including
    those never seen when fitting. In other columns a level never seen is all zeros.

    References
    ----------
    Holzmueller et al., "Better by default", arXiv 2407.04491 (smooth clip).
    Gorishniy et al., "On embeddings for numerical features", arXiv 2203.05556 (encoding).
    """

    most_pieces = 8  # of a column, unless y needs more
    most_levels = 256  # of a column, all pooled ones counted as one

    def __init__(self, *, categorical_features="from_dtype", encoding="none"):
        self.categorical_features = categorical_features
        self.encoding = encoding
        self.dtype = np.float64

    def fit(self, X, y=None, weight=None):
        """Learn scales, levels and knots.

        Parameters
        ----------
        X : DataFrame, ndarray or CSR matrix of shape (n_samples, n_features)
            As `validate_table` returns it.
        y : ndarray of shape (n_samples, n_outputs), default=None
            Targets, for which columns may get more pieces.
        weight : ndarray of shape (n_samples,), default=None
            Positive. Integers are the same as repeating rows, unless all are equal; for others
            see `for_quantiles`.
        """
        self.n_features_in_ = X.shape[1]
        is_level = level_mask(X, self.categorical_features)
        self.scaler_ = None
        if sparse.issparse(X):
            with np.errstate(**_SUMS_MAY_OVERFLOW):
                self.scaler_ = MaxAbsScaler().set_output(transform="default").fit(X)
            _scale_by(self.scaler_, self.scaler_.max_abs_)
            self.n_features_out_ = self.n_plain_features_ = X.shape[1]
            return self
        weight, names = for_quantiles(weight), column_names(X)
        self.level_indices_ = np.flatnonzero(is_level)
        self.number_indices_ = np.flatnonzero(~is_level)
        most_pieces = self.most_pieces if self.encoding == "piecewise" else 0
        numbers = gather_numbers(X, self.number_indices_)
        self.numbers_ = Numbers().fit(numbers, weight, most_pieces, y)
        self.levels_ = [
            Levels(names[j]).fit(column_values(X, j), weight, self.most_levels)
            for j in self.level_indices_
        ]
        widths = [levels.width for levels in self.levels_]
        self.n_plain_features_ = self.numbers_.n_plain + sum(widths)
        self.n_features_out_ = self.n_plain_features_ + len(self.numbers_.pieces)
        return self

    @property
    def unclipped(self):
        """Matrix that turns encoded rows into their plain columns, without the smooth clip.

        CSR of shape (n_features_out_, n_plain_features_); None if no column has pieces. A column
        of numbers is the sum of its pieces, each as long as it is.
        """
        n_plain = self.n_plain_features_
        if n_plain == self.n_features_out_:
            return None
        pieces = self.numbers_.pieces
        same = np.setdiff1d(np.arange(n_plain), pieces.column)
        values = np.append(np.ones(len(same)), pieces.length / pieces.height)
        rows = np.append(same, n_plain + np.arange(len(pieces)))
        columns = np.append(same, pieces.column)
        return sparse.csr_array((values, (rows, columns)), shape=(self.n_features_out_, n_plain))

    @property
    def is_sparse(self):
        """Whether the table was sparse when fitted; then its matrix is sparse, too."""
        return self.scaler_ is not None

    def rescaled(self, X):
        """Return a copy with the scales of columns that vary only now, or this encoder.

        Parameters
        ----------
        X : DataFrame, ndarray or CSR matrix of shape (n_samples, n_features)
            Further rows. Columns of numbers with at most one value so far may have others here.

        Returns
        -------
        TableEncoder
        """
        if self.is_sparse:
            return self._rescaled_sparse(X)
        if not len(self.numbers_.unscaled):
            return self
        columns = self.number_indices_[self.numbers_.unscaled]
        X = X.toarray() if sparse.issparse(X) else X
        numbers = self.numbers_.rescaled(gather_numbers(X, columns))
        if numbers is self.numbers_:
            return self
        later = copy(self)
        later.numbers_ = numbers
        return later

    def _rescaled_sparse(self, X):
        """Return a copy with the scales of columns that were empty so far, or this encoder."""
        empty = np.flatnonzero(self.scaler_.max_abs_ == 0.0)
        if not len(empty):
            return self
        largest = self.scaler_.max_abs_.copy()
        with np.errstate(**_SUMS_MAY_OVERFLOW):
            largest[empty] = MaxAbsScaler().fit(_as_sparse(X)[:, empty]).max_abs_
        if not (largest[empty] > 0.0).any():
            return self
        later = copy(self)
        later.scaler_ = copy(self.scaler_)
        _scale_by(later.scaler_, largest)
        return later

    def recoded(self, Z, before):
        """Return the matrix of earlier rows, made by ``before``, as this encoder would make it.

        Parameters
        ----------
        Z : ndarray or CSR matrix of shape (n_samples, n_features_out_)
        before : TableEncoder
            The encoder that was `rescaled` to this one.

        Returns
        -------
        ndarray or CSR matrix of shape (n_samples, n_features_out_)
        """
        # A column that was empty in a sparse table is 0 in all of its rows, whatever its scale.
        return Z if self.is_sparse else self.numbers_.recoded(Z, before.numbers_)

    def encode(self, X):
        """Return the matrix of X: dense in C order, or CSR if the table fitted was sparse.

        Parameters
        ----------
        X : DataFrame, ndarray or CSR matrix of shape (n_samples, n_features)
            As `validate_table` returns it.

        Returns
        -------
        ndarray or CSR matrix of shape (n_samples, n_features_out_)
        """
        if self.is_sparse:
            return self._encode_sparse(X)
        return self._in_blocks(self._gather(X), self.n_features_out_, self.expand)

    def _encode_sparse(self, X):
        """Return the matrix of a table that was sparse when fitted."""
        with np.errstate(**_SUMS_MAY_OVERFLOW):
            Z = self.scaler_.transform(_as_sparse(X))
        Z.sum_duplicates()  # also sorts indices: the order of a sum decides its last bits
        np.clip(Z.data, -SPARSE_FAR, SPARSE_FAR, out=Z.data)
        return Z.astype(np.float32, copy=False).astype(self.dtype, copy=False)  # as in `in_units`

    def compress(self, X):
        """Return the codes of the rows, from which `expand` makes the matrix.

        Parameters
        ----------
        X : DataFrame, ndarray or CSR matrix of shape (n_samples, n_features)
            As `validate_table` returns it.

        Returns
        -------
        ndarray or CodedWhenRead of shape (n_samples, n_codes)
            Scaled numbers, indicators of missing values, and column numbers of levels: about as
            wide as X. An array of numbers whose rows are contiguous is not copied, but coded when
            it is read.
        """
        columns = self._gather(X)
        if columns[0] is X and X.strides[1] == X.itemsize:
            return CodedWhenRead(self, X)
        n_codes = self.numbers_.n_plain + len(self.levels_)
        return self._in_blocks(columns, n_codes, lambda codes: codes)

    def expand(self, codes, *, pieces=True, with_ones=False):
        """Return the matrix of coded rows.

        Parameters
        ----------
        codes : ndarray of shape (n, n_codes)
            Any rows of what `compress` returns.
        pieces : bool, default=True
            Whether the piecewise-linear encoding is wanted.
        with_ones : bool, default=False
            Whether a column of ones is added.

        Returns
        -------
        ndarray of shape (n, n_features_out_), or as many columns as are wanted
            In Fortran order: what is done to a column is done to neighbours in memory.
        """
        codes = np.ascontiguousarray(codes.T)
        width = self.n_features_out_ if pieces else self.n_plain_features_
        out = np.empty((width + with_ones, codes.shape[1]), dtype=codes.dtype)
        first = self.numbers_.n_plain
        self.numbers_.expand(codes[:first], out[:first], out[self.n_plain_features_ : width])
        for code, levels in zip(codes[first:], self.levels_, strict=True):
            levels.expand(code, out[first : first + levels.width])
            first += levels.width
        out[width:] = 1.0
        return out.T

    def _in_blocks(self, columns, width, make):
        """Return ``make`` of the codes of all rows, with ``width`` columns, in blocks of rows."""
        out = np.empty((len(columns[0]), width), dtype=self.dtype)
        for rows in gen_batches(len(out), max(1, _BLOCK // max(1, width))):
            out[rows] = make(self.code(*(table[rows] for table in columns)))
        return out

    def _gather(self, X):
        """Return the columns of numbers, before scaling, and the column numbers of levels."""
        if sparse.issparse(X):
            X = X.toarray()
        unseen = self.number_indices_[np.isnan(self.numbers_.center)]
        numbers = gather_numbers(X, self.number_indices_, unseen)
        levels = np.empty((X.shape[0], len(self.levels_)), dtype=np.float32)
        for k, j in enumerate(self.level_indices_):
            levels[:, k] = self.levels_[k].code(column_values(X, j))
        return numbers, levels

    def code(self, numbers, *levels):
        """Return the codes of rows, from what `_gather` returns."""
        return np.hstack([self.numbers_.code(numbers), *levels]).astype(self.dtype, copy=False)


class CodedWhenRead:
    """An array of numbers that is read as codes; it is not copied.

    Parameters
    ----------
    table : TableEncoder
        Fitted to columns of numbers only.
    numbers : ndarray of shape (n, n_features)
    """

    def __init__(self, table, numbers):
        self.table, self.numbers = table, numbers

    def __len__(self):
        return len(self.numbers)

    def take(self, rows, axis=0):
        """Return the codes of the rows at some positions."""
        return self.table.code(self.numbers.take(rows, axis))


def _as_sparse(X):
    """Return a table of numbers as a sparse array, checked; sparse matrices as they are."""
    if sparse.issparse(X):
        return X
    X = sparse.csr_array(gather_numbers(X, range(X.shape[1])))
    check_stored(X)
    return X


def _scale_by(scaler, largest):
    """Make a `MaxAbsScaler` divide by these values; scikit-learn does not divide by tiny ones."""
    scaler.max_abs_, scaler.scale_ = largest, np.where(largest > 0.0, largest, 1.0)
