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
from ._shell import NimbleBase, check_outputs, takes_chunks


def _takes_labelled_chunks(estimator):
    """Return True, or raise an AttributeError that says why there is no `partial_fit`."""
    if isinstance(estimator.class_weight, str):
        raise AttributeError(
            "class_weight='balanced' needs a whole table, and partial_fit gets it in chunks: "
            "give a dict of weights"
        )
    return takes_chunks(estimator)


class NimbleClassifier(ClassifierMixin, NimbleBase):
    r"""Neural network classification that chooses its own size.

    X may be a table as it came: numbers, categories, strings, booleans and missing values. y holds
    one label per row, or is an indicator matrix of several labels per row.

    Parameters
    ----------
    class_weight : dict, "balanced" or None, default=None
        A dict from label to a factor by which the weights of its rows are multiplied; classes not
        named have 1. "balanced" gives all classes the same total weight. With several labels per
        row the factors of all labels are multiplied, each by its value, 0 or 1.
    size_penalty : float, default=1e-4
        Price of one neuron, in normalised loss (see Notes), 0 or more: a neuron is kept if it
        lowers the loss by that. A higher price gives a smaller network.
    initial_size : float, default=None
        Size weight N of each network at the start, in neurons per hidden layer; at most
        `max_size`. None: 64 for one network, 16 for two, 8 for more, times the square root of the
        number of classes, if there are more than two, or of labels per row; but at most `max_size`
        and `target_size`.
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
        probabilities are averaged, and the mean is sharpened (see Notes).
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
        on (below 100 rows, equal ones count once). Rows passed as `X_val` to `fit` take their
        place. Without any such rows, training takes 600 steps, but at least two epochs and at
        most `max_iter`, or with `warm_start` all `max_iter` epochs, and the last weights are kept.
    validation_fraction : float, default=0.15
        Share of the rows of each class held out, between 0 and 1. Several networks hold out one
        of ``round(1 / validation_fraction)`` folds each, so that 0.15 is a seventh of the rows and
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
    classes_ : ndarray of shape (n_classes,)
        Labels, sorted; with several labels per row, the numbers of the columns of y.
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
    NimbleRegressor : The same for numbers.
    sklearn.neural_network.MLPClassifier : A network whose size is chosen by hand.

    Notes
    -----
    The network is a linear path, which starts at logistic regression, and hidden neurons of which
    the size weight N says how many, from the first, are awake. Training descends

    .. math::

        J(w, N) = \frac{1}{W} \int_N^{N + W} L(w, s) \, ds
                  + \mathrm{size\_penalty} \cdot N

    in the weights w and in N. L(w, s), the normalised loss, is the square root of a ratio: the
    loss with the first s neurons awake over that of the best constant prediction. So a price means
    the same whatever the loss, its units and the number of rows. W, the window, is a quarter of N
    and four neurons more, rounded up. With `target_size` the last term is
    ``size_penalty * (N - target_size)**2``.

    The loss is cross-entropy: of one logit for two classes, of a softmax for more, and for several
    labels per row the mean over the labels' logits. The loss of the best constant prediction
    counts as at least 0.001 nats, as if the rarest class had one row in ten thousand. Labels are
    smoothed: mixed with the shares of the classes, which have a weight of 0.005 in training and
    of 0.1 / (n + 2) on n held-out rows. The loss for such labels is the Kullback-Leibler
    divergence. The loss on held-out rows is measured at the temperature that is best for them,
    and the network predicts at that temperature. The mean of K networks is underconfident: if all
    had held-out rows, its logits are moved away from those of the shares of the classes, by a
    factor of 1 + 0.15 (1 - 1 / K).

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
            if plain is not None and plain.kind in "biu":  # pandas' integers, not through floats
                y = y.to_numpy(dtype=plain)
            labels = np.asarray(y)
            if labels.dtype.kind in "mM" and np.isnat(labels).any():
                raise TypeError("NaT is no label")
            # scikit-learn would warn of many classes in few rows, which a chunk may well have
            labels = np.repeat(np.unique(labels), 2) if labels.ndim == 1 else y
            check_classification_targets(labels)
            kind = type_of_target(labels, input_name=name)
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
            unknown = np.unique(y)  # numpy would compare as strings, and "1" equals 1
        else:
            unknown = np.setdiff1d(y, self.classes_)
        if len(unknown):
            raise ValueError(f"{name} has classes {unknown.tolist()} that classes_ lacks")
        codes = np.searchsorted(self.classes_, y)
        if len(self.classes_) == 2:
            return codes[:, None].astype(float)
        return np.eye(len(self.classes_))[codes]

    @available_if(_takes_labelled_chunks)
    @all_or_nothing
    @_fit_context(prefer_skip_nested_validation=True)
    def partial_fit(self, X, y, classes=None, sample_weight=None):
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
        y : array-like of shape (n_samples,) or (n_samples, n_labels)
        classes : array-like of shape (n_classes,), default=None
            All classes that may occur in any call. Needed in the first call; not used if y is an
            indicator matrix.
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
        several, begun = np.ndim(y) == 2 and np.shape(y)[1] > 1, self.__sklearn_is_fitted__()
        if several:
            classes = None
        elif classes is not None:
            classes = np.unique(self._check_target(np.asarray(classes), "classes"))
            if begun and not np.array_equal(classes, self.classes_):
                raise ValueError(f"classes={classes} are not those of the first call")
        elif not begun:
            raise ValueError("classes must be passed on the first call to partial_fit")
        return self._partial_fit(X, y, classes, sample_weight)

    def _reweight(self, y, weight):
        """Return the weights times class weights, those of all labels if there are several."""
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
            Columns in the order of `classes_`; every row sums to 1. For several labels per row, of
            shape (n_samples, n_labels): the probability of 1 for every label.
        """
        logits = self._logits_of_all(X)
        return self._loss.decode(logits)

    def predict_log_proba(self, X):
        """Return the logarithm of `predict_proba`, finite even where that rounds to 0.

        Parameters
        ----------
        X : DataFrame, array-like or sparse matrix of shape (n_samples, n_features)

        Returns
        -------
        ndarray of shape (n_samples, n_classes), or (n_samples, n_labels)
        """
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
        """Return the sharpened logits of the mean probabilities, accurate near 0 and 1."""
        raws, sharpness = np.stack(raws).astype(np.float64), self._sharpness
        shift = self._loss.shift_of(sharpness)
        if self._loss.link == "softmax":
            mean = _log_mean(log_softmax(raws, axis=-1))
            return log_softmax(sharpness * mean + shift, axis=-1)
        return sharpness * (_log_mean(log_expit(raws)) - _log_mean(log_expit(-raws))) + shift

    @property
    def _sharpness(self):
        """Factor on the logits of the mean of the networks: 1 unless all had held-out rows."""
        last = {}
        for record in reversed(self.history_):
            last.setdefault(record.member, record.validation_loss)
            if len(last) == len(self._networks):  # the rest of a long history is not needed
                break
        held_out = last and np.isfinite(list(last.values())).all()
        return mean_sharpness(len(self._networks)) if held_out else 1.0

    def predict(self, X):
        """Predict labels.

        Parameters
        ----------
        X : DataFrame, array-like or sparse matrix of shape (n_samples, n_features)

        Returns
        -------
        ndarray of shape (n_samples,) or (n_samples, n_labels)
            The most probable class of every row; for several labels per row, 1 where that is more
            probable than 0.
        """
        P = self.predict_proba(X)
        return (P > 0.5).astype(int) if self._shape else self.classes_[P.argmax(axis=1)]

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_label = True
        return tags


def _log_mean(logs):
    """Return the logarithms of means over the first axis, from the logarithms of the values."""
    return logsumexp(logs, axis=0) - np.log(len(logs))


def _check_objects(y, name):
    """Raise for labels of dtype object for which scikit-learn's messages would be unclear."""
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
    """Return the class weight of every row; with "balanced", class totals become equal."""
    if class_weight == "balanced":
        present, codes = np.unique(y, return_inverse=True)
        return weight.sum() / (len(present) * np.bincount(codes, weight)[codes])
    # A fold may lack a class that is named. But if some of its classes are not, it is a typo.
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
