"""Neural networks that choose their own size, as scikit-learn estimators.

Names are loaded on first use: importing the package alone loads neither torch nor scikit-learn.
"""

import os
import sys
from importlib import import_module
from typing import TYPE_CHECKING

from ._version import __version__ as __version__

if TYPE_CHECKING:
    from ._choice import NimbleClassifierCV, NimbleRegressorCV
    from ._classifier import NimbleClassifier
    from ._display import SizeHistoryDisplay
    from ._path import nimble_path
    from ._regressor import NimbleRegressor
    from ._search import search_space

__all__ = [
    "NimbleClassifier",
    "NimbleClassifierCV",
    "NimbleRegressor",
    "NimbleRegressorCV",
    "SizeHistoryDisplay",
    "nimble_path",
    "search_space",
]

_MODULE_OF = {
    "NimbleClassifier": "_classifier",
    "NimbleClassifierCV": "_choice",
    "NimbleRegressor": "_regressor",
    "NimbleRegressorCV": "_choice",
    "SizeHistoryDisplay": "_display",
    "nimble_path": "_path",
    "search_space": "_search",
}


def __getattr__(name):
    """Import a public name from its module when it is first asked for."""
    if name not in _MODULE_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{_MODULE_OF[name]}"), name)
    globals()[name] = value
    return value


def __dir__():
    return sorted({*globals(), *__all__})


def _use_one_thread():
    """Let torch, if it is there, use one thread."""
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(1)


# A forked process inherits the locks of torch's thread pool but not its threads, and would wait
# for them for ever. Whoever has started these threads: the guard is there before the first fit.
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_use_one_thread)
