"""What `tuneexp sweep` is asked for: by its arguments and options, or by an experiment file with options over it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import typer

from tuneexp.commands import command
from tuneexp.errors import UserError
from tuneexp.sweep import defaults

if TYPE_CHECKING:
    from tuneexp.sweep import Sweep

_FILES = (".yaml", ".yml", ".json")


def experiment_file(named: str | None) -> str | None:
    """The first argument where it is a path and no algorithm. A folder is one, too: it is refused by name."""
    if named is None or ":" in named:
        return None
    if named.endswith(_FILES) or "/" in named:
        return named
    from tuneexp.algorithms.registry import ALGORITHMS

    return named if named not in ALGORITHMS and named and os.path.exists(named) else None


def sweep_of(
    ctx: typer.Context, file: str | None, trust: bool, asked: Mapping[str, Any], verbose: bool, resume: bool
) -> Sweep:
    """The sweep, checked. asked: arguments of `Sweep`, also those that are as by default."""
    from tuneexp.sweep import Sweep

    if file is not None:
        return Sweep.from_file(file, trust=trust, **_given(ctx, asked), verbose=verbose, resume=resume)
    if trust:
        raise UserError("--trust goes with an experiment FILE; what you name yourself is trusted")
    if asked["env"] is None:
        example = command("sweep", asked["algorithm"] or defaults.ALGORITHM, "CartPole-v1")
        raise UserError(f"sweep needs an environment; write for example: {example}")
    return Sweep(**{key: value for key, value in asked.items() if value is not None}, verbose=verbose, resume=resume)


def _given(ctx: typer.Context, asked: Mapping[str, Any]) -> dict[str, Any]:
    """What was written on the command line, or in an environment variable of an option."""
    sources = {key: ctx.get_parameter_source(key) for key in asked}
    defaulted = {key for key, source in sources.items() if source is not None and source.name == "DEFAULT"}
    return {key: value for key, value in asked.items() if key not in defaulted and value not in (None, {})}


def one_of_both(name: str, argument: str | None, option: str | None) -> str | None:
    """What was given as an argument or as the option `--NAME`. UserError where both were, and differ."""
    if argument is not None and option is not None and argument != option:
        raise UserError(f"the {name} is given twice, {argument!r} and --{name} {option!r}; keep one of them")
    return argument if option is None else option
