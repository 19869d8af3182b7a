"""The content of a file: plain numpy and Python objects, with a layout, a version and a checksum.

Pickle, joblib and skops all store what `seal` returns and pass it to `unseal`. The record of the
training is by far the largest part of a small model, so it is stored packed.
"""

import zlib
from numbers import Integral, Real

import numpy as np

from ._history import pack, unpack
from ._version import __version__

# To be increased when versions before and after a change cannot read each other's files, also when
# a class that is stored moves to another module or changes its attributes.
LAYOUT = 8
# Attributes that a checksum covers.
_LEARNT = (
    "_networks", "_sizes", "_table", "_loss", "_noise", "_shape", "classes_", "history_",
)  # fmt: skip


def seal(state):
    """Return a copy of an object's attributes as they go into a file.

    Parameters
    ----------
    state : dict of str to object

    Returns
    -------
    dict of str to object
    """
    sealed = {**state, "_seal": {"layout": LAYOUT, "version": __version__}}
    if "history_" in state:
        sealed["history_"] = pack(state["history_"])
    sealed["_seal"]["checksum"] = _checksum_of_learnt(sealed)
    return sealed


def unseal(state, name):
    """Return the attributes that `seal` was given.

    Parameters
    ----------
    state : dict of str to object
        From a file.
    name : str
        Name of the expected class, for messages.

    Returns
    -------
    dict of str to object

    Raises
    ------
    ValueError
        If it has another layout, is damaged, or was not saved by sknimble.
    """
    if not isinstance(state, dict) or not isinstance(state.get("_seal"), dict):
        raise ValueError(f"this file holds no {name} that sknimble has saved")
    state = dict(state)
    mark = state.pop("_seal")
    _check_layout(mark.get("layout"), mark.get("version"), name)
    if mark.get("checksum") != _checksum_of_learnt(state):
        raise ValueError(f"this {name} is damaged: it does not hold the numbers that were saved")
    if "history_" in state:
        state["history_"] = unpack(state["history_"])
    return state


def begin_to_load(kind, layout, version):
    """Return an empty object of a class, or raise if its file has another layout.

    A pickle calls this before it looks for the classes of what the object holds, which may have
    moved. So this function must stay where it is.
    """
    _check_layout(layout, version, kind.__name__)
    return kind.__new__(kind)


def _check_layout(layout, version, name):
    """Raise if a file has another layout than this version reads."""
    if layout != LAYOUT:
        raise ValueError(
            f"this {name} was saved by sknimble {version} in layout {layout}, and sknimble "
            f"{__version__} reads layout {LAYOUT}: load it with sknimble {version}, or fit again"
        )


def reduced(model):
    """Return what pickle stores of a model, for its ``__reduce__``."""
    return begin_to_load, (type(model), LAYOUT, __version__), model.__getstate__()


def _checksum_of_learnt(state):
    """Return a checksum of what predictions depend on, and of the record."""
    return _checksum([state.get(name) for name in _LEARNT])


def _checksum(value, total=0):
    """Return a checksum of arrays, strings and numbers in lists, dicts and objects."""
    if isinstance(value, np.ndarray) and value.dtype != object:
        native = value.astype(value.dtype.newbyteorder("="), copy=False)  # as it is loaded
        return zlib.crc32(native.tobytes(), total)
    if type(value).__module__.partition(".")[0] in ("sknimble", "sklearn"):
        given = "categorical_features", "quantile"  # by the user: some types change in a file
        value = {name: part for name, part in vars(value).items() if name not in given}
    if isinstance(value, dict):
        value = list(value.items())
    if isinstance(value, list | tuple | np.ndarray):
        for one in value:
            total = _checksum(one, total)
        return total
    if isinstance(value, Real | np.bool_):  # formats differ in types of numbers
        value = int(value) if isinstance(value, Integral | np.bool_) else float(value)
    return zlib.crc32(value if isinstance(value, bytes) else repr(value).encode(), total)
