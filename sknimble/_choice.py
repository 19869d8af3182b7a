"""Estimators that choose the price of a neuron by cross-validation along a path of prices."""

from abc import ABCMeta, abstractmethod
from functools import wraps

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin, _fit_context, clone
from sklearn.utils import get_tags
from sklearn.utils._param_validation import StrOptions
from sklearn.utils.validation import check_is_fitted

from ._classifier import NimbleClassifier
from ._path import PATH_CONSTRAINTS, nimble_path
from ._regressor import NimbleRegressor

TIE = 1e-8  # a smaller relative difference between scores counts as rounding


def _of_final(name, doc):
    """Return a property that reads an attribute of the final estimator."""

    def read(self):
        if "estimator_" not in vars(self):
            raise AttributeError(f"{type(self).__name__} has no {name} before fit")
        return getattr(self.estimator_, name)

    return property(read, doc=doc)


def _by_final(method):
    """Return a method that calls the final estimator's, and is documented by it."""

    @wraps(method)
    def call(self, *args, **kwargs):
        check_is_fitted(self)
        return getattr(self.estimator_, method.__name__)(*args, **kwargs)

    return call


class _NimbleCV(BaseEstimator, metaclass=ABCMeta):
    """What both estimators share: constraints, path, choice of the price, final fit."""

    _parameter_constraints: dict = {
        **PATH_CONSTRAINTS,
        "selection": [StrOptions({"best", "one_se"})],
        "random_state": ["random_state"],
    }

    def __init__(
        self, estimator=None, *, size_penalties=None, cv=5, scoring=None, selection="best",
        path_estimators=1, random_state=None,
    ):  # fmt: skip
        self.estimator = estimator
        self.size_penalties = size_penalties
        self.cv = cv
        self.scoring = scoring
        self.selection = selection
        self.path_estimators = path_estimators
        self.random_state = random_state

    @property
    @abstractmethod
    def _kind(self):
        """The class of the estimator whose price is chosen."""

    def _prototype(self):
        """Return the unfitted estimator with all other parameters."""
        return self._kind() if self.estimator is None else self.estimator

    @_fit_context(prefer_skip_nested_validation=False)
    def fit(self, X, y, sample_weight=None, *, groups=None):
        """Choose the price by cross-validation, and fit an estimator with it to all rows.

        Parameters
        ----------
        X : DataFrame, array-like or sparse matrix of shape (n_samples, n_features)
        y : array-like of shape (n_samples,) or (n_samples, n_outputs)
        sample_weight : array-like of shape (n_samples,), default=None
            Weights of rows in training, and in scores whose metric takes them, unless a
            scorer has refused them by ``set_score_request(sample_weight=False)``.
        groups : array-like of shape (n_samples,), default=None
            Passed to the splitter.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            If data or parameters are invalid, as in `nimble_path` and in `fit` of the estimator.
        """
        estimator = clone(self._prototype())
        if isinstance(self.random_state, np.random.RandomState):  # clones would repeat its draws
            estimator.set_params(random_state=self.random_state.randint(np.iinfo(np.int32).max))
        elif self.random_state is not None:
            estimator.set_params(random_state=self.random_state)
        path = nimble_path(
            X, y, estimator=estimator, size_penalties=self.size_penalties, cv=self.cv,
            scoring=self.scoring, path_estimators=self.path_estimators,
            sample_weight=sample_weight, groups=groups,
        )  # fmt: skip
        chosen = float(path.size_penalties[choose(path.scores, self.selection)])
        final = estimator.set_params(size_penalty=chosen)
        final.fit(X, y, sample_weight=sample_weight)
        self.size_penalties_, self.scores_path_ = path.size_penalties, path.scores
        self.size_path_, self.size_penalty_, self.estimator_ = path.sizes, chosen, final
        return self

    def predict(self, X):
        """Predict with the final estimator.

        Parameters
        ----------
        X : DataFrame, array-like or sparse matrix of shape (n_samples, n_features)

        Returns
        -------
        ndarray of shape (n_samples,) or (n_samples, n_outputs)
        """
        check_is_fitted(self)
        return self.estimator_.predict(X)

    n_features_in_ = _of_final("n_features_in_", "Number of columns seen in `fit`.")
    feature_names_in_ = _of_final("feature_names_in_", "Names of the columns seen in `fit`.")
    size_weight_ = _of_final("size_weight_", "Size weight N of the final estimator.")
    n_hidden_ = _of_final("n_hidden_", "Awake neurons per hidden layer of the final estimator.")
    n_parameters_ = _of_final("n_parameters_", "Weights and biases of the final estimator.")
    n_iter_ = _of_final("n_iter_", "Epochs of the final fit.")
    history_ = _of_final("history_", "Record of the final fit.")
    loss_curve_ = _of_final("loss_curve_", "Objective in every epoch of the final fit.")

    def __sklearn_tags__(self):
        tags, inner = super().__sklearn_tags__(), get_tags(self._prototype())
        tags.input_tags, tags.target_tags = inner.input_tags, inner.target_tags
        return tags


class NimbleRegressorCV(RegressorMixin, _NimbleCV):
    """`NimbleRegressor` with the price of a neuron chosen by cross-validation.

    All folds at all prices are trained in one computation.

    Parameters
    ----------
    estimator : NimbleRegressor, default=None
        Estimator with all other parameters; its own ``size_penalty`` is not used. None is
        ``NimbleRegressor()``.
    size_penalties : int or array-like of shape (n_penalties,), default=None
        Values of ``size_penalty`` to try, 0 or more. An int asks for a geometric grid of that many
        prices, from one at which hardly a neuron is kept down to a thousandth of it. None: 8.
    cv : int, splitter or iterable, default=5
        As scikit-learn's: an int is a number of folds.
    scoring : str or callable, default=None
        A scikit-learn scorer; None is the estimator's own ``score``. For scorers that use
        ``return_std``: networks of the path do not know the noise of y.
    selection : {"best", "one_se"}, default="best"
        Which price to choose: the one with the best mean score, or the highest one whose mean
        score is within one standard error of the best.
    path_estimators : int, default=1
        Networks per fold and price; the mean of their predictions is scored. One is enough to
        compare prices. With ``n_estimators`` of them, the ensemble is scored as it will be fitted
        in the end, except that networks do not learn from their own held-out rows.
    random_state : int, RandomState instance or None, default=None
        Seed of the path and of the final fit; None leaves it to ``estimator``.

    Attributes
    ----------
    estimator_ : NimbleRegressor
        Fitted to all rows at the chosen price.
    size_penalty_ : float
        The chosen price.
    size_penalties_ : ndarray of shape (n_penalties,)
        The prices tried, highest first.
    scores_path_ : ndarray of shape (n_penalties, n_folds)
        Scores on the rows that each fold leaves out; higher is better.
    size_path_ : ndarray of shape (n_penalties, n_folds)
        Size weights N, summed over the networks of a fold and price.
    size_weight_, n_hidden_, n_parameters_, n_iter_, history_, loss_curve_
        Those of ``estimator_``.
    n_features_in_, feature_names_in_
        Number and names of the columns seen in `fit`.

    See Also
    --------
    nimble_path : The cross-validation alone.

    Examples
    --------
    >>> from sklearn.datasets import load_diabetes
    >>> from sknimble import NimbleRegressor, NimbleRegressorCV
    >>> X, y = load_diabetes(return_X_y=True)
    >>> quick = NimbleRegressor(n_estimators=1, random_state=0)
    >>> model = NimbleRegressorCV(quick, size_penalties=[1e-2, 1e-3], cv=3).fit(X, y)
    >>> model.scores_path_.shape
    (2, 3)
    """

    _parameter_constraints: dict = {
        **_NimbleCV._parameter_constraints,
        "estimator": [NimbleRegressor, None],
    }
    _kind = NimbleRegressor

    score = _by_final(NimbleRegressor.score)


class NimbleClassifierCV(ClassifierMixin, _NimbleCV):
    """`NimbleClassifier` with the price of a neuron chosen by cross-validation.

    All folds at all prices are trained in one computation.

    Parameters
    ----------
    estimator : NimbleClassifier, default=None
        Estimator with all other parameters; its own ``size_penalty`` is not used. None is
        ``NimbleClassifier()``.
    size_penalties : int or array-like of shape (n_penalties,), default=None
        Values of ``size_penalty`` to try, 0 or more. An int asks for a geometric grid of that many
        prices, from one at which hardly a neuron is kept down to a thousandth of it. None: 8.
    cv : int, splitter or iterable, default=5
        As scikit-learn's; an int is a number of stratified folds.
    scoring : str or callable, default=None
        A scikit-learn scorer; None is accuracy.
    selection : {"best", "one_se"}, default="best"
        Which price to choose: the one with the best mean score, or the highest one whose mean
        score is within one standard error of the best.
    path_estimators : int, default=1
        Networks per fold and price; the mean of their predictions is scored. One is enough to
        compare prices. With ``n_estimators`` of them, the ensemble is scored as it will be fitted
        in the end, except that networks do not learn from their own held-out rows.
    random_state : int, RandomState instance or None, default=None
        Seed of the path and of the final fit; None leaves it to ``estimator``.

    Attributes
    ----------
    estimator_ : NimbleClassifier
        Fitted to all rows at the chosen price.
    classes_ : ndarray of shape (n_classes,)
        Class labels.
    size_penalty_ : float
        The chosen price.
    size_penalties_ : ndarray of shape (n_penalties,)
        The prices tried, highest first.
    scores_path_ : ndarray of shape (n_penalties, n_folds)
        Scores on the rows that each fold leaves out; higher is better.
    size_path_ : ndarray of shape (n_penalties, n_folds)
        Size weights N, summed over the networks of a fold and price.
    size_weight_, n_hidden_, n_parameters_, n_iter_, history_, loss_curve_
        Those of ``estimator_``.
    n_features_in_, feature_names_in_
        Number and names of the columns seen in `fit`.

    See Also
    --------
    nimble_path : The cross-validation alone.

    Examples
    --------
    >>> from sklearn.datasets import load_breast_cancer
    >>> from sknimble import NimbleClassifier, NimbleClassifierCV
    >>> X, y = load_breast_cancer(return_X_y=True)
    >>> quick = NimbleClassifier(n_estimators=1, random_state=0)
    >>> model = NimbleClassifierCV(quick, size_penalties=[1e-2, 1e-3], cv=3).fit(X, y)
    >>> model.predict_proba(X[:2]).shape
    (2, 2)
    """

    _parameter_constraints: dict = {
        **_NimbleCV._parameter_constraints,
        "estimator": [NimbleClassifier, None],
    }
    _kind = NimbleClassifier

    classes_ = _of_final("classes_", "Class labels of the final estimator.")

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.classifier_tags = get_tags(self._prototype()).classifier_tags  # the mixin's are new
        return tags

    predict_proba = _by_final(NimbleClassifier.predict_proba)
    predict_log_proba = _by_final(NimbleClassifier.predict_log_proba)
    decision_function = _by_final(NimbleClassifier.decision_function)


def choose(scores, selection):
    """Return the position of the price to choose.

    Parameters
    ----------
    scores : ndarray of shape (n_penalties, n_folds)
        Higher is better; the highest price first. A score of nan is the worst.
    selection : {"best", "one_se"}
        The best mean score, or the highest price whose mean is within one standard error of it.

    Returns
    -------
    int

    Raises
    ------
    ValueError
        If no mean score is a number.
    """
    means = scores.mean(axis=1)
    if np.isnan(means).all():
        raise ValueError("no price has a score on every fold: all are nan, see scores and cv")
    best, n_folds = np.nanargmax(means), scores.shape[1]
    finite = np.isfinite(means[best])
    slack = TIE * abs(means[best]) if finite else 0.0
    if selection == "one_se" and n_folds > 1 and finite:
        slack += scores[best].std(ddof=1) / np.sqrt(n_folds)
    return int(np.flatnonzero(means >= means[best] - slack)[0])
