"""The record of a training: one row per epoch and network.

>>> row = Epoch(1, loss=0.52, data_loss=0.5, size_loss=0.02, validation_loss=0.6, size=20.0,
...             utility=0.001, learning_rate=0.005, seconds=0.1)
>>> row.size
20.0
"""

import zlib
from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np


@dataclass(frozen=True, slots=True)
class Epoch:
    """Record of one network at the end of one epoch, a pass over the training rows.

    ``pandas.DataFrame(history)`` makes a table of a list of these, one column per attribute.

    Attributes
    ----------
    epoch : int
        Number of the epoch, from 1.
    loss : float
        The objective: ``data_loss + size_loss``.
    data_loss : float
        Normalised loss of the training batch that was measured last, with N neurons awake: the
        square root of its loss divided by that of the best constant prediction. A constant has
        about 1; for the squared error it is the nRMSE. It is noisy, because a batch holds few of
        the rows. All losses of a classifier are those of smoothed labels.
    size_loss : float
        Size loss, in the same unit: by default ``size_penalty * size``.
    validation_loss : float
        Normalised loss on the held-out rows, with the running averages of the weights and of N
        (rounded), and for a classifier with the best factor on its logits. It is nan if there are
        no held-out rows, and in the last epochs in which a regressor learns from them too.
    size : float
        The size weight N, in neurons.
    utility : float
        u, by how much one more neuron lowers the normalised loss. N grows while that is more than
        the price of a neuron.
    learning_rate : float
        Learning rate of the weights at the end of the epoch.
    seconds : float
        Wall-clock time of the epoch, shared by the networks trained together.
    member : int
        Number of the network, from 0.
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


# Bits of the mantissa that are stored, 12 by default: four digits, and two of a time or of the
# noisy utility.
_BITS = {"seconds": 6, "utility": 8, "epoch": 23, "member": 23}
_STORED = [field.name for field in fields(Epoch) if field.name != "loss"]


def pack(history: Sequence[Epoch]) -> bytes:
    """Return the records as bytes: up to four digits of every number, 3 to 15 bytes a record.

    Consecutive epochs of a network are similar, so differences are stored, ordered by the
    significance of their bytes, and compressed.
    """
    rows = sorted(history, key=lambda row: (row.member, row.epoch))
    table = np.array([[getattr(row, name) for row in rows] for name in _STORED], dtype="<f4")
    table[_STORED.index("size_loss")] /= _divisor(table)  # the price of a neuron seldom changes
    spare = np.array([[23 - _BITS.get(name, 12)] for name in _STORED], dtype="<u4")
    codes = table.view("<u4") + ((1 << spare) >> 1)
    codes = np.diff(codes >> spare << spare, axis=1, prepend=np.uint32(0)).astype("<u4")
    return zlib.compress(codes.view(np.uint8).reshape(-1, 4).T.tobytes(), 9)


def unpack(packed: bytes) -> list[Epoch]:
    """Return the records that `pack` has stored."""
    planes = np.frombuffer(zlib.decompress(packed), np.uint8).reshape(4, -1)
    codes = planes.T.copy().view("<u4").reshape(len(_STORED), -1)
    table = np.cumsum(codes, axis=1, dtype="<u4").view("<f4")
    table[_STORED.index("size_loss")] *= _divisor(table)
    rows = [dict(zip(_STORED, row, strict=True)) for row in table.T.tolist()]
    for row in rows:
        row.update(
            epoch=int(row["epoch"]), member=int(row["member"]),
            loss=row["data_loss"] + row["size_loss"],
        )  # fmt: skip
    return sorted((Epoch(**row) for row in rows), key=lambda row: (row.epoch, row.member))


def _divisor(table):
    """Return the sizes in a table of records, 1 where they are 0, to divide size losses by."""
    size = table[_STORED.index("size")]
    return np.where(size > 0.0, size, np.float32(1.0))
