"""Tables, splits, errors and reference models that the benchmarks share."""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn import datasets
from sklearn.compose import (
    TransformedTargetRegressor,
    make_column_selector,
    make_column_transformer,
)
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.metrics import log_loss, root_mean_squared_error
from sklearn.model_selection import train_test_split
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

LARGEST = 20_000  # training rows
SMALL = 2_000  # rows; fewer get several seeds


@dataclass
class Table:
    """A DataFrame of floats and categories, and targets: floats, or class numbers."""

    name: str
    classification: bool
    X: pd.DataFrame
    y: np.ndarray

    @property
    def measure(self):
        return "log-loss" if self.classification else "nRMSE"

    def split(self, seed):
        """Return train and test rows, 80 to 20."""
        strata = self.y if self.classification else None
        X, X_test, y, y_test = train_test_split(
            self.X, self.y, test_size=0.2, random_state=seed, stratify=strata
        )
        if len(y) > LARGEST:
            strata = y if self.classification else None
            X, _, y, _ = train_test_split(
                X, y, train_size=LARGEST, random_state=seed, stratify=strata
            )
        return X, X_test, y, y_test

    def error(self, model, X, y):
        """Return log-loss, or the root mean squared error in standard deviations of y."""
        if not self.classification:
            return root_mean_squared_error(y, np.ravel(model.predict(X))) / np.std(y)
        P = np.full((len(y), self.y.max() + 1), 1e-15)
        P[:, np.asarray(model.classes_, int)] = model.predict_proba(X)
        P = P.clip(1e-15)
        return log_loss(y, P / P.sum(axis=1, keepdims=True), labels=np.arange(P.shape[1]))


def make(name, X, y, categorical=()):
    """Return a table of a raw frame; a target of words or of few whole numbers is classes."""
    X = X.copy()
    for column in X:
        words = column in categorical or not pd.api.types.is_numeric_dtype(X[column])
        X[column] = X[column].astype("category" if words else float)
    numeric = pd.api.types.is_numeric_dtype(y)
    few = y.nunique() <= min(20, 0.1 * len(y))
    if numeric and not (few and (y == y.round()).all()):
        return Table(name, False, X, y.to_numpy(float))
    return Table(name, True, X, pd.factorize(y.astype(str), sort=True)[0])


def bundled():
    """Return tables that scikit-learn brings along, and one that it generates."""
    loaders = ("diabetes", "wine", "breast_cancer", "digits")
    bunches = {name: getattr(datasets, f"load_{name}")(as_frame=True) for name in loaders}
    tables = [make(name, bunch.data, bunch.target) for name, bunch in bunches.items()]
    X, y = datasets.make_friedman1(2000, noise=1.0, random_state=0)
    return [*tables, make("friedman1", pd.DataFrame(X), pd.Series(y))]


def from_csv(path, target):
    """Return the table of a CSV file with a column of targets."""
    frame = pd.read_csv(path)
    if target not in frame:
        raise SystemExit(f"{path} has no column {target!r}; it has {', '.join(frame.columns)}")
    y = frame.pop(target)
    return make(Path(path).name.partition(".")[0], frame[y.notna()], y[y.notna()])


def from_folder(folder):
    """Return the tables of a folder, smallest first.

    ``manifest.json`` maps names to ``task``, ``target`` and ``categorical`` (columns); a table
    is ``name.csv.gz``, a missing value an empty field.
    """
    tables = []
    for name, about in json.loads((Path(folder) / "manifest.json").read_text()).items():
        words = dict.fromkeys(about["categorical"], str)
        path = Path(folder) / f"{name}.csv.gz"
        frame = pd.read_csv(path, keep_default_na=False, na_values=[""], dtype=words)
        y = frame.pop(about["target"])
        table = make(name, frame, y.astype(str), about["categorical"])
        if about["task"] == "regression":
            table = Table(name, False, table.X, y.to_numpy(float))
        tables.append(table)
    return sorted(tables, key=lambda table: len(table.y))


def prepared(model):
    """Return a pipeline that imputes, scales and encodes what ``model`` cannot take raw."""
    words = make_column_selector(dtype_include="category")
    numbers = make_column_selector(dtype_exclude="category")
    return make_pipeline(
        make_column_transformer(
            (make_pipeline(SimpleImputer(strategy="median"), StandardScaler()), numbers),
            (OneHotEncoder(handle_unknown="ignore", sparse_output=False), words),
        ),
        model,
    )


def linear(table):
    """Return ridge or logistic regression on the prepared table."""
    return prepared(LogisticRegression(max_iter=1000) if table.classification else Ridge())


def mlp(table, seed, **settings):
    """Return scikit-learn's network on the prepared table, with a scaled target."""
    if table.classification:
        return prepared(MLPClassifier(random_state=seed, **settings))
    network = MLPRegressor(random_state=seed, **settings)
    return prepared(TransformedTargetRegressor(network, transformer=StandardScaler()))
