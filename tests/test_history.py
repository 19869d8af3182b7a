"""The epoch record is plain data, and many of them are few bytes."""

import copy
import pickle
from dataclasses import FrozenInstanceError, fields
from math import nan

import pandas as pd
import pytest

from sknimble._history import Epoch

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
