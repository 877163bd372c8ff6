"""Whether a checkpoint fits a trial."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from torch import Tensor

from tuneexp.addresses import changed_sources
from tuneexp.algorithms.config import AlgorithmConfig
from tuneexp.config import Config
from tuneexp.errors import CheckpointError
from tuneexp.learning.learner import Learner
from tuneexp.trial.former import model_written_out

if TYPE_CHECKING:
    from tuneexp.trial.trial import Trial

log = logging.getLogger(__name__)

# What shapes the environments, their statistics and the stored experience.
FIXED = ("n_envs", "normalize_observation", "normalize_reward", "buffer_size", "n_step", "prioritized",
         "optimizer_class", "use_rms_prop")  # fmt: skip


def check_compatible(trial: Trial, state: Mapping[str, Any]) -> None:
    """Numbers may differ (population-based training changes them), what shapes the stored state may not."""
    check_same_run(trial, state)
    of_class = trial.spec.config_class
    meant = {**state["config"]["hyperparameters"], **model_written_out(state, of_class)}
    saved = of_class.parse(meant, "the checkpoint")
    check_same_networks(saved, trial.learner, state["learner"]["parameters"])
    own_model = own_model_of(trial.cfg)
    if own_model and (since := state.get("model_source")) and changed_sources({own_model: since}):
        log.warning("the source of the network %s has changed since the checkpoint was made", own_model)


def check_same_run(trial: Trial, state: Mapping[str, Any]) -> None:
    """Raises `CheckpointError` for the checkpoint of another algorithm, environment or other seeds."""
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


def check_same_networks(saved: AlgorithmConfig, learner: Learner, parameters: Mapping[str, Tensor]) -> None:
    """Raises `CheckpointError` where what was saved, configured by `saved`, doesn't fit the networks of `learner`."""
    fixed = learner.model_reads | {name for name in FIXED if hasattr(saved, name)}
    if own_model_of(saved) and own_model_of(learner.cfg):
        fixed.discard("model")  # an own network's file may have moved; that its shapes are the same is checked below
    for name in sorted(fixed):
        if getattr(saved, name) != getattr(learner.cfg, name):
            raise CheckpointError(
                f"the checkpoint was made with {name}={getattr(saved, name)!r}, this trial has "
                f"{getattr(learner.cfg, name)!r}; only what shapes no network and no environment may change"
            )
    shapes = [{name: tuple(value.shape) for name, value in of.items()} for of in (parameters, learner.parameters)]
    if shapes[0] != shapes[1]:
        name = next(name for name in shapes[0] | shapes[1] if shapes[0].get(name) != shapes[1].get(name))
        raise CheckpointError(
            f"the checkpoint was made for other shapes: {name} is {shapes[0].get(name)} there, "
            f"{shapes[1].get(name)} here"
        )


def own_model_of(cfg: Config) -> str | None:
    """The address of the networks where they are the user's own."""
    model = getattr(cfg, "model", None)
    return model if isinstance(model, str) else None
