"""What the pages show is true: their code runs, their links lead somewhere."""

import ast
import inspect
import re
from dataclasses import fields
from pathlib import Path
from urllib.parse import unquote

import pytest

import sknimble
from sknimble._history import Epoch

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]

BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\(([^)\s]+)\)")
HEADING = re.compile(r"^#+ +(.*?) *$", re.MULTILINE)
SCRIPT = re.compile(r"(?:[\w.-]+/)+[\w.-]+|[\w-]+\.(?:py|sh)")

every_page = pytest.mark.parametrize(
    "page", PAGES, ids=[str(page.relative_to(ROOT)) for page in PAGES]
)


def blocks(page, language):
    """Yield (line number, text) of a page's code blocks in one language."""
    text = page.read_text(encoding="utf-8")
    for match in BLOCK.finditer(text):
        if match[1] == language:
            yield text.count("\n", 0, match.start(2)), match[2]


def prose(page):
    return BLOCK.sub("", page.read_text(encoding="utf-8"))


def section_of(title):
    """Return a section of the API page."""
    api = (ROOT / "docs" / "api.md").read_text(encoding="utf-8")
    return api.partition(f"\n## {title}\n")[2].partition("\n## ")[0]


def told_defaults(section):
    """Return what the table of a section of the API page says the defaults are, by name."""
    rows = re.findall(r"^\| `(\w+)` \| (\S+) \| [^|]*\|$", section_of(section), re.MULTILINE)
    return {name: ast.literal_eval(default.strip("`")) for name, default in rows}


def defaults_of(name):
    """Return the defaults of a public class, by name."""
    parameters = inspect.signature(getattr(sknimble, name)).parameters
    return {name: parameter.default for name, parameter in parameters.items()}


def anchors(page):
    """Return the names a page's headings can be linked by."""
    titles = (re.sub(r"[^\w\- ]", "", title) for title in HEADING.findall(prose(page)))
    return {title.lower().replace(" ", "-") for title in titles}


@every_page
def test_python_blocks_run_in_order(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    namespace = {"__name__": "__main__"}
    for line, source in blocks(page, "python"):
        # Padding makes a traceback point at the line of the page.
        exec(compile("\n" * line + source, str(page), "exec"), namespace)


@every_page
def test_every_code_block_names_its_language(page):
    assert list(blocks(page, "")) == []


@every_page
def test_shell_blocks_name_files_that_exist(page):
    text = "\n".join(source for _, source in blocks(page, "bash"))
    missing = [name for name in SCRIPT.findall(text) if not (ROOT / name).exists()]
    assert missing == []


@every_page
def test_links_lead_somewhere(page):
    broken = []
    for link in LINK.findall(prose(page)):
        if link.startswith("https://"):
            continue  # the outside world is not ours to test
        path, _, anchor = unquote(link).partition("#")
        target = (page.parent / path) if path else page
        if not target.exists() or (anchor and anchor not in anchors(target)):
            broken.append(link)
    assert broken == []


def test_every_page_is_reached_from_the_readme():
    reached, pending = set(), [ROOT / "README.md"]
    while pending:
        page = pending.pop().resolve()
        if page in reached or page.suffix != ".md" or not page.is_file():
            continue
        reached.add(page)
        links = (unquote(link).partition("#")[0] for link in LINK.findall(prose(page)))
        pending.extend(page.parent / link for link in links if link)
    assert {page.resolve() for page in PAGES} <= reached


def test_the_second_readme_command_is_what_ci_runs():
    commands = [source.strip() for _, source in blocks(ROOT / "README.md", "bash")]
    install, _, tests = commands[1].rpartition("&&")
    ci = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    assert tests.strip() in ci
    assert "torch==" in install
    assert re.search(r"torch==\S+", install)[0] in ci


def test_the_api_page_names_everything_public():
    api = (ROOT / "docs" / "api.md").read_text(encoding="utf-8")
    assert [name for name in sknimble.__all__ if f"## {name}" not in api] == []


@pytest.mark.parametrize("name", ["NimbleRegressor", "NimbleClassifier"])
def test_the_api_page_tells_every_parameter_and_its_default(name):
    assert told_defaults("Parameters") | told_defaults(name) == defaults_of(name)


@pytest.mark.parametrize("name", ["NimbleRegressorCV", "NimbleClassifierCV"])
def test_the_api_page_tells_every_parameter_of_the_searches_and_its_default(name):
    assert told_defaults("NimbleRegressorCV") == defaults_of(name)


@pytest.mark.parametrize(
    "name", ["NimbleRegressor", "NimbleClassifier", "NimbleRegressorCV", "NimbleClassifierCV"]
)
def test_the_docstrings_tell_the_defaults(name):
    text = getattr(sknimble, name).__doc__.replace("\\\n", "")
    told = dict(re.findall(r"^    (\w+) : .*default=(\S+)$", text, re.MULTILINE))
    assert {name: ast.literal_eval(default) for name, default in told.items()} == defaults_of(name)


def test_the_api_page_names_every_column_of_the_record_and_no_other():
    names = set(re.findall(r"^\| `(\w+)`", section_of("Epoch"), re.MULTILINE))
    assert names == {field.name for field in fields(Epoch)}


def test_the_changelog_knows_this_version():
    changelog = (ROOT / "docs" / "changelog.md").read_text(encoding="utf-8")
    assert f"## {sknimble.__version__}" in changelog
