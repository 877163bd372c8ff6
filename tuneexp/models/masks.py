"""Action masks: invalid discrete actions, marked in a leaf of Dict observations."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import torch
from torch import Tensor

from tuneexp.errors import UserError
from tuneexp.rl.distributions import ActionHead
from tuneexp.spaces.packing import Leaf, layout

# Logit of an invalid action. Finite: a mask without any valid action, as some environments return after the end of an
# episode, gives a uniform choice instead of NaN. exp gives exactly 0, and a sum of several does not overflow.
FORBIDDEN = -1e8


class ActionMask:
    """Leaf `key` of Dict observations as action mask: one number per action (or option of each choice); 0 marks invalid
    actions.

    Huang and Ontañón 2022 (arXiv:2006.14171). Probability and gradient of invalid actions are zero.

    Raises:
        UserError: there is no such leaf, or it has another size.
    """

    def __init__(self, key: str, observation_space: gym.Space[Any], head: ActionHead) -> None:
        if head.kind == "continuous":
            raise UserError(f"action_mask {key!r}: only Discrete and MultiDiscrete actions can be masked; leave it out")
        if not isinstance(observation_space, gym.spaces.Dict):
            raise UserError(
                f"action_mask {key!r} names a part of Dict observations; these are {observation_space}: let the "
                "environment return a Dict with the mask in it, or leave it out"
            )
        leaves = {leaf.name: leaf for leaf in layout(observation_space)}
        if key not in leaves:
            raise UserError(f"action_mask {key!r} is no part of the observations; there are {_listed(leaves.values())}")
        leaf = leaves[key]
        if leaf.size != head.size or isinstance(leaf.space, gym.spaces.Discrete):
            raise UserError(
                f"action_mask {key!r} holds {leaf.size} number(s), the mask of these actions needs {head.size}; make "
                f"it MultiBinary({head.size}). There are {_listed(leaves.values())}"
            )
        self.start, self.end = leaf.start, leaf.start + leaf.size

    def apply(self, logits: Tensor, obs: Tensor) -> Tensor:
        """Mask invalid actions. logits: [..., head.size]; obs: packed [..., size]."""
        return torch.where(obs[..., self.start : self.end] != 0, logits, FORBIDDEN)


def _listed(leaves: Any) -> str:
    found: list[Leaf] = list(leaves)
    return ", ".join(f"{leaf.name!r} of {leaf.size}" for leaf in found)
