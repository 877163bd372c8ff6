"""Write docs/settings.md from the declarations of settings, hyperparameters and options: `make api`."""

from __future__ import annotations

import inspect
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel
from pydantic_core import PydanticUndefined

from tuneexp.algorithms.registry import ALGORITHMS, config_class_of, first_line_of
from tuneexp.report.hyperparameters import as_typed, hyperparameter_rows
from tuneexp.sweep import defaults
from tuneexp.sweep.search.choice import KINDS, meaning_of, option_rows
from tuneexp.sweep.sweep_config import SETTINGS, SweepConfig
from tuneexp.trial.trial_config import TrialConfig, settings_in

PAGE = Path(__file__).with_name("settings.md")
HEAD = """# Settings and hyperparameters

This page is generated from the code by `make api`.

Settings have the same names in Python (arguments of `Sweep` and `AlgorithmSpec.build`), in an experiment file and in
MLflow. On the command line `budget_env_steps` is `--env-steps` and so on: [command line](commands.md). Names with a
slash are keys of a group: `evaluation={"episodes": 10}` in Python, `--set evaluation/episodes=10` as an option."""
OF_TRIALS = f"""Shared by all trials of a sweep; also settings of a single training. The defaults are those of a
training; a sweep has {defaults.SEEDS} seeds and a budget of {defaults.BUDGET_ENV_STEPS:,} environment steps."""
HYPERPARAMETERS = """Each algorithm has these, set by `--set NAME=VALUE`, by `hyperparameters` or `fixed` in Python, or
varied by a [search space](search_spaces.md). *Numeric* values need no new compiled program, *structural* values do.
`tuneexp describe NAME` prints the same, also for an algorithm of yours."""


def table(rows: Sequence[Mapping[str, Any]], columns: Mapping[str, str]) -> str:
    """A table of `rows` with a column for each key of `columns`, named by its value."""
    lines = [" | ".join(columns.values()), "|".join(["---"] * len(columns))]
    lines += [" | ".join(cell_of(name, row[name]) for name in columns) for row in rows]
    return "\n".join(f"| {line} |" if "---" not in line else f"|{line}|" for line in lines)


def cell_of(column: str, value: Any) -> str:
    if column == "default":
        value = "" if value is PydanticUndefined else f"`{as_typed(value)}`"
    text = f"`{value}`" if column == "name" else str(value)
    return text.replace("|", "\\|")


def setting_rows(config_class: type[BaseModel], names: Collection[str]) -> list[dict[str, Any]]:
    return [row for row in hyperparameter_rows(config_class) if row["name"].partition("/")[0] in names]


def settings() -> Iterator[str]:
    columns = {"name": "setting", "default": "default", "range": "values", "meaning": "meaning"}
    of_trials = settings_in(TrialConfig.model_fields)
    yield "## Settings of a sweep"
    yield table(setting_rows(SweepConfig, SETTINGS.keys() - of_trials.keys()), columns)
    yield "## Settings of a trial"
    yield OF_TRIALS
    yield table(setting_rows(TrialConfig, of_trials), columns)


def hyperparameters() -> Iterator[str]:
    columns = {"name": "name", "default": "default", "range": "values", "kind": "kind", "meaning": "meaning"}
    yield "## Hyperparameters"
    yield inspect.cleandoc(HYPERPARAMETERS)
    for name in ALGORITHMS:
        yield f"### {name}"
        yield first_line_of(name)
        yield table(hyperparameter_rows(config_class_of(name)), columns)


def options() -> Iterator[str]:
    columns = {"name": "option", "default": "default", "meaning": "meaning"}
    for kind, names in KINDS.items():
        yield f"## Options of {kind}s"
        yield f"On the command line `--{kind}-option NAME=VALUE`. [Samplers and schedulers](tuning.md) explains them."
        for name in names:
            yield f"### {name}"
            yield meaning_of(kind, name)
            if rows := option_rows(kind, name):
                yield table(rows, columns)


def page() -> str:
    return "\n\n".join([HEAD, *settings(), *hyperparameters(), *options()]) + "\n"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
