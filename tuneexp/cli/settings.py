"""Options of the command line that are derived from the declarations of settings."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from types import NoneType
from typing import Annotated, Any, Literal, get_args, get_origin

import typer
from annotated_types import Ge
from pydantic.fields import FieldInfo

from tuneexp.cli import completion
from tuneexp.cli.option_values import WRITTEN_AS, option_of, positive
from tuneexp.cli.options import HOW, SEARCH, WHERE, count, one_of, seconds, size
from tuneexp.sweep.search.choice import KINDS
from tuneexp.trial.trial_config import is_group

Command = Callable[..., None]

# Panels of --help and words for values, where they differ from the usual ones.
_PANELS = {
    **dict.fromkeys(("trials", "scheduler", "searcher", "searcher_seed", "trial_timeout_s"), SEARCH),
    **dict.fromkeys(("concurrency", "address", "checkpoints", "keep", "checkpoint_quota_bytes"), WHERE),
}
_METAVARS = {"address": "HOST:PORT", "checkpoints": "FOLDER or URI", "device": "DEVICE"}
_USUAL_METAVARS = {int: "N", float: "NUMBER", str: "NAME", bool: ""}


def with_options(settings: Mapping[str, FieldInfo]) -> Callable[[Command], Command]:
    """Decorator: `**declared` of a command becomes one option for each setting that has no spelling of its own."""

    def decorate(command: Command) -> Command:
        signature = inspect.signature(command, eval_str=True)
        own = [one for one in signature.parameters.values() if one.kind is not one.VAR_KEYWORD]
        added = [_parameter(name, field) for name, field in declared(settings).items()]
        command.__signature__ = signature.replace(parameters=[*own, *added])  # type: ignore[attr-defined]
        command.__annotations__ = {one.name: one.annotation for one in [*own, *added]}
        return command

    return decorate


def declared(settings: Mapping[str, FieldInfo]) -> dict[str, FieldInfo]:
    """Return the settings that have a derived option: all but groups (`--set GROUP/KEY=VALUE`) and those in
    `WRITTEN_AS`."""
    return {name: field for name, field in settings.items() if name not in WRITTEN_AS and not is_group(field)}


def checked(settings: Mapping[str, FieldInfo], values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values of derived options. UserError for one that is out of its bounds or no choice."""
    fields = declared(settings)
    return {name: _checked(option_of(name), fields[name], value) for name, value in values.items() if name in fields}


def given(ctx: typer.Context, values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values that were set on the command line or by an environment variable."""
    sources = {name: ctx.get_parameter_source(name) for name in values}
    by_default = {name for name, source in sources.items() if source is not None and source.name == "DEFAULT"}
    return {name: value for name, value in values.items() if name not in by_default and value not in (None, {})}


def _parameter(name: str, field: FieldInfo) -> inspect.Parameter:
    kind, choices = _kind(field), _choices(field)
    options: dict[str, Any] = {"help": field.description, "rich_help_panel": _PANELS.get(name, HOW)}
    options["metavar"] = "|".join(map(str, choices)) or _METAVARS.get(name, _USUAL_METAVARS[kind])
    if choices or name in KINDS:
        options["autocompletion"] = completion.one_of(choices or KINDS[name])
    if name.endswith("_bytes"):
        options |= {"parser": size, "metavar": "SIZE"}
    elif kind is int:
        options["parser"] = count
    elif kind is float and name.endswith("_s"):
        options |= {"parser": seconds, "metavar": "DURATION"}
    option = typer.Option(option_of(name), **options)
    annotation: Any = Annotated[kind | None, option]
    return inspect.Parameter(
        name,
        inspect.Parameter.KEYWORD_ONLY,
        default=None if field.is_required() else field.default,
        annotation=annotation,
    )


def _kind(field: FieldInfo) -> type:
    """Return the type of an option's value: bool, int, float or str."""
    members = get_args(field.annotation) or (field.annotation,)
    plain = [get_args(one)[0] if get_origin(one) is Annotated else one for one in members]
    found = [one for one in plain if one is not NoneType]
    return found[0] if len(found) == 1 and found[0] in (bool, int, float) else str


def _choices(field: FieldInfo) -> tuple[Any, ...]:
    return get_args(field.annotation) if get_origin(field.annotation) is Literal else ()


def _checked(option: str, field: FieldInfo, value: Any) -> Any:
    if value is None:
        return None
    if choices := _choices(field):
        return one_of(option, value, choices)
    from_one = any(isinstance(bound, Ge) and bound.ge == 1 for bound in field.metadata)
    return positive(option, value) if from_one else value
