"""Base class of environments that are pure functions of tensors."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any

from gymnasium import Space
from numpy.typing import NDArray
from torch import Tensor

from tuneexp.rl.noise import Noise

State = Any
Obs = Any


class TensorEnv(ABC):
    """Environment as two pure functions of tensors, `reset` and `step`, which step all seeds at once.

    Tensors have any leading axes, written `...`: [S, N] for N environments of each of S seeds. Both functions must be
    traceable: no `if` on a value of a tensor, no `.item()`, no change of a tensor in place, no random numbers of their
    own. Episode limit, automatic resets and statistics come from tuneexp. Floating point tensors are float32.

    Attributes:
        observation_space: Space of one environment: Box of float32 or of whole numbers, Discrete, or a Dict of these.
        action_space: Discrete, MultiDiscrete or a Box of float32.
        max_episode_steps: Steps after which an episode is truncated; None: no limit. `env_kwargs` can change it.
        params: Numbers of the environment with their defaults. `reset` and `step` receive them as tensors, so other
            values need no new program. `env_kwargs` can change each of them. Lists and arrays, such as maps, are
            allowed. Other `env_kwargs` are arguments of the class.
        reset_noise: Random inputs of `reset` by name, one draw for each step and environment. At least one, as `reset`
            takes its leading axes from it.
        step_noise: Random inputs of `step` by name.
        render_fps: Pictures per second, if `render` is defined.
    """

    observation_space: Space[Any]
    action_space: Space[Any]
    max_episode_steps: int | None = None
    params: Mapping[str, Any] = {}
    reset_noise: Mapping[str, Noise] = {"start": Noise("uniform")}
    step_noise: Mapping[str, Noise] = {}
    render_fps: int = 30

    @abstractmethod
    def reset(self, noise: Mapping[str, Tensor], params: Mapping[str, Tensor]) -> tuple[State, Obs]:
        """Start an episode.

        Args:
            noise: Draws of `reset_noise`, [..., *shape].
            params: Values of `params`.

        Returns:
            The state: a tensor, or a tuple, NamedTuple or dict of tensors, each with the axes `...` first. The
            observation: [..., *shape] in the type of the space; a dict for a Dict.
        """

    @abstractmethod
    def step(
        self, state: State, action: Tensor, noise: Mapping[str, Tensor], params: Mapping[str, Tensor]
    ) -> tuple[State, Obs, Tensor, Tensor]:
        """Take a step.

        Args:
            state: As returned by `reset` or by the last step.
            action: Of the action space: int64 [...] for Discrete, int64 [..., k] for MultiDiscrete, float32
                [..., *shape] within the bounds for Box.
            noise: Draws of `step_noise`, [..., *shape].
            params: Values of `params`.

        Returns:
            The next state, of the same shapes and types; the observation; the reward, float32 [...]; `terminated`,
            bool [...], True where the task is over.
        """

    def render(self, state: State, params: Mapping[str, Tensor]) -> NDArray[Any]:
        """Draw one environment for `tuneexp watch`; optional.

        Args:
            state: State without leading axes.
            params: Values of `params`.

        Returns:
            Picture [H, W, 3] of uint8.
        """
        raise NotImplementedError
