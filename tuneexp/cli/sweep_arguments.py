"""Arguments of `Sweep` from the options of `tuneexp sweep`, or from an experiment file overridden by options."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import typer

from tuneexp.cli.settings import given
from tuneexp.commands import command
from tuneexp.errors import UserError, nearest
from tuneexp.sweep import defaults

if TYPE_CHECKING:
    from tuneexp.sweep import Sweep

_FILES = (".yaml", ".yml", ".json")


def experiment_file(named: str | None) -> str | None:
    """Return the first argument if it is a path and no algorithm. A folder is refused later, by its name."""
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
    note: Callable[[str], None] = print,
    chosen: Mapping[str, Any] | None = None,
) -> Sweep:
    """Return the checked sweep.

    Args:
        file: An experiment file, which `asked` overrides.
        asked: Arguments of `Sweep`, including the defaults.
        zoo: A file of RL Zoo, for a sweep around one of its rows.
        note: Prints remarks about the row.
        chosen: A scheduler and a searcher with options.
    """
    from tuneexp.sweep import Sweep

    if file is not None:
        if zoo is not None:
            raise UserError(f"{file} holds all settings; leave out --zoo {zoo}, or the file")
        changes = {**given(ctx, asked), **(chosen or {})}
        return Sweep.from_file(file, trust=trust, **changes, verbose=verbose, resume=resume)
    asked = {**asked, **(chosen or {})}
    if trust and zoo is None:
        raise UserError("--trust needs an experiment FILE or --zoo FILE; addresses on the command line are trusted")
    if asked["env"] is None:
        raise with_example(UserError("sweep needs an environment"), "sweep", asked["algorithm"], zoo)
    if zoo is not None:
        asked = {**asked, **_around_row(zoo, asked, given(ctx, asked), trust, note)}
    return Sweep(**{key: value for key, value in asked.items() if value is not None}, verbose=verbose, resume=resume)


def _around_row(
    zoo: str, asked: Mapping[str, Any], overrides: Mapping[str, Any], trust: bool, note: Callable[[str], None]
) -> dict[str, Any]:
    from tuneexp.algorithms.registry import config_class_of
    from tuneexp.sweep.rl_zoo import read_row, sweep_of_row
    from tuneexp.sweep.search.space import SearchSpace
    from tuneexp.sweep.search.space.default import default_space

    algorithm = asked["algorithm"] or defaults.ALGORITHM
    row = read_row(zoo, asked["env"], algorithm, ("sweep", algorithm, asked["env"], "--zoo", zoo), trust)
    space = SearchSpace.of(asked["space"] or default_space(algorithm))
    settings, remarks = sweep_of_row(row, space, overrides, config_class_of(algorithm))
    for remark in remarks:
        note(remark)
    return settings


def with_example(error: UserError, name: str, algorithm: str | None, zoo: str | None = None) -> UserError:
    """Add an example to `error`: the command with the intended algorithm and an environment that fits it."""
    from tuneexp.algorithms.registry import ACTION_KINDS, ALGORITHMS
    from tuneexp.algorithms.rl_zoo.file_names import algorithm_of

    meant = algorithm or (zoo and algorithm_of(zoo)) or defaults.ALGORITHM
    if ":" not in meant:
        meant = nearest(meant, ALGORITHMS) or defaults.ALGORITHM
    env = "Pendulum-v1" if ACTION_KINDS.get(meant, ("",))[0] == "continuous" else "CartPole-v1"
    error.add_note(f"write for example: {command(name, meant, env, *(('--zoo', zoo) if zoo else ()))}")
    return error


_EXAMPLES = {"scheduler": "reduction_factor=4", "searcher": "multivariate=true"}


def chosen_options(
    ctx: typer.Context, file: str | None, kind: str, name: str, options: Sequence[str] | None
) -> dict[str, Any]:
    """Return `{kind: choice}` with the options NAME=VALUE of a scheduler or searcher; {} without options.

    Beside an experiment file, options without a name belong to the choice of the file."""
    from tuneexp.cli.option_values import parse_settings

    if not options:
        return {}
    parsed = parse_settings(options, f"--{kind}-option", _EXAMPLES[kind])
    of_file = file is not None and not given(ctx, {kind: name})
    return {kind: parsed if of_file else {"name": name, **parsed}}


def one_of_both(name: str, argument: str | None, option: str | None) -> str | None:
    """Return the value of an argument or of the option `--NAME`. UserError if both are given and differ."""
    if argument is not None and option is not None and argument != option:
        raise UserError(f"the {name} is given twice, {argument!r} and --{name} {option!r}; keep one of them")
    return argument if option is None else option
