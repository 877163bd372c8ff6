"""Running statistics per seed equal the statistics of all observed rows."""

from __future__ import annotations

import numpy as np
import pytest
from gymnasium.spaces import Box, Discrete

from tuneexp.envs.normalise import (
    DiscountedReturns,
    Learned,
    Moments,
    RunningMoments,
    RunningNormaliser,
    moments_of,
)
from tuneexp.errors import UserError

SPACE = Box(-np.inf, np.inf, (3,), np.float32)


def everything(values: np.ndarray) -> Moments:
    return moments_of(values, np.ones(values.shape[:3], np.bool_))


def assert_moments_of(moments: RunningMoments, rows: np.ndarray, n_first: int, rtol: float) -> None:
    """Check the moments of rows [S, R, ...] together with the prior.

    The prior is 1e-4 rows with variance 1 and the mean of the first `n_first` rows."""
    count, first = rows.shape[1] + 1e-4, rows[:, :n_first].mean(axis=1)
    mean = (rows.sum(axis=1) + 1e-4 * first) / count
    squares = np.square(rows - mean[:, None]).sum(axis=1) + 1e-4 * (1.0 + np.square(mean - first))
    np.testing.assert_allclose(moments.count, count)
    np.testing.assert_allclose(moments.mean, mean, rtol=rtol)
    np.testing.assert_allclose(moments.var, squares / count, rtol=rtol)


def as_rows(values: np.ndarray) -> np.ndarray:
    """[T, S, N, ...] -> [S, T * N, ...]."""
    return np.moveaxis(values, 1, 0).reshape(values.shape[1], -1, *values.shape[3:])


def test_moments_are_those_of_all_rows_seen() -> None:
    rng = np.random.default_rng(0)
    scale = np.array([1.0, 100.0]).reshape(1, 2, 1, 1)
    fragments = [rng.normal(scale, 3.0, (7, 2, 5, 3)) * scale for _ in range(20)]
    moments = RunningMoments(2, (3,))
    for fragment in fragments:
        moments.update(everything(fragment))
    assert_moments_of(moments, as_rows(np.concatenate(fragments)), 35, rtol=1e-9)


def test_moments_stay_exact_far_from_zero() -> None:
    rng = np.random.default_rng(0)
    moments = RunningMoments(1)
    fragments = [1e6 + rng.normal(size=(4, 1, 2)) for _ in range(500)]
    for fragment in fragments:
        moments.update(everything(fragment))
    # In float32, or as a difference of squares, the variance near 1 would be lost altogether.
    assert_moments_of(moments, as_rows(np.concatenate(fragments)), 8, rtol=1e-6)
    np.testing.assert_allclose(moments.var, 1.0, rtol=0.1)


def test_invalid_rows_are_not_learned_from() -> None:
    rng = np.random.default_rng(0)
    moments, clean = RunningMoments(2, (3,)), [[], []]  # type: ignore[var-annotated]
    for _ in range(30):
        fragment, valid = rng.normal(size=(3, 2, 4, 3)), rng.random((3, 2, 4)) < 0.5
        moments.update(moments_of(np.where(valid[..., None], fragment, 1e9), valid))
        for seed in range(2):
            clean[seed].append(fragment[:, seed][valid[:, seed]])
    for seed in range(2):
        rows = np.concatenate(clean[seed])
        np.testing.assert_allclose(moments.mean[seed], rows.mean(axis=0), atol=1e-5)
        np.testing.assert_allclose(moments.var[seed], rows.var(axis=0), rtol=1e-4)


def test_a_seed_without_valid_rows_keeps_its_statistics() -> None:
    moments = RunningMoments(2)
    moments.update(everything(np.arange(8.0).reshape(1, 2, 4)))
    before = moments.mean.copy(), moments.var.copy(), moments.count.copy()
    moments.update(moments_of(np.full((1, 2, 4), 50.0), np.array([[[False] * 4, [True] * 4]])))
    for old, new in zip(before, (moments.mean, moments.var, moments.count), strict=True):
        assert old[0] == new[0]
        assert old[1] != new[1]


def test_it_makes_no_difference_which_runner_had_which_environments() -> None:
    """Bit for bit: moments of single environments are merged in their order."""
    rng = np.random.default_rng(0)
    whole, parted = RunningMoments(2, (3,)), RunningMoments(2, (3,))
    for _ in range(5):
        fragment, valid = rng.normal(50, 3, (9, 2, 8, 3)), rng.random((9, 2, 8)) < 0.9
        whole.update(moments_of(fragment, valid))
        parts = [moments_of(fragment[:, :, own], valid[:, :, own]) for own in (slice(0, 3), slice(3, 4), slice(4, 8))]
        parted.update(Moments(*(np.concatenate(field, axis=1) for field in zip(*parts, strict=True))))
    for name in ("mean", "var", "count"):
        assert np.array_equal(getattr(whole, name), getattr(parted, name)), name


def test_seeds_do_not_see_each_other() -> None:
    rng = np.random.default_rng(0)
    both, alone = RunningNormaliser(2, SPACE), RunningNormaliser(1, SPACE)
    for _ in range(20):
        obs, valid = rng.normal(size=(3, 2, 4, 3)), rng.random((3, 2, 4)) < 0.9
        obs[:, 0] *= 1000
        gain = rng.normal(size=(3, 2, 4))
        both.learn(Learned(both.moments(obs, valid), moments_of(gain, valid)))
        own = slice(1, 2)
        alone.learn(Learned(alone.moments(obs[:, own], valid[:, own]), moments_of(gain[:, own], valid[:, own])))
        assert np.array_equal(both.normalise(obs[0])[own], alone.normalise(obs[0, own]))
        assert np.array_equal(both.scale_rewards(gain[0])[own], alone.scale_rewards(gain[0, own]))


def reference(rewards: np.ndarray, dones: np.ndarray, gamma: float) -> np.ndarray:
    """Discounted returns as a loop over one seed, [T, N]."""
    running, seen = np.zeros(rewards.shape[1]), []
    for reward, done in zip(rewards, dones, strict=True):
        running = running * gamma + reward
        seen.append(running.copy())
        running[done] = 0.0
    return np.stack(seen)


@pytest.mark.parametrize("fragment", [1, 7, 60])
def test_rewards_are_divided_by_the_deviation_of_the_discounted_return(fragment: int) -> None:
    """For any division into fragments: the same returns, and the same scale at the end."""
    rng = np.random.default_rng(0)
    rewards, dones = rng.normal(1.0, 50.0, (60, 1, 4)), rng.random((60, 1, 4)) < 0.1
    normaliser, returns = RunningNormaliser(1, SPACE), DiscountedReturns(1, 4, gamma=0.95)
    no, followed = np.zeros_like(dones), []
    for start in range(0, 60, fragment):
        own = slice(start, start + fragment)
        followed.append(returns.follow(rewards[own], dones[own], no[own], ~no[own]))
        normaliser.learn(Learned(None, everything(followed[-1])))
    expected = reference(rewards[:, 0], dones[:, 0], 0.95)
    np.testing.assert_allclose(np.concatenate(followed)[:, 0], expected)
    scaled = normaliser.scale_rewards(rewards[-1])
    np.testing.assert_allclose(scaled[0], np.clip(rewards[-1, 0] / np.sqrt(expected.var() + 1e-8), -10, 10), rtol=1e-3)


def test_either_end_restarts_the_discounted_return_and_a_reset_row_adds_nothing() -> None:
    returns = DiscountedReturns(1, 3, gamma=1.0)
    one, no = np.ones((3, 1, 3)), np.zeros((1, 3), np.bool_)
    terminated = np.stack([no, np.array([[True, False, False]]), no])
    truncated = np.stack([no, np.array([[False, True, False]]), no])
    valid = np.stack([~no, ~no, np.array([[False, True, True]])])
    followed = returns.follow(one, terminated, truncated, valid)
    assert followed[1].tolist() == [[2.0, 2.0, 2.0]], "the last reward of an episode counts"
    assert returns.running.tolist() == [[0.0, 1.0, 3.0]]


def test_observations_are_centred_scaled_and_clipped() -> None:
    normaliser = RunningNormaliser(1, SPACE)
    rows = np.random.default_rng(0).normal(5.0, 2.0, (200, 1, 4, 3)).astype(np.float32)
    normaliser.learn(Learned(normaliser.moments(rows, np.ones((200, 1, 4), np.bool_)), None))
    seen = normaliser.normalise(rows[-1])
    assert seen.dtype == np.float32
    flat = rows.reshape(-1, 3).astype(np.float64)
    expected = (rows[-1, 0] - flat.mean(axis=0)) / np.sqrt(flat.var(axis=0) + 1e-8)
    np.testing.assert_allclose(seen[0], expected, rtol=1e-3, atol=1e-4)
    assert normaliser.normalise(np.full((1, 1, 3), 1e5)).tolist() == [[[10.0] * 3]]
    assert normaliser.normalise(np.full((1, 1, 3), -1e5)).tolist() == [[[-10.0] * 3]]


def test_observations_and_rewards_have_bounds_of_their_own() -> None:
    normaliser = RunningNormaliser(1, SPACE, clip_obs=3.0, clip_reward=0.5)
    assert normaliser.normalise(np.full((1, 1, 3), -1e5)).tolist() == [[[-3.0] * 3]]
    assert normaliser.scale_rewards(np.array([[1e5]])).tolist() == [[0.5]]


def test_normalise_changes_no_statistics_and_takes_any_batch_axes() -> None:
    normaliser = RunningNormaliser(2, SPACE)
    normaliser.learn(Learned(everything(np.random.default_rng(0).normal(size=(1, 2, 4, 3))), None))
    before = normaliser.state_dict()
    obs = np.random.default_rng(1).normal(size=(2, 7, 5, 3))
    whole = normaliser.normalise(obs)
    assert np.array_equal(whole[:, :, 2], normaliser.normalise(obs[:, :, 2]))
    for name, value in normaliser.state_dict().items():
        assert np.array_equal(value, before[name])


def test_what_is_switched_off_passes_untouched() -> None:
    normaliser = RunningNormaliser(2, Discrete(3), norm_obs=False, norm_reward=False)
    obs, reward = np.ones((2, 4), np.int64), np.full((2, 4), 500.0)
    assert normaliser.moments(obs[None], np.ones((1, 2, 4), np.bool_)) is None
    assert normaliser.normalise(obs) is obs
    assert normaliser.scale_rewards(reward) is reward


def test_discrete_observations_cannot_be_normalised() -> None:
    with pytest.raises(UserError, match="Box"):
        RunningNormaliser(1, Discrete(3))


def test_restored_statistics_are_the_same_bit_for_bit() -> None:
    rng = np.random.default_rng(0)
    first, second = (RunningNormaliser(2, SPACE) for _ in range(2))
    for t in range(40):
        if t == 17:
            second.load_state_dict(first.state_dict())
        obs, gain, valid = rng.normal(size=(2, 2, 4, 3)), rng.normal(size=(2, 2, 4)), rng.random((2, 2, 4)) < 0.8
        for one in (first, second):
            one.learn(Learned(one.moments(obs, valid), moments_of(gain, valid)))
        for scale, values in (("normalise", obs[0]), ("scale_rewards", gain[0])):
            assert t < 17 or np.array_equal(getattr(first, scale)(values), getattr(second, scale)(values))
    with pytest.raises(ValueError, match="obs_mean"):
        RunningNormaliser(3, SPACE).load_state_dict(first.state_dict())


def test_a_runner_of_some_seeds_gets_their_statistics() -> None:
    whole, part = RunningNormaliser(3, SPACE), RunningNormaliser(1, SPACE)
    obs = np.random.default_rng(0).normal(3, 2, (5, 3, 4, 3))
    whole.learn(Learned(everything(obs), None))
    part.load_state_dict(whole.state_dict(slice(1, 2)))
    assert np.array_equal(whole.normalise(obs[0])[1:2], part.normalise(obs[0, 1:2]))
