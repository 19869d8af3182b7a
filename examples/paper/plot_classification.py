"""Classify floor(1 + sin 2 pi x): growing against grown (the paper's figure 5).

python examples/paper/plot_classification.py
"""

import drawing
import tasks
import trials
from scipy.special import expit


def main():
    """Train, print losses and accuracies, draw."""
    arguments = drawing.command_line(__doc__.splitlines()[0], n_trials=1000)
    task = tasks.TWO_BANDS.shortened(arguments.quick)
    growing = trials.train(task, tasks.GROWING, arguments.trials, arguments.seed)
    grown = trials.train(task, tasks.GROWN, arguments.trials, arguments.seed)
    trials.report(growing, grown)
    for name, run in ("growing", growing), ("grown", grown):
        right = trials.accuracy(run)
        error = right.std() / len(right) ** 0.5
        print(f"  accuracy on 1000 fresh points, {name}: {right.mean():.3f} +- {error:.3f}")
    figure = drawing.growth(growing, grown, task.name, link=expit)
    drawing.save(figure, arguments, "paper_classification")


if __name__ == "__main__":
    main()
