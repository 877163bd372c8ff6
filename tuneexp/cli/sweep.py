"""`tuneexp sweep`: many trials, with a live leaderboard."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from tuneexp.cli.asked import experiment_file, one_of_both, sweep_of
from tuneexp.cli.exits import checks_only, stoppable
from tuneexp.cli.options import (
    COMPILE_CHOICES,
    DEFAULT_STORAGE,
    HOW,
    WHAT,
    WHERE,
    AddressOption,
    CompileOption,
    EnvBackendOption,
    JsonOption,
    SeedsOption,
    SetOption,
    StorageOption,
    TrustOption,
    VerboseOption,
    WrapperOption,
    ZooOption,
    count,
    examples,
    one_of,
)
from tuneexp.cli.parsing import (
    environment_settings,
    parse_seeds,
    parse_settings,
    positive,
    split_settings,
)
from tuneexp.cli.terminal import terminal
from tuneexp.cli.watching import watch_on
from tuneexp.sweep import defaults

EPILOG = examples(
    "tuneexp sweep ppo CartPole-v1 --trials 8 --name first",
    "tuneexp sweep sac Pendulum-v1 --env-steps 20k --seeds 3,5,8 --set batch_size=128",
    "tuneexp sweep experiments/custom_loss.py:MyPPO CartPole-v1 --trials 4",
    "tuneexp sweep runs/first/experiment.yaml --trials 16",
)


def sweep(
    ctx: typer.Context,
    algorithm: Annotated[
        str | None,
        typer.Argument(
            metavar="ALGORITHM or FILE",
            help="A name (tuneexp describe lists them) or an address: module:NAME, path/file.py:NAME. Or an experiment "
            "file, which holds all of it; options take the place of what it says.",
        ),
    ] = None,
    env: Annotated[str | None, typer.Argument(help="A gymnasium id (CartPole-v1) or module:Class.")] = None,
    algorithm_option: Annotated[
        str | None,
        typer.Option("--algorithm", help="The same as the first argument.", rich_help_panel=WHAT),
    ] = None,
    env_option: Annotated[
        str | None, typer.Option("--env", help="The same as the second argument.", rich_help_panel=WHAT)
    ] = None,
    name: Annotated[
        str | None,
        typer.Option(
            "--name",
            help="Name of the sweep and of its folder; by default a new one, such as ppo-CartPole-v1-20261128-kqzt.",
            rich_help_panel=WHAT,
        ),
    ] = None,
    space: Annotated[
        str | None,
        typer.Option(
            "--space",
            metavar="FILE",
            help="Search space: a YAML file, or path/file.py:FUNCTION. Default: that of the algorithm "
            "(tuneexp describe NAME).",
            rich_help_panel=WHAT,
        ),
    ] = None,
    zoo: ZooOption = None,
    settings: SetOption = None,
    wrappers: WrapperOption = None,
    env_backend: EnvBackendOption = None,
    trials: Annotated[
        int, typer.Option("--trials", parser=count, help="Number of trials.", rich_help_panel=HOW)
    ] = defaults.TRIALS,
    seeds: SeedsOption = None,
    env_steps: Annotated[
        int,
        typer.Option(
            "--env-steps",
            parser=count,
            help="Budget of a trial: environment steps for each seed.",
            rich_help_panel=HOW,
        ),
    ] = defaults.ENV_STEPS,
    scheduler: Annotated[
        str,
        typer.Option("--scheduler", help="Who stops weak trials early: asha, or fifo (nobody).", rich_help_panel=HOW),
    ] = defaults.SCHEDULER,
    searcher: Annotated[
        str,
        typer.Option(
            "--searcher", help="Who suggests values: tpe (learns from the trials) or random.", rich_help_panel=HOW
        ),
    ] = defaults.SEARCHER,
    searcher_seed: Annotated[
        int, typer.Option("--searcher-seed", parser=count, help="Seed of the searcher.", rich_help_panel=HOW)
    ] = defaults.SEARCHER_SEED,
    storage: StorageOption = DEFAULT_STORAGE,
    concurrency: Annotated[
        int | None,
        typer.Option(
            "--concurrency",
            parser=count,
            help="Trials at the same time; by default as many as fit.",
            rich_help_panel=WHERE,
        ),
    ] = None,
    address: AddressOption = None,
    checkpoints: Annotated[
        str | None,
        typer.Option(
            "--checkpoints",
            metavar="FOLDER or URI",
            help="Where trials keep their checkpoints, if not in the storage: a folder that all nodes share, or "
            "s3://bucket/folder.",
            rich_help_panel=WHERE,
        ),
    ] = None,
    compile: CompileOption = defaults.COMPILE,
    resume: Annotated[
        bool,
        typer.Option(
            "--resume",
            help="Go on with the sweep of this name where there is one, so that a job that is started again is the "
            "same command.",
            rich_help_panel=WHERE,
        ),
    ] = False,
    trust: TrustOption = False,
    json: JsonOption = False,
    verbose: VerboseOption = False,
) -> None:
    """Tune an algorithm: many trials, each on several seeds, under one searcher and one scheduler."""
    one_of("--compile", compile, COMPILE_CHOICES)
    hyperparameters, of_trial = split_settings(parse_settings(settings or ()))
    file = experiment_file(algorithm)
    asked: dict[str, Any] = {
        "algorithm": one_of_both("algorithm", None if file else algorithm, algorithm_option),
        "env": one_of_both("env", env, env_option),
        "space": space,
        "name": name,
        "trials": positive("--trials", trials),
        "seeds": None if seeds is None else parse_seeds(seeds),
        "env_steps": positive("--env-steps", env_steps),
        "scheduler": scheduler,
        "searcher": searcher,
        "searcher_seed": searcher_seed,
        "storage": storage,
        "fixed": hyperparameters,
        "concurrency": None if concurrency is None else positive("--concurrency", concurrency),
        "address": address,
        "checkpoints": checkpoints,
        "compile": compile,
        **of_trial,
        **environment_settings(env_backend, wrappers),
    }
    with terminal(json, verbose) as screen, stoppable() as stop:
        stop.starting()
        new = sweep_of(ctx, file, trust, asked, verbose, resume, zoo, screen.note)
        stop.check()
        if checks_only(ctx):
            return
        new.check_writable()
        stop.check()
        watch_on(screen, new.fitted, new.space.names or None, new.run)
