"""Ranges of the parameters worth searching, for scikit-learn's searches and for Optuna."""

from scipy.stats import loguniform

# Searched on a logarithmic scale, because a factor matters and not a difference.
RANGES = {
    "size_penalty": (1e-6, 1e-2),
    "learning_rate_init": (1e-3, 2e-2),
    "alpha": (1e-3, 0.3),
}
CHOICES = {
    "n_hidden_layers": [1, 2],
    "activation": ["silu", "relu"],
    "encoding": ["none", "piecewise"],
}


def search_space(trial=None, *, prefix=""):
    """Return ranges of the parameters worth searching, most important first.

    No width is among them, because the network chooses its own.

    Parameters
    ----------
    trial : optuna.Trial, default=None
        If given, it suggests one value of every parameter.
    prefix : str, default=""
        Put before every name, such as ``"nimbleregressor__"`` for a step of a pipeline.

    Returns
    -------
    dict of str to distribution, list or value
        Without a trial, distributions and lists, the ``param_distributions`` of
        `RandomizedSearchCV` and similar searches. With a trial, values for ``set_params``.

    Examples
    --------
    >>> from sknimble import search_space
    >>> list(search_space(prefix="model__"))[:2]
    ['model__size_penalty', 'model__learning_rate_init']
    """
    if trial is None:
        space = {name: loguniform(low, high) for name, (low, high) in RANGES.items()} | CHOICES
    else:
        space = {
            name: trial.suggest_float(name, low, high, log=True)
            for name, (low, high) in RANGES.items()
        } | {name: trial.suggest_categorical(name, values) for name, values in CHOICES.items()}
    return {prefix + name: values for name, values in space.items()}
