"""The models that `compare` compares: how each is made, and how large it came out."""

from importlib.util import find_spec

import numpy as np
import tables
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

from sknimble import NimbleClassifier, NimbleRegressor


def _nimble(table, seed):
    return (NimbleClassifier if table.classification else NimbleRegressor)(random_state=seed)


def _linear(table, seed):
    return tables.linear(table)


def _boosting(table, seed):
    family = HistGradientBoostingRegressor
    return (HistGradientBoostingClassifier if table.classification else family)(random_state=seed)


def _lightgbm(table, seed):
    from lightgbm import LGBMClassifier, LGBMRegressor

    family = LGBMClassifier if table.classification else LGBMRegressor
    return family(random_state=seed, n_jobs=1, verbose=-1)


def _xgboost(table, seed):
    from xgboost import XGBClassifier, XGBRegressor

    family = XGBClassifier if table.classification else XGBRegressor
    return family(random_state=seed, n_jobs=1, enable_categorical=True)


class _CatBoost:
    """CatBoost, told which columns are categories."""

    def __init__(self, table, seed):
        from catboost import CatBoostClassifier, CatBoostRegressor

        family = CatBoostClassifier if table.classification else CatBoostRegressor
        self.words = list(table.X.select_dtypes("category"))
        self.model = family(
            random_seed=seed, thread_count=1, verbose=0, allow_writing_files=False,
            cat_features=self.words,
        )  # fmt: skip

    def _texts(self, X):
        """Return X with categories as text, missing ones too."""
        texts = {name: X[name].astype(object).fillna("").astype(str) for name in self.words}
        return X.assign(**texts)

    def fit(self, X, y):
        self.model.fit(self._texts(X), y)
        self.classes_ = self.model.classes_
        return self

    def predict(self, X):
        return self.model.predict(self._texts(X))

    def predict_proba(self, X):
        return self.model.predict_proba(self._texts(X))


CONTESTANTS = {
    "sknimble": _nimble,
    "linear": _linear,
    "scikit-learn MLP": tables.mlp,
    "HistGradientBoosting": _boosting,
}
for _name, _make in (("LightGBM", _lightgbm), ("XGBoost", _xgboost), ("CatBoost", _CatBoost)):
    if find_spec(_name.lower()):
        CONTESTANTS[_name] = _make


def _last(model):
    """Return the model inside a pipeline, inside a scaler of the target."""
    model = model[-1] if hasattr(model, "steps") else model
    return getattr(model, "regressor_", model)


def neurons_of(model):
    """Return the hidden neurons per layer, nan for what has none."""
    model = _last(model)
    if hasattr(model, "coefs_"):
        return sum(len(bias) for bias in model.intercepts_[:-1]) / (len(model.coefs_) - 1)
    return getattr(model, "n_hidden_", np.nan)


def parameters_of(model):
    """Return how many numbers were learned: weights, or 2 per split and 1 per leaf."""
    model = _last(model)
    if hasattr(model, "n_parameters_"):
        return model.n_parameters_
    if hasattr(model, "coefs_"):
        return sum(array.size for array in (*model.coefs_, *model.intercepts_))
    if hasattr(model, "coef_") and not hasattr(model, "get_booster"):
        return np.size(model.coef_) + np.size(model.intercept_)
    splits, leaves = _splits_and_leaves(model)
    return 2 * splits + leaves


def _splits_and_leaves(model):
    """Return the counts of a tree ensemble."""
    if hasattr(model, "_predictors"):
        leaf = np.concatenate([t.nodes["is_leaf"] for trees in model._predictors for t in trees])
        return np.count_nonzero(leaf == 0), np.count_nonzero(leaf)
    if hasattr(model, "booster_"):
        leaf = model.booster_.trees_to_dataframe()["left_child"].isna()
        return (~leaf).sum(), leaf.sum()
    if hasattr(model, "get_booster"):
        leaf = model.get_booster().trees_to_dataframe()["Feature"] == "Leaf"
        return (~leaf).sum(), leaf.sum()
    # CatBoost's trees have one split per level.
    counts = model.model.get_tree_leaf_counts()
    return int(np.log2(counts).sum()), len(model.model.get_leaf_values())
