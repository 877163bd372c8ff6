"""Command that trains the best configuration of a sweep on fresh seeds."""

from __future__ import annotations

import json as json_text
from typing import TYPE_CHECKING, Any

from tuneexp.cli.option_values import GROUPS, option_of, parse_value
from tuneexp.commands import command
from tuneexp.errors import UserError

if TYPE_CHECKING:
    from tuneexp.sweep import SweepResult, TrialResult
    from tuneexp.trial.trial_config import TrialConfig


def retrain_command(result: SweepResult, best: TrialResult) -> str | None:
    """Return the command that trains the best configuration on fresh seeds, which the sweep was not tuned on.

    A member of a population that has continued from others has a schedule, which is exported first. None if no command
    can name the environment."""
    from tuneexp.nesting import flat
    from tuneexp.report.formatting import short_path
    from tuneexp.sweep import load_config

    config = load_config(result.name, result.storage).trial
    if best.takeovers:
        return _with_schedule(result, best, max(5, len(config.seeds)))
    trial = _by_entry_point(config)
    if trial is None:
        return None
    first = max(trial.seeds) + 1
    fresh = ",".join(str(first + n) for n in range(max(5, len(trial.seeds))))
    settings = flat(best.config)
    budget = settings.pop("budget_env_steps", trial.budget_env_steps)
    options = [f"{name}={_as_typed(value)}" for name, value in settings.items()]
    groups, words = _other_settings(trial)
    options += [f"{name}={_as_typed(value)}" for name, value in groups.items()]
    return command(
        "train",
        short_path(trial.algorithm),
        short_path(trial.env),
        *("--env-steps", budget, "--seeds", fresh),
        *(word for option in options for word in ("--set", option)),
        *words,
        storage=short_path(result.storage),
    )


def _with_schedule(result: SweepResult, best: TrialResult, seeds: int) -> str:
    from tuneexp.report.formatting import short_path

    storage, file = short_path(result.storage), f"{result.name}-schedule.yaml"
    export = ("export", f"{result.name}/{best.trial_number}", "--to", "schedule", "--output", file)
    train = ("train", "--schedule", file, "--seeds", seeds)  # a number of seeds is of unseen ones
    return f"{command(*export, storage=storage)} && {command(*train, storage=storage)}"


def _by_entry_point(config: TrialConfig) -> TrialConfig | None:
    """Replace an environment id that a script registered by its entry point, which the command line can load.

    None if the entry point alone is another environment."""
    registered = config.env_registration
    if registered is None:
        return config
    if not registered.get("entry_point") or registered.get("vector_entry_point"):
        return None
    steps = registered.get("max_episode_steps")
    limit: list[str | dict[str, Any]] = [{"TimeLimit": {"max_episode_steps": steps}}] if steps else []
    same = {
        "env": registered["entry_point"],
        "env_kwargs": {**(registered.get("kwargs") or {}), **config.env_kwargs},
        "wrappers": [*limit, *config.wrappers],
    }
    return config.model_copy(update=same)


def _other_settings(config: TrialConfig) -> tuple[dict[str, Any], list[str]]:
    """Return the settings that differ from their defaults: groups for `--set`, and the words of options."""
    from tuneexp.cli.settings import declared
    from tuneexp.trial.trial_config import changed_settings, settings_in

    fields = settings_in(type(config).model_fields)
    changed = changed_settings(fields, config.model_dump(mode="json"))
    groups = {name: changed[name] for name in GROUPS if name in changed}
    options = {option_of(name): changed[name] for name in declared(fields) if name in changed}
    return groups, [*(word for pair in options.items() for word in pair), *_wrapper_options(config)]


def _wrapper_options(config: TrialConfig) -> list[str]:
    parts = [(one, None) if isinstance(one, str) else next(iter(one.items())) for one in config.wrappers]
    named = [name if not arguments else f"{name}={json_text.dumps(arguments)}" for name, arguments in parts]
    return [word for text in named for word in ("--wrapper", text)]


def _as_typed(value: Any) -> str:
    """Return a value as `--set` parses it."""
    if isinstance(value, str) and _reads_as_itself(value):
        return value
    return json_text.dumps(value, ensure_ascii=False)


def _reads_as_itself(text: str) -> bool:
    try:
        return bool(parse_value(text) == text)
    except UserError:
        return False
