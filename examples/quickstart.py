"""Fit two real tables, beside scikit-learn's own models, and draw how the networks grew.

python examples/quickstart.py
"""

import argparse
import time
import warnings

import torch  # noqa: F401  so that no clock below runs while it loads
from sklearn.compose import TransformedTargetRegressor
from sklearn.datasets import load_diabetes, load_digits
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import train_test_split
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sknimble import NimbleClassifier, NimbleRegressor, SizeHistoryDisplay

# scikit-learn's network wants scaled inputs and targets; ours scales inside.
scaled_target = TransformedTargetRegressor(
    MLPRegressor(random_state=0), transformer=StandardScaler()
)
TASKS = {
    "diabetes progression, R2": (
        load_diabetes,
        NimbleRegressor(random_state=0),
        make_pipeline(StandardScaler(), scaled_target),
        HistGradientBoostingRegressor(random_state=0),
    ),
    "handwritten digits, accuracy": (
        load_digits,
        NimbleClassifier(random_state=0),
        make_pipeline(StandardScaler(), MLPClassifier(random_state=0)),
        HistGradientBoostingClassifier(random_state=0),
    ),
}
NAMES = ("sknimble", "scikit-learn MLP", "HistGradientBoosting")


def size_of(model):
    """Return neurons per hidden layer and parameters, where a model has them."""
    if hasattr(model, "size_weight_"):
        return model.n_hidden_, model.n_parameters_
    last = getattr(model, "steps", [(None, model)])[-1][1]
    last = getattr(last, "regressor_", last)
    if hasattr(last, "coefs_"):
        return last.hidden_layer_sizes[0], sum(a.size for a in last.coefs_ + last.intercepts_)
    return "-", "-"


def compare(title, load, *models):
    """Fit the models, print a table, return the first."""
    X_train, X_test, y_train, y_test = train_test_split(*load(return_X_y=True), random_state=0)
    print(f"\n{title:<32s}{'held out':>9s}{'seconds':>9s}{'neurons':>9s}{'parameters':>12s}")
    for name, model in zip(NAMES, models, strict=True):
        tic = time.perf_counter()
        model.fit(X_train, y_train)
        seconds = time.perf_counter() - tic
        neurons, parameters = size_of(model)
        score = model.score(X_test, y_test)
        print(f"  {name:<30s}{score:9.3f}{seconds:9.2f}{neurons:>9}{parameters:>12}", flush=True)
    return models[0]


def draw(models, path):
    """Write a picture of N and the losses over training."""
    try:
        import matplotlib.pyplot as plt
    except ImportError:
        print("\nno picture: matplotlib is missing, pip install 'sknimble[plot]' brings it")
        return
    figure, axes = plt.subplots(1, len(models), figsize=(10, 5), layout="constrained")
    for ax, (title, model) in zip(axes, models.items(), strict=True):
        display = SizeHistoryDisplay.from_estimator(model, ax=ax)
        display.ax_[0].set_title(f"{title.partition(',')[0]}: {model.n_hidden_} neurons")
    figure.savefig(path, dpi=100)
    print(f"\nN and the losses over training: {path}")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--output", default="quickstart.png", help="file name of the picture")
    arguments = parser.parse_args()
    warnings.simplefilter("ignore", ConvergenceWarning)  # of scikit-learn's MLP
    models = {title: compare(title, *task) for title, task in TASKS.items()}
    draw(models, arguments.output)


if __name__ == "__main__":
    main()
