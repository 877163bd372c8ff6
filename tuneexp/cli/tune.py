"""`tuneexp tune`: plan, sweep and confirm within a given time."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from tuneexp.cli.confirm import watch_confirmation
from tuneexp.cli.exit_codes import checks_only, stoppable
from tuneexp.cli.option_values import parse_seeds, parse_settings, parse_wrappers, positive, split_settings
from tuneexp.cli.options import (
    DEFAULT_STORAGE,
    HOW,
    SEARCH,
    AlgorithmArgument,
    EnvArgument,
    JsonOption,
    NameOption,
    SetOption,
    SpaceOption,
    StorageOption,
    VerboseOption,
    WrapperOption,
    count,
    examples,
    seconds,
)
from tuneexp.cli.settings import checked, given, with_options
from tuneexp.cli.sweep_arguments import with_example
from tuneexp.cli.sweep_view import watch_on
from tuneexp.cli.terminal import Terminal, terminal
from tuneexp.errors import TuneexpError, UserError
from tuneexp.sweep.search.stopping_rules import RULES
from tuneexp.sweep.sweep_config import SETTINGS

EPILOG = examples(
    "tuneexp tune ppo CartPole-v1 --time 10m",
    "tuneexp tune sac Pendulum-v1 --time 2h --env-steps 20k --name pendulum",
)

# The time takes the place of the rules that end a sweep.
TUNE_SETTINGS = {name: field for name, field in SETTINGS.items() if name not in RULES}


@with_options(TUNE_SETTINGS)
def tune(
    ctx: typer.Context,
    algorithm: AlgorithmArgument = None,
    env: EnvArgument = None,
    time: Annotated[
        float,
        typer.Option(
            "--time",
            parser=seconds,
            metavar="DURATION",
            rich_help_panel=SEARCH,
            help="The whole time, such as 30m or 2h; five minutes or more.",
        ),
    ] = 1800.0,
    name: NameOption = None,
    space: SpaceOption = None,
    settings: SetOption = None,
    wrappers: WrapperOption = None,
    seeds: Annotated[
        str | None,
        typer.Option(
            "--seeds",
            metavar="N or A,B,...",
            rich_help_panel=HOW,
            help="Seeds of each trial of the sweep; by default 3. The confirmation takes others.",
        ),
    ] = None,
    budget_env_steps: Annotated[
        int | None,
        typer.Option(
            "--env-steps",
            parser=count,
            metavar="N",
            rich_help_panel=HOW,
            help="Budget of a training: environment steps per seed. By default 50000, or less if the time is short.",
        ),
    ] = None,
    storage: StorageOption = DEFAULT_STORAGE,
    json: JsonOption = False,
    verbose: VerboseOption = False,
    **declared: Any,
) -> None:
    """Find hyperparameters in a given time: a sweep, then its best configurations against the defaults on new seeds.

    After a kill, resume continues."""
    if env is None:
        missing = "an algorithm and an environment" if algorithm is None else "an environment"
        raise with_example(UserError(f"tune needs {missing}"), "tune", algorithm)
    hyperparameters, groups = split_settings(parse_settings(settings or ()))
    asked = {
        "algorithm": algorithm,
        "env": env,
        "name": name,
        "space": space,
        "fixed": hyperparameters,
        "wrappers": parse_wrappers(wrappers) if wrappers else None,
        "seeds": None if seeds is None else parse_seeds(seeds),
        "storage": storage,
        "verbose": verbose,
        **given(ctx, checked(TUNE_SETTINGS, declared)),
        **groups,
    }
    steps = None if budget_env_steps is None else positive("--env-steps", budget_env_steps)
    with terminal(json, verbose) as screen, stoppable() as stop:
        stop.starting()
        _tune(screen, ctx, time, steps, {key: value for key, value in asked.items() if value is not None})


def _tune(screen: Terminal, ctx: typer.Context, time: float, steps: int | None, asked: dict[str, Any]) -> None:
    from tuneexp.sweep.confirming.confirm import one_ray, to_continue
    from tuneexp.sweep.resuming import Running
    from tuneexp.sweep.tuning.tune import check_time, plan_tuning

    check_time(time, asked)
    if checks_only(ctx):
        return
    screen.note("training the first configurations for some seconds; programs that are not in the cache are compiled")
    tuning = plan_tuning(time, steps, asked)
    for line in tuning.plan():
        screen.note(line)
    sweep = tuning.sweep
    running = Running([], verbose=screen.verbose)
    with one_ray(sweep.config, running):
        watch_on(screen, sweep.resolved, sweep.space.names or None, sweep.run, is_last=False)
        folder = to_continue(sweep.folder)
        if folder is None:
            raise TuneexpError(f"the sweep has not ended; continue it: {sweep.folder.command('resume')}")
        watch_confirmation(screen, folder, running)
