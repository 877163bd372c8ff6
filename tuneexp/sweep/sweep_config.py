"""Configuration of a sweep as requested, stored in `sweep.json` and read by `resume`, `list` and `show`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field, field_validator, model_validator

from tuneexp.commands import command
from tuneexp.config import Config, Count, Seconds
from tuneexp.errors import StorageFault, UserError, nearest
from tuneexp.files.atomic import sync, write_json
from tuneexp.files.json_reading import DamagedFile, read_json
from tuneexp.files.retries import advice_for
from tuneexp.files.sizes import Size
from tuneexp.security.trust import lasting_moves, sources_of
from tuneexp.sweep.search import choice
from tuneexp.sweep.search.choice import Choice, SamplerContext
from tuneexp.sweep.search.objectives import ConstraintList, ObjectiveList, Objectives
from tuneexp.sweep.search.searched_budget import BUDGET, largest_budget, varies_budget
from tuneexp.sweep.search.stopping_rules import RULES, TRIALS, StopRules
from tuneexp.sweep.storage.folder import SweepFolder, stored_folder
from tuneexp.trial.trial_config import (
    Hyperparameters,
    TrialConfig,
    internal,
    moved_applied,
    one_hash_as_sources,
    settings_in,
)

if TYPE_CHECKING:
    from tuneexp.sweep.search.space import SearchSpace


FORMAT_VERSION = 1
FORMER_BUDGET = "env_steps"


def budget_by_its_name(values: Any) -> Any:
    """Read the format of earlier versions, which called the budget of a trial `env_steps`."""
    if not isinstance(values, dict) or FORMER_BUDGET not in values or "budget_env_steps" in values:
        return values
    return {"budget_env_steps" if key == FORMER_BUDGET else key: value for key, value in values.items()}


class SweepConfig(Config):
    """One sweep: many trials of one algorithm under one searcher and one scheduler.

    The settings of a trial are those of `TrialConfig`; they are written and stored beside the others."""

    flattened: ClassVar[str] = "trial"

    format_version: int = internal(FORMAT_VERSION, "Version of the layout of sweep.json.")
    name: str = Field(
        description="Name of the sweep and of its folder; by default a new one, such as ppo-CartPole-v1-20261128-kqzt."
    )
    trial: TrialConfig = internal(..., "Settings that all trials share.")
    trials: Count | None = Field(
        None, ge=1, description="Number of trials; by default 8, or no limit with another rule that ends the sweep."
    )
    time_budget_s: Seconds | None = Field(
        None,
        gt=0,
        description="End the sweep after this time, such as 2h or 90m; running trials stop at their next report.",
    )
    until: float | None = Field(
        None, description="End the sweep once a completed trial has this objective; running trials stop."
    )
    stagnation: Count | None = Field(
        None, ge=1, description="End the sweep once this many trials in a row have ended without a better one."
    )
    scheduler: Choice = Field(
        "asha",
        description=f"What stops or replaces weak trials: {', '.join(choice.SCHEDULERS)}, or module:Class; with "
        'options {"name": "asha", "reduction_factor": 4}.',
    )
    searcher: Choice = Field(
        "tpe",
        description=f"Search algorithm, an Optuna sampler: {', '.join(choice.SAMPLERS)}, or path/file.py:Class.",
    )
    searcher_seed: Count = Field(0, ge=0, le=2**32 - 1, description="Seed of the searcher's random numbers.")
    objectives: ObjectiveList | None = Field(
        None,
        description="Metrics to optimize, each max or min: [return_mean, wall_s:min]; by default the objective of the "
        "trials.",
    )
    constraints: ConstraintList = Field(
        [], description="Bounds on metrics of the last report, such as [wall_s<=600]; a trial beyond one is no result."
    )
    concurrency: Count | None = Field(
        None,
        ge=1,
        description="Maximum number of concurrent trials; by default as many as there is room for at each start.",
    )
    trial_timeout_s: Seconds | None = Field(
        None,
        description="Longest training of a trial, in seconds or as 10m or 1h30m; beyond it the trial ends with the "
        "outcome timeout. Time that it waits or is paused does not count. By default there is no limit.",
        examples=[600.0],
    )
    address: str | None = Field(
        None,
        description="Address of a Ray cluster, HOST:PORT, or auto for the one of this node; by default RAY_ADDRESS, or "
        "else this machine.",
    )
    checkpoints: str | None = Field(
        None,
        description="Folder or URI (s3://bucket/folder) of the checkpoints, which all nodes can reach; by default the "
        "storage.",
    )
    tensorboard: bool = Field(
        False, description="Also write TensorBoard logs, into the folder tensorboard of the sweep or training."
    )
    keep: Count = Field(
        1,
        ge=1,
        description="Number of the best checkpoints of a trial that are kept beside its last one; all of them are "
        "logged models in MLflow.",
    )
    checkpoint_quota_bytes: Size | None = Field(
        None,
        ge=1,
        description="Limit of the size of all checkpoints of the sweep, such as 500MB or 2GB: the worst ones are "
        "deleted. Those that the sweep needs to go on stay. By default there is no limit.",
    )
    videos: Literal["none", "best"] = Field(
        "none",
        description="best: at its end a sweep makes a video of its best trial, in its folder and in MLflow.",
    )
    fixed: Hyperparameters = Field(default_factory=dict, description="Hyperparameters that all trials share.")
    space: dict[str, Any] = Field(
        description="Search space: a YAML file, a mapping, or an address path/file.py:FUNCTION of a define-by-run "
        "function; by default the algorithm's own."
    )
    warm_start: list[str] = Field(
        default_factory=list,
        description="Earlier sweeps of the same problem, by name or path; the searcher (tpe, gp) learns from them.",
    )
    confirmation_s: float | None = internal(None, "Seconds for the confirmation that follows the sweep, if one does.")
    suggested: dict[str, list[str]] = internal(
        {}, "Suggestions that a define-by-run space asked for in its rehearsals."
    )
    replaced: dict[str, list[Any]] = internal({}, "Values that extensions of the sweep have replaced, by setting.")
    created_at_s: float = internal(..., "Start of the sweep, seconds since 1970.")

    _earlier = model_validator(mode="before")(one_hash_as_sources)
    _moved = model_validator(mode="before")(moved_applied)
    _budget = model_validator(mode="before")(budget_by_its_name)

    @field_validator("trial")
    @classmethod
    def _named_environment(cls, trial: TrialConfig) -> TrialConfig:
        if not isinstance(trial.env, str):
            raise ValueError("env is an id or an address, which other processes can import")
        return trial

    @field_validator("trial_timeout_s")
    @classmethod
    def _some_time(cls, limit_s: float | None) -> float | None:
        if limit_s is not None and limit_s <= 0:
            raise ValueError(f"{limit_s} s is no limit; write for example 10m, or leave it out for no limit")
        return limit_s


DEFAULT_TRIALS = 8


def with_default_trials(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings of a new sweep with a number of trials, unless another rule ends it."""
    others = any(values.get(rule) is not None for rule in RULES if rule != TRIALS)
    trials = DEFAULT_TRIALS if values.get(TRIALS) is None and not others else values.get(TRIALS)
    return {**values, TRIALS: trials}


# Fields of a trial that the searcher or the start of the sweep sets.
_OF_EACH_TRIAL = (
    "hyperparameters", "expected_trials", "concurrent_trials", "scores_to_reach", "searched_budget", "trial_number",
    "cohorts",
)  # fmt: skip
# Declarations of the settings of a sweep by name, without `name`.
SETTINGS = {
    name: field
    for name, field in settings_in(SweepConfig.flat_fields()).items()
    if name not in ("name", *_OF_EACH_TRIAL)
}
# Keys of an experiment file, in its order: the settings, and how the id of the environment was registered.
ASKED = tuple(name for name in SweepConfig.flat_fields() if name in SETTINGS or name == "env_registration")


def load_config(name: str, storage: str | Path = "runs") -> SweepConfig:
    """Return the stored configuration of the sweep `name`. UserError if there is none."""
    return read_config(stored_folder(name, storage))


def relocated_config(config: SweepConfig, moved: Mapping[str, str]) -> SweepConfig:
    """Return `config` with new addresses for what has moved."""
    values = config.flat()
    values["moved"] = {**config.trial.moved, **lasting_moves(moved, values)}
    return SweepConfig.parse(values, f"sweep {config.name!r}")


def with_sources(config: SweepConfig) -> SweepConfig:
    """Return `config` with the hashes that the source files have now."""
    trial = config.trial.model_copy(update={"sources": sources_of(config.flat())})
    return config.model_copy(update={"trial": trial})


def save_config(folder: SweepFolder, config: SweepConfig) -> None:
    """Write `sweep.json`. Raises StorageFault if there is no room; then nothing has changed."""
    try:
        stored = {name: value for name, value in config.flat("json").items() if name not in _OF_EACH_TRIAL}
        write_json(folder.config_file, stored)
        sync(folder.storage)  # the name of the folder
    except OSError as error:
        raise StorageFault(
            f"{folder.config_file} can't be written: {error.strerror}\n{advice_for(error)}, then run this again"
        ) from error


def read_config(folder: SweepFolder) -> SweepConfig:
    """Read `sweep.json`. UserError for a sweep that does not exist, is damaged, or is of a newer version."""
    try:
        values = read_json(folder.config_file)
    except (FileNotFoundError, NotADirectoryError):
        match = nearest(folder.name, [path.parent.name for path in folder.storage.glob("*/sweep.json")])
        advice = f"did you mean {match!r}?" if match else f"see: {command('list', storage=folder.storage)}"
        raise UserError(f"there is no sweep {folder.name!r} in {folder.storage}; {advice}") from None
    version = values.get("format_version", FORMAT_VERSION) if isinstance(values, dict) else None
    if type(version) is not int:
        raise DamagedFile(folder.config_file, f"format_version is {version!r}")
    if version > FORMAT_VERSION:
        raise UserError(f"{folder.config_file} was written by a newer tuneexp; upgrade tuneexp to open it")
    if missing := {"seeds", "budget_env_steps"} - set(budget_by_its_name(values)):  # a trial has defaults for them
        raise DamagedFile(folder.config_file, f"{' and '.join(sorted(missing))} is missing")
    # The folder may have been renamed.
    return SweepConfig.parse({**values, "name": folder.name}, str(folder.config_file))


def stop_rules(config: SweepConfig) -> StopRules:
    """Return the rules that end a sweep."""
    for name in ("until", "stagnation"):
        if getattr(config, name) is not None and objectives_of(config).several:
            raise UserError(f"{name} needs a sweep of one objective; end this one with --time-budget or --trials")
    until = None if config.until is None else objectives_of(config).score([config.until])
    return StopRules(config.trials, config.time_budget_s, until, config.stagnation)  # type: ignore[arg-type]


def sampler_context(config: SweepConfig, space: SearchSpace) -> SamplerContext:
    """Return the facts of a sweep that its sampler may use."""
    return SamplerContext(config.searcher_seed, config.trials, space)


def with_budget_of(space: SearchSpace, config: SweepConfig) -> SweepConfig:
    """Return the configuration with the largest budget of a space that varies it. UserError if another one is set."""
    largest = largest_budget(space, config.trial.budget_env_steps)
    return config.model_copy(update={"trial": config.trial.model_copy(update={BUDGET: largest})})


def without_idle_trials(config: SweepConfig, space: SearchSpace) -> SweepConfig:
    """Return the configuration with no more trials than an exhaustive sampler has points.

    UserError if the sampler can't search the space."""
    trials = choice.most_trials(config.searcher, sampler_context(config, space))
    return config.model_copy(update={"trials": trials})


def objectives_of(config: SweepConfig) -> Objectives:
    """Return what a sweep optimizes."""
    return Objectives.of(config.objectives, config.constraints, config.trial.budget_env_steps)


def trial_config(config: SweepConfig) -> dict[str, Any]:
    """Return the configuration that all trials share. The searcher adds `trial_number` and the suggested values.

    config: with the concurrency of this start, from which the expected number of trials of a worker follows."""
    from tuneexp.sweep.scheduling import scheduler_of

    trials, scheduler = config.trials or DEFAULT_TRIALS * (config.concurrency or 1), scheduler_of(config)
    return {
        **config.trial.model_dump(exclude={"trial_number"}),
        "hyperparameters": config.fixed,
        "scores_to_reach": objectives_of(config).scores_to_reach,
        "searched_budget": varies_budget(config.space),
        "cohorts": scheduler.cohorts(),
        "of_population": scheduler.of_population,
        "expected_trials": -(-trials // (config.concurrency or trials)),
        "concurrent_trials": config.concurrency or trials,
    }
