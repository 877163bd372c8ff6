"""From what a user writes (an id, `module:Class`, `path/file.py:Class`, a callable) to environments."""

from __future__ import annotations

import functools
import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import gymnasium
from gymnasium import Env, Space
from gymnasium.envs.registration import EnvSpec
from gymnasium.vector import VectorEnv

from tuneexp.addresses import is_address, load_address
from tuneexp.envs.spaces import check_spaces, plain
from tuneexp.errors import UserError, nearest

EnvLike = str | Callable[..., Env[Any, Any]]


@dataclass(frozen=True)
class EnvSource:
    """Where environments come from. `spec` for a registered id, `factory` for everything else."""

    name: str
    spec: EnvSpec | None = None
    factory: Callable[..., Env[Any, Any]] | None = None
    kwargs: dict[str, Any] = field(default_factory=dict)

    def make(self) -> Env[Any, Any]:
        """One environment, with its registered wrappers (TimeLimit). Raises `UserError` where it can't be built."""
        try:
            if self.spec is not None:
                # The passive checker costs a call per step and warns once per sub-environment.
                return gymnasium.make(self.spec, disable_env_checker=True, **self.kwargs)
            assert self.factory is not None
            made = self.factory(**self.kwargs)
        except Exception as error:
            raise _not_built(self.name, error) from error
        if not isinstance(made, Env):
            raise UserError(f"environment {self.name} gave a {type(made).__name__}; it must give a gymnasium.Env")
        return made

    @property
    def has_native(self) -> bool:
        """Whether the id brings a vector environment of its own that can stand in for single ones."""
        return self.spec is not None and self.spec.vector_entry_point is not None and not self.spec.additional_wrappers

    def make_native(self, num_envs: int) -> VectorEnv[Any, Any, Any]:
        """The id's own vector environment of `num_envs`. Raises `UserError` where it has none."""
        if self.spec is None or not self.has_native:
            raise UserError(
                f"environment {self.name} has no vector environment of its own; use backend 'sync' or 'async'"
            )
        try:
            return gymnasium.make_vec(
                self.spec, num_envs=num_envs, vectorization_mode="vector_entry_point", **self.kwargs
            )
        except Exception as error:
            raise _not_built(self.name, error) from error


def resolve(env: EnvLike, env_kwargs: Mapping[str, Any] | None = None) -> EnvSource:
    """Raises `UserError`, with the nearest valid id, where `env` names nothing."""
    kwargs = dict(env_kwargs or {})
    if not isinstance(env, str):
        if not callable(env):
            raise UserError(f"env must be an id, 'module:Class', 'path/file.py:Class' or a callable, got {env!r}")
        return EnvSource(_callable_name(env), factory=env, kwargs=kwargs)
    _import_plugin(env)
    spec = gymnasium.registry.get(env)
    if spec is not None:
        return EnvSource(env, spec=spec, kwargs=kwargs)
    if ":" in env:
        return _from_address(env, kwargs)
    raise _unknown(env)


def describe_env(env: EnvLike, env_kwargs: Mapping[str, Any] | None = None) -> tuple[Space[Any], Space[Any]]:
    """Observation and action space of one environment, in plain form (discrete values count from 0).

    Builds and closes one environment, steps nothing. Raises `UserError` as `SeedEnvs` does."""
    source = resolve(env, env_kwargs)
    if source.has_native:
        # A native environment may preprocess: Atari's stacks four small grey frames, its single one doesn't.
        vec = source.make_native(1)
        spaces = vec.single_observation_space, vec.single_action_space
        vec.close()
    else:
        made = source.make()
        spaces = made.observation_space, made.action_space
        made.close()
    check_spaces(*spaces, source.name)
    return plain(spaces[0]), plain(spaces[1])


def _from_address(address: str, kwargs: dict[str, Any]) -> EnvSource:
    if is_address(address):
        found = load_address(address, "environment")
        if callable(found):
            return EnvSource(address, factory=found, kwargs=kwargs)
        raise UserError(
            f"environment {address!r} is a {type(found).__name__}; name a class or a function that gives one"
        )
    # gymnasium's own form "module:Id-v0": importing the module registers the id.
    module, _, env_id = address.partition(":")
    try:
        importlib.import_module(module)
    except Exception as error:
        raise UserError(f"environment {address!r}: can't import {module!r}: {_reason(error)}") from error
    if env_id not in gymnasium.registry:
        raise _unknown(env_id)
    return EnvSource(address, spec=gymnasium.registry[env_id], kwargs=kwargs)


def _import_plugin(env_id: str) -> None:
    """Ids that gymnasium knows only once another package is imported."""
    if env_id.startswith("ALE/"):
        try:
            importlib.import_module("ale_py")
        except ImportError as error:
            raise UserError(f"environment {env_id} needs Atari's emulator: pip install 'tuneexp[atari]'") from error


def _callable_name(env: Callable[..., Any]) -> str:
    """A name for messages and checkpoints that is the same in another process: no addresses in it."""
    inner = env.func if isinstance(env, functools.partial) else env
    return getattr(inner, "__qualname__", type(inner).__qualname__)


def _unknown(env_id: str) -> UserError:
    match = _nearest_id(env_id)
    advice = f"; did you mean {match!r}?" if match else ""
    return UserError(
        f"unknown environment {env_id!r}{advice}\n"
        "give a gymnasium id, 'module:Class', 'path/file.py:Class' or a callable"
    )


def _nearest_id(env_id: str) -> str | None:
    by_lower: dict[str, str] = {}
    for known in gymnasium.registry:
        by_lower[known.lower()] = known  # later versions of one name overwrite earlier ones
    match = nearest(env_id.lower(), by_lower)
    return by_lower[match] if match else None


def _not_built(name: str, error: Exception) -> UserError:
    return UserError(f"environment {name} can't be created: {_reason(error)}")


def _reason(error: BaseException) -> str:
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
