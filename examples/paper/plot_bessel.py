"""J0 on [0.1, 0.2]: the growing network against the grown one (the paper's figure 2).

python examples/paper/plot_bessel.py
"""

from dataclasses import replace

import drawing
import tasks
import trials


def main():
    """Train, print and draw."""
    arguments = drawing.command_line(__doc__.splitlines()[0], n_trials=1000)
    fresh = tasks.ONE_BESSEL.shortened(arguments.quick)
    shared = replace(fresh, name=fresh.name + ", one data set", one_draw=True)
    for task in (fresh, shared):
        growing = trials.train(task, tasks.GROWING, arguments.trials, arguments.seed)
        grown = trials.train(task, tasks.GROWN, arguments.trials, arguments.seed)
        trials.report(growing, grown)
    figure = drawing.growth(growing, grown, task.name)
    drawing.save(figure, arguments, "paper_bessel")


if __name__ == "__main__":
    main()
