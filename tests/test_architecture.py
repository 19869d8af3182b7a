"""The shape of the package, read from its source: who imports whom, and how long things are."""

import ast
import re
import sys
from pathlib import Path

import pytest

import sknimble

PACKAGE = Path(sknimble.__file__).parent
TESTS = Path(__file__).parent

# Top to bottom as the docs list them: a module may import those below it and nothing else of ours.
ROWS = re.findall(
    r"^\| (`_.+`) \| .+ \| (yes|no) \|$",
    (TESTS.parent / "docs" / "internals.md").read_text(encoding="utf-8"),
    re.MULTILINE,
)
ORDER = ["__init__"] + [module for row, _ in ROWS for module in re.findall("`(.+?)`", row)]

# Importing any other module loads no torch, so that prediction works where torch is absent.
MAY_LOAD_TORCH = {module.strip("`") for module, loads in ROWS if loads == "yes"}

# What a user may not have installed is imported inside the function that needs it.
OPTIONAL = {"matplotlib", "onnx", "onnxruntime", "pandas", "polars", "rich", "skops"}

LONGEST_FUNCTION = 60  # a wall; aim at 25, think again at 40
FUNCTION = (ast.FunctionDef, ast.AsyncFunctionDef)

TREES = {
    path.stem: ast.parse(path.read_text(encoding="utf-8"), str(path))
    for path in sorted(PACKAGE.glob("*.py"))
}
MODULES = sorted(TREES, key=lambda module: (module not in ORDER, module))
BELOW_ESTIMATORS = [m for m in MODULES if m in ORDER[ORDER.index("_shell") + 1 :]]

every_module = pytest.mark.parametrize("module", MODULES)


def imported_names(node):
    """Yield the full names one import statement names, ours as ``sknimble.<module>``."""
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
        base = ".".join(filter(None, ["sknimble" * bool(node.level), node.module]))
        yield base
        yield from (f"{base}.{alias.name}" for alias in node.names)


def for_type_checkers(node):
    return isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING")


def nodes(tree, *, on_import):
    """Walk a module: all of it, or only what runs when it is imported."""
    pending = [tree]
    while pending:
        node = pending.pop()
        if on_import and (isinstance(node, FUNCTION) or for_type_checkers(node)):
            continue
        yield node
        pending.extend(ast.iter_child_nodes(node))


def imports(module, *, on_import):
    tree = TREES[module]
    return {name for node in nodes(tree, on_import=on_import) for name in imported_names(node)}


def ours(names):
    """Return the modules of this package among full names."""
    split = [name.split(".") for name in names]
    return {parts[1] for parts in split if parts[0] == "sknimble" and len(parts) > 1} & set(TREES)


def loads_torch(module):
    """Tell whether importing a module loads torch, itself or through another of ours."""
    names = imports(module, on_import=True)
    return any(name.split(".")[0] == "torch" for name in names) or any(
        loads_torch(other) for other in ours(names) - {module}
    )


def code_length(function):
    """Count a function's lines without its docstring."""
    length = function.end_lineno - function.lineno + 1
    if ast.get_docstring(function) is not None:
        text = function.body[0]
        length -= text.end_lineno - text.lineno + 1
    return length


@every_module
def test_a_module_has_its_place_in_the_order(module):
    assert module in ORDER


def test_the_package_has_no_folders():
    folders = {path.name for path in PACKAGE.iterdir() if path.is_dir()} - {"__pycache__"}
    assert folders == set()


def test_no_module_is_a_drawer():
    drawers = {"utils", "util", "common", "helpers", "misc", "base", "core", "tools"}
    assert drawers.isdisjoint(name.strip("_") for name in ORDER)


@every_module
def test_imports_point_downwards(module):
    below = set(ORDER[ORDER.index(module) + 1 :])
    assert ours(imports(module, on_import=False)) <= below


@every_module
def test_only_the_engine_loads_torch(module):
    assert module in MAY_LOAD_TORCH or not loads_torch(module)


@every_module
def test_optional_packages_are_imported_where_used(module):
    names = {name.split(".")[0] for name in imports(module, on_import=True)}
    assert names & OPTIONAL == set()


@every_module
def test_no_other_package_is_needed(module):
    names = {name.split(".")[0] for name in imports(module, on_import=True)}
    needed = {"sknimble", "numpy", "scipy", "sklearn", "torch"}
    assert names - sys.stdlib_module_names <= needed


@pytest.mark.parametrize("module", BELOW_ESTIMATORS)
def test_nothing_below_the_estimators_knows_them(module):
    names = {
        getattr(node, attribute)
        for node in ast.walk(TREES[module])
        for attribute in ("id", "attr", "arg", "name")
        if isinstance(getattr(node, attribute, None), str)
    }
    knows = {name for name in names if name in {"estimator", "estimators"} or "Nimble" in name}
    assert knows == set()


@every_module
def test_nothing_prints(module):
    called = {
        node.func.id
        for node in ast.walk(TREES[module])
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
    }
    assert "print" not in called


@every_module
def test_a_module_has_a_test_file_of_its_name(module):
    name = "import" if module in ("__init__", "_version") else module.strip("_")
    assert (TESTS / f"test_{name}.py").is_file()


@every_module
def test_no_function_is_longer_than_a_page(module):
    long = {
        function.name: code_length(function)
        for function in ast.walk(TREES[module])
        if isinstance(function, FUNCTION) and code_length(function) > LONGEST_FUNCTION
    }
    assert long == {}
