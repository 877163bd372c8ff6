"""Check of the shapes and types of a tensor environment, on tensors without values."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from gymnasium import Space
from gymnasium.spaces import Dict
from torch import Tensor
from torch.utils._pytree import keystr, tree_flatten_with_path, tree_structure

from tuneexp.envs.tensor.program import TensorProgram
from tuneexp.errors import UserError, reason_of
from tuneexp.rl.noise import Noise
from tuneexp.spaces.supported import check_spaces

_LEAD, _META = (2, 3), torch.device("meta")


def check_program(program: TensorProgram) -> None:
    """Check what `reset` and `step` return. Nothing is computed: the tensors have no values.

    Raises:
        UserError: a shape or type is wrong, or a function needs values of tensors.
    """
    env, name = program.env, program.name
    for what in ("observation_space", "action_space"):
        if not isinstance(getattr(env, what, None), Space):
            raise UserError(f"environment {name}: {what} is missing; set it to a space of gymnasium")
    check_spaces(env.observation_space, env.action_space, name)
    reset_noise, step_noise = _noise(program, "reset_noise"), _noise(program, "step_noise")
    params = program.on(_META).params
    state, obs = _called(name, "reset", 2, lambda: env.reset(reset_noise, params))
    _check_state(name, "reset", state)
    _check_obs(name, "reset", env.observation_space, obs)
    action = meta(env.action_space)
    after, obs, reward, terminated = _called(name, "step", 4, lambda: env.step(state, action, step_noise, params))
    _check_state(name, "step", after)
    _check_carried(name, state, after)
    _check_obs(name, "step", env.observation_space, obs)
    _check_tensor(name, "step", "reward", reward, _LEAD, torch.float32)
    _check_tensor(name, "step", "terminated", terminated, _LEAD, torch.bool)


def meta(space: Space[Any], lead: tuple[int, ...] = _LEAD) -> Tensor:
    """Return a tensor without values for actions or observations of a space."""
    return torch.empty((*lead, *(space.shape or ())), dtype=tensor_dtype(space), device=_META)


def tensor_dtype(space: Space[Any]) -> torch.dtype:
    """Return the type of tensors of a space that is no Dict."""
    named: torch.dtype = getattr(torch, str(space.dtype))
    return named


def _noise(program: TensorProgram, role: str) -> dict[str, Tensor]:
    declared = getattr(program.env, role)
    if not isinstance(declared, Mapping) or not all(isinstance(one, Noise) for one in declared.values()):
        raise UserError(f'environment {program.name}: {role} is no dict of Noise; write {{"name": Noise("normal")}}')
    if role == "reset_noise" and not declared:
        raise UserError(f"environment {program.name}: reset_noise is empty; reset takes its leading axes from it")
    both = set(program.env.reset_noise) & set(declared) if role == "step_noise" else set()
    if both:
        raise UserError(f"environment {program.name}: reset_noise and step_noise both have {min(both)!r}; rename one")
    if any(one.per != "row" or one.every != 1 for one in declared.values()):
        raise UserError(
            f"environment {program.name}: {role} is drawn for each step and environment; omit per and every"
        )
    return {key: torch.empty((*_LEAD, *one.shape), device=_META) for key, one in declared.items()}


def _called(name: str, function: str, count: int, call: Callable[[], Any]) -> Any:
    try:
        result = call()
    except Exception as error:
        raise UserError(
            f"environment {name}: {function} failed on tensors without values: {reason_of(error)}\n"
            "write torch.where for an `if` on a tensor, and keep lists and arrays in params"
        ) from error
    if not isinstance(result, tuple) or len(result) != count:
        wanted = "state, obs" if function == "reset" else "state, obs, reward, terminated"
        raise UserError(f"environment {name}: {function} gave {_kind(result)}; return {wanted}")
    return result


def _check_state(name: str, function: str, state: Any) -> None:
    for key, leaf in _leaves(state).items():
        what = f"the state{key}"
        if not isinstance(leaf, Tensor):
            raise _wrong(name, function, what, leaf, "a tensor, or a tuple or dict of tensors")
        if leaf.shape[: len(_LEAD)] != _LEAD:
            raise _wrong(name, function, what, leaf, "[..., *shape]: a value for each environment")
        _check_single(name, function, what, leaf)


def _check_carried(name: str, before: Any, after: Any) -> None:
    if tree_structure(before) != tree_structure(after):
        raise UserError(f"environment {name}: step gave a state of another form than reset; return the same fields")
    for (key, old), new in zip(_leaves(before).items(), _leaves(after).values(), strict=True):
        if (old.shape, old.dtype) != (new.shape, new.dtype):
            raise _wrong(name, "step", f"the state{key}", new, f"{_form(old.shape, old.dtype)} as from reset")


def _check_obs(name: str, function: str, space: Space[Any], obs: Any, key: str = "") -> None:
    what = f"the observation{key}"
    if not isinstance(space, Dict):
        return _check_tensor(name, function, what, obs, (*_LEAD, *(space.shape or ())), tensor_dtype(space))
    if not isinstance(obs, Mapping) or set(obs) != set(space.spaces):
        raise _wrong(name, function, what, obs, f"a dict of {', '.join(map(repr, space.spaces))}")
    for part, inner in space.spaces.items():
        _check_obs(name, function, inner, obs[part], f"{key}[{part!r}]")
    return None


def _check_tensor(name: str, function: str, what: str, value: Any, shape: tuple[int, ...], dtype: torch.dtype) -> None:
    if isinstance(value, Tensor):
        _check_single(name, function, what, value)
    if not isinstance(value, Tensor) or (value.shape, value.dtype) != (shape, dtype):
        raise _wrong(name, function, what, value, _form(shape, dtype))


def _check_single(name: str, function: str, what: str, value: Tensor) -> None:
    if value.dtype == torch.float64:
        raise UserError(
            f"environment {name}: {function} gave {what} in float64, which comes from numpy's numbers or from "
            "torch.float64; use params, Python's numbers and the type of the noise"
        )
    if value.device != _META:
        raise UserError(
            f"environment {name}: {function} gave {what} on another device than its inputs; make new tensors by "
            "torch.zeros_like(...) or with device=state.device, and keep lists and arrays in params"
        )


def _wrong(name: str, function: str, what: str, value: Any, wanted: str) -> UserError:
    return UserError(f"environment {name}: {function} gave {what} as {_kind(value)}; it must be {wanted}")


def _kind(value: Any) -> str:
    return _form(value.shape, value.dtype) if isinstance(value, Tensor) else f"a {type(value).__name__}"


def _form(shape: tuple[int, ...], dtype: torch.dtype) -> str:
    """Return type and shape as text, with the leading axes of the check as `...`."""
    sizes = ["...", *map(str, shape[2:])] if tuple(shape[:2]) == _LEAD else list(map(str, shape))
    return f"{str(dtype).removeprefix('torch.')} [{', '.join(sizes)}]"


def _leaves(tree: Any) -> dict[str, Any]:
    return {keystr(path): leaf for path, leaf in tree_flatten_with_path(tree)[0]}
