"""Two cubics and two quadratics: growing against grown (the paper's figure 4).

python examples/paper/plot_polynomials.py
"""

import drawing
import matplotlib.pyplot as plt
import tasks
import trials

TASKS = tasks.CUBIC, tasks.MINUS_CUBIC, tasks.QUADRATIC, tasks.OTHER_QUADRATIC


def main():
    """Train on all four, print, and draw a column for each."""
    arguments = drawing.command_line(__doc__.splitlines()[0], n_trials=500)
    figure, grid = plt.subplots(3, 4, figsize=(12, 7.5), layout="constrained")
    for task, (above, middle, below) in zip(TASKS, grid.T, strict=True):
        task = task.shortened(arguments.quick)
        growing = trials.train(task, tasks.GROWING, arguments.trials, arguments.seed)
        grown = trials.train(task, tasks.GROWN, arguments.trials, arguments.seed)
        trials.report(growing, grown)
        trial = drawing.middling(growing)
        drawing.draw_fit(above, growing, grown, trial)
        drawing.draw_losses(middle, growing, grown)
        weights = growing.weights.trials([trial])
        drawing.draw_network(below, growing.network, weights)
        above.set_title(task.name)
        middle.set_title("")
        if above is not grid[0, 0]:
            above.get_legend().remove()
            middle.get_legend().remove()
    drawing.save(figure, arguments, "paper_polynomials")


if __name__ == "__main__":
    main()
