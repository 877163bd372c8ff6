"""Strict YAML: plain data only, no key twice, and numbers as everybody reads them."""

from __future__ import annotations

import re
from collections.abc import Hashable, Mapping
from pathlib import Path
from typing import Any

import yaml

from tuneexp.errors import UserError, shortened
from tuneexp.stored import too_deep

MOST_PARTS = 100_000
_NAMES = {list: "list", str: "text", bool: "switch"}
_INT = r"[-+]?[0-9][0-9_]*"
_FLOAT = r"[-+]?(?:[0-9][0-9_]*\.?[0-9]*|\.[0-9]+)(?:[eE][-+]?[0-9]+)?"


Lines = dict[tuple[str, ...], int]  # of the keys and list entries that these names lead to


def load_yaml_mapping(
    path: str | Path, example: str = "a search space is a YAML file such as search_spaces/ppo.yaml"
) -> dict[str, Any]:
    """The mapping in `path`. UserError of one line for a missing file, other YAML, a duplicate key or a Python tag.
    example: of such a file, for the message."""
    return load_with_lines(path, example, "write one hyperparameter a line, as in  gamma: {uniform: [0.9, 0.999]}")[0]


def load_with_lines(path: str | Path, missing: str, no_mapping: str) -> tuple[dict[str, Any], Lines]:
    """The mapping in `path`, and where its keys stand. missing, no_mapping: what to write instead."""
    try:
        text = Path(path).read_text(encoding="utf-8")
    except FileNotFoundError:
        raise UserError(f"there is no file {path}; {missing}") from None
    except (OSError, UnicodeDecodeError, ValueError) as error:
        raise UserError(f"{path} can't be read: {error}") from None
    lines: Lines = {}
    try:
        loaded = parse_yaml(text, lines)
    except yaml.MarkedYAMLError as error:
        line = f", line {error.problem_mark.line + 1}" if error.problem_mark else ""
        raise UserError(f"{path}{line}: {_one_line(error.problem)}") from None
    except yaml.YAMLError as error:
        raise UserError(f"{path} is no YAML: {_one_line(str(error))}") from None
    if not isinstance(loaded, dict):
        found = "nothing" if loaded is None else f"a {_NAMES.get(type(loaded), 'number')}"
        raise UserError(f"{path} is no mapping, it holds {found}; {no_mapping}")
    return loaded, lines


def parse_yaml(text: str, lines: Lines | None = None) -> Any:
    """The plain data of one YAML document. YAMLError for anything else, and for what is too large to work with.

    lines: is filled with the line of each key."""
    loader = _StrictLoader(text)
    try:
        node = loader.get_single_node()
        value = None if node is None else loader.construct_object(node, deep=True)
    except RecursionError:
        raise yaml.YAMLError("it is nested too deeply") from None
    finally:
        loader.dispose()
    if too_deep(value):
        raise yaml.YAMLError("it is nested too deeply")
    if _written_out(value, {}) > MOST_PARTS:
        raise yaml.YAMLError(f"its aliases stand for more than {MOST_PARTS} values")
    if lines is not None:
        _note_lines(node, (), lines)
    return value


def _note_lines(node: yaml.Node | None, path: tuple[str, ...], lines: Lines) -> None:
    parts: list[tuple[str, yaml.Node, yaml.Node]] = []
    if isinstance(node, yaml.MappingNode):
        parts = [(key.value, key, value) for key, value in node.value]
    elif isinstance(node, yaml.SequenceNode):
        parts = [(str(index), value, value) for index, value in enumerate(node.value)]
    for name, key, value in parts:
        lines[*path, name] = key.start_mark.line + 1
        _note_lines(value, (*path, name), lines)


def _written_out(value: Any, known: dict[int, int]) -> int:
    """How many values there are with each alias written out."""
    if id(value) not in known:
        inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
        known[id(value)] = 1 + sum(_written_out(one, known) for one in inner)
    return known[id(value)]


_MERGE = "tag:yaml.org,2002:merge"
_CORE = [f"tag:yaml.org,2002:{kind}" for kind in ("map", "seq", "str", "int", "float", "bool", "null")]


class _StrictLoader(yaml.SafeLoader):
    """YAML 1.1 reads 1e-3 as a text, `on` as true and 010 as 8; here they are 0.001, "on" and 10, as in YAML 1.2."""

    yaml_implicit_resolvers: dict[str, Any] = {}
    yaml_constructors = {tag: yaml.SafeLoader.yaml_constructors[tag] for tag in _CORE}

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen: set[str] = set()
        for key, _ in node.value:
            if key.tag == _MERGE:  # <<: *other, whose values this mapping may write anew
                continue
            _require_name(key)
            if key.value in seen:
                raise _refusal(key, f"the key {key.value!r} stands twice; keep one of them")
            seen.add(key.value)
        return super().construct_mapping(node, deep=True)  # deep: a mapping that contains itself is refused

    def flatten_mapping(self, node: yaml.MappingNode) -> None:
        super().flatten_mapping(node)
        for key, _ in node.value:
            _require_name(key)
        # The last one counts. Once each: merges of merges would grow without bound.
        node.value = list({key.value: (key, value) for key, value in node.value}.values())

    def construct_number(self, node: yaml.ScalarNode) -> int | float:
        text = node.value.replace("_", "")
        try:
            return int(text) if node.tag.endswith(":int") else float(text)
        except ValueError:
            raise _refusal(node, f"{shortened(node.value)} is no number") from None

    def refuse_tag(self, node: yaml.Node) -> None:
        raise _refusal(node, f"the tag {node.tag!r} is not accepted; write plain values")


def _require_name(key: yaml.Node) -> None:
    if key.tag != "tag:yaml.org,2002:str":
        raise _refusal(key, "a key is no name; keys are words such as gamma")


def _refusal(node: yaml.Node, problem: str) -> yaml.MarkedYAMLError:
    return yaml.constructor.ConstructorError(None, None, problem, node.start_mark)


_StrictLoader.add_constructor(None, _StrictLoader.refuse_tag)
_StrictLoader.add_constructor("tag:yaml.org,2002:int", _StrictLoader.construct_number)
_StrictLoader.add_constructor("tag:yaml.org,2002:float", _StrictLoader.construct_number)
for _tag, _pattern, _first in (
    ("bool", "true|True|TRUE|false|False|FALSE", [*"tTfF"]),
    ("merge", "<<", ["<"]),
    ("null", "~|null|Null|NULL|", ["~", "n", "N", ""]),
    ("int", _INT, [*"-+0123456789"]),
    ("float", _FLOAT, [*"-+0123456789."]),
):
    _StrictLoader.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(f"^(?:{_pattern})$"), _first)


class _Dumper(yaml.SafeDumper):
    """Quotes a text that YAML 1.1 or 1.2 would read as something else, such as 1e5 and on."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


for _letter, _resolvers in _StrictLoader.yaml_implicit_resolvers.items():
    for _tag, _compiled in _resolvers:
        _Dumper.add_implicit_resolver(_tag, _compiled, [_letter])


def yaml_text(values: Mapping[str, Any]) -> str:
    """Plain data as YAML that `parse_yaml` reads back exactly; what lies two levels deep stands on one line."""
    root = yaml.representer.SafeRepresenter(sort_keys=False)
    root.ignore_aliases = lambda data: True  # type: ignore[method-assign]
    node = root.represent_data(dict(values))
    _set_style(node, 0)
    return yaml.serialize(node, Dumper=_Dumper, width=100, allow_unicode=True)


def _set_style(node: yaml.Node, depth: int) -> None:
    if isinstance(node, yaml.ScalarNode) and not node.value.isprintable():
        node.style = '"'  # other styles fold some line breaks into spaces
    if isinstance(node, yaml.CollectionNode):
        parts = [pair[1] for pair in node.value] if isinstance(node, yaml.MappingNode) else node.value
        lines = isinstance(node, yaml.MappingNode) and depth < 2
        lines |= depth < 3 and any(isinstance(part, yaml.MappingNode) for part in parts)
        node.flow_style = not (lines and parts)
        keys = [pair[0] for pair in node.value] if isinstance(node, yaml.MappingNode) else []
        for part in (*keys, *parts):
            _set_style(part, depth + 1 if not node.flow_style else 9)


def _one_line(text: str | None) -> str:
    return " ".join((text or "can't be read").split())
