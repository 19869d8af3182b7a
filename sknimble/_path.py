"""A path of prices under cross-validation, trained in one computation, and the choice of one."""

import warnings
from abc import ABCMeta, abstractmethod
from dataclasses import dataclass
from inspect import signature
from numbers import Integral

import numpy as np
from sklearn.base import (
    BaseEstimator,
    ClassifierMixin,
    RegressorMixin,
    _fit_context,
    clone,
    is_classifier,
)
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import check_scoring, get_scorer_names
from sklearn.model_selection import check_cv
from sklearn.utils import _safe_indexing, check_array, check_random_state, get_tags, indexable
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.validation import check_is_fitted

from ._estimators import NimbleClassifier, NimbleRegressor
from ._folds import EARLY_STOPPING_ROWS, held_out_masks, merge_equal_rows
from ._losses import linear_loss
from ._size import window_end

N_PENALTIES = 8
LOWEST_SHARE = 1e-3  # of the highest penalty of an automatic grid, the lowest
TIE = 1e-8  # scores that differ by less differ by rounding


# ----------------------------------------------------------------------------- the path
@dataclass(frozen=True)
class NimblePath:
    """What `nimble_path` returns.

    Attributes
    ----------
    size_penalties : ndarray of shape (n_penalties,)
        Prices of one neuron, highest first.
    scores : ndarray of shape (n_penalties, n_folds)
        Scores on the rows that each fold leaves out; higher is better.
    sizes : ndarray of shape (n_penalties, n_folds)
        Size weights N, as `size_weight_` has them.
    """

    size_penalties: np.ndarray
    scores: np.ndarray
    sizes: np.ndarray


def nimble_path(
    X, y, *, estimator=None, size_penalties=None, cv=5, scoring=None, sample_weight=None,
    groups=None,
):  # fmt: skip
    """Cross-validate networks at several prices of a neuron, all in one computation.

    Parameters
    ----------
    X : DataFrame, array-like or sparse matrix of shape (n_samples, n_features)
        The table as it came.
    y : array-like of shape (n_samples,) or (n_samples, n_outputs)
        Targets.
    estimator : NimbleRegressor or NimbleClassifier, default=None
        All other parameters; None is ``NimbleRegressor()``.
    size_penalties : int or array-like of shape (n_penalties,), default=None
        Prices to try, 0 or more. An int asks for so many of a geometric grid that begins where
        no neuron could pay, and ends at a thousandth of that; None for 8.
    cv : int, splitter or iterable, default=5
        As scikit-learn's: an int is a number of folds, stratified for classes.
    scoring : str or callable, default=None
        A scikit-learn scorer; None is the estimator's own ``score``.
    sample_weight : array-like of shape (n_samples,), default=None
        Weights of rows in training, and in scores whose metric takes them.
    groups : array-like of shape (n_samples,), default=None
        Passed to the splitter.

    Returns
    -------
    NimblePath

    Raises
    ------
    ValueError
        If data or parameters make no sense, or the networks would not fit in memory.

    Notes
    -----
    A network of the path is the one that the estimator would fit to the training rows of the
    fold, but for the encoding of the inputs, which is learned once from all rows.
    """
    model = clone(NimbleRegressor() if estimator is None else estimator)
    model._validate_params()
    model._check_sizes()
    rows = model._check_data(X, y, sample_weight, reset=True)
    X, y, groups = indexable(X, y, groups)
    splits = check_cv(cv, y, classifier=is_classifier(model)).split(X, y, groups)
    splits = [[_positions(rows) for rows in split] for split in splits]
    scorer = check_scoring(model, scoring=scoring)
    folds = _Folds(model, rows, _counted(sample_weight, len(rows[1]), y), [s[0] for s in splits])
    penalties = check_penalties(size_penalties, folds)
    fitted = folds.train(penalties)
    scores = [
        [
            _score(scorer, one, X, y, sample_weight, test)
            for one, (_, test) in zip(row, splits, strict=True)
        ]
        for row in fitted
    ]
    sizes = [[one.size_weight_ for one in row] for row in fitted]
    return NimblePath(penalties, np.array(scores, dtype=float), np.array(sizes))
