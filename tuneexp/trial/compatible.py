"""Whether a checkpoint fits a trial."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from tuneexp.algorithms.registry import source_changed
from tuneexp.errors import CheckpointError

if TYPE_CHECKING:
    from tuneexp.trial.trial import Trial

log = logging.getLogger(__name__)

# What shapes the environments, their statistics and the stored experience.
FIXED = ("n_envs", "normalize_observation", "normalize_reward", "buffer_size", "n_step", "prioritized")


def check_compatible(trial: Trial, state: Mapping[str, Any]) -> None:
    """Numbers may differ (population-based training changes them), what shapes the stored state may not."""
    if state["algorithm"] != trial.spec.name:
        raise CheckpointError(
            f"the checkpoint is of algorithm {state['algorithm']!r}, this trial is of {trial.spec.name!r}; "
            f"load it with --algorithm {state['algorithm']}"
        )
    if list(state["seeds"]) != list(trial.config.seeds):
        raise CheckpointError(
            f"the checkpoint holds seeds {state['seeds']}, this trial has {trial.config.seeds}; "
            f"name the same: seeds={state['seeds']}"
        )
    if state["env"] != trial.env_name:
        raise CheckpointError(f"the checkpoint is of environment {state['env']}, this trial is of {trial.env_name}")
    saved = trial.spec.config_class.parse(state["config"]["hyperparameters"], "the checkpoint")
    fixed = trial.learner.model_reads | {name for name in FIXED if hasattr(saved, name)}
    if isinstance(getattr(saved, "model", None), str) and trial.own_model:
        fixed.discard("model")  # an own network's file may have moved; that its shapes are the same is checked below
    for name in sorted(fixed):
        if getattr(saved, name) != getattr(trial.cfg, name):
            raise CheckpointError(
                f"the checkpoint was made with {name}={getattr(saved, name)!r}, this trial has "
                f"{getattr(trial.cfg, name)!r}; only what shapes no network and no environment may change"
            )
    shapes = [{name: tuple(value.shape) for name, value in parameters.items()}
              for parameters in (state["learner"]["parameters"], trial.learner.parameters)]  # fmt: skip
    if shapes[0] != shapes[1]:
        name = next(name for name in shapes[0] | shapes[1] if shapes[0].get(name) != shapes[1].get(name))
        raise CheckpointError(
            f"the checkpoint was made for other shapes: {name} is {shapes[0].get(name)} there, "
            f"{shapes[1].get(name)} here"
        )
    if source_changed(str(trial.own_model), state.get("model_source")):
        log.warning("the source of the network %s has changed since the checkpoint was made", trial.own_model)
