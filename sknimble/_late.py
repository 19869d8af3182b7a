"""The matrix of a large table, encoded a few rows at a time, when they are read.

Encoded, a table can be many times its own size: a column of numbers becomes nine. Where that
would be much, rows stay as they came, and each batch is encoded anew.
"""

import numpy as np
from sklearn.utils import _safe_indexing, gen_batches

# Numbers in a table from which its matrix is not kept: encoding again and again takes time.
LATE_CELLS = 2**22
_FEW_CELLS, _ROWS_PER_COLUMN = 2**18, 20  # numbers, and rows, read where a sample will do
_BLOCK_ROWS = 2**11  # rows encoded at a time where many are asked for


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
    if X.shape[0] * X.shape[1] < LATE_CELLS or table.scaler_ is not None:
        return table.encode(X)
    return LateMatrix(table, X)


class LateMatrix:
    """Rows that know how to become a matrix; indexing chooses rows and copies none.

    Parameters
    ----------
    table : TableEncoder
    X : DataFrame, ndarray or CSR matrix of shape (n, n_features)
    index : ndarray of int, default=None
        Which rows of X, all by default.
    width : int, default=None
        Only so many leading columns, all by default.
    with_ones : bool, default=False
        Whether a column of ones is added.
    """

    ndim = 2

    def __init__(self, table, X, index=None, width=None, with_ones=False):
        self.table, self.X, self.with_ones = table, X, with_ones
        self.index = np.arange(X.shape[0], dtype=np.int32) if index is None else index
        self.width = table.n_features_out_ if width is None else width

    @property
    def shape(self):
        """Rows and columns."""
        return len(self.index), self.width + self.with_ones

    @property
    def dtype(self):
        """Of the matrix."""
        return np.dtype(self.table.dtype)

    def __len__(self):
        return len(self.index)

    def __getitem__(self, rows):
        """Choose rows; or, as in ``[:, :3]``, leading columns."""
        if isinstance(rows, tuple):
            return LateMatrix(self.table, self.X, self.index, rows[1].stop, self.with_ones)
        return LateMatrix(self.table, self.X, self.index[rows], self.width, self.with_ones)

    def add_ones(self):
        """Return the matrix with a trailing column of ones."""
        return LateMatrix(self.table, self.X, self.index, self.width, True)

    def toarray(self):
        """Return the matrix."""
        out = np.empty(self.shape, dtype=self.dtype)
        for rows in gen_batches(len(self), _BLOCK_ROWS):
            block = self.table.encode(_safe_indexing(self.X, self.index[rows]))
            out[rows, : self.width] = block[:, : self.width]
        out[:, self.width :] = 1.0
        return out


def read(X, rows):
    """Return rows of an array or CSR matrix as they are, of a `LateMatrix` as an array."""
    return X[rows].toarray() if isinstance(X, LateMatrix) else X[rows]


def thin(X, rows):
    """Return positions of rows; of a `LateMatrix` evenly spaced ones, so that few are read."""
    if not isinstance(X, LateMatrix):
        return rows
    few = max(_FEW_CELLS // X.shape[1], _ROWS_PER_COLUMN * X.shape[1])
    return rows[:: max(1, len(rows) // few)]
