"""Spend epochs where they pay: halving search with `max_iter` as the resource.

Many candidates train for a few epochs, the better ones for more.
"""

from sklearn.datasets import load_diabetes
from sklearn.experimental import enable_halving_search_cv  # noqa: F401
from sklearn.model_selection import HalvingRandomSearchCV

from sknimble import NimbleRegressor, search_space


def main():
    X, y = load_diabetes(return_X_y=True)
    # Without early stopping every candidate uses all of its epochs, if they are at most 600 steps:
    # 54 epochs of about ten batches are. A short training says nothing about a better learning
    # rate, so that one is not searched.
    model = NimbleRegressor(n_estimators=1, early_stopping=False, random_state=0)
    space = search_space()
    del space["learning_rate_init"]
    search = HalvingRandomSearchCV(
        model, space, resource="max_iter", min_resources=2, max_resources=54, factor=3,
        n_candidates=27, cv=3, random_state=0,
    ).fit(X, y)  # fmt: skip

    for epochs, candidates in zip(search.n_resources_, search.n_candidates_, strict=True):
        print(f"{candidates:3d} candidates trained for {epochs:3d} epochs")
    best = search.best_estimator_
    print(f"R2 {search.best_score_:.3f} with {best.n_hidden_} neurons and {search.best_params_}")


if __name__ == "__main__":
    main()
