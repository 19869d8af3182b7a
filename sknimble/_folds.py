"""Which rows a network learns from and which judge it, by scikit-learn's splitters."""

import numpy as np
from sklearn.model_selection import (
    KFold,
    ShuffleSplit,
    StratifiedKFold,
    StratifiedShuffleSplit,
)

# Fewer rows than this, and a held-out part of them says little about the rest.
EARLY_STOPPING_ROWS = 100


def held_out_masks(n_rows, strata, n_estimators, validation_fraction, seed):
    """Choose the held-out rows of every network.

    One network holds out a random part. Several hold out different folds, so that all rows
    train someone; with more networks than folds the folds are used again.

    Parameters
    ----------
    n_rows : int
    strata : ndarray of shape (n_rows,) or None
        Class of every row; each part then keeps the shares of the classes.
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
        If the fraction leaves no row on one side, or a class with fewer rows than parts.
    """
    masks = np.zeros((n_estimators, n_rows), dtype=bool)
    strata = _enough(strata, validation_fraction)
    n_folds = max(2, round(1.0 / validation_fraction))
    if n_estimators == 1:
        splitter = StratifiedShuffleSplit if strata is not None else ShuffleSplit
        splitter = splitter(1, test_size=validation_fraction, random_state=seed)
    else:
        splitter = KFold if strata is None else StratifiedKFold
        splitter = splitter(n_folds, shuffle=True, random_state=seed)
    parts = [test for _, test in splitter.split(np.zeros(n_rows), strata)]
    for member, mask in enumerate(masks):
        mask[parts[member % len(parts)]] = True
    return masks


def _enough(strata, validation_fraction):
    """Pool the classes that are too rare to have a row in every part."""
    if strata is None:
        return None
    classes, codes, counts = np.unique(strata, return_inverse=True, return_counts=True)
    rare = counts * validation_fraction < 1.0
    if rare.all():
        return None
    codes[rare[codes]] = np.flatnonzero(~rare)[0]
    return codes
