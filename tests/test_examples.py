"""The scripts of ``examples`` run, print their tables and write their pictures."""

import importlib.util
import runpy
import sys
import warnings
from pathlib import Path

import pytest
import torch
from matplotlib import pyplot as plt
from matplotlib.image import imread

EXAMPLES = Path(__file__).parent.parent / "examples"
SHARED = ("contestants", "fresh", "scaling", "tables")  # modules that the benchmarks import


@pytest.fixture(autouse=True)
def leave_no_trace(monkeypatch):
    """Undo what a script does to the process; figures of scripts carry no tests' warnings."""
    monkeypatch.syspath_prepend(EXAMPLES / "benchmarks")
    threads = torch.get_num_threads()
    with warnings.catch_warnings():
        yield
    torch.set_num_threads(threads)
    plt.close("all")
    for name in SHARED:
        sys.modules.pop(name, None)


@pytest.fixture
def run(monkeypatch, capsys):
    """Return a function that runs a script as a user would and returns what it printed."""

    def run(script, *arguments):
        monkeypatch.setattr(sys, "argv", [script, *map(str, arguments)])
        runpy.run_path(str(EXAMPLES / script), run_name="__main__")
        return capsys.readouterr().out

    return run


def is_picture(path):
    """Tell whether an image has more than one colour."""
    return imread(path)[..., :3].std() > 0.01


def load(script):
    """Import a script without running it."""
    spec = importlib.util.spec_from_file_location("script", EXAMPLES / script)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_quickstart_prints_three_models_on_two_tables_and_draws(run, tmp_path):
    printed = run("quickstart.py", "--output", tmp_path / "history.png")
    for name in ("sknimble", "scikit-learn MLP", "HistGradientBoosting"):
        assert printed.count(name) == 2
    assert str(tmp_path / "history.png") in printed
    assert is_picture(tmp_path / "history.png")


def test_quickstart_without_matplotlib_says_so_and_goes_on(monkeypatch, capsys, tmp_path):
    monkeypatch.setitem(sys.modules, "matplotlib.pyplot", None)
    load("quickstart.py").draw({}, tmp_path / "history.png")
    assert "matplotlib is missing" in capsys.readouterr().out
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("script", ["plot_size_chosen_by_data.py", "plot_frontier.py"])
def test_a_picture_is_drawn(run, tmp_path, script):
    printed = run(script, "--quick", "--output", tmp_path / "picture.png")
    assert printed.strip().endswith("picture.png")
    assert is_picture(tmp_path / "picture.png")


def test_the_speed_benchmark_compares_networks_of_one_size(run):
    printed = run("benchmarks/speed.py", "--quick")
    assert "scikit-learn MLP" in printed
    assert "torch loop" in printed
    assert "256 awake" in printed


def test_never_worse_prints_both_tables(run):
    printed = run("benchmarks/never_worse.py", "--quick", "--max-size", 32)
    assert "beside the linear model" in printed
    assert "beside a static network" in printed


def test_compare_reads_a_csv_of_the_user(run, tmp_path):
    lines = [f"{i % 7},{'red' if i % 3 else 'blue'},{i % 7 + i % 3}" for i in range(120)]
    (tmp_path / "mine.csv").write_text("\n".join(["size,colour,price", *lines]))
    picture = tmp_path / "compare.png"
    arguments = ("--target", "price", "--seeds", 1, "--output", picture)
    printed = run("benchmarks/compare.py", tmp_path / "mine.csv", *arguments)
    assert "mine: 120 rows, 2 columns" in printed
    assert is_picture(picture)


def test_compare_ranks_models_on_tables_that_it_makes(run, tmp_path):
    picture = tmp_path / "compare.png"
    arguments = ("--fresh", "--quick", "--only", "ishigami_300", "--output", picture)
    printed = run("benchmarks/compare.py", *arguments)
    assert "ishigami_300: 300 rows, 3 columns, 1 splits" in printed
    table, ranks = printed.split("1 tables of numbers")
    order = [line.split("  ")[0] for line in ranks.splitlines()[2:6]]
    assert order == [line.split("  ")[0] for line in table.splitlines()[3:7]]
    assert "1.00    1.000" in ranks.splitlines()[2]


def test_compare_measures_growth_in_processes_of_their_own(run):
    header, *rows = run("benchmarks/compare.py", "--scaling", "--quick").splitlines()
    assert "MB beyond X" in header
    assert [row.split()[:2] for row in rows] == [["1000", "20"], ["2000", "10"]]


def test_compare_names_the_columns_when_there_is_no_such_target(run, tmp_path):
    (tmp_path / "mine.csv").write_text("size,price\n1,2\n")
    with pytest.raises(SystemExit, match="no column 'cost'; it has size, price"):
        run("benchmarks/compare.py", tmp_path / "mine.csv", "--target", "cost")
