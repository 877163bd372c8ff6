"""Policy as a program of `torch.export`, and its comparison with the original."""

from __future__ import annotations

import io
import json
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from gymnasium import Space
from gymnasium.spaces import Box, Dict
from numpy.typing import NDArray

from tuneexp.errors import TuneexpError, UserError
from tuneexp.sampling.loaded_policy import LoadedPolicy
from tuneexp.sampling.policy_module import PolicyModule
from tuneexp.spaces.batches import stacked

# Observations on which an exported policy is compared with the original, and steps for which a state is passed on.
COMPARED, STEPS = 1_000, 3
TIES = 2  # of those, on which another library's rounding may choose the other of two equally good discrete actions
_TOLERANCE = 1e-5
ABOUT = "tuneexp.json"  # file within a program: origin and spaces

Arrays = NDArray[Any]
Acts = Callable[[Any, Arrays | None], tuple[Arrays, Arrays | None]]
"""Batch of observations and state -> actions and next state. The state is None without recurrent networks."""


def program_of(policy: LoadedPolicy, module: PolicyModule) -> bytes:
    """Return the file of a program for batches of any size, with `tuneexp.json` about its origin and spaces.

    Raises:
        UserError: a function of the algorithm or the networks can't be exported.
    """
    example = tensors(observations(policy, 2))
    given = (example, torch.zeros(2, module.state_size)) if module.state_size else (example,)
    batch = torch.export.Dim("batch")
    shapes = tuple(_mapped(one, lambda leaf: {0: batch}) for one in given)
    file = io.BytesIO()
    try:
        with torch.no_grad(), warnings.catch_warnings(action="ignore"):
            program = torch.export.export(module, given, dynamic_shapes=shapes, strict=False)
            torch.export.save(program, file, extra_files={ABOUT: json.dumps(_about(policy, module))})
    except Exception as error:
        why = " ".join(str(error).split())[:300]
        raise UserError(
            f"{policy!r} can't be exported: {type(error).__name__}: {why}\n"
            "act_fn and the networks must be tensor operations on batches of any size, without .item() and `if tensor:`"
        ) from error
    return file.getvalue()


def _about(policy: LoadedPolicy, module: PolicyModule) -> dict[str, Any]:
    own = {name: getattr(policy.facts, name) for name in ("algorithm", "env", "seed", "env_steps", "policy")}
    spaces = {"observation": _described(policy.observation_space), "action": _described(policy.action_space)}
    return {**own, **spaces, "state_size": module.state_size}


def _described(space: Space[Any]) -> dict[str, Any]:
    """Return shape and type of the values of a space; of a Dict its "parts"."""
    if isinstance(space, Dict):
        return {"parts": {str(key): _described(part) for key, part in space.spaces.items()}}
    return {"shape": list(space.shape or ()), "dtype": str(np.dtype(space.dtype)), "space": str(space)}


def acts_of(program: bytes) -> Acts:
    """Return the function of a file from `program_of`."""
    module = torch.export.load(io.BytesIO(program)).module()

    def acts(obs: Any, state: Arrays | None) -> tuple[Arrays, Arrays | None]:
        if state is None:
            return module(tensors(obs)).numpy(), None
        action, following = module(tensors(obs), torch.from_numpy(state))
        return action.numpy(), following.numpy()

    return acts


def largest_difference(policy: LoadedPolicy, acts: Acts, state_size: int, ties: int = 0) -> float:
    """Return the largest difference between actions of an exported policy and the original on random observations.

    Args:
        policy: The original.
        acts: The exported policy.
        state_size: Size of its recurrent state; 0: none.
        ties: Number of observations on which discrete actions may differ.

    Raises:
        TuneexpError: It is more than rounding.
    """
    state = np.zeros((COMPARED, state_size), np.float32) if state_size else None
    largest = 0.0
    policy.reset()
    for _ in range(STEPS if state_size else 1):
        obs = observations(policy, COMPARED)
        action, state = acts(obs, state)
        by_row = np.abs(action.astype(float) - policy(obs)).reshape(COMPARED, -1).max(1)
        if not isinstance(policy.action_space, Box) and np.count_nonzero(by_row) <= ties:
            continue
        largest = max(largest, float(by_row.max()))
    policy.reset()
    if largest > _TOLERANCE * _scale(policy.action_space):
        raise TuneexpError(
            f"the exported policy acts differently: by up to {largest:g} on {COMPARED} observations; please report it"
        )
    return largest


def _scale(space: Space[Any]) -> float:
    """Return the size of actions that the tolerance is relative to; less than any difference for discrete ones."""
    if not isinstance(space, Box):
        return 1.0
    bounds = np.abs(np.concatenate([space.low.ravel(), space.high.ravel()]))
    return float(max(1.0, np.max(bounds, where=np.isfinite(bounds), initial=1.0)))


def observations(policy: LoadedPolicy, rows: int) -> Any:
    """Return a batch of random observations."""
    return stacked([policy.observation_space.sample() for _ in range(rows)])


def tensors(obs: Any) -> Any:
    """Return a batch of observations as tensors."""
    return _mapped(obs, torch.from_numpy)


def _mapped(tree: Any, function: Callable[[Any], Any]) -> Any:
    """Apply a function to the leaves of nested dictionaries."""
    if isinstance(tree, dict):
        return {key: _mapped(value, function) for key, value in tree.items()}
    return function(tree)


def leaves_of(obs: Any) -> Iterator[Any]:
    """Yield the arrays of a batch of observations."""
    if isinstance(obs, dict):
        for part in obs.values():
            yield from leaves_of(part)
    else:
        yield obs
