"""Factory of environments from an id, `module:Class`, `path/file.py:Class` or a callable."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, get_args

import gymnasium
from gymnasium import Env, Space
from gymnasium.envs.registration import EnvSpec
from gymnasium.vector import VectorEnv

from tuneexp.addresses import import_named, is_address, load_address, load_class
from tuneexp.envs import atari
from tuneexp.envs.backend_names import EnvBackend
from tuneexp.envs.envpool import Pool, pool
from tuneexp.envs.multi_agent.multi_agent_factory import is_multi_agent
from tuneexp.envs.tensor.built_in import is_tensor_env, without_program
from tuneexp.envs.tensor.source import TensorSource, no_wrappers, source_of
from tuneexp.envs.wrappers import NamedWrapper, WrapperLike, parse_wrappers
from tuneexp.errors import UserError, nearest, reason_of, unknown_name
from tuneexp.spaces.supported import check_spaces
from tuneexp.spaces.zero_based import zero_based

if TYPE_CHECKING:
    from tuneexp.envs.tensor.program import TensorProgram

EnvLike = str | Callable[..., Env[Any, Any]]


@dataclass(frozen=True)
class EnvFactory:
    """Factory of environments: `game` (Atari), `pool` (EnvPool), `spec` (other registered ids), or `factory`.

    `tensor` is its tensor program: of a `TensorEnv`, or with `env_backend: tensor`.
    """

    name: str
    spec: EnvSpec | None = None
    factory: Callable[..., Env[Any, Any]] | None = None
    kwargs: dict[str, Any] = field(default_factory=dict)
    wrappers: tuple[NamedWrapper, ...] = ()
    game: atari.Atari | None = None
    pool: Pool | None = None
    tensor: TensorSource | None = None

    def make(self) -> Env[Any, Any]:
        """Build one environment, with its registered wrappers (TimeLimit) and those by name.

        Raises `UserError` if it can't be built."""
        made = self._make_bare()
        for wrapper in self.wrappers:
            made = wrapper.around(made, self.name)
        return made

    def _make_bare(self) -> Env[Any, Any]:
        if self.tensor is not None and self.spec is None:
            return self.tensor.single()
        try:
            if self.game is not None:
                return self.game.single()
            if self.spec is not None:
                # The passive checker costs a call per step and warns once per sub-environment.
                return gymnasium.make(self.spec, disable_env_checker=True, **self.kwargs)
            assert self.factory is not None
            made = self.factory(**self.kwargs)
        except BaseException as error:
            raise self._not_built(error) from error
        if is_tensor_env(made):
            return TensorSource(self.name, self.factory, self.kwargs).single()
        if is_multi_agent(type(made)):
            raise _for_several_agents(self.name)
        if not isinstance(made, Env):
            raise UserError(f"environment {self.name} gave a {type(made).__name__}; it must give a gymnasium.Env")
        return made

    @property
    def clip_reward(self) -> bool:
        """True if training uses only the sign of the reward."""
        own = self.game or self.pool
        return own is not None and own.clip_reward

    @property
    def has_native(self) -> bool:
        """True if the id has its own vector environment that can replace single ones."""
        if self.wrappers:
            return False
        if self.game is not None or self.pool is not None:
            return True
        return self.spec is not None and self.spec.vector_entry_point is not None and not self.spec.additional_wrappers

    def wants_native(self, backend: EnvBackend) -> bool:
        return backend in ("native", "envpool") or (backend == "auto" and self.has_native)

    def wants_tensor(self, backend: EnvBackend) -> bool:
        return self.tensor is not None and (backend == "tensor" or (backend == "auto" and not self.wrappers))

    def make_tensor(self) -> TensorProgram:
        """Build the tensor program. Raises `UserError` if a shape or type is wrong, or if there are wrappers."""
        assert self.tensor is not None
        if self.wrappers:
            raise no_wrappers(self.name)
        return self.tensor.program()

    def make_native(self, num_envs: int) -> VectorEnv[Any, Any, Any]:
        """Build the id's own vector environment of `num_envs` environments. Raises `UserError` if it has none."""
        if not self.has_native:
            if self.wrappers:
                # An id of EnvPool's may be none of gymnasium's, which the other backends take.
                other = "" if self.pool is not None else "use env_backend sync or async, or "
                raise UserError(
                    f"environment {self.name}: wrappers go around single environments; {other}leave out the wrappers"
                )
            raise UserError(
                f"environment {self.name} has no vector environment of its own; use env_backend sync or async"
            )
        try:
            if (own := self.game or self.pool) is not None:
                return own.vector(num_envs)
            assert self.spec is not None
            return gymnasium.make_vec(
                self.spec, num_envs=num_envs, vectorization_mode="vector_entry_point", **self.kwargs
            )
        except BaseException as error:
            raise self._not_built(error) from error

    def _not_built(self, error: BaseException) -> UserError:
        entry = str(self.spec.entry_point) if self.spec is not None else ""
        extra = next((one for one in ("mujoco", "box2d") if f"gymnasium.envs.{one}" in entry), None)
        if extra and isinstance(error, gymnasium.error.DependencyNotInstalled):
            return UserError(f"environment {self.name} needs another package: pip install 'tuneexp[{extra}]'")
        return UserError(f"environment {self.name} can't be created: {reason_of(error)}")


def resolve(
    env: EnvLike,
    env_kwargs: Mapping[str, Any] | None = None,
    wrappers: Sequence[WrapperLike] = (),
    training: bool = True,
    backend: EnvBackend = "auto",
) -> EnvFactory:
    """Return the factory of an environment. Raises `UserError`, with the nearest valid name, for an unknown name."""
    if backend not in get_args(EnvBackend):
        raise unknown_name("environment backend", str(backend), get_args(EnvBackend))
    kwargs = dict(env_kwargs or {})
    if backend == "envpool":
        if not isinstance(env, str):
            raise UserError(f"env_backend envpool takes one of EnvPool's ids (CartPole-v1), got {env!r}")
        factory = EnvFactory(env, kwargs=kwargs, pool=pool(env, kwargs, training))
    elif backend == "tensor":
        factory = _as_tensor(env, kwargs, training)
    else:
        factory = _resolve(env, kwargs, training)
    return replace(factory, wrappers=parse_wrappers(wrappers))


def _as_tensor(env: EnvLike, kwargs: dict[str, Any], training: bool) -> EnvFactory:
    if isinstance(env, str) and ":" not in env and env not in gymnasium.registry:
        raise without_program(env)  # the nearest id of all may have none
    factory = _resolve(env, kwargs, training)
    if factory.tensor is not None:
        return factory
    return replace(factory, tensor=source_of(factory.name, factory.spec, factory.factory, kwargs))


def _resolve(env: EnvLike, kwargs: dict[str, Any], training: bool) -> EnvFactory:
    if not isinstance(env, str):
        if not callable(env):
            raise UserError(f"env must be an id, 'module:Class', 'path/file.py:Class' or a callable, got {env!r}")
        name = _callable_name(env)
        if is_tensor_env(env):
            return EnvFactory(name, tensor=TensorSource(name, env, kwargs))
        return EnvFactory(name, factory=env, kwargs=kwargs)
    is_atari = atari.is_atari(env)
    if is_atari:
        _register_atari(env)
    spec = gymnasium.registry.get(env)
    if spec is not None:
        game = atari.atari(env, kwargs, training) if is_atari else None
        return EnvFactory(env, spec=spec, kwargs=kwargs, game=game)
    if ":" in env:
        return _from_address(env, kwargs)
    if "." in env and is_multi_agent(env):
        raise _for_several_agents(env)
    raise _unknown(env)


def describe_env(
    env: EnvLike,
    env_kwargs: Mapping[str, Any] | None = None,
    wrappers: Sequence[WrapperLike] = (),
    backend: EnvBackend = "auto",
) -> tuple[Space[Any], Space[Any]]:
    """Return the observation and action space of one environment, in zero-based form (discrete values count from 0).

    One environment is built and closed without a step. Raises `UserError` as `SeedEnvs` does."""
    factory = resolve(env, env_kwargs, wrappers, backend=backend)
    spaces = own_spaces(factory, backend)
    return zero_based(spaces[0]), zero_based(spaces[1])


def own_spaces(factory: EnvFactory, backend: EnvBackend = "auto") -> tuple[Space[Any], Space[Any]]:
    """Return both spaces as the environment declares them. One is built and closed. UserError as `describe_env`."""
    if factory.wants_tensor(backend):
        program = factory.make_tensor()
        return program.env.observation_space, program.env.action_space
    if factory.wants_native(backend):
        # A native environment may preprocess: its observations are then other than the single one's.
        vec = factory.make_native(1)
        spaces = vec.single_observation_space, vec.single_action_space
        vec.close()
    else:
        made = factory.make()
        spaces = made.observation_space, made.action_space
        made.close()
    check_spaces(*spaces, factory.name)
    return spaces


def _from_address(address: str, kwargs: dict[str, Any]) -> EnvFactory:
    if is_address(address):
        found = load_address(address, "environment")
        if is_multi_agent(found):
            raise _for_several_agents(address)
        if isinstance(found, type) and is_tensor_env(found):
            return EnvFactory(address, tensor=TensorSource(address, found, kwargs))
        factory = load_class(address, "environment", (Env,), "a class of gymnasium.Env or TensorEnv")
        return EnvFactory(address, factory=factory, kwargs=kwargs)
    # gymnasium's own form "module:Id-v0": importing the module registers the id.
    module, _, env_id = address.partition(":")
    import_named(module, address, "environment")
    if env_id not in gymnasium.registry:
        raise _unknown(env_id, f"{module}:")
    return EnvFactory(address, spec=gymnasium.registry[env_id], kwargs=kwargs)


def _register_atari(env_id: str) -> None:
    try:
        atari.register()
    except ImportError as error:
        raise atari.missing(env_id) from error


def _callable_name(env: Callable[..., Any]) -> str:
    """Return a name for messages and checkpoints that is equal in every process: it has no memory address."""
    inner = env.func if isinstance(env, functools.partial) else env
    return getattr(inner, "__qualname__", type(inner).__qualname__)


def _for_several_agents(name: str) -> UserError:
    return UserError(
        f"environment {name} is for several agents; train it with tuneexp.algorithms.multi_agent:SHARED_PPO, "
        "one policy for all, or with policies of your own (docs/multi_agent.md)"
    )


def _unknown(env_id: str, module: str = "") -> UserError:
    """Return the error for an unknown id. module: prefix of an id that importing the module registers."""
    match = _nearest_id(env_id)
    advice = f"; did you mean {module + match!r}?" if match else ""
    return UserError(
        f"unknown environment {module + env_id!r}{advice}\n"
        "give a gymnasium id, 'module:Class', 'path/file.py:Class' or a callable"
    )


def _nearest_id(env_id: str) -> str | None:
    by_lower: dict[str, str] = {}
    for known, spec in gymnasium.registry.items():
        if is_available(spec):
            by_lower[known.lower()] = known  # later versions of one name overwrite earlier ones
    match = nearest(env_id.lower(), by_lower)
    return by_lower[match] if match else None


def is_available(spec: EnvSpec) -> bool:
    """Return False for ids of gymnasium that only raise because their environments have moved, or that need a missing
    package."""
    entry = spec.entry_point
    if callable(entry):
        return not getattr(entry, "__name__", "").startswith("_raise_")
    return "Jax" not in str(entry) or find_spec("jax") is not None
