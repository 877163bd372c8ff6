"""`checklist.md`: facts of a tuned and confirmed result for the appendix of a paper."""

from __future__ import annotations

import os
import platform
from collections import Counter
from typing import Any

from tuneexp.files.yaml_writing import yaml_text
from tuneexp.sweep.confirming.confirmation import Confirmation
from tuneexp.sweep.results import SweepResult
from tuneexp.sweep.search.choice import parts
from tuneexp.sweep.sweep_config import SweepConfig
from tuneexp.tracking.origin import version_tags


def checklist(found: Confirmation, tuning: SweepResult, tuning_config: SweepConfig, config: SweepConfig) -> str:
    """Return the text, in markdown.

    Args:
        found: The confirmation.
        tuning: The sweep.
        tuning_config: Its configuration.
        config: Configuration of the confirmation.
    """
    sections = {
        "Problem": _problem(tuning_config),
        "Tuning": _tuning(tuning, tuning_config),
        "Confirmation": _confirmation(found),
        "Compute": _compute(found, tuning, tuning_config, config),
    }
    texts = [f"# {found.sweep}: tuned and confirmed", *(_section(name, rows) for name, rows in sections.items())]
    return "\n\n".join([*texts, "## Search space\n\n```yaml\n" + yaml_text(tuning_config.space) + "```"]) + "\n"


def _section(name: str, rows: dict[str, Any]) -> str:
    return f"## {name}\n\n| | |\n|---|---|\n" + "\n".join(f"| {key} | {value} |" for key, value in rows.items())


def _problem(config: SweepConfig) -> dict[str, Any]:
    trial = config.trial
    return {
        "algorithm": trial.algorithm,
        "environment": trial.env,
        "budget of a training": f"{trial.budget_env_steps:,} environment steps per seed",
        "evaluation": f"deterministic policy, {trial.evaluation.episodes} episodes per seed at each report, "
        f"{trial.evaluation.final_episodes} at the end",
        "objective": f"{trial.objective.kind} evaluation, {trial.objective.aggregate} over seeds",
        "fixed hyperparameters": config.fixed or "none",
    }


def _tuning(tuning: SweepResult, config: SweepConfig) -> dict[str, Any]:
    outcomes = Counter(str(one.outcome or "not ended").replace("_", " ") for one in tuning.trials)
    sampler, scheduler = parts(config.searcher), parts(config.scheduler)
    steps = sum(one.spent(len(config.trial.seeds)) for one in tuning.trials)
    return {
        "trials": f"{len(tuning.trials)} ({', '.join(f'{count} {name}' for name, count in sorted(outcomes.items()))})",
        "seeds of each trial": _listed(config.trial.seeds),
        "sampler": _with_options(*sampler) + f", seed {config.searcher_seed}",
        "scheduler": _with_options(*scheduler),
        "environment steps in all": f"{steps:,}",
    }


def _confirmation(found: Confirmation) -> dict[str, Any]:
    rows: dict[str, Any] = {
        f"seeds, {'some of them also' if found.seen_seeds else 'none of them'} used in tuning": _listed(found.seeds),
        "statistic": "interquartile mean over seeds (Agarwal et al. 2021, arXiv:2108.13264), 95 % percentile bootstrap "
        "interval, expanded for few seeds (Hesterberg 2014, arXiv:1411.5279)",
    }
    for one in found.configurations:
        diverged = f"; {len(one.diverged)} of {len(found.seeds)} seeds diverged" if one.diverged else ""
        score = "no score" if one.score is None else _interval(*one.score)
        said = "" if one.tuning is None else f"; {one.tuning:.6g} in tuning"
        rows[one.name] = f"{score}{said}{diverged}"
    if found.winner is not None:
        rows["chosen"] = (
            f"{found.winner.name}; corrected for the choice by these seeds (out-of-bag bootstrap): "
            f"{_interval(*found.winner.corrected)}"
        )
        if found.winner.over_defaults is not None:
            rows["chosen minus defaults"] = f"{_interval(*found.winner.over_defaults)}, paired by seed"
    return rows


def _compute(
    found: Confirmation, tuning: SweepResult, tuning_config: SweepConfig, config: SweepConfig
) -> dict[str, Any]:
    versions = {name.removeprefix("version."): text for name, text in version_tags().items()}
    machine = f"{platform.machine()}, {os.cpu_count()} cores, device {config.trial.device}"
    return {
        "machine": f"{versions.pop('platform')}, {machine}",
        "versions": ", ".join(f"{name} {text}" for name, text in versions.items()),
        "training time of tuning": f"{sum(one.wall_s for one in tuning.trials):,.0f} s, summed over trials",
        "training time of the confirmation": f"{sum(one.wall_s for one in found.configurations):,.0f} s, summed",
        "trials at a time": f"{tuning_config.concurrency or 'as many as fit'}",
    }


def _with_options(name: str, options: dict[str, Any]) -> str:
    return name + (f" ({', '.join(f'{key}={value}' for key, value in options.items())})" if options else "")


def _listed(seeds: list[int]) -> str:
    return f"{len(seeds)}: {', '.join(map(str, seeds))}"


def _interval(value: float, low: float, high: float) -> str:
    return f"{value:.6g} ({low:.6g} to {high:.6g})"
