"""Parser of the Python expressions in RL Zoo's files, such as "dict(net_arch=[64, 64], activation_fn=nn.ReLU)".

It returns plain values. Nothing is ever evaluated."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Mapping
from typing import Any

from tuneexp.errors import shortened

LONGEST = 10_000


class Symbol(str):
    """A dotted name, such as `nn.ReLU`: kept as text, never looked up."""

    @property
    def last(self) -> str:
        """`ReLU` of `nn.ReLU`."""
        return self.rpartition(".")[2]


def read_dict(key: str, value: Any) -> dict[str, Any]:
    """`value` of `key`: a mapping, or the text of a dict, as plain values and symbols. Raises ValueError of one line,
    which names the part that is code."""
    if value is None:
        return {}
    if isinstance(value, str):
        value = read_text(key, value)
    if not isinstance(value, Mapping) or not all(isinstance(name, str) for name in value):
        raise ValueError(f"{key} is a mapping, or the text of one such as 'dict(name=value)', got {shortened(value)}")
    return dict(value)


def read_text(key: str, text: str) -> Any:
    """As `read_dict`, of any plain value."""
    if len(text) > LONGEST:
        raise ValueError(f"{key} is a text of {len(text)} characters; at most {LONGEST} are read")
    try:
        # Names of a YAML file stand on several lines.
        return _value(key, ast.parse(" ".join(text.split()), mode="eval").body)
    except (SyntaxError, RecursionError, MemoryError):
        raise ValueError(f"{key} can't be read: {shortened(text)}; write it as dict(name=value) or a mapping") from None


def _value(key: str, node: ast.expr) -> Any:
    match node:
        case ast.Constant(value=bool() | int() | float() | str() | None as value):
            return value
        case ast.UnaryOp(op=ast.USub(), operand=ast.Constant(value=int() | float() as number)):
            return -number
        case ast.List(elts=items) | ast.Tuple(elts=items):
            return [_value(key, item) for item in items]
        case ast.Dict(keys=[*names], values=values) if all(_is_text(name) for name in names):
            pairs = zip((name.value for name in names if isinstance(name, ast.Constant)), values, strict=True)
            return _mapping(key, pairs)
        case ast.Call(func=ast.Name(id="dict"), args=[], keywords=keywords) if all(word.arg for word in keywords):
            return _mapping(key, ((word.arg, word.value) for word in keywords))
        case ast.Name() | ast.Attribute() if _is_dotted(node):
            return Symbol(ast.unparse(node))
    raise ValueError(
        f"{key} holds {shortened(ast.unparse(node))}, which is Python code and never evaluated; write plain values: "
        "numbers, words, lists and dict(name=value)"
    )


def _is_text(node: ast.expr | None) -> bool:
    return isinstance(node, ast.Constant) and isinstance(node.value, str)


def _is_dotted(node: ast.expr) -> bool:
    return isinstance(node, ast.Name) or (isinstance(node, ast.Attribute) and _is_dotted(node.value))


def _mapping(key: str, pairs: Iterable[tuple[Any, ast.expr]]) -> dict[str, Any]:
    read: dict[str, Any] = {}
    for name, node in pairs:
        if name in read:
            raise ValueError(f"{key} names {name} twice; keep one of them")
        read[name] = _value(key, node)
    return read
