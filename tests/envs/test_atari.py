"""Atari: standard observations, true transitions, and the differences between training and evaluation."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from gymnasium.spaces import Box, Discrete

from tuneexp.envs.env_factory import describe_env
from tuneexp.envs.seed_envs import SeedEnvs, Step
from tuneexp.errors import UserError

pytest.importorskip("ale_py", reason="Atari is not installed: pip install 'tuneexp[atari]'")

SHORT = {"max_num_frames_per_episode": 120}


def roll(envs: SeedEnvs, steps: int, seed: int = 0) -> tuple[np.ndarray, Step]:
    """Observations acted on, [T, S, N, ...], and the steps stacked over T. All environments get the same actions."""
    obs, acted_on, results, rng = envs.reset(), [], [], np.random.default_rng(seed)
    shape = (envs.n_seeds, envs.n_envs)
    for _ in range(steps):
        acted_on.append(obs)
        results.append(envs.step(np.full(shape, rng.integers(0, envs.action_space.n))))  # type: ignore[attr-defined]
        obs = results[-1].obs
    return np.stack(acted_on), Step(*(np.stack(column) for column in zip(*results, strict=True)))


def test_pong_is_four_small_grey_frames() -> None:
    assert describe_env("ALE/Pong-v5") == (Box(0, 255, (4, 84, 84), np.uint8), Discrete(6))
    envs = SeedEnvs("ALE/Pong-v5", [0, 1], 2)
    obs = envs.reset()
    assert (obs.shape, obs.dtype, envs.obs_shape) == ((2, 2, 4, 84, 84), np.uint8, (4, 84, 84))
    assert obs.max() > 100


@pytest.mark.parametrize("backend", ["native", "sync"])
def test_each_episode_is_a_row_for_each_four_frames_and_one_reset(backend: str) -> None:
    """Up to 30 no-op frames, then 4 frames a row until 120: every truncated episode has 23 to 30 rows."""
    envs = SeedEnvs("ALE/Pong-v5", [0, 3], 2, SHORT, backend=backend)  # type: ignore[arg-type]
    obs, steps = roll(envs, 120)
    for row in np.ndindex(2, 2):
        ends = steps.truncated[:, *row].nonzero()[0]
        resets = (~steps.valid[:, *row]).nonzero()[0]
        assert np.array_equal(resets, ends[ends < 119] + 1)
        lengths = np.diff(np.concatenate([[-1], ends])) - (np.arange(len(ends)) > 0)
        assert ((lengths >= 23) & (lengths <= 30)).all()
        assert len(ends) >= 3
        assert not steps.terminated[:, *row].any()
        for t in range(119):
            continues = not (steps.truncated[t, *row] or not steps.valid[t, *row])
            frames_move_up = np.array_equal(obs[t, *row][1:], steps.next_obs[t, *row][:3])
            assert frames_move_up if steps.valid[t, *row] else True
            assert np.array_equal(steps.next_obs[t, *row], obs[t + 1, *row]) or not continues
    assert not steps.reward[~steps.valid].any()


def test_a_seed_runs_the_same_alone_beside_others_and_in_every_backend() -> None:
    beside = roll(SeedEnvs("ALE/Breakout-v5", [3, 7], 2), 80)[1].obs
    alone = roll(SeedEnvs("ALE/Breakout-v5", [7], 3), 80)[1].obs
    sync = roll(SeedEnvs("ALE/Breakout-v5", [7], 2, backend="sync"), 80)[1].obs
    assert np.array_equal(beside[:, 1], alone[:, 0, :2])
    assert np.array_equal(sync[:, 0], alone[:, 0, :2])
    assert not np.array_equal(beside[:, 0], beside[:, 1])
    assert not np.array_equal(alone[:, 0, 0], alone[:, 0, 1])


@pytest.mark.parametrize("backend", ["native", "sync"])
def test_a_lost_life_terminates_while_training_and_the_game_continues(backend: str) -> None:
    game: Any = ("BreakoutNoFrameskip-v4", [0], 2)
    _, training = roll(SeedEnvs(*game, backend=backend), 300)
    _, playing = roll(SeedEnvs(*game, backend=backend, training=False), 300)
    games, lives = int(playing.terminated.sum()), int(training.terminated.sum())
    assert 2 <= games <= lives / 4
    # Natively only the end of a game costs a reset row; singly every end does, and goes on from the same frames.
    resets = int((~training.valid).sum())
    assert abs(resets - (games if backend == "native" else lives)) <= 2


def test_a_lost_life_continues_from_the_observation_it_ended_with() -> None:
    obs, steps = roll(SeedEnvs("BreakoutNoFrameskip-v4", [0], 2), 300)
    lost = steps.terminated[:-1] & steps.valid[1:]
    assert lost.sum() > 10
    assert np.array_equal(steps.next_obs[:-1][lost], obs[1:][lost])


def test_training_learns_from_signs_and_counts_the_score() -> None:
    game: Any = ("ALE/SpaceInvaders-v5", [0], 2)
    training, playing = (roll(SeedEnvs(*game, training=flag), 120)[1] for flag in (True, False))
    assert set(training.reward.ravel()) == {0.0, 1.0}
    assert np.array_equal(training.reward, np.sign(training.score))
    assert np.array_equal(playing.reward, playing.score)
    assert np.array_equal(playing.score, training.score)  # the same game: v5 ends no episode with a life
    assert playing.score.max() >= 10
    unclipped = roll(SeedEnvs(*game, {"reward_clipping": False}), 120)[1]
    assert np.array_equal(unclipped.reward, training.score)


def test_sticky_actions_are_what_version_5_adds() -> None:
    sticky, plain = SeedEnvs("ALE/Pong-v5", [0], 1), SeedEnvs("PongNoFrameskip-v4", [0], 1)
    off = SeedEnvs("ALE/Pong-v5", [0], 1, {"repeat_action_probability": 0.0})
    seen = [roll(envs, 60)[1].obs for envs in (sticky, plain, off)]
    assert np.array_equal(seen[1], seen[2])
    assert not np.array_equal(seen[0], seen[1])


def test_preprocessing_is_set_by_env_kwargs_and_wrappers_go_around_it() -> None:
    assert describe_env("ALE/Pong-v5", {"img_height": 42, "img_width": 42, "stack_num": 2})[0].shape == (2, 42, 42)
    flat = SeedEnvs("ALE/Pong-v5", [0], 1, wrappers=[{"ReshapeObservation": {"shape": [4 * 84, 84]}}])
    assert flat.reset().shape == (1, 1, 336, 84)
    with pytest.raises(UserError, match=r"'frame_skip'.* 'frameskip'"):
        describe_env("ALE/Pong-v5", {"frame_skip": 2})
    with pytest.raises(UserError, match="'ALE/Pong-v5'"):
        describe_env("ALE/Pongg-v5")
    with pytest.raises(UserError, match="'PongNoFrameskip-v4'"):
        describe_env("PonggNoFrameskip-v4")


def test_fresh_games_after_a_restore_are_new_and_repeatable() -> None:
    envs, again = (SeedEnvs("ALE/Breakout-v5", [0, 1], 2) for _ in range(2))
    envs.reset()
    assert envs.get_state() is None

    def starts(times: int, of: SeedEnvs) -> np.ndarray:
        of.reset_fresh(times)
        return np.stack([of.step(np.full((2, 2), 1)).obs for _ in range(6)])

    first, second = starts(1, envs), starts(2, envs)
    assert not np.array_equal(first, second)
    assert np.array_equal(starts(2, again), second)
