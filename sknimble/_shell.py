"""The base class of both estimators: validate, encode, delegate, decode."""

import sys
import warnings
from abc import ABCMeta, abstractmethod
from copy import copy, deepcopy
from dataclasses import replace
from numbers import Integral, Real

import numpy as np
from scipy import sparse
from sklearn.base import BaseEstimator, _fit_context
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import _safe_indexing, check_random_state
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.validation import _check_sample_weight, check_consistent_length, check_is_fitted

from ._callbacks import NO_CALLBACKS, CallbackSupportMixin
from ._columns import validate_table
from ._continue import CAUTION, FIXED, all_or_nothing, check_unchanged, epochs_left
from ._folds import EARLY_STOPPING_ROWS, TINY_ROWS, held_out_masks, merge_equal_rows
from ._late import encode_early_or_late
from ._losses import row_losses
from ._persistence import reduced, seal, unseal
from ._predictor import FittedNetwork, predict_batches, prefix_losses
from ._replay import replay
from ._row_weights import for_penalty, in_precision_of, moderate, rows_that_count
from ._size import normalised
from ._tables import TableEncoder

# Matrices of up to so many numbers are computed in float64: while overhead dominates, it is free.
FLOAT64_CELLS = 10_000
# Default N at the start, for one output: of a single network, and the least, of one of many.
INITIAL_SIZE, LEAST_INITIAL_SIZE = 64, 8


def takes_chunks(estimator):
    """Return True, or raise an AttributeError that says why there is no `partial_fit`."""
    if estimator.early_stopping not in ("auto", False):
        raise AttributeError(
            "early_stopping=True needs a whole table, and partial_fit gets it in chunks: set "
            "early_stopping='auto' or False"
        )
    return True


class NimbleBase(CallbackSupportMixin, BaseEstimator, metaclass=ABCMeta):
    """What both estimators share: constraints, the steps of fit and predict, fitted attributes."""

    _parameter_constraints: dict = {
        "size_penalty": [Interval(Real, 0, None, closed="left")],
        "initial_size": [Interval(Real, 0, None, closed="left"), None],
        "max_size": [Interval(Integral, 0, None, closed="left")],
        "target_size": [Interval(Real, 0, None, closed="left"), None],
        "n_hidden_layers": [Interval(Integral, 1, 3, closed="both")],
        "activation": [StrOptions({"relu", "tanh", "silu", "gelu"})],
        "n_estimators": [Interval(Integral, 1, None, closed="left")],
        "categorical_features": ["array-like", StrOptions({"from_dtype"}), None],
        "encoding": [StrOptions({"none", "piecewise"})],
        "learning_rate_init": [Interval(Real, 0, None, closed="neither")],
        "alpha": [Interval(Real, 0, None, closed="left")],
        "batch_size": [Interval(Integral, 1, None, closed="left"), StrOptions({"auto"})],
        "max_iter": [Interval(Integral, 1, None, closed="left")],
        "tol": [Interval(Real, 0, 1, closed="left")],
        "n_iter_no_change": [Interval(Integral, 1, None, closed="left")],
        "early_stopping": ["boolean", StrOptions({"auto"})],
        "validation_fraction": [Interval(Real, 0, 1, closed="neither")],
        "warm_start": ["boolean"],
        "device": [StrOptions({"cpu", "cuda", "mps", "auto"})],
        "random_state": ["random_state"],
        "verbose": ["verbose"],
    }

    @abstractmethod
    def __init__(
        self, *, size_penalty, initial_size, max_size, target_size, n_hidden_layers, activation,
        n_estimators, categorical_features, encoding, learning_rate_init, alpha, batch_size,
        max_iter, tol, n_iter_no_change, early_stopping, validation_fraction, warm_start, device,
        random_state, verbose,
    ):  # fmt: skip
        self.size_penalty = size_penalty
        self.initial_size = initial_size
        self.max_size = max_size
        self.target_size = target_size
        self.n_hidden_layers = n_hidden_layers
        self.activation = activation
        self.n_estimators = n_estimators
        self.categorical_features = categorical_features
        self.encoding = encoding
        self.learning_rate_init = learning_rate_init
        self.alpha = alpha
        self.batch_size = batch_size
        self.max_iter = max_iter
        self.tol = tol
        self.n_iter_no_change = n_iter_no_change
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.warm_start = warm_start
        self.device = device
        self.random_state = random_state
        self.verbose = verbose

    _noise = None  # the noise of y, which regressors learn from held-out rows
    _sharpness = 1.0  # factor on the logits of the mean of the networks

    # ------------------------------------------------------------------ hooks
    @abstractmethod
    def _check_target(self, y, name):
        """Return y as a checked array; ``name`` is for messages."""

    @abstractmethod
    def _learn_target(self, y, classes=None):
        """Learn the shape of y and its classes, unless given; return `_apply_target(y)`."""

    @abstractmethod
    def _apply_target(self, y, name="y"):
        """Return y as float columns, shape (n, o)."""

    @abstractmethod
    def _reweight(self, y, weight):
        """Return the weights of the rows, multiplied by class weights."""

    @abstractmethod
    def _make_loss(self, y):
        """Return the unfitted loss for an encoded target."""

    @abstractmethod
    def _is_flat(self):
        """Tell whether one number, or one label, is predicted per row."""

    @abstractmethod
    def _strata(self, y):
        """Return the classes by which held-out rows are stratified, or None."""

    def _learn_from_held_out(self, states, rows, validation):
        """Learn more from held-out rows, given the networks' states before their finish.

        By default, learn nothing.
        """

    # ------------------------------------------------------------------ fit
    @all_or_nothing
    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X, y, sample_weight=None, *, X_val=None, y_val=None, sample_weight_val=None):
        """Fit the networks.

        Parameters
        ----------
        X : DataFrame, array-like or sparse matrix of shape (n_samples, n_features)
            The table as it came: numbers, categories and missing values. Sparse matrices must hold
            finite numbers.
        y : array-like of shape (n_samples,) or (n_samples, n_outputs)
            Targets.
        sample_weight : array-like of shape (n_samples,), default=None
            A row of weight two counts as two rows, one of weight zero as absent. If the mean
            weight is below 1, only the ratios of weights matter.
        X_val, y_val, sample_weight_val : default=None
            Rows, like X, y and sample_weight, that say when to stop and which epoch to keep,
            instead of a held-out part of X. `X_val` and `y_val` must be given together.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            If data or parameters are invalid, or the loss is no longer finite.
        TypeError
            If a column holds neither numbers nor categories, as dates do, or y neither numbers
            nor labels of one type.
        """
        begin = not (self.warm_start and self._is_begun())
        self._check_sizes(begin)
        X, y, weight = self._check_data(X, y, sample_weight, reset=begin)
        metadata = {} if sample_weight is None else {"sample_weight": weight}
        max_iter = self.max_iter if begin else epochs_left(self.max_iter, self.n_iter_)
        loss, anew = (None, True) if begin else (self._loss, self._loss.is_constant().all())
        rows = self._encode(X, y, weight, begin=begin)
        validation = self._encode_validation(X_val, y_val, sample_weight_val)
        if not max_iter:
            self._loss = loss  # not widened, as no row is learned
            return self
        training = self._start(
            *rows, validation, anew=anew, epoch=0 if begin else self.n_iter_, whole=True,
            max_iter=max_iter, anneal=not self.warm_start,
        )  # fmt: skip
        self._run(training, X, y, metadata, begin=begin)
        states = {**training.results, **training.before_finish}
        del training  # frees its memory
        self._learn_from_held_out(states, rows, validation)
        return self

    def _partial_fit(self, X, y, classes, sample_weight):
        """Learn from one chunk of a table, the first or a later one."""
        begin = not self._is_begun()
        self._check_sizes(begin)
        X, y, weight = self._check_data(X, y, sample_weight, reset=begin)
        progress = None if begin else self._progress
        if not begin:
            table, self._table = self._table, self._table.rescaled(X)
            if progress and progress.earlier and self._table is not table:
                Z = self._table.recoded(progress.earlier.Z, table)
                progress = replace(progress, earlier=replace(progress.earlier, Z=Z))
        anew = begin or self._loss.is_constant().all()
        after_fit = not anew and (not progress or progress.after_fit)
        chunk = self._encode(
            X, y, weight / weight.mean(), begin=begin, whole=False, classes=classes
        )
        # one class per row, not several labels
        one_class = self._loss.calibration == "logits" and self._is_flat()
        rows, n_passes, earlier = replay(chunk, progress, self._losses_of, one_class)
        begun = self._make_loss(rows[1]).fit(*rows[1:]) if earlier and earlier.anew else None
        if begun and not begun.is_constant().all():
            anew, after_fit, self._loss = True, False, self._reaching_as_far(begun)
        training = self._start(
            *rows, None, anew=anew, epoch=0 if begin else self.n_iter_, whole=False,
            max_iter=n_passes, anneal=False, caution=CAUTION if after_fit else 1.0,
        )  # fmt: skip
        metadata = {} if sample_weight is None else {"sample_weight": weight}
        self._run(training, X, y, metadata, begin=begin)
        self._progress = replace(self._progress, earlier=earlier, after_fit=after_fit)
        return self

    def _reaching_as_far(self, loss):
        """Return a loss, fitted to one chunk, whose predictions may reach as far as before."""
        if loss.calibration == "logits":
            return loss
        ends = np.repeat([[-np.inf], [np.inf]], loss.n_outputs_, axis=1)
        n_targets = int(np.prod(self._shape))
        return loss.widen(self._loss.decode(ends)[:, :n_targets])

    def _losses_of(self, Z, target):
        """Return the networks' mean loss on each encoded row, as a share of a constant's loss."""
        target = self._loss.encode(target)
        raw = predict_batches(
            self._networks, len(target), Z.__getitem__, np.hstack, _numbers_of_a_row(Z)
        )
        losses = [
            row_losses(self._loss, of_one, target)
            for of_one in np.split(raw, self.n_estimators, axis=1)
        ]
        return np.mean(losses, axis=0) / self._normaliser

    def _is_begun(self):
        """Tell whether there is a training to continue; raise if a fixed parameter has changed."""
        if not self.__sklearn_is_fitted__():
            return False
        check_unchanged(self._fixed, self._fixed_parameters())
        return True

    def _fixed_parameters(self):
        """Return the parameters that must not change while a training goes on."""
        parameters = self.get_params(deep=False)
        return {name: parameters[name] for name in sorted(FIXED & parameters.keys())}

    def _check_sizes(self, begin=True):
        """Raise for sizes above max_size; the initial size matters at the start only."""
        for name in ("initial_size", "target_size") if begin else ("target_size",):
            size = getattr(self, name)
            if size is not None and size > self.max_size:
                raise ValueError(
                    f"{name}={size} is larger than max_size={self.max_size}; lower {name} or "
                    "raise max_size"
                )

    def _initial_size(self, n_outputs, n_networks):
        """Return the N that every network starts from; with more outputs it is larger."""
        if self.initial_size is None:
            size = max(INITIAL_SIZE / n_networks**2, LEAST_INITIAL_SIZE) * n_outputs**0.5
            target = self.max_size if self.target_size is None else self.target_size
            return float(min(round(size), self.max_size, target))
        return float(self.initial_size)

    def _check_data(self, X, y, sample_weight, *, reset=False, name="y"):
        """Return the checked rows with positive weights, and these weights."""
        if y is None:
            raise ValueError(
                f"{type(self).__name__} requires y to be passed, but the target y is None"
            )
        X = validate_table(self, X, reset=reset)
        for array, called in ((y, name), (sample_weight, "sample_weight")):
            if np.ma.is_masked(array):
                raise ValueError(f"{called} has masked values: leave their rows out")
        y = self._check_target(y, name)
        check_consistent_length(X, y)
        if sample_weight is None:
            return X, y, np.broadcast_to(1.0, len(y))
        weight = _check_sample_weight(sample_weight, X, dtype=np.float64, ensure_non_negative=True)
        if not weight.any():
            raise ValueError("all sample weights are zero; at least one weight must be positive")
        return rows_that_count(X, y, moderate(weight))

    def _encode(self, X, y, weight, *, begin, whole=True, classes=None):
        """Return matrix, targets and weights; to begin, fit table and loss, else widen loss."""
        target = self._learn_target(y, classes) if begin else self._apply_target(y)
        weight = self._reweight(y, weight)
        if begin:
            self._table = self._fit_table(X, target, weight)
        Z, target, weight = self._encode_rows(X, target, weight, len(target), whole)
        self._loss = (
            self._make_loss(target).fit(target, weight) if begin else self._loss.widen(target)
        )
        return Z, target, in_precision_of(Z, weight)

    def _encode_rows(self, X, target, weight, n_learnt, whole=True):
        """Return float matrix, targets and weights; if few rows are learned, merge equal ones.

        Weights have shape (..., n).
        """
        if n_learnt < TINY_ROWS:
            if whole:  # all chunks have one unit
                weight = np.apply_along_axis(for_penalty, -1, weight)  # before weights are summed
            return merge_equal_rows(self._table.encode(X), target, weight)
        return encode_early_or_late(self._table, X), target, weight

    def _fit_table(self, X, target, weight):
        """Return a fitted table; its dtype depends on the size of the matrix and the device."""
        from ._start import find_device

        table = TableEncoder(
            categorical_features=self.categorical_features, encoding=self.encoding
        )
        table.fit(*rows_that_count(X, target, weight))
        small = X.shape[0] * table.n_features_out_ <= FLOAT64_CELLS
        table.dtype = np.float64 if small and find_device(self.device) == "cpu" else np.float32
        return table

    def _encode_validation(self, X_val, y_val, sample_weight_val):
        """Return the encoded X_val, y_val and their weights, or None."""
        if X_val is None and y_val is None:
            if sample_weight_val is not None:
                raise ValueError("sample_weight_val is given without X_val and y_val")
            return None
        if X_val is None or y_val is None:
            raise ValueError("X_val and y_val must be given together")
        try:
            X_val, y_val, weight = self._check_data(X_val, y_val, sample_weight_val, name="y_val")
            target = self._apply_target(y_val, "y_val")
            Z, weight = encode_early_or_late(self._table, X_val), self._reweight(y_val, weight)
        except (TypeError, ValueError) as error:
            kind = TypeError if isinstance(error, TypeError) else ValueError
            raise kind(f"in X_val, y_val or sample_weight_val: {error}") from error
        return Z, target, in_precision_of(Z, weight)

    def _start(
        self, Z, target, weight, validation, *, anew, epoch, whole, max_iter, anneal, caution=1.0
    ):
        """Return the training on a whole table or a chunk, continued or anew.

        It is anew, although of the same table and loss, where y has had one value so far: nothing
        has been learned, and the linear start knew nothing.
        """
        from ._start import encode_target

        k, n = self.n_estimators, len(target)
        if anew:
            self._noise = None
            self._fixed = deepcopy(self._fixed_parameters())
            self._draw_seeds()
            self._sizes = np.full(k, self._initial_size(self._loss.n_outputs_, k))
        _, row_seed, *seeds = self._seeds.tolist()
        held_out = None
        if validation is None and whole and self._stops_early(n):
            if not anew:
                self._check_held_out_of(n)
            held_out = self._hold_out(target)
        self._held_out_of = None if held_out is None else n
        if validation is not None:
            Z_val, target_val, weight_val = validation
            validation = Z_val, encode_target(self._loss, target_val, Z_val.dtype), weight_val
        return self._launch(
            Z, encode_target(self._loss, target, Z.dtype),
            np.broadcast_to(weight, (k, n)), held_out, seeds=seeds, row_seed=row_seed,
            sizes=self._sizes, size_penalty=self.size_penalty,
            batch_size=self._batch_size(n, whole), max_iter=max_iter, anneal=anneal,
            validation=validation, caution=caution, epoch=epoch,
            published=None if anew else self._networks,
            normaliser=None if anew else self._normaliser,
            progress=None if anew else self._progress,
        )  # fmt: skip

    def _launch(self, Z, target, weight, held_out, *, row_seed, caution=1.0, **options):
        """Return a training with the parameters of this estimator and further options."""
        from ._start import find_device, start_training

        return start_training(
            Z, target, self._loss, weight=weight, held_out=held_out, max_size=self.max_size,
            depth=self.n_hidden_layers, device=find_device(self.device),
            table=self._table, activation=self.activation, target_size=self.target_size,
            learning_rate=caution * self.learning_rate_init, alpha=self.alpha, tol=self.tol,
            patience=self.n_iter_no_change, rng=np.random.RandomState(row_seed), **options,
        )  # fmt: skip

    def _draw_seeds(self):
        """Draw the seeds of the folds, of the order of rows and of every network."""
        rng = check_random_state(self.random_state)
        self._seeds = rng.randint(np.iinfo(np.int32).max, size=self.n_estimators + 2)

    def _check_held_out_of(self, n):
        """Raise if the rows held out before were not taken from n rows."""
        if n != self._held_out_of:
            why = f"there are {n} now and were {self._held_out_of}"
            if self._held_out_of is None:
                why = "it knows of none"
            raise ValueError(
                f"early stopping cannot hold out the rows it held out before: {why}. Pass X_val "
                "and y_val, or use partial_fit"
            )

    def _hold_out(self, target):
        """Return masks of the held-out rows of each network, set by targets and seeds alone."""
        return held_out_masks(
            len(target), self._strata(target), self.n_estimators, self.validation_fraction,
            self._seeds[0],
        )  # fmt: skip

    def _stops_early(self, n_rows):
        """Tell whether a part of the rows is held out."""
        if self.early_stopping == "auto":
            return n_rows >= EARLY_STOPPING_ROWS
        return self.early_stopping

    def _batch_size(self, n_rows, whole=True):
        """Return the rows per step: for a chunk fewer, so that it has more steps."""
        if self.batch_size != "auto":
            return min(self.batch_size, n_rows)
        least = min(32, -(-n_rows // 4))
        return int(np.clip(n_rows // (16 if whole else 32), least, 256))

    def _run(self, training, X, y, metadata, *, begin):
        """Train until the end, a callback's stop or Ctrl-C; then set all fitted attributes."""
        from ._training import Divergence

        history = [] if begin else list(self.history_)
        data = {"estimator": self, "X": X, "y": y, "metadata": metadata}
        fitting = self._init_callback_context(max_subtasks=training.schedule.max_iter)
        fitting.call_on_fit_task_begin(**data)
        try:
            self._train(training, history, fitting, data)
        except KeyboardInterrupt:
            training.stop()
            done = history[-1].epoch if history else 0
            warnings.warn(
                f"training was interrupted after {done} epochs; the best networks so far are kept",
                stacklevel=5,
            )
        except Divergence as error:
            raise divergence_error(error, self) from None
        fitting.call_on_fit_task_end(**data)
        check_unchanged(self._fixed, self._fixed_parameters())  # a callback could change them
        if training.limited:
            warnings.warn(
                f"max_iter={self.max_iter} epochs ended and the held-out loss may still improve",
                ConvergenceWarning,
                stacklevel=5,
            )
        vars(self).update(self._fitted(training.states(), history, training.normaliser[0]))
        self._progress = training.progress()

    def _train(self, training, history, fitting, data):
        """Run the epochs; report each, also to callbacks."""
        epochs, last = training.epochs(), training.epoch + training.schedule.max_iter
        watched = fitting if hasattr(self, "_skl_callbacks") else NO_CALLBACKS
        while len(training.members):
            task = watched.subcontext(task_name="epoch")
            task.call_on_fit_task_begin(**data)
            records = list(next(epochs).values())
            history.extend(records)
            if self.verbose:
                _report(records, last, in_place=self.verbose > 1)
            if task.call_on_fit_task_end(
                **data,
                reconstruction_attributes=lambda: self._fitted(
                    training.states(), list(history), training.normaliser[0]
                ),
            ):
                training.stop()
        if self.verbose > 1:
            sys.stdout.write("\n")

    # ------------------------------------------------------------------ publish
    def _as_published(self, states):
        """Return states of networks as fitted networks, cut to their sizes."""
        ordered = (states[member] for member in sorted(states))
        return [FittedNetwork.from_state(state, self.activation) for state in ordered]

    def _fitted(self, states, history, normaliser):
        """Return the fitted attributes, as if the training ended here."""
        return {
            "_networks": self._as_published(states),
            "_sizes": np.array([states[member].size for member in sorted(states)]),
            "_normaliser": float(normaliser),
            "_progress": None,  # a callback's copy of the estimator cannot continue
            "history_": history,
        }

    @property
    def size_weight_(self):
        """The size weight N, of all networks together."""
        check_is_fitted(self)
        return float(self._sizes.sum())

    @property
    def n_iter_(self):
        """Epochs, of the network that trained longest."""
        check_is_fitted(self)
        return self.history_[-1].epoch if self.history_ else 0

    @property
    def n_hidden_(self):
        """Awake neurons per hidden layer, of all networks together."""
        check_is_fitted(self)
        return sum(network.n_hidden for network in self._networks)

    @property
    def n_parameters_(self):
        """Weights and biases of all networks together."""
        check_is_fitted(self)
        return sum(network.n_parameters for network in self._networks)

    @property
    def loss_curve_(self):
        """Objective as last measured in every epoch, on a batch; mean over the networks."""
        check_is_fitted(self)
        curve = {}
        for record in self.history_:
            curve.setdefault(record.epoch, []).append(record.loss)
        return [sum(losses) / len(losses) for losses in curve.values()]

    # ------------------------------------------------------------------ predict
    def _predict(self, X, combine):
        """Return ``combine`` of the raw outputs of all networks, batch by batch."""
        check_is_fitted(self)
        X = validate_table(self, X, reset=False)
        return predict_batches(
            self._networks, X.shape[0], lambda rows: self._table.encode(_safe_indexing(X, rows)),
            combine, _numbers_of_a_row(X) if self._table.is_sparse else None,
        )  # fmt: skip

    # ------------------------------------------------------------------ smaller and fewer
    @property
    def estimators_(self):
        """Each network as a fitted estimator of its own, a list.

        The ``return_std`` of one is the noise of y alone: a single network has no variance.
        """
        check_is_fitted(self)
        found = []
        for member, network in enumerate(self._networks):
            history = [replace(r, member=0) for r in self.history_ if r.member == member]
            one = self._with([network], self._sizes[[member]], n_estimators=1, history_=history)
            one._seeds, one._fixed = self._seeds[[0, 1, 2 + member]], one._fixed_parameters()
            found.append(one)
        return found

    def resized(self, n_hidden):
        """Return a fitted copy with the first neurons of every network.

        Neurons are ordered, so the first n of them, for any n, are a network that works.

        Parameters
        ----------
        n_hidden : int
            Neurons per hidden layer of each network, from 0 (the linear path alone) to the number
            in the largest network. Networks with fewer stay as they are.

        Returns
        -------
        NimbleRegressor or NimbleClassifier
            A copy; this estimator does not change. The ``return_std`` of the copy lacks the noise
            of y, which was learned for the original sizes.

        Raises
        ------
        ValueError
            If `n_hidden` is no integer, negative, or larger than the largest network.

        See Also
        --------
        prefix_losses : The normalised loss of every such copy.
        """
        check_is_fitted(self)
        largest = max(network.n_hidden for network in self._networks)
        if not (isinstance(n_hidden, Integral) and 0 <= n_hidden <= largest):
            raise ValueError(f"n_hidden={n_hidden!r} must be an integer from 0 to {largest}")
        networks = [network.truncated(n_hidden) for network in self._networks]
        return self._with(networks, np.minimum(self._sizes, n_hidden), _noise=None)

    def prefix_losses(self, X, y, sample_weight=None):
        """Return the normalised loss with the first n neurons alone, for every n, in one pass.

        Parameters
        ----------
        X : DataFrame, array-like or sparse matrix of shape (n_samples, n_features)
            Rows that the networks have not learned from, to see how many neurons are worth it.
        y : array-like of shape (n_samples,) or (n_samples, n_outputs)
        sample_weight : array-like of shape (n_samples,), default=None

        Returns
        -------
        ndarray of shape (1 + neurons of the largest network,)
            Entry n is the normalised loss of `resized(n)`, in the unit of `history_`: a constant
            prediction has about 1. Of several networks it is the mean of their losses, not the
            loss of their mean. Labels are not smoothed, as they are in `history_`, and
            predictions are not clipped to the range of y.

        Notes
        -----
        PyTorch is needed, as for `fit`. With one or two hidden layers each neuron is added to what
        those before it made, so all sizes together take the matrix products of one prediction.
        But with two layers the activations of the second are computed anew for every size: for
        400 neurons this takes sixty times as long as a prediction. With three, the last layer is
        computed anew too.
        """
        check_is_fitted(self)
        X, y, weight = self._check_data(X, y, sample_weight)
        target = self._loss.encode(self._apply_target(y))
        Z, weight = encode_early_or_late(self._table, X), self._reweight(y, weight)
        curves = [prefix_losses(n, Z, target, weight, self._loss) for n in self._networks]
        longest = max(map(len, curves))
        padded = [np.pad(curve, (0, longest - len(curve)), mode="edge") for curve in curves]
        return np.mean(normalised(np.divide(padded, self._normaliser)), axis=0)

    def _with(self, networks, sizes, **attributes):
        """Return a copy of this estimator with other networks."""
        copied = copy(self)
        vars(copied).update(
            _networks=networks, _sizes=sizes, _progress=None, _held_out_of=None,
            **attributes,
        )  # fmt: skip
        return copied

    # ------------------------------------------------------------------ save and share
    def to_torch(self):
        """Return the fitted networks as a PyTorch module that predicts what this predicts.

        Returns
        -------
        torch.nn.Module
            Takes a float tensor of shape (n_samples, n_features), the matrix that `predict`
            takes, and returns what `predict` returns, or `predict_proba` for a classifier. Its
            weights can be trained; ``raw(X)``, of shape (n_networks, n_samples, n_outputs), are
            the outputs of each network before they are clipped, averaged and put in units.

        Raises
        ------
        ValueError
            If there are columns of categories: encode them before fitting.
        """
        from ._export import to_torch

        check_is_fitted(self)
        return to_torch(
            self._networks, self._table, self._loss, flat=self._is_flat(),
            sharpness=self._sharpness,
        )  # fmt: skip

    def to_onnx(self, path, *, dtype=np.float64):
        """Write the fitted networks to an ONNX file that predicts what this predicts.

        Parameters
        ----------
        path : str or path-like
            Where the file is written.
        dtype : {numpy.float64, numpy.float32}, default=numpy.float64
            Type of all numbers in the file. Use float32 if a runtime has no float64; it is
            inaccurate for inputs that are large compared with their spread.

        Raises
        ------
        ImportError
            If onnx is not installed.
        ValueError
            If there are columns of categories: encode them before fitting.
        """
        from ._export import to_onnx

        check_is_fitted(self)
        to_onnx(
            path, self._networks, self._table, self._loss, flat=self._is_flat(),
            sharpness=self._sharpness, classes=getattr(self, "classes_", None), dtype=dtype,
        )  # fmt: skip

    def __copy__(self):
        copied = type(self).__new__(type(self))  # faster than packing and unpacking the history
        vars(copied).update(vars(self))
        return copied

    def __reduce__(self):
        return reduced(self)

    def __getstate__(self):
        return seal(super().__getstate__())

    def __setstate__(self, state):
        super().__setstate__(unseal(state, type(self).__name__))

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


def _numbers_of_a_row(X):
    """Return how many numbers a sparse matrix stores per row on average; None if X is dense."""
    return -(-X.nnz // X.shape[0]) if sparse.issparse(X) else None


def divergence_error(error, model):
    """Return the error to raise when a training has diverged."""
    return ValueError(
        f"{error} with learning_rate_init={model.learning_rate_init} and alpha={model.alpha}: "
        "lower them, and check X and y for values of extreme scale"
    )


def check_outputs(y, shape, name):
    """Raise if y does not have the shape of the first y, without its rows."""
    if y.shape[1:] != shape:
        first, expected = "y" if name == "y_val" else "the first y", (len(y), *shape)
        raise ValueError(
            f"{name} must have the columns of {first}: shape {expected}, got {y.shape}"
        )


def _report(records, last, *, in_place):
    """Write a line about an epoch to the standard output, or overwrite the last line."""
    sizes = " ".join(f"{record.size:.1f}" for record in records[:4])
    sizes += " ..." if len(records) > 4 else ""
    mean = np.mean([[r.data_loss, r.validation_loss] for r in records], axis=0)
    line = (
        f"epoch {records[0].epoch:4d} of at most {last}  size {sizes}  loss {mean[0]:.4f}  "
        f"validation {mean[1]:.4f}  {records[0].seconds:.3f} s"
    )
    sys.stdout.write(f"\r{line:<79}" if in_place else f"{line}\n")
    sys.stdout.flush()
