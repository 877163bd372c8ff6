"""YAML 1.2 as plain data: for search spaces, experiment files, RL Zoo's files and values on the command line.

`1e-4` and `1.0e-4` are numbers, `on` and `yes` are texts, `010` is 10. Dates are texts. Tags and duplicate keys are
refused."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.constructor import SafeConstructor
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode
from ruamel.yaml.resolver import VersionedResolver
from ruamel.yaml.tag import Tag

from tuneexp.errors import UserError, shortened
from tuneexp.files.json_reading import too_deep

MOST_PARTS = 100_000
_NAMES = {list: "list", str: "text", bool: "switch"}
_TAG = "tag:yaml.org,2002:"
_CORE = tuple(_TAG + kind for kind in ("map", "seq", "str", "int", "float", "bool", "null"))
_UNSIGNED_EXPONENT = re.compile(r"[-+]?\.[0-9][0-9_]*[eE][0-9]+")  # .5e3, which ruamel.yaml reads as a text

Lines = dict[tuple[str, ...], int]
"""Line numbers of keys and list entries, by the names that lead to them."""


class YamlError(Exception):
    """Text that is no plain YAML. problem: one line; line: counted from 1, None where it is unknown."""

    def __init__(self, problem: str, line: int | None = None) -> None:
        super().__init__(problem)
        self.problem, self.line = problem, line


def load_yaml_mapping(
    path: str | Path, example: str = "a search space is a YAML file such as search_spaces/ppo.yaml"
) -> dict[str, Any]:
    """Return the mapping in a YAML file.

    Args:
        path: of the file.
        example: of such a file, for the message.

    Raises:
        UserError: the file is missing, is other YAML, or has a duplicate key or a tag. One line.
    """
    return load_with_lines(path, example, "write one hyperparameter a line, as in  gamma: {uniform: [0.9, 0.999]}")[0]


def load_with_lines(path: str | Path, missing: str, no_mapping: str) -> tuple[dict[str, Any], Lines]:
    """Return the mapping in a YAML file and the line numbers of its keys.

    Args:
        path: of the file.
        missing: advice for a file that isn't there.
        no_mapping: advice for a file that holds no mapping.

    Raises:
        UserError: as `load_yaml_mapping`.
    """
    try:
        text = Path(path).read_text(encoding="utf-8")
    except FileNotFoundError:
        raise UserError(f"there is no file {path}; {missing}") from None
    except (OSError, UnicodeDecodeError, ValueError) as error:
        raise UserError(f"{path} can't be read: {error}") from None
    lines: Lines = {}
    try:
        loaded = parse_yaml(text, lines)
    except YamlError as error:
        where = f"{path} is no YAML" if error.line is None else f"{path}, line {error.line}"
        raise UserError(f"{where}: {error.problem}") from None
    if not isinstance(loaded, dict):
        found = "nothing" if loaded is None else f"a {_NAMES.get(type(loaded), 'number')}"
        raise UserError(f"{path} is no mapping, it holds {found}; {no_mapping}")
    return loaded, lines


def parse_yaml(text: str, lines: Lines | None = None) -> Any:
    """Return the plain data of one YAML document.

    Args:
        text: the document.
        lines: filled with the line number of each key.

    Raises:
        YamlError: no YAML, several documents, a tag, a duplicate key, a key that is no name, or too much to work with.
    """
    try:
        node, value = _composed(text)
    except MarkedYAMLError as error:
        mark = error.problem_mark
        raise YamlError(_one_line(error.problem), None if mark is None else mark.line + 1) from None
    except YAMLError as error:
        raise YamlError(_one_line(str(error))) from None
    except RecursionError:
        raise YamlError("it is nested too deeply") from None
    if too_deep(value):
        raise YamlError("it is nested too deeply")
    if _written_out(value, {}) > MOST_PARTS:
        raise YamlError(f"its aliases stand for more than {MOST_PARTS} values")
    if lines is not None:
        _note_lines(node, (), lines)
    return value


def _composed(text: str) -> tuple[Node | None, Any]:
    yaml = YAML(typ="safe", pure=True)
    yaml.Resolver, yaml.Constructor = CoreResolver, _PlainConstructor
    node = yaml.compose(text)
    return node, None if node is None else yaml.constructor.construct_object(node, deep=True)


def _note_lines(node: Node | None, path: tuple[str, ...], lines: Lines) -> None:
    parts: list[tuple[str, Node, Node]] = []
    if isinstance(node, MappingNode):
        parts = [(key.value, key, value) for key, value in node.value]
    elif isinstance(node, SequenceNode):
        parts = [(str(index), value, value) for index, value in enumerate(node.value)]
    for name, key, value in parts:
        lines[*path, name] = key.start_mark.line + 1
        _note_lines(value, (*path, name), lines)


def _written_out(value: Any, known: dict[int, int]) -> int:
    """Return the number of values with each alias written out."""
    if id(value) not in known:
        inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
        known[id(value)] = 1 + sum(_written_out(one, known) for one in inner)
    return known[id(value)]


class CoreResolver(VersionedResolver):
    """Types of plain scalars by YAML 1.2, also under `%YAML 1.1`. A date and `=` are texts."""

    @property
    def processing_version(self) -> tuple[int, int]:
        return (1, 2)

    def resolve(self, kind: Any, value: Any, implicit: Any) -> Any:
        tag = super().resolve(kind, value, implicit)
        if kind is ScalarNode and implicit[0] and _UNSIGNED_EXPONENT.fullmatch(value):
            return Tag(suffix=f"{_TAG}float")
        return tag if str(tag) in (*_CORE, f"{_TAG}merge") else self.DEFAULT_SCALAR_TAG


class _PlainConstructor(SafeConstructor):
    """Core types only; keys are names; no key twice; no value within itself."""

    yaml_constructors = {tag: SafeConstructor.yaml_constructors[tag] for tag in _CORE}

    def construct_object(self, node: Any, deep: bool = False) -> Any:
        if node in self.recursive_objects:
            raise _refusal(node, "a value contains itself; write it out")
        return super().construct_object(node, deep=True)

    def check_mapping_key(self, node: Any, key_node: Any, mapping: Any, key: Any, value: Any) -> bool:
        if key_node.tag != f"{_TAG}str":
            raise _refusal(key_node, "a key is no name; keys are words such as gamma")
        if key in mapping:
            raise _refusal(key_node, f"the key {key!r} is repeated; keep one of them")
        return True

    def flatten_mapping(self, node: Any) -> None:
        """Insert the mappings of the merge key `<<`. Keys of the mapping itself take precedence.

        Each merged key is kept once, since merges of merges would grow exponentially."""
        super().flatten_mapping(node)
        if merged := getattr(node, "merge", None):
            own = node.value[len(merged) :]
            names = {key.value for key, _ in own}
            others = {key.value: (key, value) for key, value in merged if str(key.value) not in names}
            node.value, node.merge = [*others.values(), *own], None

    def construct_number(self, node: Any) -> int | float:
        try:
            return SafeConstructor.yaml_constructors[str(node.tag)](self, node)
        except (ValueError, IndexError):  # such as -_ or !!int abc
            raise _refusal(node, f"{shortened(str(node.value))} is no number") from None

    def refuse_tag(self, node: Any) -> None:
        raise _refusal(node, f"the tag {str(node.tag)!r} is not accepted; write plain values")


_PlainConstructor.add_constructor(f"{_TAG}int", _PlainConstructor.construct_number)
_PlainConstructor.add_constructor(f"{_TAG}float", _PlainConstructor.construct_number)
_PlainConstructor.add_constructor(None, _PlainConstructor.refuse_tag)


def _refusal(node: Any, problem: str) -> MarkedYAMLError:
    return MarkedYAMLError(None, None, problem, node.start_mark)


def _one_line(text: str | None) -> str:
    return " ".join((text or "can't be read").split())
