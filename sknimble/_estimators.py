"""The scikit-learn shell: validate, encode, delegate, decode. Nothing numerical happens here."""

import sys
import warnings
from abc import ABCMeta, abstractmethod
from numbers import Integral, Real

import numpy as np
from scipy.special import logit
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin, _fit_context
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import _safe_indexing, check_random_state, column_or_1d
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import (
    _check_sample_weight,
    check_array,
    check_consistent_length,
    check_is_fitted,
)

from ._folds import EARLY_STOPPING_ROWS, held_out_masks
from ._losses import BinaryCrossEntropy, CrossEntropy, SquaredError
from ._predictor import FittedNetwork, predict_batches
from ._tables import TableEncoder, validate_table

# Inputs of fewer cells are computed in float64: exactness is free while overhead dominates.
FLOAT64_CELLS = 20_000


class _NimbleBase(BaseEstimator, metaclass=ABCMeta):
    """What both estimators share: the constraints, the way data take, the fitted attributes."""

    _parameter_constraints: dict = {
        "size_penalty": [Interval(Real, 0, None, closed="left")],
        "initial_size": [Interval(Real, 0, None, closed="left")],
        "max_size": [Interval(Integral, 0, None, closed="left")],
        "target_size": [Interval(Real, 0, None, closed="left"), None],
        "n_hidden_layers": [Interval(Integral, 1, 3, closed="both")],
        "activation": [StrOptions({"relu", "tanh", "silu", "gelu"})],
        "n_estimators": [Interval(Integral, 1, None, closed="left")],
        "encoding": [StrOptions({"none", "piecewise"})],
        "learning_rate_init": [Interval(Real, 0, None, closed="neither")],
        "alpha": [Interval(Real, 0, None, closed="left")],
        "batch_size": [Interval(Integral, 1, None, closed="left"), StrOptions({"auto"})],
        "max_iter": [Interval(Integral, 1, None, closed="left")],
        "tol": [Interval(Real, 0, 1, closed="left")],
        "n_iter_no_change": [Interval(Integral, 1, None, closed="left")],
        "early_stopping": ["boolean", StrOptions({"auto"})],
        "validation_fraction": [Interval(Real, 0, 1, closed="neither")],
        "random_state": ["random_state"],
        "verbose": ["verbose"],
    }

    @abstractmethod
    def __init__(
        self, *, size_penalty, initial_size, max_size, target_size, n_hidden_layers, activation,
        n_estimators, encoding, learning_rate_init, alpha, batch_size, max_iter, tol,
        n_iter_no_change, early_stopping, validation_fraction, random_state, verbose,
    ):  # fmt: skip
        self.size_penalty = size_penalty
        self.initial_size = initial_size
        self.max_size = max_size
        self.target_size = target_size
        self.n_hidden_layers = n_hidden_layers
        self.activation = activation
        self.n_estimators = n_estimators
        self.encoding = encoding
        self.learning_rate_init = learning_rate_init
        self.alpha = alpha
        self.batch_size = batch_size
        self.max_iter = max_iter
        self.tol = tol
        self.n_iter_no_change = n_iter_no_change
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.random_state = random_state
        self.verbose = verbose

    # ------------------------------------------------------------------ hooks
    @abstractmethod
    def _check_target(self, y):
        """Return y as an array, checked."""

    @abstractmethod
    def _learn_target(self, y):
        """Learn classes or shape; return what `_apply_target` does."""

    @abstractmethod
    def _apply_target(self, y):
        """Return y as float columns, shape (n, o)."""

    @abstractmethod
    def _reweight(self, y, weight):
        """Return the weights of the rows after class weights."""

    @abstractmethod
    def _make_loss(self, y):
        """Return the unfitted loss for an encoded target."""

    @abstractmethod
    def _strata(self, y):
        """Return what a held-out part keeps the shares of, or None."""

    # ------------------------------------------------------------------ fit
    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X, y, sample_weight=None, *, X_val=None, y_val=None, sample_weight_val=None):
        """Fit the networks.

        Parameters
        ----------
        X : DataFrame, array-like or sparse matrix of shape (n_samples, n_features)
            The table as it came: numbers, levels, gaps.
        y : array-like of shape (n_samples,) or (n_samples, n_outputs)
            Targets.
        sample_weight : array-like of shape (n_samples,), default=None
            A row of weight two counts as two rows, one of weight zero as absent.
        X_val, y_val, sample_weight_val : default=None
            Rows that judge when to stop and which size to keep, instead of a part of X.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            If data or parameters make no sense, or the loss stops being finite.
        """
        self._check_sizes()
        X = validate_table(self, X, reset=True)
        y, weight = self._check_rows(X, y, sample_weight)
        X, y, weight = _rows_that_count(X, y, weight)
        target = self._learn_target(y)
        weight = self._reweight(y, weight)
        table = TableEncoder(encoding=self.encoding)
        Z = self._encode(table, X, weight)
        loss = self._make_loss(target).fit(target, weight)
        validation = self._encode_validation(table, loss, X_val, y_val, sample_weight_val)
        training = self._start(Z, target, weight, loss, validation)
        history = self._run(training)
        return self._publish(table, loss, training, history)

    def _check_sizes(self):
        """Raise for sizes that contradict each other."""
        for name in ("initial_size", "target_size"):
            size = getattr(self, name)
            if size is not None and size > self.max_size:
                raise ValueError(
                    f"{name}={size} is larger than max_size={self.max_size}; lower {name} or "
                    "raise max_size"
                )

    def _check_rows(self, X, y, sample_weight):
        """Return y as an array and float weights, checked against X."""
        y = self._check_target(y)
        check_consistent_length(X, y)
        weight = _check_sample_weight(sample_weight, X, dtype=np.float64, ensure_non_negative=True)
        if not weight.any():
            raise ValueError("all sample weights are zero; at least one weight must be positive")
        return y, weight

    def _encode(self, table, X, weight):
        """Fit the table; choose the dtype that the size of the problem asks for."""
        table.dtype = np.float64
        Z = table.fit_transform(X, sample_weight=weight)
        if Z.shape[0] * Z.shape[1] > FLOAT64_CELLS:
            table.dtype = np.float32
            Z = Z.astype(np.float32)
        return Z

    def _encode_validation(self, table, loss, X_val, y_val, sample_weight_val):
        """Return explicit held-out rows as the training wants them, or None."""
        if X_val is None and y_val is None:
            if sample_weight_val is not None:
                raise ValueError("sample_weight_val is given without X_val and y_val")
            return None
        if X_val is None or y_val is None:
            raise ValueError("X_val and y_val must be given together")
        X_val = validate_table(self, X_val, reset=False)
        y_val, weight = self._check_rows(X_val, y_val, sample_weight_val)
        return table.encode(X_val), loss.encode(self._apply_target(y_val)), weight

    def _start(self, Z, target, weight, loss, validation):
        """Return the training of all networks."""
        from ._start import start_training

        k, n = self.n_estimators, len(target)
        rng = check_random_state(self.random_state)
        fold_seed, row_seed, *seeds = rng.randint(np.iinfo(np.int32).max, size=k + 2)
        held_out = None
        if validation is None and self._stops_early(n):
            strata = self._strata(target)
            held_out = held_out_masks(n, strata, k, self.validation_fraction, fold_seed)
        return start_training(
            Z, loss.encode(target), loss,
            weight=np.broadcast_to(weight, (k, n)), held_out=held_out, validation=validation,
            sizes=np.full(k, float(self.initial_size)), max_size=self.max_size,
            depth=self.n_hidden_layers, seeds=seeds, device="cpu", activation=self.activation,
            size_penalty=self.size_penalty, target_size=self.target_size,
            learning_rate=self.learning_rate_init, weight_decay=self.alpha,
            batch_size=self._batch_size(n), max_iter=self.max_iter, tol=self.tol,
            patience=self.n_iter_no_change, rng=np.random.RandomState(row_seed),
        )  # fmt: skip

    def _stops_early(self, n_rows):
        """Tell whether a part of the rows is held out."""
        if self.early_stopping == "auto":
            return n_rows >= EARLY_STOPPING_ROWS
        return self.early_stopping

    def _batch_size(self, n_rows):
        """Return the rows per step."""
        if self.batch_size != "auto":
            return min(self.batch_size, n_rows)
        return n_rows if n_rows < EARLY_STOPPING_ROWS else int(np.clip(n_rows // 16, 32, 256))

    def _run(self, training):
        """Train to the end; return the records of all epochs."""
        from ._training import Divergence

        history = []
        try:
            for records in training.epochs():
                history.extend(records.values())
                if self.verbose:
                    _report(history[-len(records) :])
        except Divergence as error:
            raise ValueError(
                f"{error} with learning_rate_init={self.learning_rate_init}: lower it, and check "
                "X and y for values of extreme scale"
            ) from None
        if training.limited:
            warnings.warn(
                f"max_iter={self.max_iter} epochs ended while the held-out loss still improved",
                ConvergenceWarning,
                stacklevel=3,
            )
        return history

    # ------------------------------------------------------------------ publish
    def _publish(self, table, loss, training, history):
        """Set the fitted attributes, all at once."""
        states = [training.results[member] for member in range(self.n_estimators)]
        self._table, self._loss = table, loss
        self._networks = [
            FittedNetwork.from_state(state, int(np.rint(state.size)), self.activation)
            for state in states
        ]
        self.size_weight_ = float(sum(state.size for state in states))
        self.history_ = history
        self.n_iter_ = max(record.epoch for record in history)
        return self

    @property
    def n_hidden_(self):
        """Awake neurons per hidden layer, of all networks together."""
        return sum(network.n_hidden for network in self._networks)

    @property
    def n_parameters_(self):
        """Weights and biases of all networks together."""
        return sum(network.n_parameters for network in self._networks)

    @property
    def loss_curve_(self):
        """Objective on the training rows after every epoch, mean over the networks."""
        curve = {}
        for record in self.history_:
            curve.setdefault(record.epoch, []).append(record.loss)
        return [float(np.mean(losses)) for losses in curve.values()]

    # ------------------------------------------------------------------ predict
    def _predict(self, X, combine):
        """Return ``combine`` of the raw outputs of all networks, batch by batch."""
        check_is_fitted(self)
        Z = self._table.encode(validate_table(self, X, reset=False))
        return predict_batches(self._networks, Z, combine)

    def _decoded_mean(self, raws):
        """Return the mean over the networks of their decoded outputs."""
        return np.mean([self._loss.decode(raw.astype(np.float64)) for raw in raws], axis=0)

    def __sklearn_is_fitted__(self):
        return hasattr(self, "_networks")

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        tags.input_tags.categorical = True
        tags.input_tags.sparse = True
        tags.input_tags.string = True
        tags.target_tags.required = True
        return tags


class NimbleRegressor(RegressorMixin, _NimbleBase):
    """Neural network regression that chooses its own size."""

    def __init__(
        self, *, size_penalty=1e-4, initial_size=8, max_size=512, target_size=None,
        n_hidden_layers=2, activation="silu", n_estimators=1, encoding="none",
        learning_rate_init=5e-3, alpha=0.1, batch_size="auto", max_iter=1000, tol=1e-3,
        n_iter_no_change=10, early_stopping="auto", validation_fraction=0.15, random_state=None,
        verbose=0,
    ):  # fmt: skip
        super().__init__(
            size_penalty=size_penalty, initial_size=initial_size, max_size=max_size,
            target_size=target_size, n_hidden_layers=n_hidden_layers, activation=activation,
            n_estimators=n_estimators, encoding=encoding, learning_rate_init=learning_rate_init,
            alpha=alpha, batch_size=batch_size, max_iter=max_iter, tol=tol,
            n_iter_no_change=n_iter_no_change, early_stopping=early_stopping,
            validation_fraction=validation_fraction, random_state=random_state, verbose=verbose,
        )  # fmt: skip

    def _check_target(self, y):
        """Return y as floats."""
        y = check_array(y, ensure_2d=False, dtype=np.float64, input_name="y")
        if y.ndim == 2 and y.shape[1] == 1:
            y = column_or_1d(y, warn=True)
        return y

    def _learn_target(self, y):
        """Return y as columns."""
        self._flat = y.ndim == 1
        return self._apply_target(y)

    def _apply_target(self, y):
        """Return y as columns."""
        return y.reshape(len(y), -1)

    def _reweight(self, y, weight):
        """Return the weights as they are."""
        return weight

    def _make_loss(self, target):
        """Return squared error."""
        return SquaredError()

    def _strata(self, target):
        """Return None: there are no classes."""
        return None

    def predict(self, X):
        """Predict targets.

        Parameters
        ----------
        X : DataFrame, array-like or sparse matrix of shape (n_samples, n_features)

        Returns
        -------
        ndarray of shape (n_samples,) or (n_samples, n_outputs)
        """
        y = self._predict(X, self._decoded_mean)
        return y[:, 0] if self._flat else y

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags


class NimbleClassifier(ClassifierMixin, _NimbleBase):
    """Neural network classification that chooses its own size."""

    def __init__(
        self, *, size_penalty=1e-4, initial_size=8, max_size=512, target_size=None,
        n_hidden_layers=2, activation="silu", n_estimators=1, encoding="none",
        learning_rate_init=5e-3, alpha=0.1, batch_size="auto", max_iter=1000, tol=1e-3,
        n_iter_no_change=10, early_stopping="auto", validation_fraction=0.15, random_state=None,
        verbose=0,
    ):  # fmt: skip
        super().__init__(
            size_penalty=size_penalty, initial_size=initial_size, max_size=max_size,
            target_size=target_size, n_hidden_layers=n_hidden_layers, activation=activation,
            n_estimators=n_estimators, encoding=encoding, learning_rate_init=learning_rate_init,
            alpha=alpha, batch_size=batch_size, max_iter=max_iter, tol=tol,
            n_iter_no_change=n_iter_no_change, early_stopping=early_stopping,
            validation_fraction=validation_fraction, random_state=random_state, verbose=verbose,
        )  # fmt: skip

    def _check_target(self, y):
        """Return labels, 1-D."""
        check_classification_targets(y)
        return column_or_1d(y, warn=True)

    def _learn_target(self, y):
        """Learn the classes; return their indicator, one column if there are two."""
        self.classes_ = np.unique(y)
        if len(self.classes_) < 2:
            raise ValueError(
                f"y has one class, {self.classes_[0]!r}; a classifier needs at least two classes"
            )
        return self._apply_target(y)

    def _apply_target(self, y):
        """Return the indicator of y."""
        unknown = np.setdiff1d(y, self.classes_)
        if len(unknown):
            raise ValueError(f"y_val has classes {unknown.tolist()} that y lacks")
        codes = np.searchsorted(self.classes_, y)
        if len(self.classes_) == 2:
            return codes[:, None].astype(float)
        return np.eye(len(self.classes_))[codes]

    def _reweight(self, y, weight):
        """Return the weights as they are."""
        return weight

    def _make_loss(self, target):
        """Return cross-entropy of a logit or a softmax."""
        return BinaryCrossEntropy() if target.shape[1] == 1 else CrossEntropy()

    def _strata(self, target):
        """Return the class of every row."""
        return target[:, 0] if target.shape[1] == 1 else target.argmax(axis=1)

    def predict_proba(self, X):
        """Predict class probabilities.

        Parameters
        ----------
        X : DataFrame, array-like or sparse matrix of shape (n_samples, n_features)

        Returns
        -------
        ndarray of shape (n_samples, n_classes)
        """
        P = self._predict(X, self._decoded_mean)
        return np.column_stack([1.0 - P, P]) if P.shape[1] == 1 else P

    def predict_log_proba(self, X):
        """Return the logarithm of `predict_proba`."""
        return np.log(self.predict_proba(X))

    def decision_function(self, X):
        """Return logits, shape (n_samples,) for two classes, else (n_samples, n_classes)."""
        P = self._predict(X, self._decoded_mean)
        if P.shape[1] == 1:
            return logit(P[:, 0])
        return np.log(P)

    def predict(self, X):
        """Predict the most probable class of every row."""
        return self.classes_[self.predict_proba(X).argmax(axis=1)]


def _rows_that_count(X, y, weight):
    """Drop the rows of weight zero."""
    if weight.all():
        return X, y, weight
    rows = np.flatnonzero(weight)
    return _safe_indexing(X, rows), y[rows], weight[rows]


def _report(records):
    """Write one line about an epoch to the standard output."""
    sizes = " ".join(f"{record.size:.1f}" for record in records[:4])
    mean = np.mean([[r.data_loss, r.validation_loss] for r in records], axis=0)
    sys.stdout.write(
        f"epoch {records[0].epoch:4d}  size {sizes}  loss {mean[0]:.4f}  "
        f"validation {mean[1]:.4f}  {records[0].seconds:.3f} s\n"
    )
