"""Environments of gymnasium that are written as tensor programs, by their entry point. Imports no torch."""

from __future__ import annotations

import sys
from typing import Any

import gymnasium
from gymnasium.envs.registration import EnvSpec

from tuneexp.errors import UserError, nearest

_GYMNASIUM, _HERE = "gymnasium.envs.classic_control", "tuneexp.envs.tensor"

# By class, so that each registration of it has the program, also with another limit or other arguments.
_BY_ENTRY_POINT = {
    f"{_GYMNASIUM}.cartpole:CartPoleEnv": f"{_HERE}.cart_pole:CartPole",
    f"{_GYMNASIUM}.pendulum:PendulumEnv": f"{_HERE}.pendulum:Pendulum",
    f"{_GYMNASIUM}.acrobot:AcrobotEnv": f"{_HERE}.acrobot:Acrobot",
    f"{_GYMNASIUM}.mountain_car:MountainCarEnv": f"{_HERE}.mountain_car:MountainCar",
    f"{_GYMNASIUM}.continuous_mountain_car:Continuous_MountainCarEnv": f"{_HERE}.mountain_car:MountainCarContinuous",
}


def built_in_address(spec: EnvSpec) -> str | None:
    """Return the address of the tensor program of a registered environment; None if it has none."""
    entry = spec.entry_point
    if spec.additional_wrappers or entry is None:
        return None
    name = entry if isinstance(entry, str) else f"{entry.__module__}:{getattr(entry, '__qualname__', '')}"
    return _BY_ENTRY_POINT.get(name)


def built_in_ids() -> list[str]:
    """Return the registered ids that have a tensor program."""
    return sorted(env_id for env_id, spec in gymnasium.registry.items() if built_in_address(spec))


def is_tensor_env(thing: Any) -> bool:
    """Return True for a subclass of `TensorEnv`, or an object of one."""
    module = sys.modules.get(f"{_HERE}.tensor_env")  # who has subclassed it has loaded it
    if module is None:
        return False
    return issubclass(thing, module.TensorEnv) if isinstance(thing, type) else isinstance(thing, module.TensorEnv)


def without_program(name: str) -> UserError:
    """Return the error for an environment without a tensor program, with the nearest id that has one."""
    known = built_in_ids()
    match = nearest(name.lower(), [one.lower() for one in known])
    near = next((one for one in known if one.lower() == match), None)
    advice = f"did you mean {near!r}?" if near else f"these have one: {', '.join(known)}"
    return UserError(
        f"env_backend tensor: {name} is no tensor program; {advice}\n"
        "use another env_backend, or write it as a tuneexp.TensorEnv (docs/customising.md)"
    )
