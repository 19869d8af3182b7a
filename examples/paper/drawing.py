"""The paper's kind of pictures, and the command line that all its scripts share."""

import argparse
from io import BytesIO
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter
from PIL import Image
from trials import expected_size

GROWING_COLOUR, GROWN_COLOUR = "#1b7f79", "#d1495b"
POSITIVE, NEGATIVE = "#d1495b", "#30638e"
FIGURES = Path(__file__).resolve().parents[2] / "docs" / "figures"


def command_line(description, n_trials):
    """Read --quick, --trials, --seed and --output.

    Parameters
    ----------
    description : str
        What the script shows.
    n_trials : int
        Trials when nothing is said; four with --quick.

    Returns
    -------
    argparse.Namespace
        ``quick``, ``trials``, ``seed``, ``output`` (a folder, made here).
    """
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--quick", action="store_true", help="seconds, not minutes")
    parser.add_argument("--trials", type=int, help=f"networks (default {n_trials})")
    parser.add_argument("--seed", type=int, default=0, help="of data and weights")
    parser.add_argument("--output", type=Path, help="folder (default docs/figures, or here)")
    arguments = parser.parse_args()
    arguments.output = arguments.output or (Path() if arguments.quick else FIGURES)
    if arguments.trials is None:
        arguments.trials = 4 if arguments.quick else n_trials
    arguments.output.mkdir(parents=True, exist_ok=True)
    return arguments


def save(figure, arguments, name):
    """Write the figure as a small PNG and say where."""
    path = arguments.output / f"{name}.png"
    full = BytesIO()
    figure.savefig(full, dpi=72)
    plt.close(figure)
    Image.open(full).convert("RGB").quantize(128, Image.Quantize.MAXCOVERAGE).save(
        path, optimize=True
    )
    print(path)


def growth(growing, grown, title, link=None):
    """Draw N, fit and test losses above the growing network's portrait.

    Parameters
    ----------
    growing, grown : Run
    title : str
    link : callable, optional
        From raw output to what is drawn beside the target.

    Returns
    -------
    matplotlib.figure.Figure
    """
    portraits = growing.snapshots
    figure = plt.figure(figsize=(12, 6.2), layout="constrained")
    above, below = figure.subfigures(2, 1, height_ratios=[3, 2])
    left, middle, right = above.subplots(1, 3)
    trial = middling(growing)
    draw_sizes(left, growing, grown)
    draw_fit(middle, growing, grown, trial, link)
    draw_losses(right, growing, grown)
    for axes, (epoch, weights) in zip(below.subplots(1, len(portraits)), portraits, strict=True):
        draw_network(axes, growing.network, weights.trials([trial]))
        axes.set_title(f"epoch {epoch}, N = {abs(weights.size[trial]):.2f}", fontsize=9)
    figure.suptitle(title)
    return figure


def plain_ticks(axis):
    """Label 1 and 3 of every decade of a logarithmic axis, in plain numbers."""
    axis.set_major_locator(LogLocator(subs=(1.0, 3.0)))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axis.set_minor_formatter(NullFormatter())


def middling(run):
    """Return the trial whose final loss is the median one."""
    return int(np.argsort(run.final_loss)[len(run.final_loss) // 2])


def draw_sizes(axes, growing, grown):
    """Draw N over epochs beside the pull of the size loss alone."""
    for run, colour, name in (
        (growing, GROWING_COLOUR, "growing"),
        (grown, GROWN_COLOUR, "grown"),
    ):
        axes.plot(run.epochs, run.size.mean(axis=1), color=colour, lw=2, label=name)
    axes.plot(growing.epochs, expected_size(growing), "k:", label="size loss alone")
    top = int(np.ceil(max(growing.size.max(), grown.size.max(), 1.0)))
    axes.set(xlabel="epoch", ylabel="N", yticks=range(top + 1), ylim=(-0.1, top + 0.2))
    axes.set_title("neurons switch on as N passes them", fontsize=10)
    axes.grid(axis="y", alpha=0.4)
    axes.legend(loc="center right")


def draw_fit(axes, growing, grown, trial, link=None):
    """Draw one trial's predictions beside the target and the points it saw."""
    link = link or (lambda raw: raw)
    x = np.linspace(-1, 1, 400)
    axes.plot(x, growing.task.target(x), color="0.7", lw=5, label="target")
    axes.plot(growing.x[trial], growing.y[trial], "k.", ms=5, label="learned from")
    for run, colour, name in (
        (growing, GROWING_COLOUR, "growing"),
        (grown, GROWN_COLOUR, "grown"),
    ):
        raw = run.network.predict(run.weights.trials([trial]), x[None])[0]
        axes.plot(x, link(raw), color=colour, lw=2, label=name)
    axes.set(xlabel="x", ylabel="y")
    axes.set_title("fit of the median growing trial", fontsize=10)
    axes.legend(fontsize=8)


def draw_losses(axes, growing, grown, shown=60):
    """Draw test losses of single trials, thin, and their mean over all, thick."""
    for run, colour, name in (
        (grown, GROWN_COLOUR, "grown, mean"),
        (growing, GROWING_COLOUR, "growing, mean"),
    ):
        axes.plot(run.epochs, run.test_loss[:, :shown], color=colour, lw=0.4, alpha=0.3)
        mean = run.test_loss.mean(axis=1)
        axes.plot(run.epochs, mean, color="white", lw=5)
        axes.plot(run.epochs, mean, color=colour, lw=2.5, label=name)
    axes.set(xlabel="epoch", ylabel="test loss", yscale="log")
    axes.set_title("test loss, size loss included", fontsize=10)
    axes.legend(fontsize=8)


def draw_network(axes, network, weights):
    """Draw one trial as a graph: width is magnitude, red positive, blue negative."""
    gates = network.gates(weights)[0]
    n = len(gates)
    heights = np.linspace(1, 0, n)
    inputs = {"x": 0.8, "N": 0.5, "1": 0.2}
    incoming = (weights.slope, weights.size_input, weights.bias)
    for height, matrix in zip(inputs.values(), incoming, strict=True):
        for m in range(n):
            draw_weight(axes, (0, height), (1, heights[m]), matrix[0, m], gates[m])
    for m in range(n):
        output = weights.output[0, m] * gates[m]
        draw_weight(axes, (1, heights[m]), (2, 0.5), output, gates[m])
    for name, height in inputs.items():
        axes.text(-0.1, height, name, ha="right", va="center", fontsize=9)
    shades = [str(0.95 * (1 - awake)) for awake in gates]
    axes.scatter([1] * n, heights, c=shades, s=45, edgecolors="0.4", zorder=3)
    axes.scatter([0] * 3 + [2], [*inputs.values(), 0.5], c="k", s=20, zorder=3)
    axes.text(2.1, 0.5, "y", va="center", fontsize=9)
    axes.set(xlim=(-0.4, 2.4), ylim=(-0.08, 1.08))
    axes.axis("off")


def draw_weight(axes, start, end, weight, awake):
    """Draw one weight, faint when its neuron sleeps."""
    colour = POSITIVE if weight > 0 else NEGATIVE
    width = min(1.6 * abs(weight), 5.0)
    alpha = 0.12 + 0.78 * float(awake)
    axes.plot(*zip(start, end, strict=True), color=colour, lw=width, alpha=alpha)
