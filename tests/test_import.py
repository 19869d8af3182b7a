"""Importing the package is nearly free; its public names arrive when asked for."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

import sknimble

SLOW = {"torch", "pandas", "polars", "matplotlib", "rich", "onnx"}


def loaded_by(statement):
    """Return the top-level names a fresh interpreter loads for a statement."""
    code = (
        "import json, sys\n"
        "before = set(sys.modules)\n"
        f"{statement}\n"
        "print(json.dumps(sorted({n.partition('.')[0] for n in set(sys.modules) - before})))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(json.loads(done.stdout))


def test_import_loads_nothing_but_the_standard_library():
    assert loaded_by("import sknimble") - sys.stdlib_module_names == {"sknimble"}


def test_a_new_estimator_loads_no_more_than_scikit_learn_does():
    loaded = loaded_by("from sknimble import NimbleRegressor; NimbleRegressor()")
    assert loaded & SLOW <= loaded_by("import sklearn.linear_model, sklearn.preprocessing")


@pytest.mark.parametrize("name", sknimble.__all__)
def test_every_public_name_arrives(name):
    assert getattr(sknimble, name).__name__ == name


def test_a_public_name_is_looked_up_once():
    assert sknimble.NimbleRegressor is vars(sknimble)["NimbleRegressor"]


def test_dir_lists_the_public_names():
    assert set(sknimble.__all__) <= set(dir(sknimble))


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'NimbleTransformer'"):
        sknimble.NimbleTransformer  # noqa: B018


def test_type_hints_are_shipped():
    assert (Path(sknimble.__file__).parent / "py.typed").is_file()
