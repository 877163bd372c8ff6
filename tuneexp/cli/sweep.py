"""`tuneexp sweep`: many trials, with a live leaderboard."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from tuneexp.cli import completion
from tuneexp.cli.exit_codes import checks_only, stoppable
from tuneexp.cli.option_values import parse_seeds, parse_settings, parse_wrappers, positive, split_settings
from tuneexp.cli.options import (
    DEFAULT_STORAGE,
    HOW,
    OUTPUT,
    SEARCH,
    WHAT,
    WHERE,
    ConstraintOption,
    EnvArgument,
    JsonOption,
    NameOption,
    ObjectiveOption,
    SchedulerOption,
    SearcherOption,
    SeedsOption,
    SetOption,
    SpaceOption,
    StorageOption,
    TrustOption,
    VerboseOption,
    WrapperOption,
    ZooOption,
    count,
    examples,
)
from tuneexp.cli.settings import checked, with_options
from tuneexp.cli.sweep_arguments import chosen_options, experiment_file, one_of_both, sweep_of
from tuneexp.cli.sweep_view import title_with_plan, watch_on
from tuneexp.cli.terminal import Terminal, terminal
from tuneexp.sweep import defaults
from tuneexp.sweep.sweep_config import SETTINGS

if TYPE_CHECKING:
    from tuneexp.sweep import Sweep

EPILOG = examples(
    "tuneexp sweep ppo CartPole-v1 --trials 8 --name first",
    "tuneexp sweep sac Pendulum-v1 --env-steps 20k --seeds 3,5,8 --set batch_size=128 --dry-run",
    "tuneexp sweep experiments/custom_loss.py:MyPPO CartPole-v1 --trials 4",
    "tuneexp sweep runs/first/experiment.yaml --trials 16",
)


@with_options(SETTINGS)
def sweep(
    ctx: typer.Context,
    algorithm: Annotated[
        str | None,
        typer.Argument(
            metavar="ALGORITHM or FILE",
            autocompletion=completion.algorithms,
            help="Name (see tuneexp describe) or address: module:NAME, path/file.py:NAME. Or an experiment file with "
            "all settings; options override it.",
        ),
    ] = None,
    env: EnvArgument = None,
    algorithm_option: Annotated[
        str | None,
        typer.Option("--algorithm", help="Same as the first argument.", rich_help_panel=WHAT),
    ] = None,
    env_option: Annotated[
        str | None, typer.Option("--env", help="Same as the second argument.", rich_help_panel=WHAT)
    ] = None,
    name: NameOption = None,
    space: SpaceOption = None,
    points: Annotated[
        str | None,
        typer.Option(
            "--points",
            metavar="FILE",
            help="Points to try first: a YAML list such as  - {gamma: 0.98, learning_rate: 0.001}.",
            rich_help_panel=WHAT,
        ),
    ] = None,
    warm_start: Annotated[
        list[str] | None,
        typer.Option(
            "--warm-start",
            metavar="SWEEP",
            help=f"{SETTINGS['warm_start'].description} Repeatable.",
            rich_help_panel=SEARCH,
        ),
    ] = None,
    zoo: ZooOption = None,
    settings: SetOption = None,
    scheduler_options: SchedulerOption = None,
    searcher_options: SearcherOption = None,
    objectives: ObjectiveOption = None,
    constraints: ConstraintOption = None,
    wrappers: WrapperOption = None,
    seeds: SeedsOption = None,
    budget_env_steps: Annotated[
        int,
        typer.Option(
            "--env-steps",
            parser=count,
            metavar="N",
            help=SETTINGS["budget_env_steps"].description,
            rich_help_panel=HOW,
        ),
    ] = defaults.BUDGET_ENV_STEPS,
    storage: StorageOption = DEFAULT_STORAGE,
    resume: Annotated[
        bool,
        typer.Option(
            "--resume",
            help="Continue the sweep of this name if there is one, so that a job can be restarted by the same command.",
            rich_help_panel=WHERE,
        ),
    ] = False,
    dry_run: Annotated[
        bool,
        typer.Option(
            "--dry-run",
            metavar="",
            help="Start nothing: train the first trials for some seconds, and print the steps, programs, time and disk "
            "that the sweep takes.",
            rich_help_panel=OUTPUT,
        ),
    ] = False,
    trust: TrustOption = False,
    json: JsonOption = False,
    verbose: VerboseOption = False,
    **declared: Any,
) -> None:
    """Tune an algorithm: many trials, each on several seeds, with one searcher and one scheduler."""
    hyperparameters, groups = split_settings(parse_settings(settings or ()))
    file = experiment_file(algorithm)
    asked: dict[str, Any] = {
        "algorithm": one_of_both("algorithm", None if file else algorithm, algorithm_option),
        "env": one_of_both("env", env, env_option),
        "space": space,
        "points": points,
        "warm_start": warm_start,
        "name": name,
        "seeds": None if seeds is None else parse_seeds(seeds),
        "budget_env_steps": positive("--env-steps", budget_env_steps),
        "storage": storage,
        "fixed": hyperparameters,
        "wrappers": parse_wrappers(wrappers) if wrappers else None,
        "objectives": objectives or None,
        "constraints": constraints or None,
        **checked(SETTINGS, declared),
        **groups,
    }
    chosen: dict[str, Any] = {}
    for kind, options in {"scheduler": scheduler_options, "searcher": searcher_options}.items():
        chosen |= chosen_options(ctx, file, kind, asked[kind], options)
    with terminal(json, verbose) as screen, stoppable() as stop:
        stop.starting()
        new = sweep_of(ctx, file, trust, asked, verbose, resume, zoo, screen.note, chosen)
        stop.check()
        if checks_only(ctx):
            return
        for line in new.warm_start.lines:
            screen.note(line)
        if dry_run:
            _show_plan(screen, new)
            return
        new.check_writable()
        stop.check()
        watch_on(screen, new.resolved, new.space.names or None, new.run, title_with_plan(screen, new))


def _show_plan(screen: Terminal, new: Sweep) -> None:
    from tuneexp.report.plan import plan_text

    new.check_dry_run()
    screen.note("training the first trials for some seconds; programs that are not in the cache are compiled first")
    plan = new.dry_run()
    if screen.json:
        screen.result(plan.as_json())
    else:
        screen.show_text(plan_text(plan))
