"""Initial parameters and running statistics of a policy, from a checkpoint."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from tuneexp.envs.normalise import RunningNormaliser
from tuneexp.errors import CheckpointError
from tuneexp.files import checkpoint
from tuneexp.learning.learner import Learner
from tuneexp.learning.seed_networks import SeedNetworks
from tuneexp.trial.cohorts.states import stacked
from tuneexp.trial.source import PolicySetup


def start_from(setup: PolicySetup, learner: Learner, normaliser: RunningNormaliser | None) -> None:
    """Load the checkpoint of `setup.policy`.

    Args:
        setup: of the policy.
        learner: its parameters are overwritten.
        normaliser: its statistics are overwritten; None: it has none.

    Raises:
        CheckpointError: the checkpoint has no such policy, or other networks.
    """
    folder = str(setup.policy.checkpoint)
    state = stacked(checkpoint.read(folder))
    group = state["group"]
    if "policies" in state:
        which = setup.policy.checkpoint_policy or setup.name
        if which not in state["policies"]:
            raise CheckpointError(
                f"the checkpoint {folder} holds no policy {which!r}; write checkpoint_policy="
                f"{' or '.join(map(repr, state['policies']))}"
            )
        state, group = state["policies"][which], group["policies"][which]
    take_weights(learner, state["learner"]["parameters"], f"policy {setup.name!r}: the checkpoint {folder}")
    statistics = group["normaliser"]
    if normaliser is not None and statistics is not None:
        normaliser.load_state_dict(_for_seeds(statistics, len(setup.seeds)))


def take_weights(networks: SeedNetworks, parameters: Mapping[str, Tensor], what: str) -> None:
    """Overwrite parameters by those of a checkpoint, of one seed or of as many. Raises `CheckpointError` for others."""
    for name, leaf in networks.parameters.items():
        saved = parameters.get(name)
        if saved is None or saved.shape[1:] != leaf.shape[1:] or saved.shape[0] not in (1, leaf.shape[0]):
            shown = None if saved is None else list(saved.shape)
            raise CheckpointError(
                f"{what} doesn't fit: {name} is {shown} there and {list(leaf.shape)} here; it needs the same "
                "networks, and one seed or as many as here"
            )
        leaf.copy_(saved.expand_as(leaf))


def _for_seeds(statistics: Mapping[str, Any], n_seeds: int) -> dict[str, Any]:
    """Expand statistics [S or 1, ...] to [n_seeds, ...]."""
    return {name: value.repeat(n_seeds, 0) if len(value) == 1 else value for name, value in statistics.items()}


def one_seed(values: Mapping[str, Any], index: int) -> dict[str, Any]:
    """Return parameters or statistics [1, ...] of one seed."""
    return {name: value[index : index + 1] for name, value in values.items()}
