"""`tuneexp train`: train one configuration on several seeds, without Ray Tune."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, nullcontext, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tuneexp.cli import completion
from tuneexp.cli.exit_codes import checks_only, stoppable
from tuneexp.cli.option_values import (
    moved_addresses,
    parse_seeds,
    parse_settings,
    parse_wrappers,
    positive,
    split_settings,
)
from tuneexp.cli.options import (
    DEFAULT_STORAGE,
    HOW,
    WHAT,
    AlgorithmArgument,
    EnvArgument,
    JsonOption,
    MovedOption,
    ScheduleOption,
    SeedsOption,
    SetOption,
    StorageOption,
    TrustOption,
    VerboseOption,
    WrapperOption,
    ZooOption,
    count,
    examples,
)
from tuneexp.cli.settings import checked, given, with_options
from tuneexp.cli.terminal import Terminal, terminal
from tuneexp.cli.training import Job, check_job, job_of_row, new_job, refuse_together, resumed_job
from tuneexp.cli.training_file import job_of_file, job_of_schedule
from tuneexp.commands import command
from tuneexp.errors import StorageFault, TuneexpError
from tuneexp.files.retries import of_the_storage, retried
from tuneexp.security.trust import moved_options
from tuneexp.sweep.signals import stop_signals
from tuneexp.sweep.sweep_config import SETTINGS as OF_SWEEPS
from tuneexp.trial.trial_config import TrialConfig, settings_in

if TYPE_CHECKING:
    from tuneexp.tracking.continued_run import ContinuedRun
    from tuneexp.tracking.tensorboard import TrainingLogs
    from tuneexp.trial.trainable import AlgorithmTrainable

EPILOG = examples(
    "tuneexp train ppo CartPole-v1 --env-steps 100000 --seeds 4",
    "tuneexp train ppo Pendulum-v1 --seeds 3,5,8 --set gamma=0.9 --set learning_rate=linear:0.001",
    "tuneexp train experiments/custom_loss.py:MyPPO CartPole-v1",
    "tuneexp train ppo LunarLander-v3 --zoo rl-baselines3-zoo/hyperparams/ppo.yml",
    "tuneexp train --config runs/first/best.yaml --seeds 20",
    "tuneexp train --schedule schedule.yaml --seeds 10",
    "tuneexp train --resume runs/train/ppo-CartPole-v1-.../checkpoint_000000100000 --env-steps 200000",
)

SETTINGS = settings_in(TrialConfig.model_fields)
LOGS = "tensorboard"  # a setting of a sweep that a training has, too


@with_options({**SETTINGS, LOGS: OF_SWEEPS[LOGS]})
def train(
    ctx: typer.Context,
    algorithm: AlgorithmArgument = None,
    env: EnvArgument = None,
    budget_env_steps: Annotated[
        int | None,
        typer.Option(
            "--env-steps",
            parser=count,
            metavar="N",
            rich_help_panel=HOW,
            help=f"{SETTINGS['budget_env_steps'].description} By default 100000, or with --zoo that of the row.",
        ),
    ] = None,
    seeds: SeedsOption = None,
    zoo: ZooOption = None,
    settings: SetOption = None,
    wrappers: WrapperOption = None,
    config: Annotated[
        Path | None,
        typer.Option(
            "--config",
            metavar="FILE",
            rich_help_panel=WHAT,
            help="Take all settings from a YAML file, such as the best.yaml of a confirmed sweep; options override it.",
        ),
    ] = None,
    resume: Annotated[
        str | None,
        typer.Option(
            "--resume",
            metavar="ADDRESS",
            autocompletion=completion.checkpoints,
            rich_help_panel=WHAT,
            help="Continue from this checkpoint up to --env-steps: NAME (the best trial of a sweep, or a training), "
            "NAME/3 (trial 3), a folder, s3://bucket/folder, runs:/RUN_ID or models:/NAME@ALIAS of MLflow.",
        ),
    ] = None,
    schedule: ScheduleOption = None,
    moved: MovedOption = None,
    trust: TrustOption = False,
    storage: StorageOption = DEFAULT_STORAGE,
    json: JsonOption = False,
    verbose: VerboseOption = False,
    **declared: Any,
) -> None:
    """Train one configuration on several seeds at the same time, and store its checkpoint."""
    default = SETTINGS["budget_env_steps"].default
    steps = default if budget_env_steps is None else positive("--env-steps", budget_env_steps)
    hyperparameters, of_trial = split_settings(parse_settings(settings or ()))
    logs = declared.pop(LOGS)
    of_trial |= given(ctx, checked(SETTINGS, declared))
    if wrappers:
        of_trial["wrappers"] = parse_wrappers(wrappers)
    seed_list = None if seeds is None else parse_seeds(seeds)
    places = moved_addresses(moved or ())
    refuse_together(resume, zoo, config or schedule, bool(places))
    with terminal(json, verbose) as screen, stoppable(), ExitStack() as held:
        from tuneexp.sweep.stored_addresses import stored_checkpoint

        if zoo is not None:
            job, remarks = job_of_row(
                zoo, algorithm, env, seed_list or [0], budget_env_steps, hyperparameters, of_trial, trust
            )
            for remark in remarks:
                screen.note(remark)
        elif config is not None or schedule is not None:
            own = None if budget_env_steps is None else steps
            given_options = (algorithm, env, seed_list, own, hyperparameters, of_trial, trust)
            job = job_of_file(config, *given_options) if config else job_of_schedule(schedule, seeds, *given_options)
        elif resume is None:
            job = new_job(algorithm, env, seed_list or [0], steps, hyperparameters, of_trial)
        else:
            found = held.enter_context(stored_checkpoint(resume, storage))
            if found.sweep is not None:
                screen.note(f"{found}; to continue the sweep: {command('resume', found.sweep, storage=storage)}")
            job = resumed_job(found, algorithm, env, seed_list, steps, hyperparameters, of_trial, trust, places)
        check_job(job)
        if checks_only(ctx):
            return
        folder = _new_folder(storage, job)
        _train(screen, job, folder, _run_of(job, storage, folder), logs)


def _new_folder(storage: str, job: Job) -> Path:
    """Return a folder that no other run uses, in a storage that can be written. It is made with a checkpoint."""
    from tuneexp.sweep.default_name import new_name
    from tuneexp.sweep.storage.folder import writable_storage

    runs = writable_storage(storage) / "train"
    return runs / new_name(job.algorithm, job.env, runs)


def _run_of(job: Job, storage: str, folder: Path) -> ContinuedRun | None:
    """Return the run in MLflow of a training that continues a checkpoint from there, else None."""
    if job.origin is None:
        return None
    from tuneexp.tracking.continued_run import ContinuedRun

    about = {"algorithm": job.algorithm, "env": job.env, "seeds": job.seeds}
    return ContinuedRun(job.origin, storage, folder.name, about, job.hyperparameters)


def _logs_of(job: Job, folder: Path) -> TrainingLogs:
    from tuneexp.tracking.tensorboard import TrainingLogs

    return TrainingLogs(folder, job.hyperparameters)


def _train(screen: Terminal, job: Job, folder: Path, run: ContinuedRun | None, logs: bool) -> None:
    try:
        with nullcontext() if run is None else run, nullcontext() if not logs else _logs_of(job, folder) as log:
            reports = [one.report for one in (run, log) if one is not None]
            result, wall_s, checkpoint = _run_to_the_end(screen, job, folder, reports)
    except (KeyboardInterrupt, StorageFault):
        _note_how_to_resume(screen, job, folder)
        raise
    summary = _summary(job, result, wall_s, checkpoint)
    if log is not None:
        summary["tensorboard"] = str(log.folder)
    if run is not None:
        run.end(checkpoint, result)
        summary["mlflow_run_id"] = run.run_id
    if screen.json:
        screen.result(summary)
    else:
        from tuneexp.cli.training_view import closing_words

        screen.show_text(closing_words(summary))
    if len(summary["failed_seeds"]) == len(job.seeds):
        raise TuneexpError("every seed diverged; try a smaller learning_rate or max_grad_norm")


def _run_to_the_end(
    screen: Terminal, job: Job, folder: Path, reports: Sequence[Callable[[Mapping[str, Any]], None]]
) -> tuple[dict[str, Any], float, Path]:
    """Train to the budget with a checkpoint at every report. Return the last result, seconds and the checkpoint."""
    from tuneexp.algorithms.registry import load_spec
    from tuneexp.cli.training_view import training_view
    from tuneexp.trial.trainable import build_trainable

    spec = load_spec(job.algorithm)
    settings = {**job.settings, "budget_env_steps": job.budget_env_steps}
    settings["hyperparameters"] = dict(job.hyperparameters)
    started = time.monotonic()
    # In a group of its own, so that no hyperparameter is read as a setting of the trial.
    algo = build_trainable(spec, job.env, job.seeds, settings, named_by_user=job.resume is None)
    with stop_signals() as stop:
        stop.renew()  # the trial may have started Ray
    try:
        if job.resume is not None:
            algo.restore(job.resume)
        with training_view(screen, job.algorithm, job.env, job.seeds, job.budget_env_steps, job.done_env_steps) as view:
            while True:
                result = algo.train()
                checkpoint = _save(algo, folder, int(result["env_steps"]))
                for report in reports:
                    report(result)
                view.report(result)
                if result["done"]:
                    return result, time.monotonic() - started, checkpoint
    finally:
        algo.stop()


def _save(algo: AlgorithmTrainable, folder: Path, env_steps: int) -> Path:
    """Write a checkpoint to the disk, then remove the older ones."""
    target = folder / f"checkpoint_{env_steps:012d}"
    retried(lambda: _save_once(algo, target), f"{target} can't be written", of_the_storage)
    for older in _checkpoints(folder):
        if older != target:
            shutil.rmtree(older, ignore_errors=True)
    return target


def _save_once(algo: AlgorithmTrainable, target: Path) -> None:
    from tuneexp.files.atomic import sync_folder

    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        algo.save(str(target))
        sync_folder(target)
    except OSError:
        with suppress(OSError):
            target.rmdir()  # made by Tune, and empty: no checkpoint to continue from
        raise


def _checkpoints(folder: Path) -> list[Path]:
    return sorted(folder.glob("checkpoint_*"))


def _note_how_to_resume(screen: Terminal, job: Job, folder: Path) -> None:
    from tuneexp.report.formatting import short_path

    own = _checkpoints(folder)  # which hold the new addresses of what moved
    moved = [] if own else moved_options(job.moved)
    saved = [*([job.address] if job.resume else []), *map(str, own)]
    if saved:
        what = ("--resume", short_path(saved[-1]), "--env-steps", job.budget_env_steps, *moved)
        again = command("train", *what, storage=short_path(str(folder.parents[1])))
        screen.note(f"interrupted; continue with: {again}")
    else:
        screen.note("interrupted before the first checkpoint; start it again with the same command")


def _summary(job: Job, result: Mapping[str, Any], wall_s: float, checkpoint: Path) -> dict[str, Any]:
    trained = (int(result["env_steps"]) - job.done_env_steps) * len(job.seeds)
    return {
        "algorithm": job.algorithm,
        "env": job.env,
        "seeds": job.seeds,
        "env_steps": int(result["env_steps"]),
        "wall_s": round(wall_s, 3),
        "env_steps_per_s": round(trained / wall_s, 1),
        "compiled": bool(result["compiled"]),
        "return_mean": result["return_mean"],
        "return_per_seed": list(result["return_per_seed"]),
        "failed_seeds": list(result["failed_seeds"]),
        "checkpoint": str(checkpoint),
    }
