"""Rules for the words of docstrings, hyperparameter descriptions and pages."""

from __future__ import annotations

import ast
import functools
import inspect
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

import tuneexp
from tuneexp.algorithms.registry import ALGORITHMS, config_class_of, load_spec
from tuneexp.algorithms.spec import AlgorithmSpec
from tuneexp.report.hyperparameters import hyperparameter_rows

PACKAGE = Path(tuneexp.__file__).parent
ROOT = PACKAGE.parent
# Rooms whose docstrings follow the rules. It grows until it names them all.
ROOMS = (
    "rl", "data", "models", "envs", "algorithms", "testing", "sweep", "tracking", "report", "cli", "files", "security",
    "spaces", "sampling", "training", "trial", "ray_support", "learning",
    *sorted(path.name for path in PACKAGE.glob("*.py")),
)  # fmt: skip
# Every public function at the top level of these has sections Args and Returns.
WITH_SECTIONS = ("rl",)
QUESTION = re.compile(r"(What|Whether|Who|Whose|Whom|Which|Where|When|How)\b")
# Verbs of persons, of which a program is none.
OF_PERSONS = re.compile(
    r"\b(says|hears|tells|told|asks|knows|forgets|lives in|goes on|has a say|nobody|somebody|everybody)\b"
)
# Phrases of which pages of documentation are free, each with a standard term.
PRIVATE = re.compile(
    r"\b(says? (that|so|why|which|who|how)|hears|nobody|somebody|everybody|goes on|go on|what chance|lives? in|"
    r"(is|are|was|were|be) told|told (in|at|with)|nothing is said|where there is (one|none)|doing it twice|let us in|"
    r"stands? (there|beside|above|below)|what is asked|comes to the same)\b|(?<!standard )\bdeviation 1\b",
    re.IGNORECASE,
)
SECTIONS = ("Args:", "Returns:", "Raises:", "Yields:")
ARGUMENT = re.compile(r"^ {4}(\w+): \S", re.MULTILINE)

Node = ast.Module | ast.ClassDef | ast.FunctionDef


class Documented(NamedTuple):
    where: str
    node: Node
    doc: str
    top_level: bool


def documented(rooms: tuple[str, ...]) -> Iterator[Documented]:
    for path in sorted(path for room in rooms for path in _files(room)):
        tree = ast.parse(path.read_text())
        for node in ast.walk(tree):
            if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef):
                name = getattr(node, "name", "")
                where = f"{path.relative_to(PACKAGE)} {name}".strip()
                yield Documented(where, node, ast.get_docstring(node) or "", node in tree.body)


def _files(room: str) -> list[Path]:
    path = PACKAGE / room
    return [path] if path.suffix == ".py" else [*path.rglob("*.py")]


def test_every_room_exists() -> None:
    assert not [room for room in ROOMS if not _files(room)]


def test_every_module_of_the_rooms_has_a_docstring() -> None:
    modules = [found for found in documented(ROOMS) if isinstance(found.node, ast.Module) and found.node.body]
    assert not [found.where for found in modules if not found.doc]


def test_no_docstring_begins_with_a_question() -> None:
    assert not [found.where for found in documented(ROOMS) if QUESTION.match(found.doc)]


def test_nothing_speaks_or_listens_in_a_docstring() -> None:
    assert not [f"{found.where}: {word[0]}" for found in documented(ROOMS) if (word := OF_PERSONS.search(found.doc))]


def texts_outside_the_package() -> dict[str, str]:
    """Pages, comments of YAML files and docstrings of scripts, by file."""
    of_the_code = ("api.md", "commands.md", "settings.md")
    pages = [path for path in ROOT.glob("docs/*.md") if path.name not in of_the_code]
    others = [ROOT / "README.md", ROOT / "CHANGELOG.md", ROOT / "Makefile", *ROOT.glob("*/*.yaml")]
    texts = {str(path.relative_to(ROOT)): path.read_text() for path in [*pages, *others]}
    return texts | {where: "\n".join(docs) for where, docs in script_docstrings().items()}


@functools.cache
def script_docstrings() -> dict[str, list[str]]:
    """Docstrings of the tests, the benchmarks, the experiments and the writer of the API page, by file.

    The first one is that of the module."""
    folders = ("benchmarks", "experiments", "docs", "tests")
    paths = [path for folder in folders for path in sorted((ROOT / folder).rglob("*.py")) if path.stat().st_size]
    nodes = {path: ast.walk(ast.parse(path.read_text())) for path in paths}
    kinds = ast.Module | ast.ClassDef | ast.FunctionDef
    return {
        str(path.relative_to(ROOT)): [ast.get_docstring(node) or "" for node in walked if isinstance(node, kinds)]
        for path, walked in nodes.items()
    }


def test_pages_and_scripts_use_no_private_phrases() -> None:
    texts = texts_outside_the_package()
    assert len(texts) > 60
    assert not [f"{where}: {word[0]}" for where, text in texts.items() if (word := PRIVATE.search(text))]


def test_the_head_of_every_script_and_test_is_a_sentence() -> None:
    heads = {where: docs[0].partition("\n\n")[0] for where, docs in script_docstrings().items()}
    assert sum(where.startswith("tests/") for where in heads) > 200
    assert not [where for where, head in heads.items() if not head.endswith((".", ":"))]


def test_nothing_speaks_or_listens_in_a_docstring_of_a_script() -> None:
    texts = {where: "\n".join(docs) for where, docs in script_docstrings().items()}
    assert not [f"{where}: {word[0]}" for where, text in texts.items() if (word := OF_PERSONS.search(text))]


def test_no_docstring_of_a_script_begins_with_a_question() -> None:
    assert not [where for where, docs in script_docstrings().items() if any(map(QUESTION.match, docs))]


@pytest.mark.parametrize(
    "phrase", ["It goes on from there", "nobody", "deviation 1", "told in one line", "hears of it"]
)
def test_a_private_phrase_is_found(phrase: str) -> None:
    assert PRIVATE.search(phrase)
    assert not PRIVATE.search("standard deviation 1; the trial continues and reports to MLflow")


def test_the_first_line_of_a_docstring_is_a_sentence() -> None:
    first = {found.where: found.doc.partition("\n\n")[0] for found in documented(ROOMS) if found.doc}
    assert not [where for where, text in first.items() if not text.endswith((".", ":", "`", ")"))]


def test_documented_arguments_exist() -> None:
    wrong = []
    for found in documented(ROOMS):
        section = re.search(r"^Args:\n((?:^    .*\n?|\n)*)", found.doc, re.MULTILINE)
        if section and isinstance(found.node, ast.FunctionDef | ast.ClassDef):
            wrong += [
                f"{found.where}: {name}" for name in ARGUMENT.findall(section[1]) if name not in _names(found.node)
            ]
    assert not wrong


def _names(node: ast.FunctionDef | ast.ClassDef) -> set[str]:
    """Arguments of a function, or fields of a class and arguments of its constructor or its call."""
    if isinstance(node, ast.FunctionDef):
        return {argument.arg for argument in ast.walk(node.args) if isinstance(argument, ast.arg)}
    fields = {
        item.target.id for item in node.body if isinstance(item, ast.AnnAssign) and isinstance(item.target, ast.Name)
    }
    made = [item for item in node.body if isinstance(item, ast.FunctionDef) and item.name in ("__init__", "__call__")]
    return fields.union(*map(_names, made))


def test_every_argument_of_a_public_function_is_documented() -> None:
    missing = []
    for found in documented(WITH_SECTIONS):
        if isinstance(found.node, ast.FunctionDef) and found.top_level and not found.node.name.startswith("_"):
            needed = _names(found.node)
            missing += [f"{found.where}: {name}" for name in needed - set(ARGUMENT.findall(found.doc))]
            returns = found.node.returns
            if not (isinstance(returns, ast.Constant) and returns.value is None) and "Returns:" not in found.doc:
                missing.append(f"{found.where}: Returns")
    assert not missing


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_every_hyperparameter_is_described_by_sentences(algorithm: str) -> None:
    described = {row["name"]: row["meaning"] for row in hyperparameter_rows(config_class_of(algorithm))}
    wrong = [
        f"{name}: {text}"
        for name, text in described.items()
        if not text.endswith(".") or not text[:1].isupper() or QUESTION.match(text) or OF_PERSONS.search(text)
    ]
    assert not wrong


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_loss_and_postprocessing_of_an_algorithm_document_arguments_and_result(algorithm: str) -> None:
    spec = load_spec(algorithm)
    assert isinstance(spec, AlgorithmSpec)
    for function in (spec.loss_fn, spec.postprocess_fn):
        if function.__module__.startswith("tuneexp.algorithms"):  # those of other rooms follow with their rooms
            documented = set(ARGUMENT.findall(inspect.getdoc(function) or ""))
            assert documented >= {*inspect.signature(function).parameters}, function
            assert "Returns:" in str(function.__doc__), function


CITED = re.compile(r"([A-Z]\w+) et al\. (\d{4})")
NUMBERED = re.compile(r"([A-Z]\w+) et al\. (\d{4})(?: \(|, )(?:arXiv:\d{4}\.\d{4,5}|doi:10\.[\w./]+)[);]")
ON_ARXIV = re.compile(r"\d{4}(?: \(|, )arXiv:\d{4}\.\d{4,5}\)")
WITHOUT_NUMBER = {("Silver", "2014"), ("Chan", "1979")}


def citations() -> list[tuple[str, str]]:
    """Place and text, on one line, of each docstring that cites a paper."""
    texts = [(found.where, " ".join(found.doc.split())) for found in documented(ROOMS)]
    return [(where, text) for where, text in texts if CITED.search(text) or "arXiv" in text]


def test_a_docstring_cites_a_paper_by_authors_year_and_number() -> None:
    found = citations()
    assert len(found) > 60
    without = [(where, {*CITED.findall(text)} - {*NUMBERED.findall(text)} - WITHOUT_NUMBER) for where, text in found]
    assert not [(where, papers) for where, papers in without if papers]


def test_arxiv_numbers_have_one_form() -> None:
    assert not [where for where, text in citations() if text.count("arXiv") != len(ON_ARXIV.findall(text))]
