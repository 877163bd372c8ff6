"""MLflow metrics and tags of a trial's report. Pure functions, cheap enough for Tune's loop."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from ray.tune.result import AUTO_RESULT_KEYS

from tuneexp.nesting import flat, leaves
from tuneexp.tracking.values import entity_name

# Keys that Tune adds to each result, and the number of the report: a metric has its step.
_NOT_METRICS = {*AUTO_RESULT_KEYS, "iteration", "trial_id", "experiment_tag", "warmup_time"}
_FAULTS = ("failed_seeds", "partial_episodes")  # logged only if they are not 0
# Result keys that have another name in MLflow, where they are columns of a table.
_RENAMED = {"time/train_s": "wall_s"}


def metrics_of(result: Mapping[str, Any]) -> tuple[dict[str, float], list[str]]:
    """Finite numbers of a report by metric name, and the names of those that were NaN or infinite.

    NaN and infinity are left out: SQLite stores infinity as 1.8e308, and NaN as 0 with a flag. Booleans, lists and
    texts are not metrics. `failed_seeds` and `partial_episodes` are counts, left out if 0."""
    metrics: dict[str, float] = {}
    nonfinite: list[str] = []
    for name, value in leaves(result, skip=_NOT_METRICS):
        number = _number(_count(value) or None if name in _FAULTS else value)
        if number is None:
            continue
        known_as = entity_name(_RENAMED.get(name, name))
        if math.isfinite(number):
            metrics[known_as] = number
        else:
            nonfinite.append(known_as)
    if nonfinite:
        metrics["nonfinite_values"] = float(len(nonfinite))
    return metrics, nonfinite


def hyperparameter_metrics(values: Mapping[str, Any]) -> dict[str, float]:
    """Return numbers among hyperparameters as metrics. MLflow's params can't change, so a series shows their course."""
    numbers = {name: _number(value) for name, value in values.items()}
    return {f"hyperparameter/{entity_name(name)}": one for name, one in numbers.items() if one is not None}


def takeover_fields(takeover: Mapping[str, Any], all_of_them: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the fields of a takeover's record.

    The report at the same step has the values that trained it. So the new ones are `next_metrics`, one step later.

    takeover: `env_steps`, `donor`, `before` and `after`. all_of_them: those of the trial so far."""
    lineage = [f"trial {one['donor']} at {one['env_steps']}" for one in all_of_them]
    fields = {name: takeover[name] for name in ("donor", "before", "after")}
    return {
        **fields,
        "step": takeover["env_steps"],
        "metrics": {"population/donor": float(takeover["donor"])},
        "next_metrics": hyperparameter_metrics(takeover["after"]),
        "tags": {"lineage": ", ".join(lineage)},
    }


def values_that_move(
    config: Mapping[str, Any], params: Mapping[str, Any], env_steps: int, changed: bool
) -> dict[str, float]:
    """Return the hyperparameters of a trial that may change while it trains, as metrics of its report at `env_steps`.

    params: its varied hyperparameters now, flat. changed: they have other values than ever before."""
    varied = params if changed or config.get("of_population") else {}
    return hyperparameter_metrics({**varied, **_scheduled_values(config, env_steps)})


def _scheduled_values(config: Mapping[str, Any], env_steps: int) -> dict[str, Any]:
    """Return the hyperparameters that a schedule changes, flat, as they trained a trial up to `env_steps`."""
    changes = config.get("schedule") or []
    held = flat(config.get("hyperparameters", {})) if changes else {}
    for change in changes:
        if change["env_steps"] < env_steps:
            held |= change["values"]
    return {name: held[name] for change in changes for name in change["values"] if name in held}


def tags_of(result: Mapping[str, Any], nonfinite: list[str]) -> dict[str, str]:
    """Tags of a run from a report: names of values that were left out, and `compiled`."""
    tags = {}
    if nonfinite:
        tags["nonfinite"] = ", ".join(nonfinite)
    if "compiled" in result:
        tags["compiled"] = str(bool(result["compiled"])).lower()
    return tags


def _count(value: Any) -> int:
    return len(value) if isinstance(value, list) else int(value)


def _number(value: Any) -> float | None:
    """A Python or numpy number or 0-d tensor as a float; None for booleans and anything else."""
    if isinstance(value, bool) or type(value).__name__ in ("bool", "bool_"):
        return None
    if isinstance(value, (int, float)):
        return float(value)
    if getattr(value, "shape", None) == () and hasattr(value, "item"):
        return _number(value.item())
    return None


def number_of(trial: Any) -> int | None:
    """Return the number of Tune's trial; None for one that has none."""
    number = trial.config.get("trial_number")
    return None if number is None else int(number)
