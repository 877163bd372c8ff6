"""Everything that one trial is: what a Tune trial, a checkpoint and a sweep store."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, field_validator, model_validator

from tuneexp.addresses import lasting_address, relocated
from tuneexp.config import Config, Count, without_suffixes
from tuneexp.errors import UserError
from tuneexp.stored import plain


def _lasting(hyperparameters: dict[str, Any]) -> dict[str, Any]:
    """Also in the groups of several policies."""
    lasting = {
        key: _lasting(value) if isinstance(value, dict) else without_suffixes(value)
        for key, value in hyperparameters.items()
    }
    model = hyperparameters.get("model")
    return {**lasting, "model": lasting_address(model, "model")} if isinstance(model, str | type) else lasting


# Of an algorithm. A network of the user's own, a class or a relative path, is kept as an address that lasts.
Hyperparameters = Annotated[dict[str, Any], AfterValidator(_lasting)]


def _known_device(device: str) -> str:
    if not re.fullmatch(r"auto|cpu|cuda(:\d+)?", device):
        raise ValueError("write cpu, cuda, cuda:1 (the second GPU) or auto (a GPU where there is one)")
    return device


Device = Annotated[str, AfterValidator(_known_device)]


def _lasting_env(env: Any) -> Any:
    return lasting_address(env, "environment") if isinstance(env, str) else env


def _lasting_wrapper(wrapper: Any) -> Any:
    if isinstance(wrapper, dict):
        return {_lasting_wrapper(name): arguments for name, arguments in wrapper.items()}
    return lasting_address(wrapper, "wrapper") if isinstance(wrapper, str) or callable(wrapper) else wrapper


# Addresses of files are kept as absolute ones: another process, in another folder, must find the same file.
Environment = Annotated[Any, AfterValidator(_lasting_env)]
Wrapper = Annotated[str | dict[str, dict[str, Any] | None], BeforeValidator(_lasting_wrapper)]
EnvBackend = Literal["auto", "sync", "async", "native", "envpool"]

ENV_BACKEND_HELP = (
    "What steps the environments: the id's own vector environment (native), one after another (sync), a process each "
    "(async), envpool; auto takes native where there is one, else sync."
)
DEVICE_HELP = "Where networks learn and act: cpu, cuda, cuda:1, or auto (a GPU where there is one)."
WRAPPERS_HELP = (
    "Wrappers around each environment, applied in this order: names (ClipAction), module:Class or path/file.py:Class, "
    "with arguments as {NAME: {argument: value}}. Evaluation wraps its environments too."
)


COMPILE_HELP = (
    "Compile what acts and learns: auto (where it repays), on, off, or later (eagerly up to a first report, at most "
    "2,000 environment steps, then as auto)."
)
REGISTRATION_HELP = "How the user's program registered the environment's id, where no other process knows it."
SOURCES_HELP = "Hashes of the files of its addresses, when it was started."


def one_hash_as_sources(values: Any) -> Any:
    """Earlier versions stored the hash of the algorithm's file alone."""
    if not isinstance(values, dict) or "source_hash" not in values:
        return values
    values = dict(values)
    since = values.pop("source_hash")
    return {"sources": {values.get("algorithm"): since}, **values} if since else values


MOVED_HELP = "New files, folders and addresses, by the old ones, of what has moved since it was started."


def moved_applied(values: Any) -> Any:
    """A configuration with new addresses for what moved. The ranges of a search space stay: Optuna has stored them."""
    if not isinstance(values, dict) or not isinstance(moved := values.get("moved"), dict) or not moved:
        return values
    if not all(isinstance(new, str) for new in moved.values()):
        return values  # refused where the field itself is checked
    space = values.get("space")
    kept = {"space": space} if isinstance(space, dict) and "function" not in space else {}
    return {**relocated(values, moved), **kept, "moved": moved}


def seed_list(seeds: int | Sequence[int]) -> list[int]:
    """4 -> [0, 1, 2, 3]. UserError for none, a negative or a repeated one."""
    given = plain(seeds, "seeds")
    named: Any = list(range(given)) if type(given) is int else given
    if not isinstance(named, list) or not named:
        raise UserError(f"a trial needs at least one seed, got seeds={seeds!r}; write seeds=4 or seeds=[3, 5, 8]")
    for seed in named:
        if isinstance(seed, bool) or not isinstance(seed, int) or not 0 <= seed < 2**32:
            raise UserError(f"a seed is a whole number from 0 to {2**32 - 1}, got {seed!r}")
    if len(set(named)) < len(named):
        raise UserError(f"a seed stands twice in {named}; each seed trains once")
    return named


class EvaluationConfig(Config):
    """Separate environments, fixed seeds, the deterministic policy."""

    episodes: Count = Field(5, ge=1, description="Episodes per seed at every report.")
    final_episodes: Count = Field(20, ge=1, description="Episodes per seed at the end of the budget.")
    seed: Count = Field(10_000, ge=0, description="Seed of the evaluation environments; the same for every report.")
    max_steps: Count = Field(
        30_000,
        ge=1,
        description="Steps after which an episode is stopped; its return so far counts, marked as partial.",
    )


class ObjectiveConfig(Config):
    """What a trial is judged by."""

    kind: Literal["last", "best", "window", "auc"] = Field(
        "last", description="Over evaluations: the last, the best, the mean of the last three, or of all."
    )
    aggregate: Literal["mean", "iqm", "min", "median"] = Field("mean", description="Over seeds.")
    failed_seeds: Literal["worst", "ignore", "fail"] = Field(
        "worst",
        description="A seed that diverged scores as the trial's worst evaluation of any seed, is left out, "
        "or makes the objective NaN.",
    )


class TrialConfig(Config):
    """One configuration, trained on S seeds. The clock is environment steps per seed."""

    algorithm: str = Field(description="Name or address (module:NAME, path/file.py:NAME).")
    sources: dict[str, str] = Field(default_factory=dict, description=SOURCES_HELP)
    env: Environment = Field(description="Environment id, module:Class, path/file.py:Class or a callable.")
    env_kwargs: dict[str, Any] = Field(default_factory=dict, description="Arguments of the environment.")
    env_registration: dict[str, Any] | None = Field(None, description=REGISTRATION_HELP)
    env_backend: EnvBackend = Field("auto", description=ENV_BACKEND_HELP)
    wrappers: list[Wrapper] = Field(default_factory=list, description=WRAPPERS_HELP)
    seeds: list[int] = Field([0], min_length=1, description="Training seeds; trained at once.")
    budget_env_steps: Count = Field(100_000, ge=1, description="Environment steps per seed.")
    report_every_env_steps: Count | None = Field(
        None, ge=1, description="Steps between reports; a tenth of the budget."
    )
    hyperparameters: Hyperparameters = Field(default_factory=dict, description="Of the algorithm.")
    evaluation: EvaluationConfig = Field(default_factory=lambda: EvaluationConfig.model_validate({}))
    objective: ObjectiveConfig = Field(default_factory=lambda: ObjectiveConfig.model_validate({}))
    compile: Literal["auto", "on", "off", "later"] = Field("auto", description=COMPILE_HELP)
    device: Device = Field("cpu", description=DEVICE_HELP)
    expected_trials: int = Field(1, ge=1, description="Trials that will share the compiled programs of one worker.")
    trial_number: int | None = Field(None, description="Number of the searcher's suggestion.")

    moved: dict[str, str] = Field(default_factory=dict, description=MOVED_HELP)

    _earlier = model_validator(mode="before")(one_hash_as_sources)
    _moved = model_validator(mode="before")(moved_applied)

    @field_validator("seeds")
    @classmethod
    def _distinct(cls, seeds: list[int]) -> list[int]:
        if min(seeds) < 0:
            raise ValueError("seeds are whole numbers from 0")
        if len(set(seeds)) != len(seeds):
            raise ValueError("each seed may stand once")
        return seeds

    @property
    def report_period(self) -> int:
        return self.report_every_env_steps or max(1, self.budget_env_steps // 10)
