"""The controls the paper lacks: the ways in which growing could help, one at a time.

python examples/paper/plot_controls.py
"""

from dataclasses import replace

import drawing
import matplotlib.pyplot as plt
import numpy as np
import tasks
import trials

TASKS = (
    replace(tasks.LAMBDA_TASK, size_penalty=0.266),
    tasks.THREE_BESSEL,
    tasks.CUBIC,
    tasks.TWO_BANDS,
)


def main():
    """Train every control on four tasks from the same data and weights."""
    arguments = drawing.command_line(__doc__.splitlines()[0], n_trials=200)
    figure, grid = plt.subplots(1, 4, figsize=(12, 3.6), layout="constrained", sharey=True)
    for task, axes in zip(TASKS, grid, strict=True):
        task = task.shortened(arguments.quick)
        print(f"{task.name}: {arguments.trials} trials, {task.n_epochs} epochs; loss on a grid")
        losses = {}
        for name, variant in tasks.CONTROLS.items():
            run = trials.train(task, variant, arguments.trials, arguments.seed)
            losses[name] = trials.grid_loss(run)
            print(f"  {name:<31} {summary(run, losses[name])}", flush=True)
        draw(axes, losses)
        axes.set_title(task.name, fontsize=10)
    drawing.save(figure, arguments, "paper_controls")


def summary(run, losses):
    """Write mean and median loss, final N, and accuracy where there are classes."""
    line = f"mean {losses.mean():.4f}  median {np.median(losses):.4f}"
    if run.network.learns_size:
        line += f"  N {run.size[-1].mean():.3f}"
    if run.task.loss is tasks.CrossEntropy:
        line += f"  accuracy {trials.accuracy(run).mean():.3f}"
    if not run.network.data_slope:
        gap = np.abs(run.size[1:] / trials.expected_size(run)[1:, None] - 1).max()
        line += f"  N off its closed form by {gap:.2%} at most"
    return line


def draw(axes, losses):
    """Draw mean, median and the spread of the middle half, a row for each control."""
    for row, (name, values) in enumerate(losses.items()):
        paper = "paper" in name
        colour = drawing.GROWN_COLOUR if paper else drawing.NEGATIVE
        axes.hlines(row, *np.quantile(values, [0.25, 0.75]), color=colour, lw=5, alpha=0.3)
        axes.plot(np.median(values), row, "|", color=colour, ms=10)
        axes.plot(values.mean(), row, "o", color=colour)
    axes.set(xscale="log", xlabel="test loss", yticks=range(len(losses)))
    axes.set_yticklabels(losses)
    axes.set_ylim(len(losses) - 0.5, -0.5)
    drawing.plain_ticks(axes.xaxis)
    axes.grid(axis="x", alpha=0.4)


if __name__ == "__main__":
    main()
