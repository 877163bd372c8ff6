"""Reading of stored JSON. A damaged file is refused in one line that names it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from enum import Enum
from pathlib import Path, PurePath
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError

from tuneexp.errors import UserError, shortened

MOST_NESTED = 64
Value = TypeVar("Value")


class DamagedFile(UserError):
    """A stored file is truncated, changed, or written by another program. Reading it changed nothing."""

    def __init__(self, file: str | Path, problem: object) -> None:
        self.problem = " ".join(str(problem).split())[:200]
        super().__init__(f"{file} is damaged ({self.problem}); nothing was changed")


def parse_json(text: str | bytes) -> Any:
    """Parse a JSON text. ValueError if it is no JSON or is nested too deeply."""
    try:
        value = json.loads(text, parse_constant=_refuse_constant)
    except RecursionError:
        raise ValueError("nested too deeply") from None
    if too_deep(value):
        raise ValueError("nested too deeply")
    return value


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON")


def too_deep(value: Any, most: int = MOST_NESTED) -> bool:
    """Return True if lists and mappings are nested more than `most` deep: recursive code would exhaust the stack."""
    level = [value]
    for _ in range(most):
        inside = (inner for outer in level if isinstance(outer, dict | list | tuple) for inner in _items(outer))
        level = list({id(inner): inner for inner in inside}.values())  # each once: YAML aliases repeat objects
        if not level:
            return False
    return True


def _items(outer: dict[Any, Any] | list[Any] | tuple[Any, ...]) -> Any:
    return outer.values() if isinstance(outer, dict) else outer


def plain(value: Any, where: str, classes: bool = False) -> Any:
    """Convert a value to plain JSON: numpy numbers and arrays, tuples, paths and enumerations are converted.

    Args:
        value: Any value.
        where: Its name for messages.
        classes: Keep classes and functions, which the caller replaces by addresses.

    Returns:
        The plain value.

    Raises:
        UserError: JSON can't hold it.
    """
    if isinstance(value, Enum):
        return plain(value.value, where)
    if isinstance(value, Mapping):
        return {str(key): plain(inner, f"{where}/{key}", classes) for key, inner in value.items()}
    if isinstance(value, list | tuple | set | range):
        return [plain(inner, f"{where}/{index}", classes) for index, inner in enumerate(value)]
    if classes and isinstance(value, type):
        return value
    if hasattr(value, "tolist"):  # numpy's and torch's
        return value.tolist()
    if isinstance(value, PurePath):
        return str(value)
    if value is None or isinstance(value, str | int | float | bool):
        return value
    raise UserError(f"{where}: {shortened(value)} can't be stored; write a number, text, true, false, null or a list")


def read_json(path: Path) -> Any:
    """Read the JSON value in a file. FileNotFoundError if there is no file, DamagedFile for other errors."""
    try:
        return parse_json(path.read_bytes())
    except NotADirectoryError as error:
        raise FileNotFoundError(str(path)) from error
    except FileNotFoundError:
        raise
    except (OSError, ValueError) as error:
        raise DamagedFile(path, error.strerror if isinstance(error, OSError) else error) from None


def checked(shape: TypeAdapter[Value], value: Any, file: str | Path) -> Value:
    """Validate the content of `file` with a type adapter. DamagedFile with the first error."""
    try:
        return shape.validate_python(value)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = "/".join(map(str, first["loc"]))
        raise DamagedFile(file, f"{where}: {first['msg']}" if where else first["msg"]) from None
