"""Names of the metrics that trials of a sweep report, from a short training in this process."""

from __future__ import annotations

import time
from collections.abc import Collection
from typing import TYPE_CHECKING, Any

from tuneexp.algorithms.registry import load_spec
from tuneexp.errors import TuneexpError, UserError, reason_of
from tuneexp.nesting import merged
from tuneexp.sweep.search.metrics import KEYS
from tuneexp.sweep.sweep_config import SweepConfig
from tuneexp.trial.trial_config import TrialConfig

if TYPE_CHECKING:
    from tuneexp.algorithms.spec import TrainableSpec
    from tuneexp.trial import Trial

MOST_S = 20.0  # of training up to the first update, whose statistics are metrics
# Hyperparameters that would make the first update late, or need other processes.
_SMALL = {"learning_starts": 64, "buffer_size": 2048, "num_env_runners": 0, "num_learners": 0}


def reported_metrics(config: SweepConfig) -> Collection[str]:
    """Return the names of the numbers in a report of a trial with default hyperparameters and the fixed ones.

    Args:
        config: The sweep.

    Raises:
        UserError: A trial can't be trained here.
    """
    try:
        metrics = _first_report(config)
    except TuneexpError:
        raise
    except Exception as error:
        raise UserError(f"the metrics of a trial can't be found out: {reason_of(error)}") from error
    shown = {key: name for name, key in KEYS.items()}
    names = [shown.get(name, name) for name, value in metrics.items() if _is_number(value)]
    first, *others = config.trial.seeds
    return [*names, *(name.replace(f"seed/{first}/", f"seed/{seed}/") for seed in others for name in names)]


def _first_report(config: SweepConfig) -> dict[str, Any]:
    from tuneexp.trial import Trial  # loads torch

    spec = load_spec(config.trial.algorithm)
    trial = Trial(spec, TrialConfig.parse(short_settings(config, spec), "the trial"))
    try:
        train_shortly(trial)
        return trial.advance()
    finally:
        trial.close()


def short_settings(config: SweepConfig, spec: TrainableSpec) -> dict[str, Any]:
    """Return the settings of a trial with the fixed hyperparameters, which updates soon."""
    small = {name: value for name, value in _SMALL.items() if name in spec.config_class.model_fields}
    return {
        **config.trial.model_dump(),
        "hyperparameters": merged(config.fixed, small),
        "seeds": config.trial.seeds[:1],
        "report_every_env_steps": 1,
        "evaluation": {"episodes": 1, "final_episodes": 1},
        "compile": "off",
    }


def train_shortly(trial: Trial) -> None:
    """Train up to the first update, at most for some seconds."""
    end_s = time.monotonic() + MOST_S
    while not any(one.learner.n_updates for one in trial.trained.values()) and time.monotonic() < end_s:
        trial.training_step()


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
