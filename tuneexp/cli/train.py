"""`tuneexp train`: one configuration on several seeds, without Tune."""

from __future__ import annotations

import shutil
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tuneexp.cli.options import (
    COMPILE_CHOICES,
    DEFAULT_STORAGE,
    CompileOption,
    JsonOption,
    SeedsOption,
    SetOption,
    StorageOption,
    VerboseOption,
    examples,
    one_of,
)
from tuneexp.cli.parsing import TRIAL_SETTINGS, parse_seeds, parse_settings, positive, split_settings, writable_folder
from tuneexp.cli.terminal import Terminal, terminal
from tuneexp.errors import TuneexpError, UserError

if TYPE_CHECKING:
    from tuneexp.trainable import AlgorithmTrainable

EPILOG = examples(
    "tuneexp train ppo CartPole-v1 --env-steps 100000 --seeds 4",
    "tuneexp train ppo Pendulum-v1 --seeds 3,5,8 --set gamma=0.9 --set learning_rate=linear:0.001",
    "tuneexp train experiments/custom_loss.py:MyPPO CartPole-v1",
    "tuneexp train --resume runs/train/ppo-CartPole-v1-.../checkpoint_000000100000 --env-steps 200000",
)


@dataclass(frozen=True)
class Job:
    """What to train: as typed, or as a checkpoint to go on from says."""

    algorithm: str
    env: str
    seeds: list[int]
    budget_env_steps: int
    hyperparameters: Mapping[str, Any]
    resume: Path | None = None
    done_env_steps: int = 0
    settings: Mapping[str, Any] = field(default_factory=dict)


def train(
    algorithm: Annotated[
        str | None,
        typer.Argument(help="A name (tuneexp describe lists them) or an address: module:NAME, path/file.py:NAME."),
    ] = None,
    env: Annotated[str | None, typer.Argument(help="A gymnasium id (CartPole-v1) or module:Class.")] = None,
    env_steps: Annotated[int, typer.Option("--env-steps", help="Environment steps for each seed, in all.")] = 100_000,
    seeds: SeedsOption = None,
    settings: SetOption = None,
    resume: Annotated[
        Path | None,
        typer.Option("--resume", metavar="CHECKPOINT", help="Go on from this checkpoint, up to --env-steps."),
    ] = None,
    storage: StorageOption = DEFAULT_STORAGE,
    checkpoint_dir: Annotated[
        Path | None,
        typer.Option("--checkpoint-dir", metavar="FOLDER", help="Write checkpoints here instead of STORAGE/train/..."),
    ] = None,
    compile: CompileOption = "auto",
    json: JsonOption = False,
    verbose: VerboseOption = False,
) -> None:
    """Train one configuration on several seeds at once, and keep its checkpoint."""
    one_of("--compile", compile, COMPILE_CHOICES)
    positive("--env-steps", env_steps)
    fixed = parse_settings(settings or ())
    seed_list = None if seeds is None else parse_seeds(seeds)
    with terminal(json, verbose) as screen:
        if resume is None:
            job = _new_job(algorithm, env, seed_list or [0], env_steps, fixed)
        else:
            job = _resumed_job(resume, algorithm, env, seed_list, env_steps, fixed)
        _train(screen, job, compile, _checkpoint_folder(storage, checkpoint_dir, job))


def _new_job(algorithm: str | None, env: str | None, seeds: list[int], env_steps: int, fixed: Mapping[str, Any]) -> Job:
    if algorithm is None or env is None:
        missing = "an algorithm and an environment" if algorithm is None else "an environment"
        raise UserError(f"train needs {missing}; write for example: tuneexp train {algorithm or 'ppo'} CartPole-v1")
    hyperparameters, of_trial = split_settings(fixed)
    return Job(algorithm, env, seeds, env_steps, hyperparameters, settings=of_trial)


def _resumed_job(
    checkpoint: Path,
    algorithm: str | None,
    env: str | None,
    seeds: list[int] | None,
    env_steps: int,
    fixed: Mapping[str, Any],
) -> Job:
    """Everything as the checkpoint has it, but the budget; `--set` may change what fits the networks."""
    from tuneexp.checkpoint import CheckpointError, read_header

    header = read_header(checkpoint)
    try:
        done, config = int(header["env_steps"]), header["config"]
        before = {key: config[key] for key in (*TRIAL_SETTINGS, "hyperparameters")}
    except (KeyError, TypeError, ValueError):
        raise CheckpointError(f"the checkpoint {checkpoint} is damaged: it holds no configuration") from None
    if env_steps <= done:
        raise UserError(f"{checkpoint} has {done} env steps already; ask for more than that: --env-steps {2 * done}")
    if seeds is not None and seeds != config["seeds"]:
        raise UserError(f"{checkpoint} was trained on seeds {config['seeds']}; leave out --seeds to go on with them")
    hyperparameters, of_trial = split_settings(fixed)
    return Job(
        algorithm=algorithm or config["algorithm"],
        env=env or config["env"],
        seeds=list(config["seeds"]),
        budget_env_steps=env_steps,
        hyperparameters=_merged(before.pop("hyperparameters"), hyperparameters),
        resume=checkpoint,
        done_env_steps=done,
        settings=_merged(before, of_trial),
    )


def _merged(base: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(base)
    for key, value in changes.items():
        nested = isinstance(value, Mapping) and isinstance(merged.get(key), Mapping)
        merged[key] = _merged(merged[key], value) if nested else value
    return merged


def _checkpoint_folder(storage: str, chosen: Path | None, job: Job) -> Path:
    """Checked before any work; made when the first checkpoint is written."""
    if chosen is not None:
        return writable_folder(chosen, "--checkpoint-dir").resolve()
    algorithm = job.algorithm.rpartition(":")[2]
    name = f"{algorithm}-{job.env.replace('/', '-').replace(':', '-')}-{time.strftime('%Y%m%d-%H%M%S')}"
    return _unused(writable_folder(storage).resolve() / "train" / name)


def _unused(folder: Path) -> Path:
    candidate, number = folder, 2
    while candidate.exists():
        candidate, number = folder.with_name(f"{folder.name}-{number}"), number + 1
    return candidate


def _train(screen: Terminal, job: Job, compile: str, folder: Path) -> None:
    from tuneexp.algorithms.registry import load_spec

    spec = load_spec(job.algorithm)
    settings = {**job.settings, "compile": compile, "budget_env_steps": job.budget_env_steps}
    algo = spec.build(env=job.env, seeds=job.seeds, **settings, **job.hyperparameters)
    try:
        if job.resume is not None:
            algo.restore(str(job.resume))
        result, wall_s, checkpoint = _run_to_the_end(screen, algo, job, folder)
    finally:
        algo.stop()
    summary = _summary(job, result, wall_s, checkpoint)
    if screen.json:
        screen.result(summary)
    else:
        screen.show_text(_closing_words(summary))
    if len(summary["failed_seeds"]) == len(job.seeds):
        raise TuneexpError("every seed diverged; try a smaller learning_rate or max_grad_norm")


def _run_to_the_end(
    screen: Terminal, algo: AlgorithmTrainable, job: Job, folder: Path
) -> tuple[dict[str, Any], float, Path | None]:
    """Train to the budget with a checkpoint at every report. Returns the last result, seconds and the checkpoint."""
    from tuneexp.cli.training_view import training_view

    started, checkpoint = time.monotonic(), None
    try:
        with training_view(screen, job.algorithm, job.env, job.seeds, job.budget_env_steps, job.done_env_steps) as view:
            while True:
                result = algo.train()
                checkpoint = _checkpoint(algo, folder, int(result["env_steps"]), checkpoint)
                view.report(result)
                if result["done"]:
                    return result, time.monotonic() - started, checkpoint
    except KeyboardInterrupt:
        _say_how_to_resume(screen, job, checkpoint)
        raise


def _checkpoint(algo: AlgorithmTrainable, folder: Path, env_steps: int, before: Path | None) -> Path:
    """The new checkpoint is whole before the one before it goes."""
    target = folder / f"checkpoint_{env_steps:012d}"
    target.parent.mkdir(parents=True, exist_ok=True)
    algo.save(str(target))
    if before is not None and before != target:
        shutil.rmtree(before, ignore_errors=True)
    return target


def _say_how_to_resume(screen: Terminal, job: Job, checkpoint: Path | None) -> None:
    if checkpoint is None and job.resume is None:
        screen.note("interrupted before the first checkpoint; start it again with the same command")
    else:
        screen.note(
            f"interrupted; go on with: tuneexp train --resume {checkpoint or job.resume} "
            f"--env-steps {job.budget_env_steps}"
        )


def _summary(job: Job, result: Mapping[str, Any], wall_s: float, checkpoint: Path | None) -> dict[str, Any]:
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


def _closing_words(summary: Mapping[str, Any]) -> str:
    from tuneexp.report.seeds import interval
    from tuneexp.report.text import count, duration, score

    bounds = interval(summary["return_per_seed"])
    spread = f" (95% interval over seeds {score(bounds[0])} to {score(bounds[1])})" if bounds else ""
    per_seed = ", ".join(
        f"{seed}: {score(value)}" for seed, value in zip(summary["seeds"], summary["return_per_seed"], strict=True)
    )
    return "\n".join([
        f"return      {score(summary['return_mean'])}{spread}",
        f"per seed    {per_seed}",
        f"trained     {count(summary['env_steps'])} env steps a seed in {duration(summary['wall_s'])}, "
        f"{summary['env_steps_per_s']:,.0f} env steps/s{'' if summary['compiled'] else ', not compiled'}",
        f"checkpoint  {summary['checkpoint']}",
        f"next        tuneexp evaluate {summary['checkpoint']}",
    ])  # fmt: skip
