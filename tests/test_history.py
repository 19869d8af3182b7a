"""The epoch record is plain data; stopping is a function of the losses alone."""

import copy
import pickle
from dataclasses import FrozenInstanceError, fields
from math import inf, nan

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sknimble._history import Epoch, should_stop

FIELDS = [field.name for field in fields(Epoch)]


@pytest.fixture
def history():
    return [
        Epoch(
            epoch=number,
            loss=1.0 / number + 0.01,
            data_loss=1.0 / number,
            size_loss=0.01,
            validation_loss=nan,
            size=8.0 + number,
            utility=0.002,
            learning_rate=0.005,
            seconds=0.1,
        )
        for number in (1, 2, 3)
    ]


def test_a_list_of_epochs_is_a_table(history):
    table = pd.DataFrame(history)
    assert list(table.columns) == FIELDS
    assert table["epoch"].tolist() == [1, 2, 3]
    assert table["size"].tolist() == [9.0, 10.0, 11.0]


def test_an_epoch_cannot_be_changed(history):
    with pytest.raises(FrozenInstanceError):
        history[0].size = 3.0


def test_an_epoch_has_no_room_for_other_attributes(history):
    assert not hasattr(history[0], "__dict__")


@pytest.mark.parametrize("duplicate", [copy.deepcopy, lambda x: pickle.loads(pickle.dumps(x))])
def test_epochs_survive_copying_and_pickling(history, duplicate):
    rows = duplicate(history)
    assert [row.size for row in rows] == [row.size for row in history]
    assert all(isinstance(row, Epoch) for row in rows)


@pytest.mark.parametrize(
    ("losses", "patience", "tol", "stopping"),
    [
        ([], 1, 0.0, False),  # nothing to judge
        ([1.0], 0, 0.0, False),  # a first loss is the best so far
        ([1.0, 1.0], 1, 0.0, False),  # one stale entry is forgiven
        ([1.0, 1.0, 1.0], 1, 0.0, True),
        ([1.0, 1.0, 1.0], 2, 0.0, False),
        ([1.0, 1.0], 0, 0.0, True),
        ([3.0, 2.0, 1.0, 0.0], 0, 0.0, False),  # still improving
        ([1.0, 2.0, 3.0, 4.0], 2, 0.0, True),  # getting worse
        ([1.0, 2.0, 3.0, 0.5], 1, 0.0, False),  # a late improvement counts
        ([1.0, 0.99, 0.98, 0.97], 2, 0.5, True),  # improvements within tol are none
        ([1.0, 0.99, 0.98, 0.4], 2, 0.5, False),  # ... until they add up to more than tol
        ([1.0, 0.5], 0, 0.5, True),  # exactly tol is not more than tol
        ([1.0, nan, nan], 1, 0.0, True),  # nan is no improvement
        ([nan, 1.0], 0, 0.0, False),
        ([inf, inf, inf], 1, 0.0, True),
    ],
)
def test_should_stop(losses, patience, tol, stopping):
    assert should_stop(losses, patience, tol) is stopping


LOSSES = st.lists(st.floats(0, 10) | st.just(nan), max_size=30)


@given(losses=LOSSES, patience=st.integers(0, 30), tol=st.floats(0, 1))
def test_more_patience_never_stops_sooner(losses, patience, tol):
    assert should_stop(losses, patience, tol) or not should_stop(losses, patience + 1, tol)


@given(losses=LOSSES, patience=st.integers(0, 30))
def test_never_stops_before_patience_has_run_out(losses, patience):
    assert not should_stop(losses[: patience + 1], patience)


@given(losses=LOSSES, patience=st.integers(0, 30))
def test_without_tol_the_age_is_that_of_the_first_minimum(losses, patience):
    finite = [inf if loss != loss else loss for loss in losses]
    age = len(finite) - 1 - finite.index(min(finite)) if finite else -1
    assert should_stop(losses, patience) is (age > patience)
