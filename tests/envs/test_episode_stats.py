"""Episode returns and lengths equal those of a plain loop."""

from __future__ import annotations

from collections import defaultdict

import numpy as np
import pytest

from tests.envs.counting import NATIVE, Counting
from tuneexp.envs.episode_stats import EpisodeTracker
from tuneexp.envs.seed_envs import SeedEnvs, Step

Columns = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]


def random_columns(steps: int, seeds: int, n_envs: int, rng: np.random.Generator) -> Columns:
    """reward, terminated, truncated, valid: [T, S, N], as NEXT_STEP environments return them."""
    shape = (steps, seeds, n_envs)
    terminated, truncated = rng.random(shape) < 0.1, rng.random(shape) < 0.05
    valid = np.ones(shape, np.bool_)
    for t in range(1, steps):
        valid[t] = ~(terminated[t - 1] | truncated[t - 1])
        terminated[t] &= valid[t]
        truncated[t] &= valid[t]
    return rng.normal(size=shape).astype(np.float32), terminated, truncated, valid


def counted_by_hand(columns: Columns) -> dict[int, list[tuple[float, int]]]:
    """Seed -> (return, length) of its episodes, in the order of their ends."""
    reward, terminated, truncated, valid = columns
    steps, seeds, n_envs = reward.shape
    episodes: dict[int, list[tuple[float, int]]] = defaultdict(list)
    total, length = np.zeros((seeds, n_envs)), np.zeros((seeds, n_envs), int)
    for t in range(steps):
        for s in range(seeds):
            for n in range(n_envs):
                if valid[t, s, n]:
                    total[s, n] += reward[t, s, n]
                    length[s, n] += 1
                if terminated[t, s, n] or truncated[t, s, n]:
                    episodes[s].append((total[s, n], length[s, n]))
                    total[s, n], length[s, n] = 0.0, 0
    return episodes


@pytest.mark.parametrize("fragment", [1, 7, 32, 250])
def test_any_cut_into_fragments_counts_what_a_loop_counts(fragment: int) -> None:
    columns = random_columns(250, 3, 4, np.random.default_rng(0))
    tracker = EpisodeTracker(3, 4, window=20)
    for start in range(0, 250, fragment):
        tracker.update(*(column[start : start + fragment] for column in columns))
    summary, by_hand = tracker.summary(), counted_by_hand(columns)
    for seed in range(3):
        returns, lengths = zip(*by_hand[seed], strict=True)
        assert len(returns) > 40
        assert summary.new_episodes[seed] == len(returns)
        assert summary.new_return_mean[seed] == pytest.approx(np.mean(returns), abs=1e-9)
        assert summary.return_mean[seed] == pytest.approx(np.mean(returns[-20:]), abs=1e-9)
        assert summary.length_mean[seed] == pytest.approx(np.mean(lengths[-20:]))


def test_single_steps_without_a_time_axis_count_the_same() -> None:
    columns = random_columns(60, 2, 3, np.random.default_rng(1))
    whole, stepwise = EpisodeTracker(2, 3), EpisodeTracker(2, 3)
    whole.update(*columns)
    for t in range(60):
        stepwise.update(*(column[t] for column in columns))
    for a, b in zip(whole.summary(), stepwise.summary(), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-12)


def test_a_reset_row_belongs_to_no_episode() -> None:
    tracker = EpisodeTracker(1, 1)
    flags = np.array([False, True, False, False, True])
    column = [np.array(values).reshape(5, 1, 1) for values in ([1.0, 2.0, 99.0, 4.0, 8.0], flags, [False] * 5)]
    tracker.update(column[0], column[1], column[2], np.array([True, True, False, True, True]).reshape(5, 1, 1))
    summary = tracker.summary()
    assert summary.new_episodes.tolist() == [2]
    assert summary.return_mean.tolist() == [(3 + 12) / 2]
    assert summary.length_mean.tolist() == [2.0]


def test_a_summary_starts_a_new_count_and_keeps_the_window() -> None:
    tracker = EpisodeTracker(2, 1)
    assert np.isnan(tracker.summary().return_mean).all()
    one = np.ones((1, 2, 1))
    ends = np.array([[[True], [False]]])
    tracker.update(one * 5, ends, np.zeros_like(ends), np.ones_like(ends))
    first, second = tracker.summary(), tracker.summary()
    assert first.new_episodes.tolist() == [1, 0]
    assert second.new_episodes.tolist() == [0, 0]
    assert np.isnan(second.new_return_mean).all()
    assert second.return_mean[0] == 5.0
    assert np.isnan(second.return_mean[1])
    assert tracker.total_episodes.tolist() == [1, 0]


@pytest.mark.parametrize("mode", ["next_step", "same_step", "disabled"])
def test_real_environments_give_their_true_returns_in_every_mode(mode: str) -> None:
    envs = SeedEnvs(Counting, [0, 1], 3, {"length": 4}, autoreset=mode)  # type: ignore[arg-type]
    tracker = EpisodeTracker(2, 3)
    envs.reset()
    steps = [envs.step(np.zeros((2, 3), np.int64)) for _ in range(23)]
    stacked = Step(*(np.stack(column) for column in zip(*steps, strict=True)))
    tracker.update(stacked.reward, stacked.terminated, stacked.truncated, stacked.valid)
    summary = tracker.summary()
    assert summary.return_mean.tolist() == [10.0, 10.0]  # 1 + 2 + 3 + 4
    assert summary.length_mean.tolist() == [4.0, 4.0]
    per_env = 4 if mode == "next_step" else 5
    assert summary.new_episodes.tolist() == [3 * per_env] * 2


def test_a_restored_tracker_continues_in_the_middle_of_episodes() -> None:
    envs = SeedEnvs(NATIVE, [0, 1], 3)
    trackers = [EpisodeTracker(2, 3, window=10)]
    envs.reset()
    for t in range(80):
        if t == 33:
            trackers.append(EpisodeTracker(2, 3, window=10))
            trackers[1].load_state_dict(trackers[0].state_dict())
        step = envs.step(np.zeros((2, 3), np.int64))
        for tracker in trackers:
            tracker.update(step.reward, step.terminated, step.truncated, step.valid)
    for a, b in zip(trackers[0].summary(), trackers[1].summary(), strict=True):
        assert np.array_equal(a, b)
    with pytest.raises(ValueError, match="returns"):
        EpisodeTracker(2, 3, window=5).load_state_dict(trackers[0].state_dict())


def test_dropped_episodes_are_forgotten() -> None:
    tracker = EpisodeTracker(1, 1)
    no, yes = np.zeros((1, 1, 1), np.bool_), np.ones((1, 1, 1), np.bool_)
    tracker.update(np.full((1, 1, 1), 50.0), no, no, yes)
    tracker.drop_open_episodes()
    tracker.update(np.full((1, 1, 1), 2.0), yes, no, yes)
    assert tracker.summary().return_mean.tolist() == [2.0]
