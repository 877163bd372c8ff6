"""S x N environments with a leading seed axis, on top of any vector environment."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import isfinite
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np
from gymnasium import Space
from gymnasium.vector import AutoresetMode
from numpy.typing import NDArray

from tuneexp.envs import state
from tuneexp.envs.backend_names import EnvBackend
from tuneexp.envs.backends import build, close
from tuneexp.envs.env_factory import EnvLike, resolve
from tuneexp.envs.env_faults import raised, require_finite, require_finite_steps
from tuneexp.envs.observations import ObsReader
from tuneexp.envs.wrappers import WrapperLike
from tuneexp.errors import CheckpointError, EnvironmentFault, UserError
from tuneexp.seeds import checked_seeds
from tuneexp.spaces.supported import check_spaces
from tuneexp.spaces.zero_based import action_conversion, zero_based

if TYPE_CHECKING:
    import torch

    from tuneexp.envs.tensor.vector import TensorVec


class Step(NamedTuple):
    """Result of one step of S x N environments; every field [S, N, ...]."""

    obs: NDArray[Any]
    """Observation for the next action."""
    next_obs: NDArray[Any]
    """The true next observation of this transition: the final one at an episode's end."""
    reward: NDArray[np.float32]
    """Reward for training."""
    terminated: NDArray[np.bool_]
    truncated: NDArray[np.bool_]
    valid: NDArray[np.bool_]
    """False where the step only reset the environment (NEXT_STEP): its action was ignored."""
    score: NDArray[np.float64]
    """Reward for episode returns; differs from `reward` if training uses its sign only (Atari)."""


class EnvFacts(NamedTuple):
    """Properties of an environment before its first step. apart: see `backends.Built`; frame_stack: see
    `frame_stack.frame_stack_of`.
    """

    name: str
    observation_space: Space[Any]
    action_space: Space[Any]
    obs_shape: tuple[int, ...]
    obs_dtype: np.dtype[Any]
    apart: bool
    frame_stack: int | None = None


class SeedEnvs:
    """`n_envs` environments for each of `seeds`.

    The randomness of environment i of seed s comes from (s, i) alone, so its trajectory does not depend on other seeds.
    Floating point Box observations are float32, other types are kept; a Dict is packed into one flat axis
    (`observations.py`), and `observation_space` remains the Dict. `obs_shape` and `obs_dtype` are those of one
    environment's array. Discrete values count from 0, whatever the `start` of the space. Box actions are clipped to
    their bounds.

    `obs` [S, N, ...] is the observation for the next action; `resets_next` [S, N] is True where the next step only
    resets. That is NEXT_STEP after an end, except for the lost lives of `atari.py`, after which the game continues.

    Raises:
        UserError: the environment can't be built, or its spaces are not supported.
        EnvironmentFault: at run time, an environment raises, or returns NaN or infinity.
    """

    def __init__(
        self,
        env: EnvLike,
        seeds: Sequence[int],
        n_envs: int,
        env_kwargs: Mapping[str, Any] | None = None,
        backend: EnvBackend = "auto",
        autoreset: Literal["next_step", "same_step", "disabled"] | None = None,
        distinct_seeds: bool = True,
        wrappers: Sequence[WrapperLike] = (),
        training: bool = True,
        first_env: int = 0,
        exact: bool = False,
        device: torch.device | str = "cpu",
    ) -> None:
        """Build the environments.

        Args:
            env: Id, address or callable.
            seeds: Random seeds.
            n_envs: Environments per seed.
            env_kwargs: Arguments of the environment.
            backend: Environment backend.
            autoreset: Autoreset mode of the sync and async backends, next_step by default; others have their own.
            distinct_seeds: Refuse equal seeds.
            wrappers: Wrappers by name, applied in order to each environment (`wrappers.py`); they exclude a native
                backend and a tensor program.
            training: False for evaluation, which plays whole games for their score (`atari.py`).
            first_env: Index of the first of these environments, for a seed with more of them.
            exact: Keep float64 observations, for normalisation.
            device: Device of torch that tensor environments live on; arrays are on the CPU in any case.
        """
        factory = resolve(env, env_kwargs, wrappers, training, backend)
        indices = range(first_env, first_env + _checked_count(n_envs))
        checked = checked_seeds(seeds, distinct_seeds, largest=None)
        self._built = build(factory, checked, indices, backend, autoreset, device)
        self._vec = self._built.vec
        self.name, self.seeds = factory.name, [int(s) for s in seeds]
        self.n_seeds, self.n_envs, self._first_env = len(self.seeds), n_envs, first_env
        raw_obs, raw_action = self._vec.single_observation_space, self._vec.single_action_space
        check_spaces(raw_obs, raw_action, self.name)
        self._reader = ObsReader(raw_obs, exact)
        self.observation_space: Space[Any] = self._reader.space
        self.obs_shape, self.obs_dtype = self._reader.shape, self._reader.dtype
        self.action_space: Space[Any] = zero_based(raw_action)
        self.autoreset: AutoresetMode = self._built.autoreset
        self._signs_only = factory.clip_reward
        self._lead = (self.n_seeds, n_envs)
        self._to_env = action_conversion(raw_action)
        self._flat_action_shape = (self.n_seeds * n_envs, *(raw_action.shape or ()))
        self.resets_next: NDArray[np.bool_] = np.zeros(self._lead, dtype=np.bool_)
        self._was_reset = False
        self.obs: NDArray[Any] = np.zeros((*self._lead, *self.obs_shape), self.obs_dtype)

    @property
    def facts(self) -> EnvFacts:
        return EnvFacts(
            self.name, self.observation_space, self.action_space, self.obs_shape, self.obs_dtype, self._built.apart,
            self._built.frame_stack,
        )  # fmt: skip

    @property
    def tensor(self) -> TensorVec | None:
        """The vector environment, if it is one of tensor environments."""
        return self._built.tensor

    def reset(self) -> NDArray[Any]:
        """Start a new episode in every environment; the first call starts the random sequences. Returns obs [S, N,
        ...].
        """
        return self._reset(None if self._was_reset else self._built.reset_seed(0))

    def reset_fresh(self, times_restored: int) -> NDArray[Any]:
        """As `reset` after a restore without saved environments: the random sequences depend on (seed, index,
        times_restored), so that episodes are not repeated.
        """
        return self._reset(self._built.reset_seed(times_restored))

    def _reset(self, seed: Any) -> NDArray[Any]:
        try:
            raw, _ = self._vec.reset(seed=seed)
        except EnvironmentFault:
            raise
        except BaseException as error:
            raise raised(self.name, self._everybody(), "reset", error) from error
        self._was_reset = True
        self.resets_next = np.zeros(self._lead, dtype=np.bool_)
        self.obs = self._observation(raw)
        return self.obs

    def step(self, action: NDArray[Any]) -> Step:
        """Step all environments. action: [S, N, ...], ignored where the step only resets."""
        sent = self._to_env(action.reshape(self._flat_action_shape))
        try:
            raw, reward, terminated, truncated, infos = self._vec.step(sent)
        except EnvironmentFault:
            raise
        except BaseException as error:
            raise raised(self.name, self._everybody(), "step", error) from error
        gain = np.asarray(reward, np.float64).reshape(self._lead)
        if not isfinite(gain.sum()):
            self._require_finite(gain.reshape(-1), "reward", action)
        flags = np.asarray(terminated).reshape(self._lead), np.asarray(truncated).reshape(self._lead)
        return self._as_step(self._observation(raw, action), gain, *flags, infos, action)

    def _as_step(
        self,
        obs: NDArray[Any],
        score: NDArray[np.float64],
        terminated: NDArray[np.bool_],
        truncated: NDArray[np.bool_],
        infos: dict[str, Any],
        action: NDArray[Any],
    ) -> Step:
        ended = terminated | truncated
        next_obs = obs
        reward = (np.sign(score) if self._signs_only else score).astype(np.float32)
        if self.autoreset is AutoresetMode.NEXT_STEP:
            valid = ~self.resets_next
            goes_on = infos.get("goes_on")
            self.resets_next = ended if goes_on is None else ended & ~goes_on.reshape(self._lead)
        else:
            valid = np.ones(self._lead, np.bool_)
            if ended.any():
                obs, next_obs = self._after_ends(obs, ended, infos, action)
        self.obs = obs
        return Step(obs, next_obs, reward, terminated, truncated, valid, score)

    def _after_ends(
        self, obs: NDArray[Any], ended: NDArray[np.bool_], infos: dict[str, Any], action: NDArray[Any]
    ) -> tuple[NDArray[Any], NDArray[Any]]:
        """Observation for the next action and true next observation, where episodes ended (not NEXT_STEP)."""
        if self.autoreset is AutoresetMode.DISABLED:
            raw, _ = self._vec.reset(options={"reset_mask": ended.reshape(-1).copy()})
            return self._observation(raw, action), obs
        final = infos["final_obs"]
        if self._built.tensor is not None:  # of all environments, not only of those that ended
            return obs, self._observation(final, action)
        rows = ended.reshape(-1).nonzero()[0]
        next_obs = obs.copy()
        next_obs.reshape((-1, *self.obs_shape))[rows] = self._reader.singles([final[i] for i in rows.tolist()])
        if self._reader.floating:
            self._require_finite_obs(next_obs, action)
        return obs, next_obs

    def _observation(self, raw: Any, action: NDArray[Any] | None = None) -> NDArray[Any]:
        """New array [S, N, ...] of type `obs_dtype`."""
        obs = self._reader.batch(raw, self.n_seeds * self.n_envs).reshape(*self._lead, *self.obs_shape)
        if self._reader.floating:
            self._require_finite_obs(obs, action)
        return obs

    def _require_finite_obs(self, obs: NDArray[Any], action: NDArray[Any] | None) -> None:
        # A finite sum implies finite values, and is much faster than np.isfinite(...).all().
        if not isfinite(obs.sum()):
            self._require_finite(obs.reshape(self._lead[0] * self._lead[1], -1), "observation", action)

    def _require_finite(self, values: NDArray[Any], what: str, action: NDArray[Any] | None) -> None:
        """Check exactly, after the fast check failed, which large values overflow. values: [S * N, ...]."""
        require_finite(self.name, self._who, values, what, action)

    def _who(self, row: int) -> str:
        return f"seed {self.seeds[row // self.n_envs]}, index {self._first_env + row % self.n_envs}"

    def check_steps(self, obs: NDArray[Any], reward: NDArray[Any], action: NDArray[Any]) -> None:
        """Check actions and results of many steps, [T, S, N, ...] each. Raises `EnvironmentFault` as `step` does."""
        try:
            if action.dtype.kind != "f":  # numbers are clipped, which can't fail
                self._to_env(action.reshape(-1, *action.shape[3:]))
        except ValueError as error:
            raise raised(self.name, self._everybody(), "step", error) from error
        require_finite_steps(self.name, self._who, obs, reward, action)

    def get_state(self) -> dict[str, Any] | None:
        """Exact state of all environments and generators, without pickled objects.

        None if it can't be saved (classic control and MuJoCo can): `reset_fresh` then starts new episodes.
        """
        if not self._was_reset:
            raise RuntimeError("reset() comes before get_state()")
        inner = state.save(self._built)
        if inner is None:
            return None
        return {**self._identity(), "obs": self.obs.copy(), "ended": self.resets_next.copy(), "inner": inner}

    def set_state(self, saved: Mapping[str, Any]) -> NDArray[Any]:
        """Restore a state from `get_state`; returns the observation for the next action, [S, N, ...].

        Raises `CheckpointError` for another environment, other seeds or another number of them.
        """
        for key, own in self._identity().items():
            if saved[key] != own:
                raise CheckpointError(f"the saved environments have {key} {saved[key]!r}, here it is {own!r}")
        self.reset()
        state.restore(self._built, saved["inner"])
        self.obs = np.array(saved["obs"], self.obs_dtype)
        self.resets_next = np.array(saved["ended"], np.bool_)
        return self.obs

    def _identity(self) -> dict[str, Any]:
        return {
            "env": self.name,
            "seeds": list(self.seeds),
            "n_envs": self.n_envs,
            "first_env": self._first_env,
            "backend": type(self._vec).__name__,
            "autoreset": self.autoreset.value,
        }

    def _everybody(self) -> str:
        return f"seeds {', '.join(map(str, self.seeds))}" if self.n_seeds > 1 else f"seed {self.seeds[0]}"

    def close(self) -> None:
        close(self._vec)


def _checked_count(n_envs: int) -> int:
    if n_envs < 1:
        raise UserError(f"n_envs must be at least 1, got {n_envs}")
    return n_envs
