"""Translation of a whole row of RL Zoo's files to the settings, budget and environment of a trial."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import gymnasium

from tuneexp.algorithms.rl_zoo.env_keys import KEYS as OF_THE_ENVIRONMENT
from tuneexp.algorithms.rl_zoo.env_keys import environment_of, present_id, without_velocities
from tuneexp.algorithms.rl_zoo.keys import RL_ZOO_KEYS, WITH_MEMORY, from_rl_zoo
from tuneexp.algorithms.rl_zoo.policy_kwargs import Fields
from tuneexp.config import whole_number
from tuneexp.envs.atari import is_atari
from tuneexp.envs.env_factory import is_available
from tuneexp.errors import SeveralErrors, UserError, nearest, shortened

if TYPE_CHECKING:
    from tuneexp.algorithms.spec import TrainableSpec

log = logging.getLogger(__name__)

__all__ = ["RL_ZOO_KEYS", "Row", "is_row", "placed", "present_env", "row_for", "row_settings"]

# Rows for more than one environment.
ATARI, DEFAULT = "atari", "default"
_SEQUENCES = (
    "gradients go back through sequence_length steps here, 16 by default; in sb3_contrib through whole episodes"
)


@dataclass(frozen=True)
class Row:
    """settings: of a trial, by the names of `TrialConfig`. remarks: what is otherwise than as written, a line each."""

    settings: dict[str, Any]
    remarks: list[str] = field(default_factory=list)


def is_row(values: Mapping[str, Any]) -> bool:
    """True for a whole row of a file: one with its number of steps and its policy."""
    return "n_timesteps" in values and "policy" in values


def row_settings(row: Mapping[str, Any], env: Any, fields: Fields, where: str) -> Row:
    """Translate a whole row. Missing values are the defaults of Stable-Baselines3, also if those here differ.

    Args:
        row: Names and values as in the file.
        env: Environment of the trial.
        fields: Fields of the algorithm's configuration.
        where: File and row, for messages.

    Returns:
        Settings of the trial, and remarks.

    Raises:
        UserError: A line for each wrong value.
    """
    elsewhere = ("n_timesteps", "callback", *OF_THE_ENVIRONMENT)
    own = {key: value for key, value in row.items() if key not in elsewhere or key in fields}
    problems: list[str] = []
    steps = _tried(problems, lambda: _steps(row["n_timesteps"]))
    environment = _tried(problems, lambda: environment_of(row, env))
    hyperparameters = _tried(problems, lambda: from_rl_zoo({**_defaults(row, fields), **own}, fields))
    if problems:
        raise UserError("\n".join(f"{where}: {problem}" for problem in problems))
    settings = {"budget_env_steps": steps, "hyperparameters": hyperparameters, **environment}
    return Row(settings, list(_remarks(row)))


def placed(
    of_trial: Mapping[str, Any], hyperparameters: Any, env: Any, spec: TrainableSpec
) -> tuple[dict[str, Any], Any]:
    """Settings of a trial and its hyperparameters, with each part of a whole row that was pasted as the latter where it
    belongs. Given settings win. Raises `UserError`."""
    if not isinstance(hyperparameters, Mapping) or not is_row(hyperparameters):
        return dict(of_trial), hyperparameters
    row = row_settings(hyperparameters, env, spec.config_class.model_fields, spec.name)
    for remark in row.remarks:
        log.warning("%s", remark)
    settings = {**row.settings, **of_trial}
    return settings, settings.pop("hyperparameters")


def _tried(problems: list[str], read: Callable[[], Any]) -> Any:
    """Return the value of `read`, or None after adding its errors to `problems`."""
    try:
        return read()
    except SeveralErrors as error:
        problems += error.problems
    except ValueError as error:
        problems.append(str(error))
    return None


def _steps(value: Any) -> int:
    try:
        steps = whole_number(value) if isinstance(value, str) else int(value)
    except (TypeError, ValueError, OverflowError):
        steps = 0
    if isinstance(value, bool) or steps < 1:
        raise ValueError(f"n_timesteps is a number of environment steps, got {shortened(value)}")
    return steps


def _defaults(row: Mapping[str, Any], fields: Fields) -> dict[str, Any]:
    """Of Stable-Baselines3 and RL Zoo, where those here are others."""
    values: dict[str, Any] = {"n_envs": 1}
    if "clip_range" in fields and row.get("policy") in WITH_MEMORY:
        values |= {"n_steps": 128, "batch_size": 128}
    elif "clip_range" in fields:
        values["n_steps"] = 2048
    if "noise_std" in fields and not row.get("noise_type"):
        values["noise_std"] = 0.0
    return {name: value for name, value in values.items() if name in fields}


def _remarks(row: Mapping[str, Any]) -> list[str]:
    remarks = [_SEQUENCES] if row.get("policy") in WITH_MEMORY else []
    if row.get("callback"):
        remarks.append(f"callback {shortened(row['callback'])} is left out: Stable-Baselines3's have no place here")
    return remarks


def row_for(rows: Mapping[str, Any], env: str, where: str) -> tuple[str, str | None]:
    """The name of the row of `env`, as RL Zoo finds it: by its id, else "atari" for an Atari id, else "default"; before
    that one, the row of another version of `env`. And a remark where it is not its own. Raises `UserError` with the
    nearest name."""
    names = [name for name, row in rows.items() if isinstance(row, Mapping)]
    if env in names and env not in (ATARI, DEFAULT):
        return env, None
    if env in (ATARI, DEFAULT):
        example = "ALE/Pong-v5" if env == ATARI else "CartPole-v1"
        raise UserError(f"{env!r} is a row for many environments; name the one to train in, such as {example}")
    if other := present_id(env, [name for name in names if name not in (ATARI, DEFAULT)]):
        return other, f"{where} has no row for {env}; the one of {other} is taken"
    if is_atari(env) and ATARI in names:
        return ATARI, None
    if DEFAULT in names:
        return DEFAULT, f"{where} has no row for {env}; its {DEFAULT!r} is taken, as RL Zoo does"
    match = nearest(env, names)
    advice = f"did you mean {match!r}?" if match else f"it has: {', '.join(names) or 'none'}"
    raise UserError(f"{where} has no row for {env!r}; {advice}")


def present_env(env: str) -> Row:
    """The environment of an id that may have a new name: `env`, and what `PendulumNoVel-v1` adds to it."""
    if ":" in env or is_atari(env):
        return Row({"env": env})
    base = without_velocities(env) if env not in gymnasium.registry else None
    known = [one for one, spec in gymnasium.registry.items() if is_available(spec)]
    present = present_id(base or env, known) or env
    remarks = [f"gymnasium has {present} for {base or env}"] if present != (base or env) else []
    return Row({"env": present} | ({"wrappers": ["MaskVelocityWrapper"]} if base else {}), remarks)
