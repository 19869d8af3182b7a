"""J0 + J1 + J2 on [-2 pi, 2 pi]: growing against grown (the paper's figure 3).

python examples/paper/plot_three_bessel.py
"""

import drawing
import tasks
import trials


def main():
    """Train, print and draw."""
    arguments = drawing.command_line(__doc__.splitlines()[0], n_trials=1000)
    task = tasks.THREE_BESSEL.shortened(arguments.quick)
    growing = trials.train(task, tasks.GROWING, arguments.trials, arguments.seed)
    grown = trials.train(task, tasks.GROWN, arguments.trials, arguments.seed)
    trials.report(growing, grown)
    figure = drawing.growth(growing, grown, task.name)
    drawing.save(figure, arguments, "paper_three_bessel")


if __name__ == "__main__":
    main()
