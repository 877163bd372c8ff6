"""Construction of the vector environment behind S x N environments, and its random seeds."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from gymnasium import Env
from gymnasium.envs.classic_control.cartpole import CartPoleVectorEnv
from gymnasium.spaces import MultiDiscrete
from gymnasium.vector import AsyncVectorEnv, AutoresetMode, SyncVectorEnv, VectorEnv

from tuneexp.envs.atari import AtariVec
from tuneexp.envs.backend_names import EnvBackend
from tuneexp.envs.env_factory import EnvFactory
from tuneexp.envs.env_faults import NamedFaults
from tuneexp.envs.env_rng import UniformPerEnv, env_seed, env_seeds
from tuneexp.envs.envpool import PoolVec
from tuneexp.envs.per_seed import PerSeedVectorEnv
from tuneexp.errors import UserError, unknown_name

if TYPE_CHECKING:
    import torch

    from tuneexp.envs.tensor.vector import TensorVec


@dataclass(frozen=True)
class Built:
    """A vector environment of S * N rows, seed-major.

    Args:
        vec: The vector environment.
        reset_seed: Function from the number of restores to the `seed` argument of a reset, which starts new random
            sequences.
        autoreset: Its autoreset mode.
        cartpole_random: Generators of native CartPole.
        apart: Each environment has its own generator, so that environments can be distributed over processes.
        tensor: The vector environment, if it is one of tensor environments.
    """

    vec: VectorEnv[Any, Any, Any]
    reset_seed: Callable[[int], Any]
    autoreset: AutoresetMode
    cartpole_random: UniformPerEnv | None = None
    apart: bool = True
    tensor: TensorVec | None = None

    @property
    def frame_stack(self) -> int | None:
        """See `frame_stack.frame_stack_of`."""
        if isinstance(self.vec, SyncVectorEnv | AsyncVectorEnv):
            return self.vec.get_attr("frame_stack")[0]
        return getattr(self.vec, "frame_stack", None)


def build(
    factory: EnvFactory,
    seeds: list[int],
    indices: range,
    backend: EnvBackend,
    autoreset: str | None,
    device: torch.device | str = "cpu",
) -> Built:
    """Build the vector environment.

    Args:
        factory: Factory of environments.
        seeds: Random seeds.
        indices: Environments of each seed.
        backend: Environment backend.
        autoreset: Autoreset mode. None: default of the backend.
        device: Device of torch that tensor environments live on.

    Returns:
        The vector environment with its seeds.

    Raises:
        UserError: the environment can't be built, or it has another autoreset mode.
    """
    if factory.wants_tensor(backend):
        return _tensor(factory, seeds, indices, autoreset, device)
    if factory.wants_native(backend):
        return _native(factory, seeds, indices, autoreset)
    mode = AutoresetMode.NEXT_STEP if autoreset is None else _mode(autoreset)
    makers = [partial(_make_named, factory, seed, i) for seed in seeds for i in indices]
    return Built(_sync_or_async(makers, backend, mode), partial(env_seeds, seeds, indices), mode)


def close(vec: VectorEnv[Any, Any, Any]) -> None:
    """Close a vector environment, also if a worker process died, on which gymnasium's own close would wait forever."""
    try:
        vec.close()
    except (EOFError, OSError):
        if not isinstance(vec, AsyncVectorEnv):
            raise
        for process in vec.processes:
            process.terminate()
            process.join()
        vec.closed = True


def _make_named(factory: EnvFactory, seed: int, index: int) -> Env[Any, Any]:
    return NamedFaults(factory.make(), factory.name, seed, index)


def _sync_or_async(
    makers: Sequence[Callable[[], Env[Any, Any]]], backend: EnvBackend, mode: AutoresetMode
) -> VectorEnv[Any, Any, Any]:
    # copy=False: SeedEnvs copies anyway.
    if backend == "async":
        return AsyncVectorEnv(makers, copy=False, autoreset_mode=mode)
    return SyncVectorEnv(makers, copy=False, autoreset_mode=mode)


def _native(factory: EnvFactory, seeds: list[int], indices: range, autoreset: str | None) -> Built:
    first = factory.make_native(1)
    kind = type(first)
    mode = first.metadata.get("autoreset_mode")
    if not isinstance(mode, AutoresetMode):
        first.close()
        raise UserError(
            f"environment {factory.name}: its vector environment declares no autoreset mode\n"
            "set metadata['autoreset_mode'] to a gymnasium.vector.AutoresetMode, or use env_backend sync"
        )
    first.close()
    _require_mode(factory.name, autoreset, mode)
    if kind is CartPoleVectorEnv:
        return _wide_cartpole(factory, seeds, indices)
    if kind in (AtariVec, PoolVec):  # each of its environments has a generator of its own
        return Built(factory.make_native(len(seeds) * len(indices)), partial(env_seeds, seeds, indices), mode)
    return _one_per_seed(factory, seeds, indices, mode)


def _require_mode(name: str, asked: str | None, own: AutoresetMode) -> None:
    if asked is not None and _mode(asked) is not own:
        raise UserError(f"environment {name} resets by {own.name.lower()} only; use env_backend sync for others")


def _tensor(
    factory: EnvFactory, seeds: list[int], indices: range, autoreset: str | None, device: torch.device | str
) -> Built:
    from tuneexp.envs.tensor.vector import TensorVec  # torch is imported only if it is used

    _require_mode(factory.name, autoreset, AutoresetMode.SAME_STEP)
    vec = TensorVec(factory.make_tensor(), seeds, indices, device)
    return Built(vec, vec.streams.restart, AutoresetMode.SAME_STEP, tensor=vec)


def _wide_cartpole(factory: EnvFactory, seeds: list[int], indices: range) -> Built:
    vec = factory.make_native(len(seeds) * len(indices))
    assert isinstance(vec, CartPoleVectorEnv)
    random = UniformPerEnv(vec, seeds, indices)
    # The cost of a step is its numpy calls: one wide environment costs the same for 8 seeds as for 1.
    # Each column uses its own generator, which reset(seed=None) does not change.
    vec.np_random = random  # type: ignore[assignment]
    vec.action_space = _AlreadyChecked(np.full(vec.num_envs, 2))
    return Built(vec, random.restart, AutoresetMode.NEXT_STEP, random)


class _AlreadyChecked(MultiDiscrete):
    """Action space without a check: `SeedEnvs.step` has checked the action, and a second check takes a fifth of the
    step.
    """

    def contains(self, x: Any) -> bool:
        return True


def _one_per_seed(factory: EnvFactory, seeds: list[int], indices: range, mode: AutoresetMode) -> Built:
    parts = [factory.make_native(len(indices)) for _ in seeds]

    def reset_seed(restored: int) -> list[int]:
        return [env_seed(seed, 0, restored) for seed in seeds]

    return Built(PerSeedVectorEnv(parts, factory.name, seeds), reset_seed, mode, apart=False)


def _mode(name: str) -> AutoresetMode:
    names = {mode.name.lower(): mode for mode in AutoresetMode}
    if name not in names:
        raise unknown_name("autoreset mode", name, names)
    return names[name]
