"""`best.yaml`: the recommended configuration with all settings of its training, for `tuneexp train --config`."""

from __future__ import annotations

from typing import Any

import tuneexp
from tuneexp.files.checkpoint import read_header
from tuneexp.files.remote_folders import is_uri
from tuneexp.files.yaml_writing import yaml_text
from tuneexp.sweep.confirming.confirmation import Confirmation
from tuneexp.sweep.search.searched_budget import BUDGET
from tuneexp.sweep.sweep_config import SweepConfig
from tuneexp.trial.trial_config import TrialConfig, changed_settings, settings_in

# Written even if they are the defaults, since those of another version may differ.
_ALWAYS = ("algorithm", "env", "seeds", BUDGET, "compile")


def best_yaml(found: Confirmation, config: SweepConfig, checkpoint: str | None) -> str:
    """Return the text of the file.

    Args:
        found: The confirmation, with a winner.
        config: Its configuration.
        checkpoint: Checkpoint of that training, from which it is known whether its programs were compiled.
    """
    chosen, score = found.recommended, found.recommended_score
    assert chosen is not None
    assert score is not None
    hyperparameters = dict(chosen.config)
    budget = hyperparameters.pop(BUDGET, config.trial.budget_env_steps)
    trial = config.trial.model_copy(update={"hyperparameters": hyperparameters, BUDGET: budget})
    schedule = {"schedule": chosen.schedule} if chosen.schedule else {}
    values = {**_settings(trial), **_compiled(trial, checkpoint), **schedule}
    interval = "Interquartile mean return: {:.6g}, 95 % interval {:.6g} to {:.6g}".format(*score)
    lines = [
        f"# The best configuration after sweep {found.sweep}: {chosen.name}, on {len(found.seeds)} unseen seeds.",
        f"# {f'Return: {chosen.counts} seeds' if chosen.counts else interval}",
        f"# Written by tuneexp {tuneexp.__version__}. This repeats the training: tuneexp train --config best.yaml",
    ]
    return "\n".join(lines) + "\n" + yaml_text(values)


def _settings(trial: TrialConfig) -> dict[str, Any]:
    """Return the settings of a trial that differ from their defaults, and how its environment was registered."""
    changed = changed_settings(settings_in(TrialConfig.model_fields), trial.model_dump(mode="json"), _ALWAYS)
    registration = trial.env_registration
    return changed if registration is None else {**changed, "env_registration": registration}


def _compiled(trial: TrialConfig, checkpoint: str | None) -> dict[str, str]:
    """Return the setting `compile` of one training. In a sweep, auto also depends on the number of trials."""
    if trial.compile != "auto" or checkpoint is None or is_uri(checkpoint):
        return {"compile": trial.compile}
    return {"compile": "on" if read_header(checkpoint).get("compiled") else "off"}
