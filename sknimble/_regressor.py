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

from ._columns import TIME_TYPES
from ._continue import all_or_nothing
from ._late import read
from ._losses import REGRESSION_LOSSES, Quantile
from ._noise import learn_noise, noise_at
from ._predictor import predict_batches
from ._shell import NimbleBase, check_outputs, takes_pieces

LARGEST_TARGET = 1e150
NOISE_ROWS = 2**14  # held out by a network, that tell the noise of y


class NimbleRegressor(RegressorMixin, NimbleBase):
    r"""Neural network regression that chooses its own size.

    X may be a table as it came: numbers, categories, text, booleans and gaps.

    Parameters
    ----------
    loss : {"squared_error", "absolute_error", "huber", "poisson", "gamma", "quantile"}, \
            default="squared_error"
        What is minimised: see Notes. "poisson" needs y >= 0, "gamma" y > 0, and both predict
        the exponential of the network's output.
    quantile : float or list of float, default=0.5
        Levels between 0 and 1 that ``loss="quantile"`` predicts: one number for every output,
        or a list for one output, which makes one column per level. The columns never cross.
    size_penalty : float, default=1e-4
        Price of one neuron, in normalised loss (see Notes): with 1e-3 a regressor keeps a
        neuron that lowers the RMSE by a thousandth of the spread of y.
    initial_size : float, default=None
        Size weight N at the start, in neurons per hidden layer; at most `max_size`. None: 64 for
        one network, 16 for each of two, 8 of more; times the root of the number of outputs,
        quantiles included; or `max_size` or `target_size` if less.
    max_size : int, default=512
        Most neurons per hidden layer. 0 is a linear model of the encoded columns.
    target_size : float, default=None
        Size that a quadratic price pulls N towards, in neurons. None: each neuron has the
        same price.
    n_hidden_layers : {1, 2, 3}, default=2
        Hidden layers, all with the same number of awake neurons.
    activation : {"relu", "tanh", "silu", "gelu"}, default="silu"
        Of every hidden neuron. "gelu" is ``z * sigmoid(1.702 * z)``.
    n_estimators : int, default=3
        Networks trained together, each with a size of its own and with other rows held out;
        their predictions are averaged.
    categorical_features : "from_dtype", array-like of bool, int or str, or None, \
            default="from_dtype"
        Columns that hold levels: a mask, indices or names. "from_dtype": those of dtype
        category, string, or object that are not all numbers. None: no column.
    encoding : {"none", "piecewise"}, default="piecewise"
        "piecewise" adds a piecewise-linear encoding of columns with more than 16 distinct numbers,
        of up to eight pieces, or up to 32 where y asks for them; of fewer numbers, where y asks
        for it; not to a sparse table.
    learning_rate_init : float, default=1e-2
        Step size of the weights while the network explores; it is annealed to 0 afterwards.
    alpha : float, default=0.02
        Decay of the neurons' weights per step, in units of the step size, decoupled from the
        gradient. The linear path does not decay.
    batch_size : int or "auto", default="auto"
        Rows per step. "auto" is a sixteenth of the rows (in `partial_fit` half of that), at most
        256 and at least 32, or a quarter of them if that is less.
    max_iter : int, default=1000
        Most epochs, that is passes over the training rows.
    tol : float, default=5e-3
        Share by which the held-out objective must improve to count as an improvement: of epochs
        within it of the best, the latest is kept. An anneal of the learning rate that improves
        it by four times as much is followed by another.
    n_iter_no_change : int, default=10
        Fewest epochs without improvement before the learning rate is annealed, but never fewer
        than 300 steps, or 0.3 of those made.
    early_stopping : bool or "auto", default="auto"
        Whether rows are held out that say when to stop and which epoch to keep. "auto": from
        20 rows on, of which equal ones count once below 100 rows; in the end, but for quantiles,
        networks learn from them too. Explicit validation rows in `fit` take their place, to judge
        only. Without any, the last weights count, after 600 steps, two epochs at least and at most
        `max_iter`; or after `max_iter` epochs with `warm_start`.
    validation_fraction : float, default=0.15
        Share of the rows held out, between 0 and 1. Several networks hold out one of
        ``round(1 / validation_fraction)`` folds each: of 0.15 a seventh, of 0.4 a half; above 0.5
        a random part each.
    warm_start : bool, default=False
        Whether `fit` goes on where the last call ended, up to `max_iter` epochs in all. So that
        it can, the learning rate is not annealed.
    device : {"cpu", "cuda", "mps", "auto"}, default="cpu"
        Where to train. Prediction needs neither the device nor PyTorch.
    random_state : int, RandomState instance or None, default=None
        Draws initial weights, held-out rows and the order of rows.
    verbose : int, default=0
        1 writes a line per epoch, 2 one line that is overwritten.

    Attributes
    ----------
    size_weight_ : float
        The size weight N, averaged over the latest steps as the weights are; the sum over the
        networks.
    n_hidden_ : int
        Neurons per hidden layer: N rounded, the sum over the networks.
    n_parameters_ : int
        Weights and biases that predict.
    history_ : list of Epoch
        A record per epoch and network; ``pandas.DataFrame(model.history_)`` is the table.
    loss_curve_ : list of float
        Objective as last measured in each epoch, on a batch; the mean over the networks.
    n_iter_ : int
        Epochs run.
    estimators_ : list of fitted estimators
        Each network as an estimator of its own.
    n_features_in_ : int
        Columns of X.
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

    in the weights w and in N. L(w, s), the normalised loss, is the square root of the loss with
    the first s neurons awake, divided by that of the best constant prediction: a price means
    the same whatever the loss, its units and the number of rows. W is a window of a quarter of
    N and some neurons more. With `target_size` the price is
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

    with e the target minus the prediction, and the mean over outputs. A robust scale is 1.48 times
    the median distance from the median, among values that differ from it. Of the losses that use
    it, targets beyond a hundred scales count as that far if they are few, a tenth of the rows for
    a median, and make up nine tenths of what a constant loses. Predictions lie within the range
    of the training target, and are float64 in its units. Those of "poisson" and "gamma" are never
    0, but at least a millionth of the mean.

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

    Validation rows are prepared by a pipeline if it is told so:

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
            y = check_array(y, ensure_2d=False, dtype=np.float64, input_name=name)
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
        self._shape = y.shape[1:]
        return self._apply_target(y)

    def _apply_target(self, y, name="y"):
        """Return y as columns."""
        check_outputs(y, self._shape, name)
        return y.reshape(len(y), -1)

    @available_if(takes_pieces)
    @all_or_nothing
    @_fit_context(prefer_skip_nested_validation=True)
    def partial_fit(self, X, y, sample_weight=None):
        """Learn from a piece of a table that is too large or never ends.

        Scales, categories and the linear start come from the rows of the first call, or of
        `fit`; the size goes on evolving. Nothing is held out, and the learning rate falls as the
        fourth root of the steps. In the first 20,000 steps a piece is learnt together with up to
        fifteen earlier rows for each of its own, a sample that stays in memory, and gone through
        the more often the better it was predicted before: each time is an epoch.

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
            If data or parameters make no sense or have changed, or the loss is not finite.
        TypeError
            If a column or y holds what is neither numbers nor labels of one type.
        """
        return self._partial_fit(X, y, None, sample_weight)

    def _reweight(self, y, weight):
        """Return the weights as they are."""
        return weight

    def _make_loss(self, target):
        """Return the loss asked for."""
        loss = REGRESSION_LOSSES[self.loss]
        return loss(self.quantile) if loss is Quantile else loss()

    def _has_quantiles(self):
        """Tell whether one output is predicted as several quantiles."""
        return isinstance(self._loss, Quantile) and np.ndim(self._loss.quantile) > 0

    def _strata(self, target):
        """Return None: there are no classes."""
        return None

    def _look_back(self, judged, rows, validation):
        """Learn the noise of y on the rows that judged the networks, if there were any."""
        self._noise = None
        if isinstance(self._loss, Quantile):
            return
        networks = self._as_published(judged)
        try:
            if validation is not None:
                everything = np.ones((len(networks), len(validation[1])), dtype=bool)
                self._noise = self._learn_noise(networks, *validation, everything)
            elif self._held_out_of is not None:
                self._noise = self._learn_noise(networks, *rows, self._hold_out(rows[1]))
        except KeyboardInterrupt:
            warnings.warn("interrupted after training; the noise of y is not known", stacklevel=5)

    def _learn_noise(self, networks, Z, target, weight, held_out):
        """Return the noise of y, learned from the rows that judged each network, a mask each."""
        parts = []
        for member, mask in enumerate(held_out):
            rows = np.flatnonzero(mask & (weight > 0.0))
            rows = rows[:: -(-len(rows) // NOISE_ROWS)]  # evenly spaced, if they are many
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
            Return also how far y may be from its prediction.

        Returns
        -------
        y : ndarray of float64, shape (n_samples,) or (n_samples, n_outputs)
            In the units of y. With a list of quantiles: (n_samples, n_quantiles), columns in
            the order of the list, never crossing.
        std : ndarray of float64, shaped as ``y``
            Standard deviation of y, in the units of y. Only with ``return_std``. Its square is
            the variance of the networks' predictions plus that of the noise of y, which `fit`
            learns from the rows held out as a function of the prediction, and `partial_fit` leaves
            as it is; where none were, quantiles are predicted, or the networks `resized`, the
            noise is not in it.

        Raises
        ------
        ValueError
            If a single network with no rows held out, of quantiles, or `resized`, is asked for a
            standard deviation.
        """
        if not return_std:
            y = self._predict(X, self._decoded_mean)
            return y[:, 0] if self._is_flat() else y
        check_is_fitted(self)
        if self._noise is None and len(self._networks) == 1:
            raise ValueError(
                "return_std=True needs n_estimators=2 or more, this has 1, or rows held out, "
                "which tell `fit` the noise of y, but not of quantiles, nor for `resized` copies"
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

    def _decoded_mean(self, raws):
        """Return the mean over the networks of their decoded outputs."""
        return _mean(self._decoded(raws))

    def _decoded_mean_and_variance(self, raws):
        """Return mean and variance of the networks' decoded outputs, side by side."""
        decoded = self._decoded(raws)
        return np.stack([_mean(decoded), decoded.var(axis=0)], axis=-1)

    def _is_flat(self):
        """Tell whether one number is predicted per row."""
        return not (self._shape or self._has_quantiles())

    def score(self, X, y, sample_weight=None):
        """Return R2, whatever the loss; with a list of quantiles, their mean pinball D2.

        Parameters
        ----------
        X : DataFrame, array-like or sparse matrix of shape (n_samples, n_features)
        y : array-like of shape (n_samples,) or (n_samples, n_outputs)
        sample_weight : array-like of shape (n_samples,), default=None

        Returns
        -------
        float
            At most 1. 0 is as good as the best constant: the mean, or the quantile.
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
    try:
        array = np.asarray(y)
    except ValueError:  # rows of different length: whoever checks the shape will say so
        return False
    if array.dtype != object:
        return array.dtype.kind in "mM"
    return any(isinstance(value, TIME_TYPES) for value in array.ravel().tolist())


def _mean(decoded):
    """Return the mean over the first axis; rounding does not take it out of the range."""
    return decoded.mean(axis=0).clip(decoded.min(axis=0), decoded.max(axis=0))
