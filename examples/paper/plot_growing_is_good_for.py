"""What growing is good for: our estimator against itself with its size frozen.

Same engine, recipe, seeds, initial weights; in all but the last column the same final width.
python examples/paper/plot_growing_is_good_for.py
"""

import drawing
import matplotlib.pyplot as plt
import numpy as np
import static_control as control

WIDTH, WIDE = 64, 256
RATES = np.logspace(-4, -1, 7)
SCALES = np.logspace(-1, 1, 5)
WIDTHS = 2, 4, 8, 16, 32, 64, 128, 256
PENALTIES = 1e-2, 1e-3, 1e-4
KINDS = {True: ("growing", drawing.GROWING_COLOUR), False: ("static", drawing.GROWN_COLOUR)}


def main():
    """Fit, print and draw a row for each table."""
    arguments = drawing.command_line(__doc__.splitlines()[0], n_trials=5)
    if arguments.quick:
        arguments.trials, control.MAX_ITER = 1, 2
    seeds = range(arguments.seed, arguments.seed + arguments.trials)
    figure, grid = plt.subplots(2, 4, figsize=(13, 6.2), layout="constrained")
    for (name, draw), row in zip(control.TABLES.items(), grid, strict=True):
        print(name)
        for axes, experiment in zip(row, (rates, scales, pace, sizes), strict=True):
            experiment(axes, draw, seeds)
            axes.set_yscale("log")
            axes.title.set_size(10)
            drawing.plain_ticks(axes.yaxis)
        row[0].set_ylabel(f"{name}\ntest error / variance")
    drawing.save(figure, arguments, "paper_growing_is_good_for")


def rates(axes, draw, seeds):
    """Vary the learning rate over three decades."""
    for grows, (kind, colour) in KINDS.items():
        estimators = [control.sized(grows, WIDTH, learning_rate_init=rate) for rate in RATES]
        runs = [control.fits(estimator, draw, seeds) for estimator in estimators]
        curve(axes, kind, colour, RATES, runs)
    axes.set(xlabel="learning rate", title=f"ends with {WIDTH} neurons")


def scales(axes, draw, seeds):
    """Vary the scale of the initial weights over two decades."""
    for grows, (kind, colour) in KINDS.items():
        runs = []
        for scale in SCALES:
            with control.initial_scale(scale):
                runs.append(control.fits(control.sized(grows, WIDTH), draw, seeds))
        curve(axes, kind, colour, SCALES, runs)
    axes.set(xlabel="scale of initial weights", title=f"ends with {WIDTH} neurons")


def pace(axes, draw, seeds):
    """Watch the validation loss fall, and time how long it takes to the static one's best."""
    runs = {grows: control.fits(control.sized(grows, WIDE), draw, seeds) for grows in KINDS}
    goals = [1.05 * run.validation.min() for run in runs[False]]
    for grows, (kind, colour) in KINDS.items():
        pairs = zip(runs[grows], goals, strict=True)
        epochs, seconds = np.median([run.reaches(goal) for run, goal in pairs], axis=0)
        print(f"  {kind} to 1.05 x best static loss: {epochs:.0f} epochs, {seconds:.2f} s")
        for run in runs[grows]:
            axes.plot(run.seconds, run.validation, color=colour, lw=0.8)
    axes.set(xlabel="seconds", title=f"validation loss, {WIDE} neurons")


def sizes(axes, draw, seeds):
    """Set single fits that size themselves beside a sweep of static widths."""
    sweep = [control.fits(control.sized(False, width), draw, seeds) for width in WIDTHS]
    curve(axes, "static", drawing.GROWN_COLOUR, WIDTHS, sweep)
    runs = [
        control.fits(control.plain(size_penalty=penalty), draw, seeds) for penalty in PENALTIES
    ]
    found = [np.median([run.size for run in group]) for group in runs]
    curve(axes, "chosen by data", drawing.GROWING_COLOUR, found, runs)
    for what, groups in (("the sweep", sweep), ("one fit", runs[-1:])):
        total = sum(np.median([run.seconds[-1] for run in group]) for group in groups)
        print(f"  {what} takes {total:.1f} s")
    axes.set(xlabel="neurons", title="size chosen in one fit")


def curve(axes, kind, colour, values, runs):
    """Print and draw the median error over seeds, and its range, at every value."""
    errors = np.array([[run.error for run in group] for group in runs])
    middle = np.median(errors, axis=1)
    axes.plot(values, middle, "o-", color=colour, label=kind)
    axes.fill_between(values, errors.min(axis=1), errors.max(axis=1), color=colour, alpha=0.15)
    axes.set_xscale("log")
    axes.legend(fontsize=8)
    cells = "  ".join(f"{v:.3g}: {e:.4f}" for v, e in zip(values, middle, strict=True))
    print(f"  {kind:<14} {cells}", flush=True)


if __name__ == "__main__":
    main()
