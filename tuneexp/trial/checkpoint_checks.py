"""Checks that a checkpoint fits a trial."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from tuneexp.addresses import changed_sources
from tuneexp.algorithms.base_config import AlgorithmConfig
from tuneexp.config import Config
from tuneexp.errors import CheckpointError
from tuneexp.learning.learner import Learner

if TYPE_CHECKING:
    from tuneexp.trial.trial import Trial

log = logging.getLogger(__name__)

# Fields that must be equal: they shape environments, statistics or replay buffer. Other numbers may differ, as
# population-based training changes them.
FIXED = ("n_envs", "normalize_observation", "normalize_reward", "buffer_size", "n_step", "prioritized",
         "optimizer_class", "use_rms_prop")  # fmt: skip


def check_same_run(trial: Trial, state: Mapping[str, Any]) -> None:
    """Raise `CheckpointError` for a checkpoint of another algorithm, environment or other seeds."""
    if "cohorts" in state:
        raise CheckpointError("the seeds of the checkpoint joined one after another; this trial starts all together")
    own = {"algorithm": trial.spec.name, "seeds": list(trial.config.seeds), "env": trial.source.name}
    for name, value in own.items():
        if state[name] != value:
            raise CheckpointError(
                f"the checkpoint is of {name} {state[name]!r}, this trial is of {value!r}; write {name}={state[name]!r}"
            )


def check_same_networks(saved: AlgorithmConfig, learner: Learner, state: Mapping[str, Any]) -> None:
    """Raise `CheckpointError` if saved parameters do not fit the networks of a learner.

    Args:
        saved: configuration of the checkpoint.
        learner: of the trial.
        state: from `PolicyTrainer.state_dict`.
    """
    fixed = learner.model_reads | {name for name in FIXED if hasattr(saved, name)}
    if custom_model_of(saved) and custom_model_of(learner.cfg):
        fixed.discard("model")  # the file of a custom network may have moved; its shapes are checked below
    for name in sorted(fixed):
        if getattr(saved, name) != getattr(learner.cfg, name):
            raise CheckpointError(
                f"the checkpoint was made with {name}={getattr(saved, name)!r}, this trial has "
                f"{getattr(learner.cfg, name)!r}; write {name}={getattr(saved, name)!r}"
            )
    both = (state["learner"]["parameters"], learner.parameters)
    shapes = [{name: tuple(value.shape) for name, value in of.items()} for of in both]
    if shapes[0] != shapes[1]:
        name = next(name for name in shapes[0] | shapes[1] if shapes[0].get(name) != shapes[1].get(name))
        raise CheckpointError(
            f"the checkpoint was made for other shapes: {name} is {shapes[0].get(name)} there, "
            f"{shapes[1].get(name)} here"
        )
    network, since = custom_model_of(learner.cfg), state.get("model_source")
    if network and since and changed_sources({network: since}):
        log.warning("the source of the network %s has changed since the checkpoint was made", network)


def custom_model_of(cfg: Config) -> str | None:
    """Return the address of custom networks; None for built-in ones."""
    model = getattr(cfg, "model", None)
    return model if isinstance(model, str) else None
