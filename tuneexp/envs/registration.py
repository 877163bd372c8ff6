"""Environment ids registered by the user's program, stored with their entry point for other processes."""

from __future__ import annotations

import functools
import json
import logging
from collections.abc import Mapping
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import gymnasium
from gymnasium import Env
from gymnasium.envs.registration import EnvSpec, load_env_creator
from gymnasium.vector import VectorEnv

from tuneexp.addresses import address_of, load_class
from tuneexp.envs import atari
from tuneexp.errors import UserError

log = logging.getLogger(__name__)

_PLAIN = ("kwargs", "max_episode_steps", "reward_threshold", "nondeterministic", "order_enforce")


def registration_of(env: Any) -> dict[str, Any] | None:
    """Return the registration of the id `env` if only this process has it; None for an id that every process has.

    Raises `UserError` for a registration that can't be repeated in another process."""
    spec = gymnasium.registry.get(env) if isinstance(env, str) else None
    if spec is None or atari.is_atari(spec.id) or _known_to_all(spec):
        return None
    if spec.additional_wrappers:
        raise UserError(f"environment {env!r} is registered with additional_wrappers; name them as wrappers instead")
    found = {name: getattr(spec, name) for name in _PLAIN}
    try:
        json.dumps(found["kwargs"])
    except (TypeError, ValueError):
        raise UserError(
            f"environment {env!r} is registered with arguments that can't be stored, {spec.kwargs}\n"
            "give its class and env_kwargs instead, or register it with numbers, texts and lists only"
        ) from None
    return {**found, **{name: _address(spec, name) for name in ("entry_point", "vector_entry_point")}}


def registration_where_stored(env: Any) -> dict[str, Any] | None:
    """Return `registration_of(env)`; None, with a warning, for a registration that can't be stored."""
    try:
        return registration_of(env)
    except UserError as error:  # trains here, but its checkpoints load only where the id is registered
        log.warning("%s", error)
        return None


def register_again(env: Any, registration: Mapping[str, Any] | None) -> None:
    """Register an id as stored in `registration`. The driver has already checked that it is trusted."""
    if not registration or registration_of(env) == registration:
        return
    single, vector = registration.get("entry_point"), registration.get("vector_entry_point")
    gymnasium.registry[env] = EnvSpec(
        env,
        load_class(single, "environment", (Env,), "a class of gymnasium.Env") if single else None,
        vector_entry_point=load_class(vector, "environment", (VectorEnv,), "a class of VectorEnv") if vector else None,
        **{name: registration[name] for name in _PLAIN if name in registration},
    )


def _known_to_all(spec: EnvSpec) -> bool:
    """Return True for an id of gymnasium itself, or of a package that gymnasium loads as a plugin."""
    entry = spec.entry_point or spec.vector_entry_point
    where = entry.partition(":")[0] if isinstance(entry, str) else getattr(entry, "__module__", "")
    package = where.partition(".")[0]
    return f'"{spec.id}"' in _own_registrations() if package == "gymnasium" else package in _plugins()


@functools.cache
def _own_registrations() -> str:
    """Return gymnasium's source file with its registrations: users may register its classes under other ids."""
    return Path(gymnasium.envs.__file__).read_text()


@functools.cache
def _plugins() -> frozenset[str]:
    return frozenset(plugin.module.partition(".")[0] for plugin in entry_points(group="gymnasium.envs"))


def _address(spec: EnvSpec, name: str) -> str | None:
    entry = getattr(spec, name)
    if entry is None:
        return None
    try:
        return address_of(load_env_creator(entry) if isinstance(entry, str) else entry, "its entry point")
    except UserError as error:
        raise UserError(f"environment {spec.id!r} is registered by this program only, and {error}") from None
