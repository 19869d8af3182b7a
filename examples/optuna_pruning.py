"""Two processes share one study in one file, and give up on trials that look poor.

A callback reports the held-out loss of every epoch and ends a training that Optuna would prune.
Any number of machines can share the file if all of them see it: start this script on each. Needs
``pip install optuna`` and scikit-learn 1.9.
"""

import sys
import tempfile
from multiprocessing import get_context
from pathlib import Path

import optuna
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from sklearn.datasets import make_friedman1

from sknimble import NimbleRegressor, search_space

X, Y = make_friedman1(1500, 10, noise=1.0, random_state=0)


class Prune:
    """A scikit-learn callback that asks Optuna after every epoch whether to go on."""

    def __init__(self, trial):
        self.trial = trial

    def setup(self, estimator, context):
        pass

    def teardown(self, estimator, context):
        pass

    def on_fit_task_begin(self, estimator, context):
        pass

    def on_fit_task_end(self, estimator, context, *, fitted_estimator=None):
        if context.task_name == "epoch":
            record = fitted_estimator.history_[-1]
            self.trial.report(record.validation_loss, record.epoch)
            return self.trial.should_prune()


def objective(trial):
    model = NimbleRegressor(n_estimators=1, early_stopping=True, random_state=0)
    model.set_params(**search_space(trial)).set_callbacks(Prune(trial)).fit(X, Y)
    if trial.should_prune():
        raise optuna.TrialPruned
    return min(record.validation_loss for record in model.history_)


def work(path, n_trials):
    """Add trials to the study in a file."""
    study(path).optimize(objective, n_trials=n_trials)


def study(path):
    """Open the study in a file, or begin it."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return optuna.create_study(
        storage=JournalStorage(JournalFileBackend(str(path))), study_name="size",
        load_if_exists=True, pruner=optuna.pruners.MedianPruner(5, n_warmup_steps=10),
    )  # fmt: skip


def main(path=None):
    path = path or Path(tempfile.mkdtemp()) / "study.log"
    study(path)
    workers = [get_context("spawn").Process(target=work, args=(path, 8)) for _ in range(2)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()

    trials = study(path).trials
    pruned = sum(trial.state.name == "PRUNED" for trial in trials)
    best = study(path).best_trial
    print(f"{len(trials)} trials by two processes, {pruned} pruned")
    print(f"loss {best.value:.4f} with {best.params}")


if __name__ == "__main__":
    main(*sys.argv[1:])
