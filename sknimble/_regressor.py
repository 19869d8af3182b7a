"""NimbleRegressor: numbers, counts and quantiles."""

import warnings
from numbers import Real

import numpy as np
from sklearn.base import RegressorMixin, _fit_context
from sklearn.metrics import d2_pinball_score
from sklearn.utils import column_or_1d
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import check_array, check_is_fitted

from ._columns import TIME_TYPES, column_at, is_frame
from ._continue import all_or_nothing
from ._late import read
from ._losses import REGRESSION_LOSSES, Quantile
from ._noise import learn_noise, noise_at
from ._predictor import predict_batches
from ._shell import NimbleBase, check_outputs, takes_chunks

LARGEST_TARGET = 1e150
NOISE_ROWS = 2**14  # held-out rows of a network, at most, from which the noise of y is learned


class NimbleRegressor(RegressorMixin, NimbleBase):
    r"""Neural network regression that chooses its own size.

    X may be a table as it came: numbers, categories, strings, booleans and missing values.

    Parameters
    ----------
    loss : {"squared_error", "absolute_error", "huber", "poisson", "gamma", "quantile"}, \
            default="squared_error"
        The loss that is minimised: see Notes. "poisson" needs y >= 0, "gamma" y > 0, and both
        predict the exponential of the network's output.
    quantile : float or list of float, default=0.5
        Quantiles, between 0 and 1, that ``loss="quantile"`` predicts: one number for every output,
        or a list for a single output, which makes one column per quantile. Columns never cross.
    size_penalty : float, default=1e-4
        Price of one neuron, in normalised loss (see Notes), 0 or more. With 1e-3 and the squared
        error a neuron is kept if it lowers the RMSE by a thousandth of the standard deviation of
        y. A higher price gives a smaller network.
    initial_size : float, default=None
        Size weight N of each network at the start, in neurons per hidden layer; at most
        `max_size`. None: 64 for one network, 16 for two, 8 for more, times the square root of the
        number of outputs, quantiles included; but at most `max_size` and `target_size`.
    max_size : int, default=512
        Most neurons per hidden layer of each network, including those trained beyond N. 0 is a
        linear model of the encoded columns.
    target_size : float, default=None
        Number of neurons that N is pulled towards, by a size loss of
        ``size_penalty * (N - target_size)**2``. None: every neuron has the price `size_penalty`.
    n_hidden_layers : {1, 2, 3}, default=2
        Number of hidden layers; all have the same number of awake neurons.
    activation : {"relu", "tanh", "silu", "gelu"}, default="silu"
        Activation function of the hidden neurons. "gelu" is ``z * sigmoid(1.702 * z)``.
    n_estimators : int, default=3
        Networks trained together, each with its own size and its own held-out rows; their
        predictions are averaged.
    categorical_features : "from_dtype", array-like of bool, int or str, or None, \
            default="from_dtype"
        Categorical columns: a mask, indices or names. "from_dtype": columns of dtype category or
        string, and of dtype object unless all values are numbers. None: no column.
    encoding : {"none", "piecewise"}, default="piecewise"
        "piecewise" adds to every column with more than 16 distinct numbers its piecewise-linear
        encoding: up to eight pieces, or up to 32 where fewer cannot follow the means of y. A
        column of 3 to 16 distinct numbers has pieces only in that case, a sparse table never.
    learning_rate_init : float, default=1e-2
        Learning rate of the weights, constant at first and then annealed to 0.
    alpha : float, default=0.02
        Weight decay of the neurons, decoupled from the gradient: every step shrinks their weights
        by ``alpha`` times the learning rate, as a share. More than 0.3, or than 0.003 per step,
        counts as that. The linear path does not decay.
    batch_size : int or "auto", default="auto"
        Rows per step. "auto": a sixteenth of the rows (in `partial_fit` a thirty-second), but at
        least 32, or a quarter of the rows if that is less, and at most 256.
    max_iter : int, default=1000
        Most epochs, that is passes over the training rows.
    tol : float, default=5e-3
        Relative improvement of the held-out objective (loss on the held-out rows plus size loss)
        that counts as one. Of all epochs within `tol` of the best, the latest is kept. An anneal
        of the learning rate that improves the objective by ``4 * tol`` is followed by another.
    n_iter_no_change : int, default=10
        Epochs without improvement after which the learning rate is annealed, but at least 300
        steps, and 0.3 of the steps made so far.
    early_stopping : bool or "auto", default="auto"
        Whether rows are held out to say when to stop and which epoch to keep. "auto": from 20 rows
        on (below 100 rows, equal ones count once). In the end networks learn from these rows too,
        except for quantiles and with `warm_start`. Rows passed as `X_val` to `fit` take their
        place, and are never learned from. Without any such rows, training takes 600 steps, but
        at least two epochs and at most `max_iter`, or with `warm_start` all `max_iter` epochs, and
        the last weights are kept.
    validation_fraction : float, default=0.15
        Share of the rows held out, between 0 and 1. Several networks hold out one of
        ``round(1 / validation_fraction)`` folds each, so that 0.15 is a seventh of the rows and
        0.4 a half; above 0.5 each holds out a random part.
    warm_start : bool, default=False
        Whether `fit` goes on where the last call ended, up to `max_iter` epochs of all calls
        together. To make that possible the learning rate is not annealed.
    device : {"cpu", "cuda", "mps", "auto"}, default="cpu"
        Where to train; "auto" takes an accelerator if there is one. Prediction needs neither the
        device nor PyTorch.
    random_state : int, RandomState instance or None, default=None
        Seed or generator of initial weights, held-out rows and the order of rows.
    verbose : int, default=0
        1 writes a line per epoch, with the N of the first four networks; 2 one line that is
        overwritten.

    Attributes
    ----------
    size_weight_ : float
        The size weight N, averaged over the latest steps as the weights are; summed over the
        networks.
    n_hidden_ : int
        Neurons per hidden layer: N rounded, summed over the networks.
    n_parameters_ : int
        Weights and biases used in prediction, summed over the networks.
    history_ : list of Epoch
        One record per epoch and network; ``pandas.DataFrame(model.history_)`` makes a table.
    loss_curve_ : list of float
        Objective on the last batch measured in each epoch; the mean over the networks.
    n_iter_ : int
        Epochs run, by the network that trained longest.
    estimators_ : list of fitted estimators
        Each network as an estimator of its own.
    n_features_in_ : int
        Number of columns of X.
    feature_names_in_ : ndarray of str, shape (n_features_in_,)
        Names of the columns of X, if they are strings.

    See Also
    --------
    NimbleClassifier : The same for classes.
    sklearn.neural_network.MLPRegressor : A network whose size is chosen by hand.

    Notes
    -----
    The network is a linear path, which starts at the linear model of the loss, and hidden neurons
    of which the size weight N says how many, from the first, are awake. Training descends

    .. math::

        J(w, N) = \frac{1}{W} \int_N^{N + W} L(w, s) \, ds
                  + \mathrm{size\_penalty} \cdot N

    in the weights w and in N. L(w, s), the normalised loss, is the square root of a ratio: the
    loss with the first s neurons awake over that of the best constant prediction. So a price means
    the same whatever the loss, its units and the number of rows. W, the window, is a quarter of N
    and four neurons more, rounded up. With `target_size` the last term is
    ``size_penalty * (N - target_size)**2``.

    With the error e in units of the target's scale, m the prediction and t the target, the loss
    of a row, up to a factor, is

    ================== ===========================================================================
    "squared_error"    e^2, scale: the standard deviation
    "absolute_error"   abs(e), smoothed within 0.01 robust scales of 0
    "huber"            e^2 up to half a robust scale, linear in abs(e) beyond
    "quantile"         q e or (q - 1) e, as the prediction is too low or too high, smoothed alike
    "poisson"          t log(t / m) - t + m, half the Poisson deviance
    "gamma"            log(m / t) + t / m - 1, half the gamma deviance
    ================== ===========================================================================

    with e the target minus the prediction, and the mean over outputs. The robust scale, of the
    losses "absolute_error", "huber" and "quantile", is 1.48 times the median distance from the
    median, among values that differ from it. In these losses targets farther than a hundred
    scales are moved to that distance, if they are few (for a median, at most a tenth of the rows)
    and make up more than nine tenths of the loss of the best constant. Predictions are float64 in
    the units of y, within the range of the training target; those of "poisson" and "gamma" are
    also at least a millionth of its mean.

    References
    ----------
    Radhakrishnan, Lindner, Miller, Sinha and Ditto, "Growing neural networks: dynamic evolution
    through gradient descent", Proc. R. Soc. A 481, 2025; arXiv 2501.18012.

    Examples
    --------
    >>> from sklearn.datasets import load_diabetes
    >>> from sknimble import NimbleRegressor
    >>> X, y = load_diabetes(return_X_y=True)
    >>> model = NimbleRegressor(random_state=0).fit(X, y)
    >>> model.score(X, y) > 0.4
    True

    Quantiles make an interval:

    >>> model = NimbleRegressor(loss="quantile", quantile=[0.05, 0.95], random_state=0)
    >>> low, high = model.fit(X, y).predict(X).T
    >>> bool((low <= high).all())
    True

    A pipeline transforms validation rows too, if asked to:

    >>> import sklearn
    >>> from sklearn.pipeline import Pipeline
    >>> from sklearn.preprocessing import QuantileTransformer
    >>> with sklearn.config_context(enable_metadata_routing=True):
    ...     network = NimbleRegressor(random_state=0).set_fit_request(X_val=True, y_val=True)
    ...     steps = [("scale", QuantileTransformer(n_quantiles=100)), ("network", network)]
    ...     model = Pipeline(steps, transform_input=["X_val"])
    ...     model = model.fit(X[:300], y[:300], X_val=X[300:], y_val=y[300:])
    >>> model.predict(X[300:]).shape
    (142,)

    """

    _parameter_constraints: dict = {
        **NimbleBase._parameter_constraints,
        "loss": [StrOptions(set(REGRESSION_LOSSES))],
        "quantile": [Interval(Real, 0, 1, closed="neither"), "array-like"],
    }

    def __init__(
        self, *, loss="squared_error", quantile=0.5, size_penalty=1e-4, initial_size=None,
        max_size=512, target_size=None, n_hidden_layers=2, activation="silu", n_estimators=3,
        categorical_features="from_dtype", encoding="piecewise", learning_rate_init=1e-2,
        alpha=0.02, batch_size="auto", max_iter=1000, tol=5e-3, n_iter_no_change=10,
        early_stopping="auto", validation_fraction=0.15, warm_start=False, device="cpu",
        random_state=None, verbose=0,
    ):  # fmt: skip
        super().__init__(
            size_penalty=size_penalty, initial_size=initial_size, max_size=max_size,
            target_size=target_size, n_hidden_layers=n_hidden_layers, activation=activation,
            n_estimators=n_estimators, categorical_features=categorical_features,
            encoding=encoding, learning_rate_init=learning_rate_init, alpha=alpha,
            batch_size=batch_size, max_iter=max_iter, tol=tol, n_iter_no_change=n_iter_no_change,
            early_stopping=early_stopping, validation_fraction=validation_fraction,
            warm_start=warm_start, device=device, random_state=random_state, verbose=verbose,
        )  # fmt: skip
        self.loss = loss
        self.quantile = quantile

    def _check_target(self, y, name):
        """Return y as floats."""
        if _holds_times(y):
            raise TypeError(f"{name} holds dates or times; replace them by numbers, such as days")
        try:
            y = check_array(y, ensure_2d=False, dtype=np.float64, order="C", input_name=name)
        except TypeError as error:
            raise TypeError(f"{name} must hold numbers: {error}") from error
        except ValueError as error:
            if "could not convert" in str(error):
                raise ValueError(f"{name} must hold numbers: {error}") from error
            raise
        if np.abs(y).max() > LARGEST_TARGET:
            raise ValueError(f"{name} holds values too large to be squared: divide by a constant")
        if y.ndim == 2 and y.shape[1] == 1:
            y = column_or_1d(y, warn=True)
        return y

    def _learn_target(self, y, classes=None):
        """Return y as columns."""
        if np.ndim(self.quantile) and self.loss != "quantile":
            raise ValueError(
                f"quantile={self.quantile!r} needs loss='quantile', got loss={self.loss!r}"
            )
        self._shape = y.shape[1:]
        return self._apply_target(y)

    def _apply_target(self, y, name="y"):
        """Return y as columns."""
        check_outputs(y, self._shape, name)
        return y.reshape(len(y), -1)

    @available_if(takes_chunks)
    @all_or_nothing
    @_fit_context(prefer_skip_nested_validation=True)
    def partial_fit(self, X, y, sample_weight=None):
        """Learn from a chunk of a table that does not fit in memory, or never ends.

        Scales, categories and the linear start come from the rows of the first call, or of
        `fit`; N goes on changing. Nothing is held out, and the learning rate falls as one over the
        fourth root of the steps. A chunk, after 20,000 steps only a small one, is learned together
        with up to fifteen earlier rows for each of its own, from a sample that stays in memory.
        There are more passes over the rows the better the chunk was predicted before; each is an
        epoch.

        Parameters
        ----------
        X : DataFrame, array-like or sparse matrix of shape (n_samples, n_features)
        y : array-like of shape (n_samples,) or (n_samples, n_outputs)
        sample_weight : array-like of shape (n_samples,), default=None
            Relative to the other rows of this call.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            If data or parameters are invalid, if a parameter that must stay has changed, or if the
            loss is not finite or far too high.
        TypeError
            If a column holds neither numbers nor categories, as dates do, or y neither numbers
            nor labels of one type.
        """
        return self._partial_fit(X, y, None, sample_weight)

    def _reweight(self, y, weight):
        """Return the weights as they are."""
        return weight

    def _make_loss(self, target):
        """Return the unfitted loss that the parameters name."""
        loss = REGRESSION_LOSSES[self.loss]
        return loss(self.quantile) if loss is Quantile else loss()

    def _has_quantiles(self):
        """Tell whether one output is predicted as several quantiles."""
        return isinstance(self._loss, Quantile) and np.ndim(self._loss.quantile) > 0

    def _strata(self, target):
        """Return None: a regressor does not stratify."""
        return None

    def _learn_from_held_out(self, states, rows, validation):
        """Learn the noise of y from held-out rows, if there are any."""
        self._noise = None
        if isinstance(self._loss, Quantile):
            return
        networks = self._as_published(states)
        try:
            if validation is not None:
                everything = np.ones((len(networks), len(validation[1])), dtype=bool)
                self._noise = self._learn_noise(networks, *validation, everything)
            elif self._held_out_of is not None:
                self._noise = self._learn_noise(networks, *rows, self._hold_out(rows[1]))
        except KeyboardInterrupt:
            warnings.warn("interrupted after training; the noise of y is not known", stacklevel=5)

    def _learn_noise(self, networks, Z, target, weight, held_out):
        """Return the noise of y, learned from the rows held out from each network, a mask each."""
        parts = []
        for member, mask in enumerate(held_out):
            rows = np.flatnonzero(mask)
            rows = rows[:: -(-len(rows) // NOISE_ROWS)]  # if too many, evenly spaced ones
            each = predict_batches(
                networks, len(rows), lambda cut, rows=rows: read(Z, rows[cut]),
                lambda raws: self._decoded(raws).swapaxes(0, 1),
            )  # fmt: skip
            square = (target[rows] - each[:, member]) ** 2
            parts.append((each.mean(axis=1), square - each.var(axis=1), weight[rows]))
        return learn_noise(*map(np.concatenate, zip(*parts, strict=True)))

    def predict(self, X, return_std=False):
        """Predict targets.

        Parameters
        ----------
        X : DataFrame, array-like or sparse matrix of shape (n_samples, n_features)
        return_std : bool, default=False
            Whether to return also the standard deviation of y around its prediction.

        Returns
        -------
        y : ndarray of float64, shape (n_samples,) or (n_samples, n_outputs)
            In the units of y. With a list of quantiles: (n_samples, n_quantiles), columns in
            the order of the list, never crossing.
        std : ndarray of float64, shaped as ``y``
            Standard deviation of y, in its units; only with ``return_std=True``. Its square is
            the variance of the networks' predictions plus the variance of the noise of y, as a
            function of the prediction. `fit` learns the noise from the held-out rows, and
            `partial_fit` leaves it as it is. The noise is missing if no rows were held out, if
            quantiles are predicted, and in `resized` copies.

        Raises
        ------
        ValueError
            If ``return_std=True``, the noise is missing, and there is only one network.
        """
        if not return_std:
            y = self._predict(X, lambda raws: _mean(self._decoded(raws)))
            return y[:, 0] if self._is_flat() else y
        check_is_fitted(self)
        if self._noise is None and len(self._networks) == 1:
            raise ValueError(
                "return_std=True needs n_estimators=2 or more, this has 1, or rows held out, "
                "which tell `fit` the noise of y, but not of quantiles, nor for `resized` copies"
            )
        if self._noise is None:
            warnings.warn(
                "the noise of y is not known, because no rows were held out, quantiles are "
                "predicted, this is a resized copy, or fit is not over: std is only how far the "
                "networks are apart",
                stacklevel=2,
            )
        both = self._predict(X, self._decoded_mean_and_variance)
        y, variance = both[..., 0], both[..., 1]
        if self._noise is not None:
            variance = variance + noise_at(self._noise, y)
        std = np.sqrt(variance)
        return (y[:, 0], std[:, 0]) if self._is_flat() else (y, std)

    def _decoded(self, raws):
        """Return the decoded outputs of all networks, shape (K, n, o)."""
        return np.stack([self._loss.decode(raw.astype(np.float64)) for raw in raws])

    def _decoded_mean_and_variance(self, raws):
        """Return mean and variance of the networks' decoded outputs, side by side."""
        decoded = self._decoded(raws)
        return np.stack([_mean(decoded), decoded.var(axis=0)], axis=-1)

    def _is_flat(self):
        """Tell whether one number is predicted per row."""
        return not (self._shape or self._has_quantiles())

    def score(self, X, y, sample_weight=None):
        """Return R2, whatever the loss; with a list of quantiles, the mean of their pinball D2.

        Parameters
        ----------
        X : DataFrame, array-like or sparse matrix of shape (n_samples, n_features)
        y : array-like of shape (n_samples,) or (n_samples, n_outputs)
        sample_weight : array-like of shape (n_samples,), default=None

        Returns
        -------
        float
            At most 1; 0 is as good as the best constant prediction, the mean or the quantile of y.
        """
        check_is_fitted(self)
        if not self._has_quantiles():
            return super().score(X, y, sample_weight)
        scores = [
            d2_pinball_score(y, column, sample_weight=sample_weight, alpha=level)
            for column, level in zip(self.predict(X).T, self._loss.quantile, strict=True)
        ]
        return float(np.mean(scores))

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags


def _holds_times(y):
    """Tell whether a target, whatever its form, holds dates, times or durations."""
    if is_frame(y):  # its columns may have no dtype in common
        return any(_holds_times(column_at(y, j)) for j in range(y.shape[1]))
    try:
        array = np.asarray(y)
    except ValueError:  # rows of different length: `check_array` will raise for that
        return False
    if array.dtype != object:
        return array.dtype.kind in "mM"
    return any(isinstance(value, TIME_TYPES) for value in array.ravel().tolist())


def _mean(decoded):
    """Return the mean over the first axis, clipped to the range of the values despite rounding."""
    return decoded.mean(axis=0).clip(decoded.min(axis=0), decoded.max(axis=0))
