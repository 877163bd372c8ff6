"""The settings of `tuneexp sweep`: its arguments and options, or an experiment file overridden by options."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import typer

from tuneexp.commands import command
from tuneexp.errors import UserError, nearest
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
    ctx: typer.Context,
    file: str | None,
    trust: bool,
    asked: Mapping[str, Any],
    verbose: bool,
    resume: bool,
    zoo: str | None = None,
    tell: Callable[[str], None] = print,
) -> Sweep:
    """The sweep, checked. asked: arguments of `Sweep`, also those that are as by default. zoo: the file of RL
    Zoo's whose row it is around. tell: is given remarks about that row."""
    from tuneexp.sweep import Sweep

    if file is not None:
        if zoo is not None:
            raise UserError(f"{file} says all of it; leave out --zoo {zoo}, or the file")
        return Sweep.from_file(file, trust=trust, **_given(ctx, asked), verbose=verbose, resume=resume)
    if trust and zoo is None:
        raise UserError("--trust goes with an experiment FILE or --zoo FILE; what you name yourself is trusted")
    if asked["env"] is None:
        raise with_example(UserError("sweep needs an environment"), "sweep", asked["algorithm"], zoo)
    if zoo is not None:
        asked = {**asked, **_around_row(zoo, asked, _given(ctx, asked), trust, tell)}
    return Sweep(**{key: value for key, value in asked.items() if value is not None}, verbose=verbose, resume=resume)


def _around_row(
    zoo: str, asked: Mapping[str, Any], given: Mapping[str, Any], trust: bool, tell: Callable[[str], None]
) -> dict[str, Any]:
    from tuneexp.algorithms.registry import config_class_of
    from tuneexp.sweep.rl_zoo import read_row, sweep_of_row
    from tuneexp.sweep.space import SearchSpace
    from tuneexp.sweep.space.default import default_space

    algorithm = asked["algorithm"] or defaults.ALGORITHM
    row = read_row(zoo, asked["env"], algorithm, ("sweep", algorithm, asked["env"], "--zoo", zoo), trust)
    space = SearchSpace.of(asked["space"] or default_space(algorithm))
    settings, remarks = sweep_of_row(row, space, given, config_class_of(algorithm))
    for remark in remarks:
        tell(remark)
    return settings


def _given(ctx: typer.Context, asked: Mapping[str, Any]) -> dict[str, Any]:
    """The options set on the command line or by an environment variable."""
    sources = {key: ctx.get_parameter_source(key) for key in asked}
    defaulted = {key for key, source in sources.items() if source is not None and source.name == "DEFAULT"}
    return {key: value for key, value in asked.items() if key not in defaulted and value not in (None, {})}


def with_example(error: UserError, name: str, algorithm: str | None, zoo: str | None = None) -> UserError:
    """The same with a line to write: the command with the algorithm that is meant and an environment that fits it."""
    from tuneexp.algorithms.registry import ACTION_KINDS, ALGORITHMS
    from tuneexp.algorithms.rl_zoo.files import algorithm_of

    meant = algorithm or (zoo and algorithm_of(zoo)) or defaults.ALGORITHM
    if ":" not in meant:
        meant = nearest(meant, ALGORITHMS) or defaults.ALGORITHM
    env = "Pendulum-v1" if ACTION_KINDS.get(meant, ("",))[0] == "continuous" else "CartPole-v1"
    error.add_note(f"write for example: {command(name, meant, env, *(('--zoo', zoo) if zoo else ()))}")
    return error


def one_of_both(name: str, argument: str | None, option: str | None) -> str | None:
    """The value of an argument or of the option `--NAME`. UserError where both are given and differ."""
    if argument is not None and option is not None and argument != option:
        raise UserError(f"the {name} is given twice, {argument!r} and --{name} {option!r}; keep one of them")
    return argument if option is None else option
