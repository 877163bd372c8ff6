"""Readable text of a training result."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tuneexp.report.formatting import count, number, score

_FIRST = (
    *("env_steps", "iteration", "objective", "objective_low", "objective_high", "return_mean", "return_per_seed"),
    *("failed_seeds", "compiled", "done"),
)
# Keys that Tune adds to a result.
_OF_TUNE = {"date", "timestamp", "pid", "hostname", "node_ip", "trial_id", "config", "experiment_id", "experiment_tag"}


def pretty_print(result: Mapping[str, Any]) -> None:
    """Print a result of `train()` in groups: `train/`, `update/`, `seed/`, `time/`.

    Args:
        result: Metrics by name.
    """
    print(pretty(result))  # noqa: T201


def pretty(result: Mapping[str, Any]) -> str:
    """Text of one result of `algo.train()`, in groups: `train/`, `update/`, `seed/`, `time/`."""
    first = {key: result[key] for key in _FIRST if key in result}
    groups: dict[str, dict[str, Any]] = {"": first}
    for key, value in result.items():
        if key not in first and key not in _OF_TUNE:
            head, slash, tail = key.partition("/")
            groups.setdefault(head if slash else "other", {})[tail if slash else key] = value
    return "\n".join(line for name, values in groups.items() for line in _group(name, values))


def _group(name: str, values: Mapping[str, Any]) -> list[str]:
    indent = "  " if name else ""
    width = max((len(key) for key in values), default=0)
    lines = [f"{name}:"] if name else []
    return lines + [f"{indent}{key:<{width}}  {_value(value)}" for key, value in values.items()]


def _value(value: Any) -> str:
    if isinstance(value, list | tuple):
        return f"[{', '.join(number(item) for item in value)}]"
    if isinstance(value, Mapping):
        return ", ".join(f"{key}={number(item)}" for key, item in value.items())
    return count(value) if isinstance(value, int) and not isinstance(value, bool) else number(value)


def progress_line(result: Mapping[str, Any], budget_env_steps: int) -> str:
    """Log line of a report: `env steps 20,000/100,000 · return 187.4 · train 96.2 · 21,300 env steps/s`."""
    parts = [
        f"env steps {count(result['env_steps'])}/{count(budget_env_steps)}",
        f"return {score(result.get('return_mean'))}",
    ]
    if "train/return_mean" in result:
        parts.append(f"train {score(result['train/return_mean'])}")
    if "time/env_steps_per_s" in result:
        parts.append(f"{result['time/env_steps_per_s']:,.0f} env steps/s")
    if result.get("failed_seeds"):
        parts.append(f"failed seeds {', '.join(map(str, result['failed_seeds']))}")
    if result.get("partial_episodes"):
        parts.append(f"{count(result['partial_episodes'])} evaluation episodes without an end")
    return " · ".join(parts)
