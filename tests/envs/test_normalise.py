"""Running statistics are the statistics of what was seen, for each seed its own."""

from __future__ import annotations

import numpy as np
import pytest
from gymnasium.spaces import Box, Discrete

from tuneexp.envs.normalise import RunningMoments, RunningNormaliser
from tuneexp.errors import UserError

SPACE = Box(-np.inf, np.inf, (3,), np.float32)
NO = np.zeros((2, 4), np.bool_)


def test_moments_are_those_of_all_rows_seen() -> None:
    rng = np.random.default_rng(0)
    scale = np.array([1.0, 100.0]).reshape(2, 1, 1)
    batches = [rng.normal(scale, 3.0, (2, 5, 3)) * scale for _ in range(40)]
    moments = RunningMoments(2, (3,))
    for batch in batches:
        moments.update(batch)
    assert_moments_of(moments, np.concatenate(batches, axis=1), rtol=1e-9)


def assert_moments_of(moments: RunningMoments, rows: np.ndarray, rtol: float) -> None:
    """rows: [S, R, ...]. Those of the rows and of what stands in before them: 1e-4 rows of mean 0, variance 1."""
    count = rows.shape[1] + 1e-4
    mean = rows.sum(axis=1) / count
    squares = np.square(rows - mean[:, None]).sum(axis=1) + 1e-4 * (1.0 + np.square(mean))
    np.testing.assert_allclose(moments.count, count)
    np.testing.assert_allclose(moments.mean, mean, rtol=rtol)
    np.testing.assert_allclose(moments.var, squares / count, rtol=rtol)


def test_moments_stay_exact_far_from_zero() -> None:
    rng = np.random.default_rng(0)
    moments = RunningMoments(1)
    batches = [1e6 + rng.normal(size=(1, 8)) for _ in range(500)]
    for batch in batches:
        moments.update(batch)
    # In float32, or as a difference of squares, the variance near 1 would be lost altogether.
    assert_moments_of(moments, np.concatenate(batches, axis=1), rtol=1e-6)


def test_invalid_rows_are_not_learned_from() -> None:
    rng = np.random.default_rng(0)
    moments, clean = RunningMoments(2, (3,)), [[], []]  # type: ignore[var-annotated]
    for _ in range(30):
        batch, valid = rng.normal(size=(2, 4, 3)), rng.random((2, 4)) < 0.5
        moments.update(np.where(valid[..., None], batch, 1e9), valid)
        for seed in range(2):
            clean[seed].append(batch[seed][valid[seed]])
    for seed in range(2):
        rows = np.concatenate(clean[seed])
        np.testing.assert_allclose(moments.mean[seed], rows.mean(axis=0), atol=1e-5)
        np.testing.assert_allclose(moments.var[seed], rows.var(axis=0), rtol=1e-4)


def test_a_seed_without_valid_rows_keeps_its_statistics() -> None:
    moments = RunningMoments(2)
    moments.update(np.arange(8.0).reshape(2, 4))
    before = moments.mean.copy(), moments.var.copy(), moments.count.copy()
    moments.update(np.full((2, 4), 50.0), np.array([[False] * 4, [True] * 4]))
    for old, new in zip(before, (moments.mean, moments.var, moments.count), strict=True):
        assert old[0] == new[0]
        assert old[1] != new[1]


def test_seeds_do_not_see_each_other() -> None:
    rng = np.random.default_rng(0)
    both, alone = RunningNormaliser(2, 4, SPACE, 0.9), RunningNormaliser(1, 4, SPACE, 0.9)
    for _ in range(20):
        obs, reward = rng.normal(size=(2, 4, 3)), rng.normal(size=(2, 4))
        obs[0] *= 1000
        assert np.array_equal(both.observe(obs)[1:], alone.observe(obs[1:]))
        valid, ended = rng.random((2, 4)) < 0.9, rng.random((2, 4)) < 0.2
        scaled = both.reward(reward, ended, NO, valid)
        assert np.array_equal(scaled[1:], alone.reward(reward[1:], ended[1:], NO[1:], valid[1:]))


def reference(rewards: np.ndarray, dones: np.ndarray, gamma: float) -> np.ndarray:
    """The published algorithm as a loop over one seed: returns [T, N] and the moments of all of them so far."""
    running, seen, scaled = np.zeros(rewards.shape[1]), [], []
    for reward, done in zip(rewards, dones, strict=True):
        running = running * gamma + reward
        seen.append(running.copy())
        scaled.append(np.clip(reward / np.sqrt(np.concatenate(seen).var() + 1e-8), -10, 10))
        running[done] = 0.0
    return np.stack(scaled)


def test_rewards_are_divided_by_the_deviation_of_the_discounted_return() -> None:
    rng = np.random.default_rng(0)
    rewards, dones = rng.normal(1.0, 50.0, (60, 1, 4)), rng.random((60, 1, 4)) < 0.1
    normaliser = RunningNormaliser(1, 4, SPACE, gamma=0.95)
    no, all_valid = NO[:1], ~NO[:1]
    scaled = [normaliser.reward(r, d, no, all_valid) for r, d in zip(rewards, dones, strict=True)]
    np.testing.assert_allclose(np.stack(scaled)[:, 0], reference(rewards[:, 0], dones[:, 0], 0.95), rtol=1e-3)


def test_either_end_restarts_the_discounted_return_and_a_reset_row_adds_nothing() -> None:
    normaliser = RunningNormaliser(1, 3, SPACE, gamma=1.0)
    one, no, yes = np.ones((1, 3)), np.zeros((1, 3), np.bool_), np.ones((1, 3), np.bool_)
    normaliser.reward(one, no, no, yes)
    normaliser.reward(one, np.array([[True, False, False]]), np.array([[False, True, False]]), yes)
    normaliser.reward(one, no, no, np.array([[False, True, True]]))
    state = normaliser.state_dict()
    assert state["running_return"].tolist() == [[0.0, 1.0, 3.0]]
    assert state["return_count"].tolist() == [8 + 1e-4]


def test_observations_are_centred_scaled_and_clipped() -> None:
    normaliser = RunningNormaliser(1, 4, SPACE, 0.99)
    rows = np.random.default_rng(0).normal(5.0, 2.0, (200, 1, 4, 3)).astype(np.float32)
    for batch in rows:
        seen = normaliser.observe(batch)
    assert seen.dtype == np.float32
    flat = rows.reshape(-1, 3).astype(np.float64)
    expected = (rows[-1, 0] - flat.mean(axis=0)) / np.sqrt(flat.var(axis=0) + 1e-8)
    np.testing.assert_allclose(seen[0], expected, rtol=1e-3, atol=1e-4)
    assert normaliser.normalise(np.full((1, 1, 3), 1e5)).tolist() == [[[10.0] * 3]]
    assert normaliser.normalise(np.full((1, 1, 3), -1e5)).tolist() == [[[-10.0] * 3]]


def test_normalise_changes_no_statistics_and_takes_any_batch_axes() -> None:
    normaliser = RunningNormaliser(2, 4, SPACE, 0.99)
    normaliser.observe(np.random.default_rng(0).normal(size=(2, 4, 3)))
    before = normaliser.state_dict()
    obs = np.random.default_rng(1).normal(size=(2, 7, 5, 3))
    whole = normaliser.normalise(obs)
    assert np.array_equal(whole[:, :, 2], normaliser.normalise(obs[:, :, 2]))
    for name, value in normaliser.state_dict().items():
        assert np.array_equal(value, before[name])


def test_what_is_switched_off_passes_untouched() -> None:
    normaliser = RunningNormaliser(2, 4, Discrete(3), 0.99, norm_obs=False, norm_reward=False)
    obs, reward = np.ones((2, 4), np.int64), np.full((2, 4), 500.0)
    assert normaliser.observe(obs) is obs
    assert normaliser.reward(reward, NO, NO, ~NO) is reward


def test_discrete_observations_cannot_be_normalised() -> None:
    with pytest.raises(UserError, match="only Box observations can"):
        RunningNormaliser(1, 1, Discrete(3), 0.99)


def test_a_restored_normaliser_goes_on_bit_for_bit() -> None:
    rng = np.random.default_rng(0)
    first, second = (RunningNormaliser(2, 4, SPACE, 0.9) for _ in range(2))
    for t in range(40):
        if t == 17:
            second.load_state_dict(first.state_dict())
        obs, reward, valid, ended = rng.normal(size=(2, 4, 3)), rng.normal(size=(2, 4)), rng.random((2, 4)) < 0.8, NO
        results = [(n.observe(obs, valid), n.reward(reward, ended, NO, valid)) for n in (first, second)]
        assert t < 17 or all(np.array_equal(a, b) for a, b in zip(*results, strict=True))
    with pytest.raises(ValueError, match="obs_mean has shape"):
        RunningNormaliser(3, 4, SPACE, 0.9).load_state_dict(first.state_dict())


def test_an_evaluator_takes_statistics_over_with_another_number_of_environments() -> None:
    trained, evaluator = RunningNormaliser(2, 4, SPACE, 0.9), RunningNormaliser(2, 20, SPACE, 0.9)
    obs = np.random.default_rng(0).normal(3, 2, (2, 4, 3))
    trained.observe(obs)
    evaluator.load_state_dict(trained.state_dict(), statistics_only=True)
    assert np.array_equal(trained.normalise(obs), evaluator.normalise(obs))
    with pytest.raises(ValueError, match="running_return"):
        evaluator.load_state_dict(trained.state_dict())
