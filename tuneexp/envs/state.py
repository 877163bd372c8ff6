"""Exact state of tensor environments, classic control and MuJoCo: a tree of arrays, numbers and strings, no pickles."""

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
from gymnasium.wrappers import (
    ClipAction,
    ClipReward,
    DtypeObservation,
    FlattenObservation,
    OrderEnforcing,
    RescaleAction,
    RescaleObservation,
    ReshapeObservation,
    TimeLimit,
)

from tuneexp.envs.backends import Built
from tuneexp.envs.env_faults import NamedFaults
from tuneexp.envs.wrappers import ActionMask
from tuneexp.envs.zoo_wrappers import AreaResize, FrameSkip, MaskVelocityWrapper

# Exactly these types: a subclass may hold more than the state that is known here.
_CLASSIC = (AcrobotEnv, CartPoleEnv, Continuous_MountainCarEnv, MountainCarEnv, PendulumEnv)
_STATELESS = (
    ActionMask, AreaResize, ClipAction, ClipReward, DtypeObservation, FlattenObservation, FrameSkip,
    MaskVelocityWrapper, RescaleAction, RescaleObservation, ReshapeObservation,
)  # fmt: skip
_WRAPPERS = (NamedFaults, OrderEnforcing, TimeLimit, *_STATELESS)

State = dict[str, Any]


def save(built: Built) -> State | None:
    """Return the exact state; None if the environments or wrappers may have state that can't be saved."""
    if isinstance(built.vec, CartPoleVectorEnv) and built.cartpole_random is not None:
        return _save_cartpole(built.vec, built.cartpole_random.get_state())
    if built.tensor is not None:
        return {"kind": "tensor", **built.tensor.get_state()}
    if isinstance(built.vec, SyncVectorEnv) and all(_is_known(env) for env in built.vec.envs):
        return {
            "kind": "sync",
            "autoreset": built.vec._autoreset_envs.copy(),
            "envs": [_save_env(env) for env in built.vec.envs],
        }
    return None


def restore(built: Built, state: Mapping[str, Any]) -> None:
    """Restore the state in environments that were built the same way and reset once. Raises ValueError for others."""
    vec = built.vec
    if state["kind"] == "cartpole" and isinstance(vec, CartPoleVectorEnv) and built.cartpole_random is not None:
        _restore_cartpole(vec, state)
        built.cartpole_random.set_state(state["generators"])
    elif state["kind"] == "tensor" and built.tensor is not None:
        built.tensor.set_state(state)
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
    return (type(inner) in _CLASSIC or _is_mujoco(inner)) and all(type(w) in _WRAPPERS for w in wrappers)


def _is_mujoco(env: Env[Any, Any]) -> bool:
    """Return True for gymnasium's own classes only: they have no state outside of the simulation."""
    return type(env).__module__.startswith("gymnasium.envs.mujoco.")


def _save_env(env: Env[Any, Any]) -> State:
    inner: Any = env.unwrapped
    return {
        **(_save_mujoco(inner) if _is_mujoco(inner) else _save_classic(inner)),
        "elapsed_steps": [w._elapsed_steps for w in _layers(env) if isinstance(w, TimeLimit)],
        "generator": dict(inner.np_random.bit_generator.state),
    }


def _restore_env(env: Env[Any, Any], saved: Mapping[str, Any]) -> None:
    inner: Any = env.unwrapped
    (_restore_mujoco if _is_mujoco(inner) else _restore_classic)(inner, saved)
    limits: list[Any] = [w for w in _layers(env) if isinstance(w, TimeLimit)]
    for limit, elapsed in zip(limits, saved["elapsed_steps"], strict=True):
        limit._elapsed_steps = elapsed
    inner.np_random.bit_generator.state = saved["generator"]


def _save_classic(env: Any) -> State:
    return {"state": np.array(env.state), "steps_beyond_terminated": getattr(env, "steps_beyond_terminated", None)}


def _restore_classic(env: Any, saved: Mapping[str, Any]) -> None:
    env.state = np.array(saved["state"])
    if hasattr(env, "steps_beyond_terminated"):
        env.steps_beyond_terminated = saved["steps_beyond_terminated"]


# Positions of bodies and of their centres of mass as of the step before: Ant and Humanoid reward how far these moved,
# and computing them anew would give those of now.
_LAGGING = ("xpos", "xipos")


def _save_mujoco(env: Any) -> State:
    """Return the full state of MuJoCo's integrator, with warm starts (mjSTATE_INTEGRATION)."""
    import mujoco

    kind = int(mujoco.mjtState.mjSTATE_INTEGRATION)
    state = np.empty(mujoco.mj_stateSize(env.model, kind))
    mujoco.mj_getState(env.model, env.data, state, kind)
    return {"state": state, **{name: getattr(env.data, name).copy() for name in _LAGGING}}


def _restore_mujoco(env: Any, saved: Mapping[str, Any]) -> None:
    import mujoco

    kind = int(mujoco.mjtState.mjSTATE_INTEGRATION)
    mujoco.mj_setState(env.model, env.data, np.array(saved["state"], np.float64), kind)
    for name in _LAGGING:
        getattr(env.data, name)[...] = saved[name]
