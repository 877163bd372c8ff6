"""Probe environments: each one isolates a single component of an algorithm.

Run them in this order; the first failure shows the broken component. Addressed as `tuneexp.testing.probes:NAME`; each
has a discrete form and one with a continuous action (`...Continuous`). An untrained network fails every one of them.
After Jones 2021, "Debugging RL, without the agonizing pain".
"""

from __future__ import annotations

from typing import Any, ClassVar

import gymnasium
import numpy as np
from gymnasium.spaces import Box, Discrete, Space
from numpy.typing import NDArray

Observation = NDArray[np.float32]


class Probe(gymnasium.Env[Observation, Any]):
    """An episode of `length` steps over the observations of `contexts`, one of which is drawn at its start.

    values: the discounted value of each context under the best policy, for a discount factor of `GAMMA`.
    solved_return: a mean episode return at or above it needs the ability; None where actions don't matter.
    starts: the contexts in which an episode may begin; None: in each."""

    GAMMA: ClassVar[float] = 0.9

    contexts: ClassVar[tuple[tuple[float, ...], ...]]
    values: ClassVar[tuple[float, ...]]
    solved_return: ClassVar[float | None] = None
    starts: ClassVar[tuple[int, ...] | None] = None
    n_actions: ClassVar[int] = 2
    continuous: ClassVar[bool] = False

    def __init__(self) -> None:
        self.observation_space = Box(-1.0, 1.0, (len(self.contexts[0]),), np.float32)
        one_number = Box(-1.0, 1.0, (1,), np.float32)
        self.action_space: Space[Any] = one_number if self.continuous else Discrete(self.n_actions)
        self._context = 0

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Observation, dict[str, Any]]:
        super().reset(seed=seed)
        self._context = self._first_context()
        return self._observation(), {}

    def step(self, action: Any) -> tuple[Observation, float, bool, bool, dict[str, Any]]:
        reward = self._reward(action)
        return self._observation(), reward, True, False, {}

    def _first_context(self) -> int:
        starts = range(len(self.contexts)) if self.starts is None else self.starts
        return int(starts[self.np_random.integers(len(starts))])

    def _observation(self) -> Observation:
        return np.array(self.contexts[self._context], np.float32)

    def _reward(self, action: Any) -> float:
        raise NotImplementedError


class ConstantReward(Probe):
    """Reward 1, always: the value function learns a constant."""

    contexts = ((0.0,),)
    values = (1.0,)

    def _reward(self, action: Any) -> float:
        return 1.0


class RewardFromObservation(Probe):
    """The reward is the observation: the value function learns to look."""

    contexts = ((-1.0,), (1.0,))
    values = (-1.0, 1.0)

    def _reward(self, action: Any) -> float:
        return self.contexts[self._context][0]


class RewardOneStepLater(Probe):
    """Reward 1 at the second of two steps: the value of the first is discounted, once."""

    contexts = ((0.0,), (1.0,))
    values = (Probe.GAMMA, 1.0)
    starts = (0,)

    def step(self, action: Any) -> tuple[Observation, float, bool, bool, dict[str, Any]]:
        last = self._context == 1
        self._context = 1
        return self._observation(), float(last), last, False, {}


class CutShort(Probe):
    """Most episodes that begin in context 0 are cut (truncated, not terminated) on their way to context 1, where
    reward 1 is: the value of the first comes from that of the true next observation. The reward of context 2 is -1, so
    the observation that the next episode begins with is worth something else. Contexts 1 and 2 end in a termination."""

    contexts = ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0))
    values = (Probe.GAMMA, 1.0, -1.0)
    n_actions = 3  # the shapes of `ActionMattersGivenObservation`, which share its programs
    cut_share: ClassVar[float] = 0.75

    def step(self, action: Any) -> tuple[Observation, float, bool, bool, dict[str, Any]]:
        if self._context == 0:
            self._context = 1
            return self._observation(), 0.0, False, bool(self.np_random.random() < self.cut_share), {}
        return self._observation(), self.values[self._context], True, False, {}


class ActionMatters(Probe):
    """Action 1 is rewarded, action 0 punished: the policy learns."""

    contexts = ((0.0,),)
    values = (1.0,)
    solved_return = 0.9

    def _reward(self, action: Any) -> float:
        return 1.0 if int(action) == 1 else -1.0


class ActionMattersGivenObservation(Probe):
    """Another action is right for each of three observations: the policy learns to look."""

    contexts = ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0))
    values = (1.0, 1.0, 1.0)
    solved_return = 0.9
    n_actions = 3

    def _reward(self, action: Any) -> float:
        return 1.0 if int(action) == (self._context + 1) % 3 else -1.0


class ConstantRewardContinuous(ConstantReward):
    continuous = True


class RewardFromObservationContinuous(RewardFromObservation):
    continuous = True


class RewardOneStepLaterContinuous(RewardOneStepLater):
    continuous = True


class CutShortContinuous(CutShort):
    continuous = True


class ActionMattersContinuous(ActionMatters):
    """The nearer the action is to 0.8, the better."""

    continuous = True

    def _reward(self, action: Any) -> float:
        return 1.0 - float((action[0] - 0.8) ** 2)


class ActionMattersGivenObservationContinuous(Probe):
    """The right action is 0.8 after one observation and -0.8 after the other."""

    contexts = ((-1.0,), (1.0,))
    values = (1.0, 1.0)
    solved_return = 0.9
    continuous = True

    def _reward(self, action: Any) -> float:
        return 1.0 - float((action[0] - 0.8 * self.contexts[self._context][0]) ** 2)


PROBES: tuple[type[Probe], ...] = (
    ConstantReward,
    RewardFromObservation,
    RewardOneStepLater,
    CutShort,
    ActionMatters,
    ActionMattersGivenObservation,
    ConstantRewardContinuous,
    RewardFromObservationContinuous,
    RewardOneStepLaterContinuous,
    CutShortContinuous,
    ActionMattersContinuous,
    ActionMattersGivenObservationContinuous,
)
