"""Signatures and docstrings of callables whose keyword arguments are declared settings."""

from __future__ import annotations

import inspect
import textwrap
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from pydantic.fields import FieldInfo

from tuneexp.config import fields_of

WIDTH = 112
Made = TypeVar("Made", bound=type)


def with_settings(settings: Mapping[str, FieldInfo], defaults: Mapping[str, Any]) -> Callable[[Made], Made]:
    """Class decorator: `**settings` of `__init__` gets the names, defaults and descriptions of the declarations.

    Args:
        settings: Declarations by name. The parameters that `__init__` names itself are described, too.
        defaults: Defaults that differ from those of the declarations, by name.
    """

    def decorate(cls: Made) -> Made:
        init: Any = cls.__init__  # type: ignore[misc]
        signature = inspect.signature(init)
        own = [one for one in signature.parameters.values() if one.kind is not one.VAR_KEYWORD]
        known = {one.name for one in own}
        added = [
            inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=_default(field))
            for name, field in settings.items()
            if name not in known
        ]
        init.__signature__ = signature.replace(parameters=[*own, *added])
        entries = [entry(name, field, defaults.get(name, _default(field))) for name, field in settings.items()]
        cls.__doc__ = with_entries(cls.__doc__ or "", entries)
        return cls

    return decorate


def with_entries(doc: str, entries: list[str]) -> str:
    """Return a docstring with `entries` appended to its section `Args:`, which must be the last one."""
    return "\n".join([inspect.cleandoc(doc), *(textwrap.indent(one, " " * 4) for one in entries), ""])


def entry(name: str, field: FieldInfo, default: Any) -> str:
    """Return a line of a section `Args:`, with the keys of a group of settings below it."""
    keys = [entry(key, one, _default(one)) for key, one in fields_of(field.annotation).items()]
    shown = "" if keys or default in (None, {}, [], inspect.Parameter.empty) else f" Default: {default}."
    text = textwrap.fill(
        f"{name}: {field.description}{shown}{' Keys:' if keys else ''}", WIDTH, subsequent_indent=" " * 4
    )
    return "\n".join([text, *(textwrap.indent(key, " " * 4) for key in keys)])


def _default(field: FieldInfo) -> Any:
    return inspect.Parameter.empty if field.is_required() else field.get_default(call_default_factory=True)
