"""The matrix of a large table, made a few rows at a time, when they are read.

An encoded table can be many times as large as the table: a column of numbers becomes up to 34
columns. If the matrix would be large, only compact codes are stored, or the user's array of
numbers, and every batch is expanded when it is read. `linear_inputs` reads, from any matrix, what
a linear model is fitted to.
"""

from copy import copy

import numpy as np
from sklearn.utils import gen_batches

# A matrix of fewer numbers is encoded at once, because to expand it again and again takes time.
LATE_CELLS = 2**22
_FEW_CELLS, _ROWS_PER_COLUMN = 2**18, 20  # least numbers, and rows per column, of a sample
_BLOCK_CELLS = 2**18  # numbers expanded at a time where many rows are asked for


def encode_early_or_late(table, X):
    """Return the encoded rows: an array or CSR matrix, or a `LateMatrix` if that would be large.

    Parameters
    ----------
    table : TableEncoder
        Fitted.
    X : DataFrame, ndarray or CSR matrix of shape (n, n_features)
        As `validate_table` returns it.

    Returns
    -------
    ndarray, CSR matrix or LateMatrix of shape (n, d)
    """
    if table.is_sparse or X.shape[0] * table.n_features_out_ < LATE_CELLS:
        return table.encode(X)
    return LateMatrix(table, table.compress(X))


class LateMatrix:
    """Codes that are expanded to a matrix when they are read; indexing selects without a copy.

    Parameters
    ----------
    table : TableEncoder
    codes : ndarray or CodedWhenRead of shape (n, n_codes)
        From ``table.compress``.
    """

    ndim = 2

    def __init__(self, table, codes):
        self.table, self.codes = table, codes
        self.index = np.arange(len(codes), dtype=np.int32)  # the rows selected
        self.pieces, self.with_ones = True, False  # the options of `TableEncoder.expand`

    @property
    def shape(self):
        """Rows and columns."""
        table = self.table
        width = table.n_features_out_ if self.pieces else table.n_plain_features_
        return len(self.index), width + self.with_ones

    @property
    def dtype(self):
        """Type of the matrix."""
        return np.dtype(self.table.dtype)

    def __len__(self):
        return len(self.index)

    def __getitem__(self, rows):
        """Return a selection of the rows."""
        return self._with(index=self.index[rows])

    def plain(self):
        """Return the matrix without the piecewise-linear encoding."""
        return self._with(pieces=False)

    def add_ones(self):
        """Return the matrix with a trailing column of ones."""
        return self._with(with_ones=True)

    def _with(self, **wanted):
        """Return a copy with other attributes that shares the codes."""
        matrix = copy(self)
        vars(matrix).update(wanted)
        return matrix

    def toarray(self):
        """Return the matrix, in Fortran order."""
        n_rows = max(1, _BLOCK_CELLS // self.shape[1])
        if len(self) <= n_rows:
            return self._expand(slice(None))
        out = np.empty(self.shape[::-1], dtype=self.dtype).T
        for rows in gen_batches(len(self), n_rows):
            out[rows] = self._expand(rows)
        return out

    def _expand(self, rows):
        """Return some rows of the matrix."""
        codes = self.codes.take(self.index[rows], axis=0)
        return self.table.expand(codes, pieces=self.pieces, with_ones=self.with_ones)


def read(X, rows):
    """Return rows of an array or CSR matrix as they are, of a `LateMatrix` as an array."""
    return X[rows].toarray() if isinstance(X, LateMatrix) else X[rows]


def linear_inputs(X, rows, table):
    """Return the inputs of a linear model: plain columns, and those without the smooth clip.

    Parameters
    ----------
    X : ndarray, CSR matrix or LateMatrix of shape (n, d)
    rows : ndarray of int
        Positions of rows; of a `LateMatrix` an evenly spaced sample of them is used.
    table : TableEncoder or None
        Which encoded the rows. None: all columns are plain.

    Returns
    -------
    rows : ndarray of int
        Positions of the rows that are used.
    inputs : list of one or two ndarrays or CSR matrices, each of shape (len(rows), n_columns)
        There is a second one, by `TableEncoder.unclipped`, if it differs.
    """
    n_columns, unclipped = (table.n_plain_features_, table.unclipped) if table else (None, None)
    clipped = X.plain() if isinstance(X, LateMatrix) else X[:, :n_columns]
    rows = _thin(clipped, rows)
    inputs = [read(clipped, rows)]
    if unclipped is not None:
        linear, n_rows = np.empty_like(inputs[0]), max(1, _BLOCK_CELLS // X.shape[1])
        for some in gen_batches(len(rows), n_rows):
            linear[some] = read(X, rows[some]) @ unclipped
        inputs.append(linear)
    return rows, inputs


def _thin(X, rows):
    """Return these positions of rows; for a `LateMatrix` an evenly spaced sample of them."""
    if not isinstance(X, LateMatrix):
        return rows
    few = max(_FEW_CELLS // X.shape[1], _ROWS_PER_COLUMN * X.shape[1])
    return rows[:: max(1, len(rows) // few)]
