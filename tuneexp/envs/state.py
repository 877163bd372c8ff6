"""Exact state of classic-control environments, as a tree of arrays, numbers and strings (nothing pickled)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from gymnasium import Env, Wrapper
from gymnasium.envs.classic_control import (
    AcrobotEnv,
    CartPoleEnv,
    Continuous_MountainCarEnv,
    MountainCarEnv,
    PendulumEnv,
)
from gymnasium.envs.classic_control.cartpole import CartPoleVectorEnv
from gymnasium.vector import SyncVectorEnv
from gymnasium.wrappers import OrderEnforcing, TimeLimit

from tuneexp.envs.backends import Built
from tuneexp.envs.faults import NamedFaults

# Exactly these types: a subclass may hold more than the state that is known here.
_CLASSIC = (AcrobotEnv, CartPoleEnv, Continuous_MountainCarEnv, MountainCarEnv, PendulumEnv)
_WRAPPERS = (NamedFaults, OrderEnforcing, TimeLimit)

State = dict[str, Any]


def save(built: Built) -> State | None:
    """None where what is behind `built` isn't known well enough to be saved exactly."""
    if isinstance(built.vec, CartPoleVectorEnv) and built.cartpole_random is not None:
        return _save_cartpole(built.vec, built.cartpole_random.get_state())
    if isinstance(built.vec, SyncVectorEnv) and all(_is_known(env) for env in built.vec.envs):
        return {
            "kind": "sync",
            "autoreset": built.vec._autoreset_envs.copy(),
            "envs": [_save_env(env) for env in built.vec.envs],
        }
    return None


def restore(built: Built, state: Mapping[str, Any]) -> None:
    """Into environments that were built the same way and reset once. Raises ValueError where they weren't."""
    vec = built.vec
    if state["kind"] == "cartpole" and isinstance(vec, CartPoleVectorEnv) and built.cartpole_random is not None:
        _restore_cartpole(vec, state)
        built.cartpole_random.set_state(state["generators"])
    elif state["kind"] == "sync" and isinstance(vec, SyncVectorEnv) and len(state["envs"]) == vec.num_envs:
        vec._autoreset_envs = np.array(state["autoreset"])
        for env, saved in zip(vec.envs, state["envs"], strict=True):
            _restore_env(env, saved)
    else:
        raise ValueError(f"a state of kind {state['kind']!r} doesn't fit {vec}")


def _restore_cartpole(vec: Any, state: Mapping[str, Any]) -> None:
    vec.state, vec.steps, vec.prev_done = (np.array(state[name]) for name in ("state", "steps", "prev_done"))


def _save_cartpole(vec: Any, generators: list[dict[str, Any]]) -> State:
    return {
        "kind": "cartpole",
        "state": vec.state.copy(),
        "steps": vec.steps.copy(),
        "prev_done": vec.prev_done.copy(),
        "generators": generators,
    }


def _layers(env: Env[Any, Any]) -> list[Env[Any, Any]]:
    layers = [env]
    while isinstance(layers[-1], Wrapper):
        layers.append(layers[-1].env)
    return layers


def _is_known(env: Env[Any, Any]) -> bool:
    *wrappers, inner = _layers(env)
    return type(inner) in _CLASSIC and all(type(w) in _WRAPPERS for w in wrappers)


def _save_env(env: Env[Any, Any]) -> State:
    inner: Any = env.unwrapped
    return {
        "state": np.array(inner.state),
        "steps_beyond_terminated": getattr(inner, "steps_beyond_terminated", None),
        "elapsed_steps": [w._elapsed_steps for w in _layers(env) if isinstance(w, TimeLimit)],
        "generator": dict(inner.np_random.bit_generator.state),
    }


def _restore_env(env: Env[Any, Any], saved: Mapping[str, Any]) -> None:
    inner: Any = env.unwrapped
    inner.state = np.array(saved["state"])
    if hasattr(inner, "steps_beyond_terminated"):
        inner.steps_beyond_terminated = saved["steps_beyond_terminated"]
    limits: list[Any] = [w for w in _layers(env) if isinstance(w, TimeLimit)]
    for limit, elapsed in zip(limits, saved["elapsed_steps"], strict=True):
        limit._elapsed_steps = elapsed
    inner.np_random.bit_generator.state = saved["generator"]
