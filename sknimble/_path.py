"""Networks of all folds at all prices of a neuron, trained in one computation."""

import warnings
from copy import copy
from dataclasses import dataclass, replace
from inspect import Parameter, signature
from numbers import Integral

import numpy as np
from sklearn.base import clone, is_classifier
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import check_scoring, get_scorer_names
from sklearn.model_selection import check_cv
from sklearn.utils import _safe_indexing, indexable
from sklearn.utils._param_validation import (
    Interval,
    InvalidParameterError,
    StrOptions,
    validate_params,
)
from sklearn.utils.metadata_routing import get_routing_for_object
from sklearn.utils.validation import _num_samples

from ._classifier import NimbleClassifier
from ._late import linear_inputs
from ._losses import linear_loss
from ._regressor import NimbleRegressor
from ._shell import divergence_error
from ._size import normalised, window_end

N_PENALTIES = 8
LOWEST_PENALTY = 1e-3  # lowest penalty of an automatic grid, as a share of the highest
PATH_CONSTRAINTS = {
    "size_penalties": [Interval(Integral, 1, None, closed="left"), "array-like", None],
    "cv": ["cv_object"],
    "scoring": [StrOptions(set(get_scorer_names())), callable, None],
    "path_estimators": [Interval(Integral, 1, None, closed="left")],
}


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
        Size weights N, summed over the networks of a fold and price.
    """

    size_penalties: np.ndarray
    scores: np.ndarray
    sizes: np.ndarray


@validate_params(
    {"estimator": [NimbleRegressor, NimbleClassifier, None], **PATH_CONSTRAINTS},
    prefer_skip_nested_validation=False,
)
def nimble_path(
    X, y, *, estimator=None, size_penalties=None, cv=5, scoring=None, path_estimators=1,
    sample_weight=None, groups=None,
):  # fmt: skip
    """Cross-validate networks at several prices of a neuron, all in one computation.

    Parameters
    ----------
    X : DataFrame, array-like or sparse matrix of shape (n_samples, n_features)
        The table as it came.
    y : array-like of shape (n_samples,) or (n_samples, n_outputs)
        Targets.
    estimator : NimbleRegressor or NimbleClassifier, default=None
        Estimator with all other parameters; its own ``size_penalty`` is not used. None is
        ``NimbleRegressor()``.
    size_penalties : int or array-like of shape (n_penalties,), default=None
        Values of ``size_penalty`` to try, 0 or more. An int asks for a geometric grid of that many
        prices, from one at which hardly a neuron is kept down to a thousandth of it. None: 8.
    cv : int, splitter or iterable, default=5
        As scikit-learn's: an int is a number of folds, stratified for classes.
    scoring : str or callable, default=None
        A scikit-learn scorer; None is the estimator's own ``score``. For scorers that use
        ``return_std``: networks of the path do not know the noise of y.
    path_estimators : int, default=1
        Networks per fold and price; the mean of their predictions is scored. One is enough to
        compare prices. With ``n_estimators`` of them, the ensemble is scored as it will be fitted
        in the end, except that networks do not learn from their own held-out rows.
    sample_weight : array-like of shape (n_samples,), default=None
        Weights of rows in training, and in scores whose metric takes them, unless a scorer
        has refused them by ``set_score_request(sample_weight=False)``.
    groups : array-like of shape (n_samples,), default=None
        Passed to the splitter.

    Returns
    -------
    NimblePath

    Raises
    ------
    ValueError
        If data or parameters are invalid, or the networks would not fit in memory.

    Notes
    -----
    What is scored is what the estimator would fit to the training rows of the fold, with
    ``n_estimators=path_estimators``, but with these differences:

    - the initial size is that for the estimator's own number of networks;
    - the encoding of the inputs (with ``class_weight``, also the row weights for it), and the
      range in which a log link is exponential, are learned from all rows;
    - folds of different sizes are cut into equally many batches, and equal rows are merged below
      100 rows only if all folds have fewer;
    - networks do not learn from their own held-out rows in the end: that makes all better by
      about as much, and would take a fifth of the time.
    """
    model = clone(NimbleRegressor() if estimator is None else estimator)
    try:
        model._validate_params()
    except InvalidParameterError as error:  # else taken for one of `nimble_path`
        raise ValueError(str(error)) from None
    n_networks = model.n_estimators
    model.set_params(n_estimators=path_estimators)
    model._check_sizes()
    scorer = check_scoring(model, scoring=scoring)
    rows = model._check_data(X, y, sample_weight, reset=True)
    X, y, groups = indexable(X, y, groups)
    if sample_weight is not None:
        sample_weight = np.broadcast_to(np.asarray(sample_weight, dtype=float), _num_samples(X))
    counts = np.ones(_num_samples(X)) if sample_weight is None else sample_weight
    splitter = check_cv(cv, y, classifier=is_classifier(model))
    trains, tests = _split(splitter.split(X, y, groups), counts)
    folds = _Folds(model, *rows, trains)
    penalties = check_penalties(size_penalties, folds)
    fitted = folds.train(penalties, n_networks)
    if is_classifier(model) and not model._shape:
        scorer = _with_labels(scorer, model.classes_)
    sizes = [[one.size_weight_ for one in row] for row in fitted]
    scores = [
        [_score(scorer, *pair, X, y, sample_weight) for pair in zip(row, tests, strict=True)]
        for row in fitted
    ]
    return NimblePath(penalties, np.array(scores, dtype=float), np.array(sizes))


def _split(folds, counts):
    """Return each fold's training rows, numbered among rows of positive weight, and test rows."""
    folds = [[_positions(part, len(counts)) for part in fold] for fold in folds]
    if not folds:
        raise ValueError("cv has no folds; a generator has them only once")
    trains, tests = zip(*folds, strict=True)
    position = np.cumsum(counts != 0) - 1
    trains = [position[train[counts[train] != 0]] for train in trains]
    if not all(map(len, trains)):
        raise ValueError("cv leaves a fold no row to learn from, or none whose weight is not zero")
    if not all(counts[test].any() for test in tests):
        raise ValueError("cv leaves a fold no row to score, or none whose weight is not zero")
    return trains, tests


def check_penalties(size_penalties, folds):
    """Return the prices to try, highest first."""
    n_penalties = N_PENALTIES if size_penalties is None else size_penalties
    if isinstance(n_penalties, Integral) and n_penalties > 0:
        highest = folds.highest_penalty()
        return np.geomspace(highest, LOWEST_PENALTY * highest, n_penalties)
    try:
        penalties = np.asarray(size_penalties, dtype=float)
    except (TypeError, ValueError, OverflowError):
        penalties = np.empty(0)
    in_range = np.isfinite(penalties) & (penalties >= 0)
    if penalties.ndim != 1 or not penalties.size or not in_range.all():
        raise ValueError(
            f"size_penalties={size_penalties!r} must be an int, 1 or more, or a list of numbers, "
            "0 or more"
        )
    return np.unique(penalties)[::-1]


def _positions(rows, n):
    """Return the rows that a splitter has chosen among n, a mask or positions, as positions."""
    rows = np.asarray(rows)
    if rows.dtype == bool and len(rows) != n:
        raise ValueError(f"cv has a mask of {len(rows)} rows, but X has {n}")
    return np.flatnonzero(rows) if rows.dtype == bool or not rows.size else rows


def _with_labels(scorer, classes):
    """Return a scorer of probabilities that also takes rows that lack some of the classes."""
    metric = getattr(scorer, "_score_func", None)
    if metric is None or scorer._response_method == "predict":
        return scorer
    if "labels" in signature(metric).parameters:
        scorer = copy(scorer)
        scorer._kwargs = {"labels": classes, **scorer._kwargs}
    return scorer


def _score(scorer, model, test, X, y, sample_weight):
    """Return the score of a fitted model on rows of X, weighted if the scorer takes weights."""
    weight = {}
    if sample_weight is not None and _takes_weight(scorer):
        weight["sample_weight"] = sample_weight[test]
    score = scorer(model, _safe_indexing(X, test), _safe_indexing(y, test), **weight)
    try:
        return float(score)
    except (TypeError, ValueError):
        raise TypeError(f"scoring must return a number, got {score!r}") from None


def _takes_weight(scorer):
    """Tell whether a scorer, or its metric, takes sample weights and does not refuse them."""
    if get_routing_for_object(scorer).score.requests.get("sample_weight") is False:
        return False
    parameters = signature(getattr(scorer, "_score_func", scorer)).parameters
    catch_all = any(one.kind is Parameter.VAR_KEYWORD for one in parameters.values())
    return catch_all or "sample_weight" in parameters


class _Folds:
    """The training rows of every fold, and the networks that learn from them.

    What is learned from y (the scale of the targets, class weights, linear models) is learned from
    the rows of each fold alone. There are three exceptions, for which all rows are used: the
    number of pieces of the table's columns; with ``class_weight``, the row weights for its scales;
    and the range in which a log link is exponential.
    Arrays have the shapes of F folds and n rows.
    """

    def __init__(self, model, X, y, weight, trains):
        self.model = model
        target = model._learn_target(y)
        model._table = model._fit_table(X, target, model._reweight(y, weight))
        for train in trains:
            if is_classifier(model) and not model._shape and len(np.unique(y[train])) < 2:
                raise ValueError(
                    f"cv leaves a fold with one class to learn from, {y[train[0]]!r}: stratify "
                    "the folds, or shuffle the rows"
                )
        weights = np.zeros((len(trains), len(y)))
        for here, train in zip(weights, trains, strict=True):
            np.add.at(here, train, model._reweight(y[train], weight[train]))  # rows may repeat
        n_learnt = max(map(len, trains))
        self.Z, self.target, self.weights = model._encode_rows(X, target, weights, n_learnt)
        self.losses = [self._fit_loss(weight) for weight in self.weights]
        model._loss = self._fit_loss(self.weights.mean(axis=0))
        if model._loss.link == "exponential":  # its range must cover those of all folds
            model._loss = model._loss.covering(self.losses)

    def _fit_loss(self, weight):
        """Return a loss fitted to the rows of positive weight."""
        used = weight > 0
        return self.model._make_loss(self.target).fit(self.target[used], weight[used])

    def highest_penalty(self):
        """Return a price at which eight neurons would just pay if they left no loss at all."""
        model, weight = self.model, self.weights.mean(axis=0)
        rows, inputs = linear_inputs(self.Z, np.arange(self.Z.shape[0]), model._table)
        own = model._loss.encode(self.target[rows]), weight[rows]
        left = min(linear_loss(model._loss, X, *own) for X in inputs)
        return normalised(max(left, 1e-9)) / window_end(0.0, max(1, model.max_size))

    def train(self, penalties, n_networks):
        """Train one estimator per price and fold; return a list of fitted ones per price.

        Every network starts from the size of a network in an ensemble of ``n_networks``.
        """
        from ._start import encode_target

        model, n_folds, n_penalties = self.model, len(self.weights), len(penalties)
        k = model.n_estimators
        model._draw_seeds()
        _, row_seed, *seeds = model._seeds.tolist()
        used = self.weights > 0
        encoded = [encode_target(loss, self.target, self.Z.dtype) for loss in self.losses]
        same = all(np.array_equal(target, encoded[0]) for target in encoded)
        size = model._initial_size(self.losses[0].n_outputs_, n_networks)
        # Networks with the same rows, one per price, are adjacent, so that they share batches.
        training = model._launch(
            self.Z, encoded[0] if same else np.repeat(encoded, k, axis=0),
            np.repeat(self.weights, k, axis=0), self._held_out(used),
            fold=np.repeat(np.arange(n_folds * k), n_penalties),
            seeds=np.repeat(np.tile(seeds, n_folds), n_penalties).tolist(), row_seed=row_seed,
            sizes=np.full(n_folds * k * n_penalties, size),
            size_penalty=np.tile(penalties, n_folds * k),
            batch_size=model._batch_size(used.sum(axis=1).max()), max_iter=model.max_iter,
            anneal=not model.warm_start, finish=False,
        )  # fmt: skip
        history = _train_together(training, model)
        number = np.arange(n_folds * k * n_penalties).reshape(n_folds, k, n_penalties)
        return [
            [
                self._fitted(training, history, number[fold, :, p], penalty, fold)
                for fold in range(n_folds)
            ]
            for p, penalty in enumerate(penalties)
        ]

    def _held_out(self, used):
        """Return masks of the rows held out from each network, as in a fit to its fold."""
        model, k = self.model, self.model.n_estimators
        if not any(model._stops_early(rows.sum()) for rows in used):
            return None
        masks = np.zeros((len(used), k, used.shape[1]), dtype=bool)
        for mask, rows in zip(masks, used, strict=True):
            if model._stops_early(rows.sum()):
                mask[:, rows] = model._hold_out(self.target[rows])
        return masks.reshape(-1, used.shape[1])

    def _fitted(self, training, history, numbers, penalty, fold):
        """Return the estimator of one price and fold."""
        model = copy(self.model).set_params(size_penalty=penalty)
        states = {member: training.results[number] for member, number in enumerate(numbers)}
        records = [
            replace(record, member=member)
            for member, number in enumerate(numbers)
            for record in history[number]
        ]
        vars(model).update(
            _loss=self.losses[fold],
            **model._fitted(states, records, training.normaliser[numbers[0]]),
        )
        return model


def _train_together(training, model):
    """Train to the end; return the records of every network."""
    from ._cohorts import Cohorts
    from ._training import Divergence

    history, cohorts = {number: [] for number in training.members}, Cohorts(training)
    try:
        for records in cohorts.epochs():
            for number, record in records.items():
                history[number].append(record)
    except Divergence as error:
        raise divergence_error(error, model) from None
    if cohorts.limited:
        warnings.warn(
            f"max_iter={model.max_iter} epochs ended and a held-out loss may still improve",
            ConvergenceWarning,
            stacklevel=5,
        )
    return history
