"""How lambda, the strength of the size loss, decides (the paper's figures 6 and 7).

python examples/paper/plot_lambda_sweep.py
"""

from dataclasses import replace

import drawing
import matplotlib.pyplot as plt
import numpy as np
import tasks
import trials

LAMBDAS = np.sort(np.append(np.logspace(-2, 2, 13), 0.266))  # .266: published in full


def main():
    """Train at every lambda from the same data and weights, print and draw."""
    arguments = drawing.command_line(__doc__.splitlines()[0], n_trials=500)
    pairs = []
    for size_penalty in LAMBDAS.tolist():
        name = f"J0 on [0.1, 0.2], lambda {size_penalty:.3g}"
        task = replace(tasks.LAMBDA_TASK, name=name, size_penalty=size_penalty)
        task = task.shortened(arguments.quick)
        growing = trials.train(task, tasks.GROWING, arguments.trials, arguments.seed)
        grown = trials.train(task, tasks.GROWN, arguments.trials, arguments.seed)
        trials.report(growing, grown)
        pairs.append((growing, grown))
    drawing.save(picture(pairs), arguments, "paper_lambda_sweep")


def picture(pairs):
    """Draw final losses, their ratio and final N against lambda."""
    figure, (left, middle, right) = plt.subplots(1, 3, figsize=(12, 3.8), layout="constrained")
    names = "growing", "grown"
    colours = drawing.GROWING_COLOUR, drawing.GROWN_COLOUR
    for runs, name, colour in zip(zip(*pairs, strict=True), names, colours, strict=True):
        losses = np.array([run.final_loss for run in runs])
        left.plot(LAMBDAS, losses.mean(axis=1), "o-", color=colour, label=f"{name}, mean")
        left.plot(LAMBDAS, np.median(losses, axis=1), ":", color=colour, label=f"{name}, median")
        sizes = [run.size[-1].mean() for run in runs]
        right.plot(LAMBDAS, sizes, "o-", color=colour, label=name)
    ratios = np.array([trials.ratio_of(np.mean, k.final_loss, g.final_loss) for g, k in pairs])
    middle.fill_between(LAMBDAS, ratios[:, 1], ratios[:, 2], color="0.85")
    middle.plot(LAMBDAS, ratios[:, 0], "ko-")
    middle.axhline(1.0, color="0.5", lw=1)
    left.set(ylabel="total test loss", yscale="log")
    middle.set(ylabel="grown / growing, means, 95 %", yscale="log")
    right.set(ylabel="final N")
    for axes in (left, middle, right):
        axes.set(xlabel="lambda", xscale="log")
    left.legend()
    right.legend()
    return figure


if __name__ == "__main__":
    main()
