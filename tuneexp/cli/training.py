"""Job of `tuneexp train`: a new training from options or a row of RL Zoo, or a continued one from a checkpoint."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tuneexp.addresses import is_address
from tuneexp.cli.sweep_arguments import with_example
from tuneexp.errors import UserError
from tuneexp.security.trust import (
    Named,
    addresses_in,
    moved_options,
    remember,
    require_files,
    require_trusted,
    with_moved,
)
from tuneexp.trial.trial_config import TrialConfig, settings_in

if TYPE_CHECKING:
    from tuneexp.sweep.stored_addresses import StoredCheckpoint
    from tuneexp.tracking.stored_models import Origin

# Settings that a job has beside its own fields, and which a resume takes from the checkpoint.
_OWN = ("algorithm", "env", "seeds", "budget_env_steps", "hyperparameters")
_KEPT = (*(name for name in settings_in(TrialConfig.model_fields) if name not in _OWN), "schedule")


@dataclass(frozen=True)
class Job:
    """One training.

    Attributes:
        settings: Settings of the trial (fields of `TrialConfig`) beside those that have a field here.
        resume: Path or URI of the checkpoint to continue from, which has `done_env_steps` per seed.
        address: Address of that checkpoint.
        origin: Run and model of that checkpoint, if it came from MLflow.
        moved: New addresses of what has moved since the checkpoint.
    """

    algorithm: str
    env: str
    seeds: list[int]
    budget_env_steps: int
    hyperparameters: Mapping[str, Any]
    resume: str | None = None
    address: str = ""
    origin: Origin | None = None
    done_env_steps: int = 0
    settings: Mapping[str, Any] = field(default_factory=dict)
    moved: Mapping[str, str] = field(default_factory=dict)


def refuse_together(resume: str | None, zoo: str | None, config: Path | None, moved: bool) -> None:
    """Raise UserError for options that exclude each other."""
    if moved and resume is None:
        raise UserError("--moved needs --resume ADDRESS; to train from the start, write the new path itself")
    if zoo is not None and resume is not None:
        raise UserError("--resume continues with the configuration of the checkpoint; leave out --zoo")
    if config is not None and (resume is not None or zoo is not None):
        raise UserError(f"{config} holds all settings; leave out {'--zoo' if zoo is not None else '--resume'}")


def job_settings(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings of a trial beside those that a job has in fields of its own."""
    return {name: value for name, value in values.items() if name in _KEPT}


def new_job(
    algorithm: str | None,
    env: str | None,
    seeds: list[int],
    env_steps: int,
    hyperparameters: Mapping[str, Any],
    settings: Mapping[str, Any],
) -> Job:
    if algorithm is None or env is None:
        missing = "an algorithm and an environment" if algorithm is None else "an environment"
        raise with_example(UserError(f"train needs {missing}"), "train", algorithm)
    return Job(algorithm, env, seeds, env_steps, hyperparameters, settings=settings)


def job_of_row(
    zoo: str,
    algorithm: str | None,
    env: str | None,
    seeds: list[int],
    env_steps: int | None,
    hyperparameters: Mapping[str, Any],
    settings: Mapping[str, Any],
    trust: bool = False,
) -> tuple[Job, list[str]]:
    """Return the job of the row of `env` in the RL Zoo file `zoo`, overridden by options, and remarks about the row."""
    from tuneexp.nesting import merged
    from tuneexp.sweep.rl_zoo import read_row

    if algorithm is None or env is None:
        error = UserError("--zoo needs an algorithm and an environment, whose row it takes")
        raise with_example(error, "train", algorithm, zoo)
    row = read_row(zoo, env, algorithm, ("train", algorithm, env, "--zoo", zoo), trust)
    of_row = dict(row.settings)
    own = merged(of_row.pop("hyperparameters"), hyperparameters)
    steps = of_row.pop("budget_env_steps")
    return Job(
        algorithm, of_row.pop("env"), seeds, env_steps or steps, own, settings={**of_row, **settings}
    ), row.remarks


def resumed_job(
    found: StoredCheckpoint,
    algorithm: str | None,
    env: str | None,
    seeds: list[int] | None,
    env_steps: int,
    hyperparameters: Mapping[str, Any],
    settings: Mapping[str, Any],
    trust: bool = False,
    moved: Mapping[str, str] | None = None,
) -> Job:
    """Return the job of a checkpoint with a larger budget. Options may change what fits its networks."""
    from tuneexp.files.checkpoint import CheckpointError, read_header
    from tuneexp.nesting import merged

    checkpoint = found.path
    header = read_header(checkpoint)
    done, config = header.get("env_steps"), header.get("config")
    if type(done) is not int or not isinstance(config, dict) or not isinstance(config.get("env"), str):
        raise CheckpointError(f"the checkpoint {checkpoint} is damaged: it holds no configuration")
    TrialConfig.parse(config, f"the checkpoint {checkpoint}")
    config = with_moved(header, moved or {}, f"the checkpoint {checkpoint}")["config"]
    kept = (*_KEPT, "cohorts", *(() if env else ("env_registration",)))
    before = {key: config[key] for key in kept if key in config}
    if env_steps <= done:
        raise UserError(f"{checkpoint} has {done} env steps already; write a larger budget: --env-steps {2 * done}")
    if seeds is not None and seeds != config["seeds"]:
        raise UserError(f"{checkpoint} was trained on seeds {config['seeds']}; leave out --seeds")
    job = Job(
        algorithm=algorithm or config["algorithm"],
        env=env or config["env"],
        seeds=list(config["seeds"]),
        budget_env_steps=env_steps,
        hyperparameters=merged(config.get("hyperparameters", {}), hyperparameters),
        resume=checkpoint,
        address=found.address,
        origin=found.origin,
        done_env_steps=done,
        settings={**merged(before, settings), "moved": config.get("moved", {})},
        moved=moved or {},
    )
    remember(addresses_in({"algorithm": algorithm, "env": env, "hyperparameters": hyperparameters, **settings}))
    again = ("train", "--resume", checkpoint, "--env-steps", env_steps, *moved_options(job.moved))
    require_files(_addresses_of(job), f"the checkpoint {checkpoint}")
    require_trusted(_addresses_of(job), f"the checkpoint {checkpoint}", again, trust)
    return job


def check_job(job: Job) -> None:
    """Raise UserError for a wrong name, value or environment, before torch and Ray are imported.

    An algorithm or environment of the user's own is checked by the trial itself."""
    from tuneexp.algorithms.preflight import check_budget, check_environment
    from tuneexp.algorithms.registry import ALGORITHMS, check_algorithm, config_class_of
    from tuneexp.envs.env_factory import resolve
    from tuneexp.envs.registration import register_again

    check_algorithm(job.algorithm)
    if job.algorithm not in ALGORITHMS:
        return
    config = _trial_config(job, job.algorithm)
    cfg = config_class_of(job.algorithm).parse(
        config.hyperparameters, job.algorithm, see=f"tuneexp describe {job.algorithm}"
    )
    check_budget(job.algorithm, cfg, job.budget_env_steps)
    register_again(config.env, config.env_registration)
    asked = (config.env, config.env_kwargs, config.wrappers)
    if is_address(job.env):
        resolve(*asked, backend=config.env_backend)
    else:
        check_environment(job.algorithm, *asked, config.env_backend, configurations=[cfg])


def _trial_config(job: Job, owner: str) -> TrialConfig:
    fields = {key: getattr(job, key) for key in _OWN}
    return TrialConfig.parse({**fields, **job.settings}, owner)


def _addresses_of(job: Job) -> list[Named]:
    return addresses_in(_trial_config(job, f"the checkpoint {job.resume}").model_dump())
