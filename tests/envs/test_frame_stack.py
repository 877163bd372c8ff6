"""Frame stacks are detected by their wrapper or environment, never by a shape."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import pytest
from gymnasium.wrappers import FrameStackObservation, TransformObservation

from tests.envs.images import Images
from tuneexp.algorithms.dqn import DQN
from tuneexp.envs.seed_envs import SeedEnvs
from tuneexp.trial.trial import Trial
from tuneexp.trial.trial_config import TrialConfig

CLIP = {"ClipReward": {"min_reward": -1, "max_reward": 1}}
STACK = {"FrameStackObservation": {"stack_size": 4}}


class OwnStack(gym.ObservationWrapper):
    """Declares a stack by the attribute `frame_stack`."""

    frame_stack = 3

    def observation(self, observation: Any) -> Any:
        return observation


class Redrawn(gym.Wrapper):
    """Observation wrapper, which may change anything."""


def around_stack(env: gym.Env) -> gym.Env:
    stacked = FrameStackObservation(env, 4)
    return TransformObservation(stacked, lambda obs: obs[::-1], stacked.observation_space)


@pytest.mark.parametrize(
    ("shape", "wrappers", "expected"),
    [
        ((3, 36, 36), [], None),
        ((4, 84, 84), [], None),
        ((36, 36, 3), [], None),
        ((8, 8), [STACK], 4),
        ((3, 8, 8), [STACK], 4),
        ((8, 8), [STACK, {"TimeLimit": {"max_episode_steps": 9}}, "RecordEpisodeStatistics", CLIP], 4),
        ((8, 8), [STACK, f"{__name__}:Redrawn"], None),
        ((8, 8), [f"{__name__}:around_stack"], None),
        ((3, 8, 8), [f"{__name__}:OwnStack"], 3),
    ],
)
def test_only_what_stacks_is_a_stack(shape: tuple[int, ...], wrappers: list[Any], expected: int | None) -> None:
    envs = SeedEnvs(Images, [0, 1], 2, {"shape": shape}, wrappers=wrappers)
    assert envs.facts.frame_stack == expected
    envs.close()


def test_a_stack_is_known_in_other_processes_too() -> None:
    envs = SeedEnvs(Images, [0], 2, {"shape": (8, 8)}, backend="async", wrappers=[STACK])
    assert envs.facts.frame_stack == 4
    envs.close()


def test_the_emulator_of_atari_stacks() -> None:
    pytest.importorskip("ale_py")
    for backend in ("native", "sync"):
        envs = SeedEnvs("ALE/Pong-v5", [0], 2, backend=backend)  # type: ignore[arg-type]
        assert envs.facts.frame_stack == envs.obs_shape[0] == 4
        envs.close()


def test_a_pool_of_atari_stacks() -> None:
    pytest.importorskip("envpool")
    envs = SeedEnvs("Pong-v5", [0], 2, backend="envpool")
    assert envs.facts.frame_stack == envs.obs_shape[0] == 4
    envs.close()


@pytest.mark.parametrize("wrappers", [[], [STACK]], ids=["images", "stack"])
@pytest.mark.parametrize("prioritized", [False, True], ids=["uniform", "prioritized"])
def test_a_buffer_of_images_holds_as_many_rows_as_requested(wrappers: list[Any], prioritized: bool) -> None:
    shape = (36, 36) if wrappers else (3, 36, 36)
    config = TrialConfig(
        algorithm="dqn", env=Images, env_kwargs={"shape": shape}, wrappers=wrappers, budget_env_steps=2000,
        compile="off",
        hyperparameters={
            "buffer_size": 1000, "learning_starts": 1999, "n_envs": 4, "train_freq": 100, "prioritized": prioritized,
            "model": {"hidden_sizes": [8]},
        },
    )  # fmt: skip
    trial = Trial(DQN, config)
    while trial.env_steps < 1600:
        trial.training_step()
    assert trial.trainer.experience is not None
    buffer = trial.trainer.experience.buffer
    assert (buffer.frames is not None) == bool(wrappers)
    drawn = set()
    for _ in range(30):
        drawn |= set(buffer.sample_rows(1, 500, trial.learner.generators).flatten().tolist())
    assert buffer.size.tolist() == [1000]
    assert len(drawn) == 1000
    trial.close()
