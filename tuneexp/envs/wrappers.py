"""Wrappers by name, and a wrapper that adds the action mask to the observation."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, SupportsFloat

import gymnasium
import numpy as np
from gymnasium import Env
from gymnasium.spaces import Dict, Discrete, MultiBinary, MultiDiscrete
from numpy.typing import NDArray

from tuneexp.addresses import is_address, load_class
from tuneexp.envs.zoo_wrappers import ZOO_WRAPPERS
from tuneexp.errors import UserError, reason_of, unknown_name

WrapperLike = str | Mapping[str, Mapping[str, Any] | None]

_INSTEAD = {
    "Autoreset": "environments are reset at the end of each episode anyway: leave it out",
    "NormalizeObservation": "its statistics are not saved and not shared with evaluation: "
    "set normalize_observation=true of the algorithm instead",
    "NormalizeReward": "its statistics are not saved, and evaluation would score scaled rewards: "
    "set normalize_reward=true of the algorithm instead",
}


@dataclass(frozen=True)
class NamedWrapper:
    """A wrapper by its name or address. Each process looks it up itself: workers get the name, not the class."""

    name: str
    kwargs: dict[str, Any] = field(default_factory=dict)

    def around(self, env: Env[Any, Any], env_name: str) -> Env[Any, Any]:
        """Wrap `env`. Raises `UserError`, with the wrapper's arguments, if it fails."""
        make = _find(self.name)
        # Stored as JSON, which has no tuples; gymnasium's wrappers insist on them for shapes.
        kwargs = {key: tuple(value) if isinstance(value, list) else value for key, value in self.kwargs.items()}
        try:
            wrapped = make(env, **kwargs)
        except UserError:
            raise
        except BaseException as error:
            raise UserError(
                f"wrapper {self.name} can't be put around {env_name}: {reason_of(error)}\n"
                f"its arguments: {_arguments(make)}"
            ) from error
        if not isinstance(wrapped, Env):
            raise UserError(f"wrapper {self.name} gave a {type(wrapped).__name__}; it must give a gymnasium.Env")
        return wrapped


def parse_wrappers(wrappers: Sequence[WrapperLike]) -> tuple[NamedWrapper, ...]:
    """Return the wrappers in the order in which they are applied, the innermost first.

    An item is a name ("ClipAction", "module:Class", "path/file.py:Class"), or a name with arguments:
    {"FrameStackObservation": {"stack_size": 4}}. Raises `UserError` for an unknown name, with the nearest one, and for
    an item of another form."""
    if isinstance(wrappers, str | Mapping):
        raise UserError(f"wrappers is a list, got {wrappers!r}; write [{wrappers!r}]")
    parsed = tuple(_parse(item) for item in wrappers)
    for wrapper in parsed:
        _find(wrapper.name)
    return parsed


def _parse(item: Any) -> NamedWrapper:
    if isinstance(item, str):
        return NamedWrapper(item)
    if isinstance(item, Mapping) and len(item) == 1:
        ((name, kwargs),) = item.items()
        if kwargs is None or isinstance(kwargs, Mapping):
            return NamedWrapper(str(name), dict(kwargs or {}))
    raise UserError(
        f"wrapper {item!r} is neither a name nor a name with arguments; "
        'write "ClipAction" or {"FrameStackObservation": {"stack_size": 4}}'
    )


def _find(name: str) -> Callable[..., Any]:
    own: dict[str, Callable[..., Any]] = {ActionMask.__name__: ActionMask, **ZOO_WRAPPERS}
    if name in _INSTEAD:
        raise UserError(f"wrapper {name} is not for training here: {_INSTEAD[name]}")
    if is_address(name):
        return load_class(name, "wrapper", (Env,), "a class of gymnasium.Wrapper")
    elif name in own:
        return own[name]
    else:
        known = [one for one in gymnasium.wrappers.__all__ if one[0].isupper() and one not in _INSTEAD]
        if name not in known:
            raise unknown_name("wrapper", name, [*known, *own], "or module:Class, path/file.py:Class")
        found = getattr(importlib.import_module("gymnasium.wrappers"), name)
    if not callable(found):
        raise UserError(f"wrapper {name!r} is a {type(found).__name__}; name a gymnasium.Wrapper or a function")
    return found


def _arguments(make: Callable[..., Any]) -> str:
    """Return the arguments of a wrapper after the environment: `stack_size, padding_type='reset'`."""
    _, *after_env = inspect.signature(make).parameters.values()
    return ", ".join(str(p.replace(annotation=inspect.Parameter.empty)) for p in after_env) or "none"


class ActionMask(gymnasium.Wrapper[Any, Any, Any, Any]):
    """Observations become {"action_mask": mask, "observation": the original one}.

    mask: int8 [K], 1 for valid actions; K actions of a Discrete space, or the options of all choices of a MultiDiscrete
    one. It comes from the environment's method `action_masks()` (as for MaskablePPO of sb3-contrib) or, without one,
    from `info["action_mask"]` (as in gymnasium's Taxi). The final observation of an episode may lack a mask: all
    actions are then valid.

    Raises:
        UserError: another action space.
        ValueError: at run time, no mask or no valid action although the episode continues.
    """

    def __init__(self, env: Env[Any, Any]) -> None:
        super().__init__(env)
        action = env.action_space
        if isinstance(action, Discrete):
            self._size = int(action.n)
        elif isinstance(action, MultiDiscrete) and action.nvec.ndim == 1:
            self._size = int(action.nvec.sum())
        else:
            raise UserError(f"wrapper ActionMask needs Discrete or MultiDiscrete actions, got {action}")
        mask = MultiBinary(self._size)
        self.observation_space = Dict({"action_mask": mask, "observation": env.observation_space})
        self._method: Callable[[], Any] | None = None
        if env.has_wrapper_attr("action_masks"):
            self._method = env.get_wrapper_attr("action_masks")

    def reset(self, **kwargs: Any) -> tuple[dict[str, Any], dict[str, Any]]:
        obs, info = self.env.reset(**kwargs)
        return self._with_mask(obs, info, False), info

    def step(self, action: Any) -> tuple[dict[str, Any], SupportsFloat, bool, bool, dict[str, Any]]:
        obs, reward, terminated, truncated, info = self.env.step(action)
        return self._with_mask(obs, info, bool(terminated)), reward, terminated, truncated, info

    def _with_mask(self, obs: Any, info: Mapping[str, Any], terminated: bool) -> dict[str, Any]:
        given = self._method() if self._method is not None else info.get("action_mask")
        if given is None and not terminated:
            raise ValueError("no action mask: neither info['action_mask'] nor a method action_masks()")
        mask = self._checked(given) if given is not None else np.zeros(self._size, np.int8)
        if not mask.any():
            if not terminated:
                raise ValueError("the action mask allows no action at all")
            mask = np.ones(self._size, np.int8)
        return {"action_mask": mask, "observation": obs}

    def _checked(self, given: Any) -> NDArray[np.int8]:
        mask = np.asarray(given).reshape(-1).astype(bool)
        if len(mask) != self._size:
            raise ValueError(f"the action mask has {len(mask)} entries; the action space has {self._size} choices")
        return mask.astype(np.int8)
