"""Which rows are held out from each network, by scikit-learn's splitters."""

from itertools import islice

import numpy as np
import scipy.sparse as sp
from sklearn.model_selection import (
    KFold,
    ShuffleSplit,
    StratifiedKFold,
    StratifiedShuffleSplit,
)

# With fewer rows than this none are held out: a part of them would say little about the rest.
EARLY_STOPPING_ROWS = 20
# With fewer rows than this, equal rows are merged.
TINY_ROWS = 100


def merge_equal_rows(X, target, weight):
    """Return the distinct rows, sorted, each with the sum of its weights.

    A network that fits a tiny table exactly amplifies rounding errors, until a row of weight two
    and two equal rows give different results. With merged rows they are the same to the last bit.

    Parameters
    ----------
    X : ndarray or CSR matrix of shape (n, d)
    target : ndarray of shape (n, o)
    weight : ndarray of shape (..., n)

    Returns
    -------
    X, target, weight
        Of m <= n rows, in an order that does not depend on that of the input.
    """
    dense = X[:, np.unique(X.indices)].toarray() if sp.issparse(X) else X
    _, first, row = np.unique(
        np.hstack([dense, target]), axis=0, return_index=True, return_inverse=True
    )
    totals = [np.bincount(row.ravel(), one) for one in weight.reshape(-1, weight.shape[-1])]
    return X[first], target[first], np.reshape(totals, (*weight.shape[:-1], len(first)))


def held_out_masks(n_rows, strata, n_estimators, validation_fraction, seed):
    """Choose the held-out rows of every network.

    A single network holds out a random part. Several hold out different folds, so that every row
    is learned by some network; with more networks than folds the folds are used again. A fold is
    at most half the rows: for a larger fraction, each holds out a random part.

    Parameters
    ----------
    n_rows : int
    strata : ndarray of shape (n_rows,) or None
        Class of every row; held-out rows then have the classes in the same shares. No class is
        held out completely: if all classes have a single row, nothing is held out.
    n_estimators : int
        K.
    validation_fraction : float
        Share of the rows held out.
    seed : int

    Returns
    -------
    ndarray of bool, shape (K, n_rows)

    Raises
    ------
    ValueError
        If the fraction leaves no row on one side, or a class without a row to learn from.
    """
    pooled = _pool_rare(strata, validation_fraction)
    n_folds = max(2, min(round(1.0 / validation_fraction), n_rows))
    if n_estimators == 1 or validation_fraction > 0.5:
        splitter = StratifiedShuffleSplit if pooled is not None else ShuffleSplit
        splitter = splitter(n_estimators, test_size=validation_fraction, random_state=seed)
    else:
        splitter = KFold if pooled is None else StratifiedKFold
        splitter = splitter(n_folds, shuffle=True, random_state=seed)
    masks = np.zeros((n_estimators, n_rows), dtype=bool)
    splits = splitter.split(np.zeros(n_rows, dtype=bool), pooled)
    try:
        for part, (_, test) in enumerate(islice(splits, n_estimators)):
            masks[part :: splitter.get_n_splits(), test] = True
    except ValueError as error:
        raise ValueError(
            f"validation_fraction={validation_fraction} of {n_rows} distinct rows leaves too few, "
            f"or a class out, on one side: {error}. Change it, or set early_stopping=False"
        ) from None
    if strata is not None:
        for mask in masks:
            mask[~np.isin(strata, strata[~mask])] = False
    return masks


def _pool_rare(strata, validation_fraction):
    """Add the rows of classes too rare for a row in every held-out part to another class."""
    if strata is None:
        return None
    classes, codes, counts = np.unique(strata, return_inverse=True, return_counts=True)
    rare = counts * validation_fraction < 1.0
    if rare.all():
        return None
    codes[rare[codes]] = np.flatnonzero(~rare)[0]
    return codes
