"""Parsers of option values: seeds, settings, wrappers, addresses. Text is never evaluated as code."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Mapping
from typing import Any

from tuneexp.errors import UserError, shortened
from tuneexp.nesting import nested
from tuneexp.seeds import checked_seeds
from tuneexp.trial.trial_config import TrialConfig, is_group, settings_in

# Largest count: more than any budget, and a number that a tensor can hold.
MOST = 10**15
MOST_NESTED_NAMES = 20


def parse_seeds(text: str) -> list[int]:
    """Parse `--seeds`: `4` -> [0, 1, 2, 3]; `3,5,8` -> [3, 5, 8]; `3,` -> [3]."""
    if "," not in text:
        return list(range(_positive_count(_seed_count(text))))
    parts = [part.strip() for part in text.split(",")]
    if len(parts) > 1 and parts[-1] == "":
        parts.pop()
    if not all(re.fullmatch(r"-?[0-9]{1,20}", part) for part in parts):
        raise _no_seeds(text)
    try:
        return checked_seeds([int(part) for part in parts])
    except UserError as error:
        raise UserError(f"--seeds: {error}") from None


def confirm_seeds(text: str) -> int | list[int]:
    """Parse `--seeds` of a confirmation: `10` -> 10, a number of unseen seeds; `3,5,8` -> [3, 5, 8]."""
    return parse_seeds(text) if "," in text else _positive_count(_seed_count(text))


def _seed_count(text: str) -> int:
    from tuneexp.config import whole_number

    try:
        return whole_number(text)
    except ValueError:
        raise _no_seeds(text) from None


def _no_seeds(text: str) -> UserError:
    return UserError(
        f"--seeds {shortened(text)} is no number of seeds and no list of seeds; write --seeds 4 or --seeds 3,5,8"
    )


def _positive_count(count: int) -> int:
    if not 0 < count <= 10_000:
        raise UserError(
            f"--seeds {count}: the number of seeds is from 1 to 10000; write --seeds 4, or name them: --seeds 3,5,8"
        )
    return count


def parse_value(text: str, option: str = "--set") -> Any:
    """Parse a YAML scalar or flow list (`0.001`, `1e-3`, `true`, `relu`, `[64, 64]`, `null`). UserError for others."""
    from tuneexp.files.yaml_reading import YamlError, parse_yaml

    try:
        return parse_yaml(text)
    except YamlError as error:
        raise UserError(
            f"{option}: {shortened(text)} is no YAML value: {error.problem}\n"
            "write a number, true/false, a word or a list [64, 64]"
        ) from None


def parse_settings(
    settings: Iterable[str], option: str = "--set", example: str = "learning_rate=0.001"
) -> dict[str, Any]:
    """Parse `["learning_rate=1e-3", "model/activation=relu"]` to nested values.

    Nested keys are written with `/` or `.`. UserError for a text without `=`, a repeated key, or a key that is both a
    value and a group."""
    values: dict[str, Any] = {}
    for setting in settings:
        key, equals, text = setting.partition("=")
        path = re.split(r"[/.]", key.strip())
        if not equals or not all(path) or len(path) > MOST_NESTED_NAMES:
            raise UserError(f"{option} {shortened(setting)}: write {option} name=value, for example {option} {example}")
        if (name := "/".join(path)) in values:
            raise UserError(f"{option} names {name!r} twice; keep one of them")
        values[name] = parse_value(text, option)
    try:
        return nested(values)
    except UserError as error:
        raise UserError(f"{option}: {error}") from None


# Settings with a spelling of their own on the command line. Groups are set by --set GROUP/KEY=VALUE, and the others by
# an option of their name.
WRITTEN_AS = {
    "algorithm": "the algorithm's name",
    "env": "the environment's name",
    "wrappers": "--wrapper",
    "warm_start": "--warm-start",
    "seeds": "--seeds",
    "budget_env_steps": "--env-steps",
    "objectives": "--objective",
    "constraints": "--constraint",
    "hyperparameters": "--set NAME=VALUE, without 'hyperparameters/'",
}
_SETTINGS = settings_in(TrialConfig.model_fields)
GROUPS = tuple(name for name, field in _SETTINGS.items() if is_group(field) and name not in WRITTEN_AS)


def option_of(name: str) -> str:
    """Return the option of a setting, without unit: --env-backend of env_backend, --time-budget of time_budget_s."""
    return f"--{name.removesuffix('_s').removesuffix('_bytes').replace('_', '-')}"


def split_settings(settings: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Split `--set` values into hyperparameters and groups of settings. UserError for a setting with its own option."""
    for key in settings:
        if key in ("env_steps", *WRITTEN_AS) or (key in _SETTINGS and key not in GROUPS):
            raise UserError(f"--set {key}=...: write {_written_as(key)} instead")
    groups = {key: value for key, value in settings.items() if key in GROUPS}
    return {key: value for key, value in settings.items() if key not in groups}, groups


def _written_as(name: str) -> str:
    return WRITTEN_AS.get("budget_env_steps" if name == "env_steps" else name) or option_of(name)


def parse_wrappers(texts: Iterable[str]) -> list[str | dict[str, Any]]:
    """Parse `["ClipReward", 'FrameStackObservation={"stack_size": 4}']`. UserError for arguments in no JSON object."""
    return [_wrapper(text.strip()) for text in texts]


def _wrapper(text: str) -> str | dict[str, Any]:
    name, equals, arguments = text.partition("=")
    if not equals:
        return text
    try:
        values = json.loads(arguments)
    except json.JSONDecodeError:
        values = None
    if not name or not isinstance(values, dict):
        raise UserError(
            f"--wrapper {text!r}: arguments are a JSON object; write --wrapper '{name or 'NAME'}={{\"stack_size\": 4}}'"
        )
    return {name: values}


def moved_addresses(texts: Iterable[str]) -> dict[str, str]:
    """Parse `["/old/env.py=new/env.py"]` to {"/old/env.py": "new/env.py"}. UserError for a text that is no OLD=NEW."""
    pairs = [text.partition("=") for text in texts]
    for old, equals, new in pairs:
        if not (old and equals and new):
            raise UserError(f"--moved {old + equals + new!r}: write --moved OLD=NEW, such as /old/env.py=new/env.py")
    return {old: new for old, _, new in pairs}


def positive(option: str, value: int) -> int:
    """Return `value` if it is from 1 to `MOST`, else raise UserError."""
    if value <= 0:
        raise UserError(f"{option} is at least 1, got {value}")
    if value > MOST:
        raise UserError(f"{option} is at most {MOST}, got {value:.3e}")
    return value


def finite(value: Any) -> Any:
    """Return `value` for JSON: NaN and infinities become None, keys strings, numpy and path objects plain ones."""
    if isinstance(value, Mapping):
        return {str(key): finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set):
        return [finite(item) for item in value]
    if hasattr(value, "item") and not isinstance(value, str):
        value = value.item()
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value if isinstance(value, str | int | bool | None) else str(value)
