"""Public names: each is documented and listed in docs/api.md; pages and scripts import nothing else."""

from __future__ import annotations

import ast
import importlib
import re
import runpy
from collections.abc import Iterator
from pathlib import Path

import pytest

import tuneexp
from tuneexp import AlgorithmSpec

ROOT = Path(__file__).parents[1]
API = runpy.run_path(str(ROOT / "docs" / "api.py"))
NAMES = {f"{package}.{name}": thing for package, name, thing in API["public"]()}


def sources() -> Iterator[tuple[str, str]]:
    """File name (with a number for several blocks) and Python text of every script and every block of a page."""
    for path in sorted((ROOT / "experiments").glob("*.py")):
        yield path.name, path.read_text()
    for path in [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]:
        if path != API["PAGE"]:
            blocks = re.findall(r"```python\n(.*?)```", path.read_text(), re.DOTALL)
            yield from ((f"{path.name} {number}", block) for number, block in enumerate(blocks))


SOURCES = dict(sources())


def imported(text: str) -> Iterator[str]:
    """Names that `text` imports from this package, `package.name`."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] == "tuneexp":
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name.startswith("tuneexp."))


@pytest.mark.parametrize("source", SOURCES)
def test_pages_and_scripts_import_public_names_only(source: str) -> None:
    assert set(imported(SOURCES[source])) <= set(NAMES)


def test_many_of_the_pages_and_scripts_were_looked_at() -> None:
    assert sum(bool(set(imported(text))) for text in SOURCES.values()) >= 25


@pytest.mark.parametrize("name", NAMES)
def test_a_public_name_is_documented_with_each_of_its_arguments(name: str) -> None:
    thing = NAMES[name]
    if isinstance(thing, AlgorithmSpec):
        assert API["algorithm_text"](thing)
        return
    sections = API["sections_of"](thing.__doc__ or "")
    assert sections[""], "no docstring"
    parameters = API["parameters_of"](thing)
    fields = sections.get("Attributes", "") if parameters else ""  # those of a class to subclass are no arguments
    listed = API["entries_of"](sections.get("Args") or fields)
    assert sorted(listed) == sorted(parameters)


@pytest.mark.parametrize("name", ["api", "commands", "settings"])
def test_a_page_that_is_made_of_the_code_is_fresh(name: str) -> None:
    script = runpy.run_path(str(ROOT / "docs" / f"{name}.py"))
    assert script["PAGE"].read_text() == script["page"](), "run: make api"


@pytest.mark.parametrize("package", tuneexp.PUBLIC)
def test_the_public_names_of_a_package_are_those_that_it_offers(package: str) -> None:
    module = importlib.import_module(package)
    assert set(tuneexp.names_of(package)) <= set(dir(module)) & set(module.__all__)
    with pytest.raises(AttributeError, match="nothing"):
        module.nothing  # noqa: B018
