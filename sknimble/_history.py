"""The record of a training: one row per epoch, and when such rows say to stop.

>>> row = Epoch(1, loss=0.52, data_loss=0.5, size_loss=0.02, validation_loss=0.6, size=20.0,
...             utility=0.001, learning_rate=0.005, seconds=0.1)
>>> row.size
20.0
"""

import zlib
from collections.abc import Sequence
from dataclasses import astuple, dataclass, fields
from math import inf

import numpy as np


@dataclass(frozen=True, slots=True)
class Epoch:
    """What one pass over the training rows ended with.

    ``pandas.DataFrame(history)`` of a list of these is the table, one column per attribute.

    Attributes
    ----------
    epoch : int
        Number of the epoch, from 1.
    loss : float
        The objective: ``data_loss + size_loss``.
    data_loss : float
        Loss on the training rows, normalised: a constant prediction scores about 1.
    size_loss : float
        What the size costs, in the same unit.
    validation_loss : float
        Normalised loss on the held-out rows, nan when there are none.
    size : float
        The size weight N, in neurons.
    utility : float
        u, the normalised loss that one more neuron saves.
    learning_rate : float
        Step size of the weights at the end of the epoch.
    seconds : float
        Wall-clock time of the epoch, shared by the networks trained together.
    member : int
        Number of the network in an ensemble, from 0.
    """

    epoch: int
    loss: float
    data_loss: float
    size_loss: float
    validation_loss: float
    size: float
    utility: float
    learning_rate: float
    seconds: float
    member: int = 0


def should_stop(losses: Sequence[float], patience: int, tol: float = 0.0) -> bool:
    """Tell whether the best loss is more than ``patience`` entries old.

    Parameters
    ----------
    losses : sequence of float
        Validation losses, oldest first; lower is better. A nan is never an improvement.
    patience : int
        Number of entries without improvement that are forgiven.
    tol : float, default=0.0
        A loss is an improvement when it is below the best one by more than this.

    Returns
    -------
    bool
        False for an empty sequence.
    """
    best, best_at = inf, 0
    for position, loss in enumerate(losses):
        if loss < best - tol:
            best, best_at = loss, position
    return len(losses) - 1 - best_at > patience


def pack(history: Sequence[Epoch]) -> bytes:
    """Return the records as bytes, in single precision: about 20 bytes for each.

    Epochs resemble their neighbours, so equal bytes of the same column are put side by side
    before they are compressed.
    """
    table = np.array([astuple(row) for row in history], dtype="<f4")
    return zlib.compress(table.T.copy().view(np.uint8).reshape(-1, 4).T.tobytes(), 9)


def unpack(packed: bytes) -> list[Epoch]:
    """Return the records that `pack` made bytes of."""
    kinds = [field.type for field in fields(Epoch)]
    table = np.frombuffer(zlib.decompress(packed), np.uint8).reshape(4, -1).T.copy()
    rows = table.view("<f4").reshape(len(kinds), -1).T.tolist()
    return [Epoch(*(kind(x) for kind, x in zip(kinds, row, strict=True))) for row in rows]
