"""Factory of multi-agent environments from a PettingZoo module, an address, a class or a function."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from gymnasium import Space

from tuneexp.addresses import import_named, is_address, is_module_name, load_address, load_class
from tuneexp.envs.multi_agent.drivers import Driver, ParallelDriver, TurnBasedDriver
from tuneexp.errors import UserError, reason_of
from tuneexp.spaces.supported import check_spaces

HOW = (
    "give a PettingZoo module (pettingzoo.classic.tictactoe_v3), module:function, path/file.py:Class or a callable "
    "that makes a ParallelEnv or an AECEnv"
)
Spaces = tuple[Space[Any], Space[Any]]


@dataclass(frozen=True)
class MultiAgentEnvFactory:
    """Factory of multi-agent environments.

    Args:
        name: of the environment.
        factory: makes a ParallelEnv or an AECEnv.
        kwargs: its keyword arguments.
    """

    name: str
    factory: Callable[..., Any]
    kwargs: dict[str, Any] = field(default_factory=dict)

    def driver(self, who: str, episode_seeds: np.random.Generator) -> Driver:
        """Build an environment without reset.

        Args:
            who: seed and index, for messages.
            episode_seeds: generator of the seeds of episodes.

        Raises:
            UserError: it can't be built.
        """
        made = self.make()
        kind = ParallelDriver if isinstance(made, _kinds()[0]) else TurnBasedDriver
        return kind(made, self.name, who, episode_seeds)

    def agents(self) -> dict[str, Spaces]:
        """Return observation and action space of each possible agent, from an environment that is built and closed.

        Raises:
            UserError: a space is not supported, or the environment names no agents.
        """
        made = self.make()
        try:
            possible = getattr(made, "possible_agents", None)
            if not possible or not all(isinstance(agent, str) for agent in possible):
                raise UserError(f"environment {self.name} names no agents; set possible_agents, a list of texts")
            found = {agent: (made.observation_space(agent), made.action_space(agent)) for agent in possible}
        finally:
            made.close()
        for agent, spaces in found.items():
            check_spaces(*spaces, f"{self.name}, agent {agent}")
        return found

    def make(self) -> Any:
        """Build one environment. Raises `UserError` if it can't be built."""
        try:
            made = self.factory(**self.kwargs)
        except BaseException as error:
            raise UserError(f"environment {self.name} can't be created: {reason_of(error)}") from error
        if not isinstance(made, _kinds()):
            raise UserError(f"environment {self.name} gave a {type(made).__name__}, no PettingZoo environment; {HOW}")
        return made


def resolve_multi_agent(
    env: Any, env_kwargs: Mapping[str, Any] | None = None, wrappers: Sequence[Any] = (), backend: str = "auto"
) -> MultiAgentEnvFactory:
    """Return the factory of an environment.

    Args:
        env: PettingZoo module, address, class or function.
        env_kwargs: its keyword arguments.
        wrappers: must be empty: wrappers are for gymnasium environments.
        backend: `auto` or `sync`.

    Raises:
        UserError: there is no such environment, or a setting is for gymnasium environments.
    """
    _kinds()
    if wrappers:
        raise UserError(f"environment {env}: wrappers are for gymnasium environments; give a function that wraps it")
    if backend not in ("auto", "sync"):
        raise UserError(f"environment {env}: env_backend {backend} is for gymnasium environments; leave it out")
    kwargs = dict(env_kwargs or {})
    if callable(env):
        return MultiAgentEnvFactory(getattr(env, "__qualname__", type(env).__qualname__), env, kwargs)
    if not isinstance(env, str):
        raise UserError(f"env is {env!r}; {HOW}")
    if is_address(env):
        return MultiAgentEnvFactory(env, load_class(env, "environment", _kinds(), HOW.removeprefix("give ")), kwargs)
    return MultiAgentEnvFactory(env, _factory_in(env), kwargs)


def is_multi_agent(env: Any) -> bool:
    """Return True for a module of PettingZoo's form or a class of its environments."""
    try:
        kinds = _kinds()
        if isinstance(env, str) and not is_address(env):
            _factory_in(env)
            return True
        found = load_address(env, "environment") if isinstance(env, str) else env
    except UserError:
        return False
    return isinstance(found, type) and issubclass(found, kinds)


def _factory_in(name: str) -> Callable[..., Any]:
    """Return `parallel_env` of a module, or `env` if there is none."""
    if not is_module_name(name):
        raise UserError(f"environment {name!r} is no module for several agents; {HOW}")
    try:
        module = import_named(name, name, "environment")
    except UserError as error:
        missing = error.__cause__
        if not isinstance(missing, ModuleNotFoundError):
            raise
        if name == missing.name or name.startswith(f"{missing.name}."):
            raise UserError(f"environment {name!r} is no module for several agents; {HOW}") from None
        raise UserError(f"environment {name!r} needs another package: {missing}") from missing
    factory = getattr(module, "parallel_env", None) or getattr(module, "env", None)
    if not callable(factory):
        raise UserError(f"environment {name!r}: the module has no parallel_env and no env; {HOW}")
    return factory


def _kinds() -> tuple[type, type]:
    """Return PettingZoo's two base classes. Raises `UserError` if it is not installed."""
    try:
        from pettingzoo import AECEnv, ParallelEnv
    except ImportError:
        raise UserError("multi-agent environments need another package: pip install 'tuneexp[multiagent]'") from None
    return ParallelEnv, AECEnv
