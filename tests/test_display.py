"""The picture of a training shows its record."""

from dataclasses import replace

import numpy as np
import pytest
from matplotlib import pyplot as plt
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import Ridge

from sknimble import NimbleRegressor, SizeHistoryDisplay
from sknimble._history import Epoch


@pytest.fixture(autouse=True)
def close_figures():
    yield
    plt.close("all")


def draw_history(n_members=1, validated=True, n_epochs=5):
    """Return records whose members end at different epochs."""
    return [
        Epoch(
            epoch=epoch, loss=1.2 / epoch, data_loss=1.0 / epoch, size_loss=0.2 / epoch,
            validation_loss=1.1 / epoch if validated else np.nan, size=4.0 * epoch + member,
            utility=0.01, learning_rate=0.01, seconds=0.1, member=member,
        )
        for epoch in range(1, n_epochs + 1)
        for member in range(n_members)
        if epoch <= n_epochs - member
    ]  # fmt: skip


def column(history, name, member):
    return [getattr(record, name) for record in history if record.member == member]


@pytest.mark.parametrize("name", ["size", "data_loss", "validation_loss"])
@pytest.mark.parametrize("n_members", [1, 3])
def test_every_network_has_a_line_with_its_record(n_members, name):
    history = draw_history(n_members)
    lines = SizeHistoryDisplay(history).plot().lines_[name]
    assert len(lines) == n_members
    for member, line in enumerate(lines):
        np.testing.assert_array_equal(line.get_xdata(), column(history, "epoch", member))
        np.testing.assert_array_equal(line.get_ydata(), column(history, name, member))


@pytest.mark.parametrize(
    "sizes, epoch", [([4, 9, 9, 7, 7, 7], 4), ([4, 4, 9, 9], 3), ([4, 4, 4], None), ([4, 9], None)]
)
def test_a_dot_marks_where_n_comes_to_rest(sizes, epoch):
    history = [replace(draw_history()[0], epoch=i, size=n) for i, n in enumerate(sizes, start=1)]
    above = SizeHistoryDisplay(history).plot().ax_[0]
    dots = [line.get_xydata().tolist() for line in above.lines if line.get_marker() == "o"]
    assert dots == ([] if epoch is None else [[[epoch, sizes[-1]]]])


def test_a_network_has_the_same_colour_everywhere():
    lines = SizeHistoryDisplay(draw_history(3)).plot().lines_
    colours = [[line.get_color() for line in lines[name]] for name in lines]
    assert colours[0] == colours[1] == colours[2]
    assert len(set(colours[0])) == 3


def test_without_held_out_rows_only_the_loss_on_training_rows_is_drawn():
    display = SizeHistoryDisplay(draw_history(2, validated=False)).plot()
    assert display.lines_["validation_loss"] == []
    names = [text.get_text() for text in display.ax_[1].get_legend().get_texts()]
    assert names == ["training rows"]


def test_an_ensemble_has_each_loss_once_in_the_legend():
    display = SizeHistoryDisplay(draw_history(3)).plot()
    names = [text.get_text() for text in display.ax_[1].get_legend().get_texts()]
    assert names == ["training rows", "held-out rows"]


def test_a_pair_of_axes_is_drawn_in():
    figure, axes = plt.subplots(2, 1)
    display = SizeHistoryDisplay(draw_history()).plot(ax=axes)
    assert list(display.ax_) == list(axes)
    assert display.figure_ is figure
    assert len(figure.axes) == 2


def test_axes_outside_a_grid_are_divided():
    figure = plt.figure()
    display = SizeHistoryDisplay(draw_history()).plot(ax=figure.add_axes([0.1, 0.2, 0.5, 0.6]))
    below, above = sorted(ax.get_position().extents.tolist() for ax in display.ax_)
    assert below[:2] == pytest.approx([0.1, 0.2])
    assert above[2:] == pytest.approx([0.6, 0.8])


@pytest.mark.parametrize("layout", [None, "constrained"])
def test_one_axes_is_divided(layout):
    figure, (left, right) = plt.subplots(1, 2, layout=layout)
    display = SizeHistoryDisplay(draw_history()).plot(ax=left)
    assert display.figure_ is figure
    assert left not in display.ax_
    assert right.lines[:] == []
    above, below = (ax.get_position() for ax in display.ax_)
    assert above.y0 >= below.y1
    assert max(above.x1, below.x1) < right.get_position().x0


def test_other_numbers_of_axes_are_refused():
    _, axes = plt.subplots(3, 1)
    with pytest.raises(ValueError, match="ax has 3 Axes; one or two"):
        SizeHistoryDisplay(draw_history()).plot(ax=axes)


def test_a_fitted_model_is_drawn():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(60, 2))
    model = NimbleRegressor(max_iter=5, early_stopping=False, random_state=0).fit(X, X[:, 0] ** 2)
    display = SizeHistoryDisplay.from_estimator(model)
    assert display.history == model.history_
    assert len(display.lines_["size"]) == model.n_estimators


def test_a_model_that_is_not_fitted_is_refused():
    with pytest.raises(NotFittedError, match="NimbleRegressor has no history_: pass a fitted"):
        SizeHistoryDisplay.from_estimator(NimbleRegressor())


def test_a_model_of_another_kind_is_refused():
    with pytest.raises(NotFittedError, match="Ridge has no history_: pass a fitted Nimble"):
        SizeHistoryDisplay.from_estimator(Ridge().fit([[0.0], [1.0]], [0.0, 1.0]))
