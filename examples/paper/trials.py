"""Many trials of one experiment, recorded; and the statistics the tables need."""

from dataclasses import dataclass

import numpy as np
from auxiliary_network import AuxiliaryNetwork, Weights
from tasks import Task

N_RECORDS = 200
SNAPSHOTS = (0.0, 0.05, 0.1, 0.2, 0.4, 1.0)  # of all epochs, for the network's portrait


@dataclass
class Run:
    """What happened to ``n_trials`` networks.

    Attributes
    ----------
    epochs : ndarray of shape (n_records,)
    size, test_loss : ndarray of shape (n_records, n_trials)
        N, and the total loss (data plus size) on the test points.
    final_data_loss : ndarray of shape (n_trials,)
        Data loss alone on the test points, after training.
    snapshots : list of (int, Weights)
        Epoch and weights, the last one after training.
    x, y : ndarray of shape (n_trials, n_train)
        What was learned from.
    """

    task: Task
    network: AuxiliaryNetwork
    epochs: np.ndarray
    size: np.ndarray
    test_loss: np.ndarray
    final_data_loss: np.ndarray
    snapshots: list
    x: np.ndarray
    y: np.ndarray

    @property
    def weights(self):
        """Weights after training."""
        return self.snapshots[-1][1]

    @property
    def final_loss(self):
        """Total test loss after training, shape (n_trials,)."""
        return self.test_loss[-1]


def train(task, variant, n_trials, seed=0):
    """Train ``n_trials`` networks; the same seed gives any variant the same start.

    Parameters
    ----------
    task : Task
    variant : AuxiliaryNetwork
    n_trials : int
    seed : int, default=0
        Of the data and of the initial weights.

    Returns
    -------
    Run
    """
    rng = np.random.default_rng(seed)
    x, y, x_test, y_test = task.draw(rng, n_trials)
    network = task.network(variant)
    weights = Weights.draw(rng, n_trials, task.n_neurons, network.initial_size)
    portraits = {round(part * task.n_epochs) for part in SNAPSHOTS}
    marks = np.linspace(0, task.n_epochs, N_RECORDS + 1).round().astype(int)
    epochs = np.array(sorted(portraits.union(marks.tolist())))
    size, test_loss, snapshots, done = [], [], [], 0
    for epoch in epochs.tolist():
        network.descend(weights, x, y, task.learning_rate, epoch - done)
        done = epoch
        size.append(weights.size.copy())
        test_loss.append(network.total_loss(weights, x_test, y_test))
        if epoch in portraits:
            snapshots.append((epoch, weights.copy()))
    final = network.data_loss(weights, x_test, y_test)
    records = epochs, np.array(size), np.array(test_loss)
    return Run(task, network, *records, final, snapshots, x, y)


def grid_loss(run, n_points=201):
    """Return the data loss of every trial on an even grid over [-1, 1]."""
    x = np.tile(np.linspace(-1, 1, n_points), (len(run.x), 1))
    return run.network.data_loss(run.weights, x, run.task.target(x))


def accuracy(run, n_points=1000, seed=1):
    """Return the share of fresh points each trial puts in the right class."""
    x = np.random.default_rng(seed).uniform(-1, 1, (len(run.x), n_points))
    right = (run.network.predict(run.weights, x) > 0) == (run.task.target(x) > 0)
    return right.mean(axis=1)


def expected_size(run):
    """Return the closed form N(t) that a pull towards the target alone would give."""
    task, network = run.task, run.network
    decay = np.exp(-2 * task.size_penalty * task.learning_rate * run.epochs)
    return network.target_size + (network.initial_size - network.target_size) * decay


def ratio_of(statistic, upper, lower, n_resamples=4000, seed=2):
    """Return a ratio of two statistics over paired trials and its 95 % interval.

    Parameters
    ----------
    statistic : callable
        Of an array along its last axis: ``np.mean`` or ``np.median``.
    upper, lower : ndarray of shape (n_trials,)
        Losses of the same trials under two variants.

    Returns
    -------
    tuple of float
        Ratio, and the ends of its bootstrap interval.
    """
    picks = np.random.default_rng(seed).integers(len(upper), size=(n_resamples, len(upper)))
    ratios = statistic(upper[picks], axis=-1) / statistic(lower[picks], axis=-1)
    middle = statistic(upper) / statistic(lower)
    return float(middle), *np.quantile(ratios, [0.025, 0.975]).tolist()


def report(growing, grown):
    """Print one line per statistic: growing, grown, and how they compare."""
    print(f"{growing.task.name}: {len(growing.x)} trials, {growing.task.n_epochs} epochs")
    for what, losses in (
        ("total test loss", (growing.final_loss, grown.final_loss)),
        ("data test loss", (growing.final_data_loss, grown.final_data_loss)),
    ):
        for name, statistic in (("mean", np.mean), ("median", np.median)):
            ratio, low, high = ratio_of(statistic, losses[1], losses[0])
            print(
                f"  {name:>6} {what:<16} growing {statistic(losses[0]):.5f}"
                f"  grown {statistic(losses[1]):.5f}"
                f"  grown / growing {ratio:.2f} [{low:.2f}, {high:.2f}]"
            )
    sizes = growing.size[-1].mean(), grown.size[-1].mean()
    print(f"  final N          growing {sizes[0]:.3f}  grown {sizes[1]:.3f}", flush=True)
