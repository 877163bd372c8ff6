"""Configuration of one trial, as it is stored by Tune, checkpoints and sweeps. Each setting is declared once."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from typing import Annotated, Any, Literal, get_origin

from pydantic import AfterValidator, BeforeValidator, Field, field_validator, model_validator
from pydantic.fields import FieldInfo

from tuneexp.addresses import lasting_address, relocated
from tuneexp.config import Config, Count, fields_of, without_suffixes
from tuneexp.envs.backend_names import EnvBackend
from tuneexp.errors import UserError
from tuneexp.seeds import checked_seeds


def _lasting(hyperparameters: dict[str, Any]) -> dict[str, Any]:
    """`hyperparameters` with numbers for texts such as 100k and lasting addresses of models, in each policy's group."""
    lasting = {
        key: _lasting(value) if isinstance(value, dict) else without_suffixes(value)
        for key, value in hyperparameters.items()
    }
    model = hyperparameters.get("model")
    return {**lasting, "model": lasting_address(model, "model")} if isinstance(model, str | type) else lasting


# A custom network, given as a class or a relative path, is stored as an absolute address.
Hyperparameters = Annotated[dict[str, Any], AfterValidator(_lasting)]


def _known_device(device: str) -> str:
    if not re.fullmatch(r"auto|cpu|cuda(:\d+)?", device):
        raise ValueError("write cpu, cuda, cuda:1 (the second GPU) or auto (a GPU if there is one)")
    return device


Device = Annotated[str, AfterValidator(_known_device)]


def _lasting_env(env: Any) -> Any:
    return lasting_address(env, "environment") if isinstance(env, str) else env


def _lasting_wrapper(wrapper: Any) -> Any:
    if isinstance(wrapper, dict):
        return {_lasting_wrapper(name): arguments for name, arguments in wrapper.items()}
    return lasting_address(wrapper, "wrapper") if isinstance(wrapper, str) or callable(wrapper) else wrapper


# Addresses of files are stored as absolute paths, for processes in other folders.
Environment = Annotated[Any, AfterValidator(_lasting_env)]
Wrapper = Annotated[str | dict[str, dict[str, Any] | None], BeforeValidator(_lasting_wrapper)]

Compilation = Literal["auto", "on", "off", "later"]


def internal(default: Any, description: str) -> Any:
    """Return a field that tuneexp fills in; it is not a setting of the user."""
    return Field(default, description=description, json_schema_extra={"internal": True})


def settings_in(fields: Mapping[str, FieldInfo]) -> dict[str, FieldInfo]:
    """Return the fields that users set. Python, YAML, the command line and MLflow take their settings from here."""
    return {name: field for name, field in fields.items() if not _is_internal(field)}


def _is_internal(field: FieldInfo) -> bool:
    return isinstance(field.json_schema_extra, dict) and bool(field.json_schema_extra.get("internal"))


def is_group(field: FieldInfo) -> bool:
    """Return True for a setting with keys of its own: a mapping, or a configuration."""
    return get_origin(field.annotation) is dict or bool(fields_of(field.annotation))


def without_defaults(field: FieldInfo, value: Any) -> Any:
    """Return what differs from the default in a dumped value, key by key in a group of settings. None: nothing."""
    if inner := fields_of(field.annotation):
        changed = {name: without_defaults(inner[name], one) for name, one in value.items()}
        return {name: one for name, one in changed.items() if one is not None} or None
    return None if value == field.get_default(call_default_factory=True) else value


def changed_settings(
    fields: Mapping[str, FieldInfo], values: Mapping[str, Any], always: Collection[str] = ()
) -> dict[str, Any]:
    """Return the settings that differ from their defaults, in the order of `fields`.

    Args:
        fields: Settings by name.
        values: Their dumped values.
        always: Names of settings that are returned even if they have their defaults.
    """
    changed = {
        name: values[name] if name in always else without_defaults(field, values[name])
        for name, field in fields.items()
    }
    return {name: value for name, value in changed.items() if value is not None}


def one_hash_as_sources(values: Any) -> Any:
    """Read the format of earlier versions, which stored the hash of the algorithm's file alone."""
    if not isinstance(values, dict) or "source_hash" not in values:
        return values
    values = dict(values)
    since = values.pop("source_hash")
    return {"sources": {values.get("algorithm"): since}, **values} if since else values


def moved_applied(values: Any) -> Any:
    """Replace the addresses of what has moved. Ranges of a search space stay as Optuna has stored them."""
    if not isinstance(values, dict) or not isinstance(moved := values.get("moved"), dict) or not moved:
        return values
    if not all(isinstance(new, str) for new in moved.values()):
        return values  # refused by the check of the field
    space = values.get("space")
    of_ranges = isinstance(space, dict) and not {"function", "configurations"} & set(space)
    kept = {"space": space} if of_ranges else {}
    return {**relocated(values, moved), **kept, "moved": moved}


class EvaluationConfig(Config):
    """Evaluation of the deterministic policy on environments of its own with fixed seeds."""

    episodes: Count = Field(5, ge=1, description="Episodes per seed at every report.")
    final_episodes: Count = Field(20, ge=1, description="Episodes per seed at the end of the budget.")
    seed: Count = Field(10_000, ge=0, description="Seed of the evaluation environments; the same at every report.")
    max_steps: Count = Field(
        30_000,
        ge=1,
        description="Steps after which an episode is stopped; its return so far counts, marked as partial.",
    )


class ObjectiveConfig(Config):
    """Aggregation of a trial's evaluations into one number, which the searcher maximizes."""

    kind: Literal["last", "best", "window", "auc"] = Field(
        "last", description="Evaluations that count: the last, the best, the mean of the last three, or of all (auc)."
    )
    aggregate: Literal["mean", "iqm", "min", "median"] = Field(
        "mean", description="Aggregate over seeds: mean, interquartile mean (iqm), minimum or median."
    )
    failed_seeds: Literal["worst", "ignore", "fail"] = Field(
        "worst",
        description="Seeds that diverged: count as the trial's worst evaluation of any seed (worst), are left out "
        "(ignore), or make the objective NaN (fail).",
    )


class MemberConfig(Config):
    """A member of a population that is trained as one stack.

    Args:
        trial_number: number of its suggestion.
        hyperparameters: as those of a trial of its own."""

    trial_number: int
    hyperparameters: Hyperparameters


class CohortConfig(Config):
    """Seeds of a trial that start together, after others have reached a rung."""

    from_env_steps: int = Field(ge=0, description="Environment steps per seed of the others, beyond which they start.")
    seeds: int = Field(ge=1, description="Number of seeds.")


class TrialConfig(Config):
    """One configuration, trained on S seeds. The clock is environment steps per seed.

    A setting is declared here once: `Sweep`, `build`, experiment files, the command line and MLflow derive it."""

    algorithm: str = Field(
        description="Name of the algorithm, or an address: module:NAME, path/file.py:NAME.", examples=["dqn"]
    )
    sources: dict[str, str] = internal({}, "Hashes of the files of its addresses at the start.")
    env: Environment = Field(
        description="Environment: a gymnasium id, an address (module:Class, path/file.py:Class) or a callable.",
        examples=["Acrobot-v1"],
    )
    env_kwargs: dict[str, Any] = Field(
        default_factory=dict,
        description="Keyword arguments of the environment.",
        examples=[{"max_episode_steps": 300}],
    )
    env_registration: dict[str, Any] | None = internal(
        None, "Registration of the environment's id by the user's program, repeated in every process."
    )
    env_backend: EnvBackend = Field(
        "auto",
        description="Vectorization of the environments: the id's own vector environment (native), one after another "
        "(sync), one process each (async), envpool, or one program of tensors for all (tensor); auto is tensor where "
        "the id has such a program and it will be compiled, else native where there is one, else sync.",
    )
    wrappers: list[Wrapper] = Field(
        default_factory=list,
        description="Wrappers of each environment, the innermost first, in training and evaluation: a name "
        "(ClipAction), module:Class or path/file.py:Class; with arguments {NAME: {argument: value}}.",
        examples=[["FlattenObservation"]],
    )
    seeds: list[int] = Field(
        [0],
        min_length=1,
        description="Training seeds, trained at the same time: a number N for 0 to N-1, or a list.",
        examples=[[3, 5]],
    )
    budget_env_steps: Count = Field(100_000, ge=1, description="Budget of a trial: environment steps per seed.")
    report_every_env_steps: Count | None = Field(
        None, ge=1, description="Environment steps per seed between reports; by default a tenth of the budget."
    )
    hyperparameters: Hyperparameters = Field(default_factory=dict, description="Hyperparameters of the algorithm.")
    evaluation: EvaluationConfig = Field(
        default_factory=lambda: EvaluationConfig.model_validate({}),
        description="Evaluation at every report and at the end.",
    )
    objective: ObjectiveConfig = Field(
        default_factory=lambda: ObjectiveConfig.model_validate({}),
        description="Aggregation of the evaluations into the objective of the trial.",
    )
    compile: Compilation = Field(
        "auto",
        description="Compilation of acting and learning: auto (where the number of updates repays it; eager meanwhile "
        "if a core is free), on, off, or later (eager up to the first report, at most 2,000 environment steps, then "
        "auto). Only on and off repeat exactly.",
    )
    device: Device = Field(
        "cpu",
        description="Device of the networks: cpu, cuda, cuda:1 (the second GPU), or auto (a GPU if there is one).",
        examples=["auto"],
    )
    expected_trials: int = Field(
        1,
        ge=1,
        description="Trials that share the compiled programs of one worker.",
        json_schema_extra={"internal": True},
    )
    concurrent_trials: int = internal(1, "Trials that run at the same time on the cores of a machine.")
    scores_to_reach: list[str] = internal([], "Scores whose environment steps are the metrics env_steps_to/SCORE.")
    searched_budget: bool = internal(False, "The budget is a hyperparameter of the search space.")
    cohorts: list[CohortConfig] = internal([], "Cohorts of seeds that start one after another; none: all together.")
    trial_number: int | None = internal(None, "Number of the searcher's suggestion.")
    members: list[MemberConfig] = internal([], "Members of a population that is trained as one stack.")
    own_numbers: list[str] = internal([], "Hyperparameters in which the members of a population may differ.")
    of_population: bool = internal(False, "It is a member of a population, and may continue from another member.")
    takeovers: list[dict[str, Any]] = internal(
        [], "Continuations from other members: env_steps, donor (its number), before and after (values that moved)."
    )
    schedule: list[dict[str, Any]] = internal(
        [], "Changes of hyperparameters while it trains: env_steps per seed, and values (flat)."
    )
    population: dict[str, Any] = internal({}, "Space and options of the decisions about `members`.")
    moved: dict[str, str] = internal(
        {}, "New files, folders and addresses of what has moved since the start, by the old."
    )

    _earlier = model_validator(mode="before")(one_hash_as_sources)
    _moved = model_validator(mode="before")(moved_applied)

    @field_validator("seeds")
    @classmethod
    def _distinct(cls, seeds: list[int]) -> list[int]:
        try:
            return checked_seeds(seeds)
        except UserError as error:
            raise ValueError(str(error)) from None

    @property
    def report_period(self) -> int:
        """Environment steps per seed between reports."""
        return self.report_every_env_steps or max(1, self.budget_env_steps // 10)

    @property
    def reports(self) -> int:
        """Number of reports of a whole trial."""
        return -(-self.budget_env_steps // self.report_period)
