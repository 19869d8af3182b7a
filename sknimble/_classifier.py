"""NimbleClassifier: one label per row, or several."""

from numbers import Real

import numpy as np
from scipy import sparse
from scipy.special import log_expit, log_softmax, logsumexp
from sklearn.base import ClassifierMixin, _fit_context
from sklearn.utils import assert_all_finite, column_or_1d
from sklearn.utils._param_validation import StrOptions
from sklearn.utils.metaestimators import available_if
from sklearn.utils.multiclass import check_classification_targets, type_of_target

from ._calibration import mean_sharpness
from ._continue import all_or_nothing
from ._losses import BinaryCrossEntropy, CrossEntropy
from ._shell import NimbleBase, check_outputs, takes_pieces


def _takes_labelled_pieces(estimator):
    """Return True, or say why `partial_fit` is not there."""
    if isinstance(estimator.class_weight, str):
        raise AttributeError(
            "class_weight='balanced' needs a whole table, and partial_fit gets it in pieces: "
            "give a dict of weights"
        )
    return takes_pieces(estimator)


class NimbleClassifier(ClassifierMixin, NimbleBase):
    r"""Neural network classification that chooses its own size.

    X may be a table as it came: numbers, categories, text, booleans and gaps. y holds one label
    per row, or is an indicator matrix of several labels per row.

    Parameters
    ----------
    class_weight : dict, "balanced" or None, default=None
        Factor of the weights of the rows of each class, by label; classes not named have 1.
        "balanced" gives all classes the same weight. With several labels per row the factors
        of all labels are multiplied.
    size_penalty : float, default=1e-4
        Price of one neuron, in normalised loss (see Notes): the least that a neuron must
        save to stay.
    initial_size : float, default=None
        Size weight N at the start, in neurons per hidden layer; at most `max_size`. None: 64 for
        one network, 16 for each of two, 8 of more; times the root of the number of
        classes, if there are more than two, or of labels per row; or `max_size` or
        `target_size` if less.
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
        their probabilities are averaged, and the mean is sharpened.
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
        20 rows on, of which equal ones count once below 100 rows. Explicit validation rows in
        `fit` take their place. Without any, the last weights count, after 600 steps, two epochs
        at least and at most `max_iter`; or after `max_iter` epochs with `warm_start`.
    validation_fraction : float, default=0.15
        Share of the rows held out, between 0 and 1, of each class. Several networks hold out one
        of ``round(1 / validation_fraction)`` folds each: of 0.15 a seventh, of 0.4 a half; above
        0.5 a random part each.
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
    classes_ : ndarray of shape (n_classes,)
        Labels, sorted; with several labels per row, the numbers of the columns of y.
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
    NimbleRegressor : The same for numbers.
    sklearn.neural_network.MLPClassifier : A network whose size is chosen by hand.

    Notes
    -----
    The network is a linear path, which starts at logistic regression, and hidden neurons of which
    the size weight N says how many, from the first, are awake. Training descends

    .. math::

        J(w, N) = \frac{1}{W} \int_N^{N + W} L(w, s) \, ds
                  + \mathrm{size\_penalty} \cdot N

    in the weights w and in N. L(w, s), the normalised loss, is the square root of the loss with
    the first s neurons awake, divided by that of the best constant prediction: a price means
    the same whatever the loss, its units and the number of rows. W is a window of a quarter of
    N and some neurons more. With `target_size` the price is
    ``size_penalty * (N - target_size)**2``.

    The loss is cross-entropy, of a logit for two classes, of a softmax for more, and the mean over
    labels of that of their logits for several labels per row. The best constant prediction is
    counted as at least 0.001 nats, as if the rarest class had one row in ten thousand. Labels are
    smoothed, mixed with 0.005 of the shares of the classes, those of n rows that judge with
    0.1 / (n + 2); of such labels the loss is the Kullback-Leibler divergence. Held-out rows judge
    a network at its best temperature, and it predicts with that. The mean of K networks that rows
    have judged is less sure than it could be: its logits are multiplied by 1 + 0.15 (1 - 1 / K).

    References
    ----------
    Radhakrishnan, Lindner, Miller, Sinha and Ditto, "Growing neural networks: dynamic evolution
    through gradient descent", Proc. R. Soc. A 481, 2025; arXiv 2501.18012.

    Berta, Holzmueller, Jordan and Bach, "Rethinking early stopping: refine, then calibrate",
    arXiv 2501.19195 (the temperature).

    Szegedy, Vanhoucke, Ioffe, Shlens and Wojna, "Rethinking the Inception architecture for
    computer vision", arXiv 1512.00567 (smoothed labels).

    Ranjan and Gneiting, "Combining probability forecasts", J. R. Stat. Soc. B 72, 2010 (the mean).

    Examples
    --------
    >>> from sklearn.datasets import load_breast_cancer
    >>> from sknimble import NimbleClassifier
    >>> X, y = load_breast_cancer(return_X_y=True)
    >>> model = NimbleClassifier(random_state=0).fit(X, y)
    >>> model.score(X, y) > 0.95
    True
    >>> model.predict_proba(X).shape
    (569, 2)

    Tables need no preparation, whatever they hold:

    >>> X = [[1.5, "red"], [None, "blue"], [3.0, None], [2.0, "red"]] * 10
    >>> y = ["yes", "no", "no", "yes"] * 10
    >>> model = NimbleClassifier(random_state=0).fit(X, y)
    >>> model.predict([[1.0, "red"], [3.0, "green"]])
    array(['yes', 'no'], dtype='<U3')

    """

    _parameter_constraints: dict = {
        **NimbleBase._parameter_constraints,
        "class_weight": [dict, StrOptions({"balanced"}), None],
    }

    def __init__(
        self, *, class_weight=None, size_penalty=1e-4, initial_size=None, max_size=512,
        target_size=None, n_hidden_layers=2, activation="silu", n_estimators=3,
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
        self.class_weight = class_weight

    def _check_target(self, y, name):
        """Return labels, 1-D, or the indicator of several labels per row, 2-D."""
        try:
            if str(getattr(y, "dtype", None)).lower() == "object":
                _check_objects(y, name)
            assert_all_finite(y, input_name=name)
            plain = getattr(getattr(y, "dtype", None), "numpy_dtype", None)
            if plain is not None and plain.kind in "biu":  # of pandas: not through floats
                y = y.to_numpy(dtype=plain)
            labels = np.asarray(y)
            if labels.dtype.kind in "mM" and np.isnat(labels).any():
                raise TypeError("NaT is no label")
            check_classification_targets(y)
            kind = type_of_target(y, input_name=name)
        except TypeError as error:
            message = f"{name} must hold labels of one type, none missing: {error}"
            raise TypeError(message) from error
        if kind == "multilabel-indicator":
            y = y.toarray() if sparse.issparse(y) else np.asarray(y)
            if np.isin(y, (0, 1)).all():
                return y
        if kind in ("multilabel-indicator", "multiclass-multioutput"):
            raise ValueError(
                f"{name} of shape {np.shape(y)} has several labels per row: they must be given as "
                "an indicator matrix, one column of 0 and 1 per label"
            )
        return column_or_1d(y, warn=True)

    def _learn_target(self, y, classes=None):
        """Learn the classes; return their indicator, one column if there are two."""
        self._shape = y.shape[1:]
        name, labels = ("y", y) if classes is None else ("classes", classes)
        self.classes_ = np.arange(y.shape[1]) if self._shape else np.unique(labels)
        if len(self.classes_) < 2:
            raise ValueError(
                f"{name} has one class, {self.classes_.tolist()[0]!r}; a classifier needs at "
                "least two classes"
            )
        return self._apply_target(y)

    def _apply_target(self, y, name="y"):
        """Return the indicator of y."""
        check_outputs(y, self._shape, name)
        if self._shape:
            return y.astype(float)
        texts = sum(labels.dtype.kind == "U" for labels in (y, self.classes_))
        if texts == 1 and not any(labels.dtype == object for labels in (y, self.classes_)):
            unknown = np.unique(y)  # as texts, numbers would be equal to them
        else:
            unknown = np.setdiff1d(y, self.classes_)
        if len(unknown):
            raise ValueError(f"{name} has classes {unknown.tolist()} that classes_ lacks")
        codes = np.searchsorted(self.classes_, y)
        if len(self.classes_) == 2:
            return codes[:, None].astype(float)
        return np.eye(len(self.classes_))[codes]

    @available_if(_takes_labelled_pieces)
    @all_or_nothing
    @_fit_context(prefer_skip_nested_validation=True)
    def partial_fit(self, X, y, classes=None, sample_weight=None):
        """Learn from a piece of a table that is too large or never ends.

        Scales, categories and the linear start come from the rows of the first call, or of
        `fit`; the size goes on evolving. Nothing is held out, and the learning rate falls as the
        fourth root of the steps. In the first 20,000 steps a piece is learnt together with up to
        fifteen earlier rows for each of its own, a sample that stays in memory, and gone through
        the more often the better it was predicted before: each time is an epoch.

        Parameters
        ----------
        X : DataFrame, array-like or sparse matrix of shape (n_samples, n_features)
        y : array-like of shape (n_samples,) or (n_samples, n_labels)
        classes : array-like of shape (n_classes,), default=None
            All classes that will ever come. Needed in the first call; not used if y is an
            indicator.
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
        several, begun = np.ndim(y) == 2 and np.shape(y)[1] > 1, self.__sklearn_is_fitted__()
        if several:
            classes = None
        elif classes is not None:
            # twice, lest scikit-learn warns that there are as many classes as rows
            classes = np.unique(self._check_target(np.repeat(np.asarray(classes), 2), "classes"))
            if begun and not np.array_equal(classes, self.classes_):
                raise ValueError(f"classes={classes} are not those of the first call")
        elif not begun:
            raise ValueError("classes must be passed on the first call to partial_fit")
        return self._partial_fit(X, y, classes, sample_weight)

    def _reweight(self, y, weight):
        """Multiply weights by those of the classes, of every label if there are several."""
        if self.class_weight is None:
            return weight
        labels, classes = (y.T, np.arange(2)) if self._shape else ([y], self.classes_)
        factors = [_class_factors(self.class_weight, label, classes, weight) for label in labels]
        with np.errstate(over="ignore"):
            weight = weight * np.prod(factors, axis=0)
            total = weight.sum()
        if total == 0.0:
            raise ValueError(f"class_weight={self.class_weight} leaves every row a weight of zero")
        if not np.isfinite(total):
            raise ValueError(f"class_weight={self.class_weight} makes weights too large: lower it")
        return weight

    def _make_loss(self, target):
        """Return the loss of one logit per label, or of a softmax over classes."""
        independent = self._shape or target.shape[1] == 1
        return BinaryCrossEntropy() if independent else CrossEntropy()

    def _is_flat(self):
        """Tell whether one label is predicted per row."""
        return not self._shape

    def _strata(self, target):
        """Return the class of every row; None with several labels."""
        if self._shape:
            return None
        return target[:, 0] if target.shape[1] == 1 else target.argmax(axis=1)

    def predict_proba(self, X):
        """Predict class probabilities.

        Parameters
        ----------
        X : DataFrame, array-like or sparse matrix of shape (n_samples, n_features)

        Returns
        -------
        ndarray of shape (n_samples, n_classes)
            Columns in the order of `classes_`, rows of sum 1. For several labels per row,
            (n_samples, n_labels): the probability of 1 for every label.
        """
        logits = self._logits_of_all(X)
        return self._loss.decode(logits)

    def predict_log_proba(self, X):
        """Return the logarithm of `predict_proba`, a number even where that rounds to 0."""
        logits = self._logits_of_all(X)
        return logits if self._loss.link == "softmax" else log_expit(logits)

    def _logits_of_all(self, X):
        """Return logits for every column of `predict_proba`."""
        logits = self._predict(X, self._logits)
        return logits if logits.shape[1] > 1 else np.column_stack([-logits, logits])

    def decision_function(self, X):
        """Return logits.

        Parameters
        ----------
        X : DataFrame, array-like or sparse matrix of shape (n_samples, n_features)

        Returns
        -------
        ndarray of shape (n_samples,), (n_samples, n_classes) or (n_samples, n_labels)
            Log-odds of the second of two classes or of every label; logarithms of the
            probabilities of three or more classes.
        """
        logits = self._predict(X, self._logits)
        return logits if self._shape or logits.shape[1] > 1 else logits[:, 0]

    def _logits(self, raws):
        """Return the sharpened logits of the mean probabilities, however near to 0 or 1."""
        raws, sharpness = np.stack(raws).astype(np.float64), self._sharpness
        shift = (1.0 - sharpness) * self._loss.base_
        if self._loss.link == "softmax":
            mean = _log_mean(log_softmax(raws, axis=-1))
            return log_softmax(sharpness * mean + shift, axis=-1)
        return sharpness * (_log_mean(log_expit(raws)) - _log_mean(log_expit(-raws))) + shift

    @property
    def _sharpness(self):
        """Factor on the logits of the mean of the networks: 1, unless rows have judged all."""
        last = {}
        for record in reversed(self.history_):
            last.setdefault(record.member, record.validation_loss)
            if len(last) == len(self._networks):  # of a long history the rest need not be read
                break
        judged = last and np.isfinite(list(last.values())).all()
        return mean_sharpness(len(self._networks)) if judged else 1.0

    def predict(self, X):
        """Predict labels.

        Parameters
        ----------
        X : DataFrame, array-like or sparse matrix of shape (n_samples, n_features)

        Returns
        -------
        ndarray of shape (n_samples,) or (n_samples, n_labels)
            The most probable class of every row; for several labels, 1 where it is more
            probable than 0.
        """
        P = self.predict_proba(X)
        return (P > 0.5).astype(int) if self._shape else self.classes_[P.argmax(axis=1)]

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_label = True
        return tags


def _log_mean(logs):
    """Return the logarithms of the means over the first axis, from logarithms."""
    return logsumexp(logs, axis=0) - np.log(len(logs))


def _check_objects(y, name):
    """Raise for labels that are objects of which scikit-learn would not say what is wrong."""
    labels = np.ravel(y).tolist()
    if any(label is None or label != label for label in labels):
        raise ValueError(f"{name} must hold labels, and some are missing")
    texts = sum(isinstance(label, str) for label in labels)
    if 0 < texts < len(labels):
        raise TypeError("some are str and some are not")
    if not texts:
        kinds = sorted({type(label).__name__ for label in labels})
        raise ValueError(
            f"Unknown label type: {name} holds objects of type {', '.join(kinds)}. Convert them "
            "to an array of str, int or bool"
        )


def _class_factors(class_weight, y, classes, weight):
    """Return the class weight of every row; balanced ones count weighted rows."""
    if class_weight == "balanced":
        present, codes = np.unique(y, return_inverse=True)
        return weight.sum() / (len(present) * np.bincount(codes, weight)[codes])
    # A class that a fold lacks may be named. If others are not, it is more likely misspelt.
    labels = classes.tolist()
    unknown = [name for name in class_weight if name not in labels]
    if unknown and not all(label in class_weight for label in labels):
        raise ValueError(f"class_weight names {unknown}; the classes are {labels}")
    factors = [class_weight.get(label, 1.0) for label in labels]
    numbers = all(isinstance(factor, Real) and 0 <= factor < np.inf for factor in factors)
    if not numbers or not any(factors):
        raise ValueError(
            f"class_weight={class_weight} must be positive numbers; it may be 0 for some"
        )
    factors = np.array(factors, dtype=float)
    return factors[np.searchsorted(classes, y)]
