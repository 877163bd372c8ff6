"""Epochs over rows that include reset rows."""

from __future__ import annotations

from typing import Any, ClassVar

import gymnasium
import numpy as np
import pytest
import torch
from gymnasium.spaces import Box, Discrete

from tests.small import minibatch_of, rollout_batch, small_trial, step_on
from tuneexp.algorithms.a2c import A2C
from tuneexp.algorithms.spec import replace
from tuneexp.data.sample_batch import SEED_ROW_AXES, SampleBatch
from tuneexp.training.epochs import drawn_epochs
from tuneexp.training.training_ops import train_one_step


class Short(gymnasium.Env[np.ndarray, int]):
    """Episodes of `length` steps with random observations; with 1 step, every second row is a reset row."""

    observation_space = Box(-1.0, 1.0, (2,), np.float32)
    action_space = Discrete(2)
    metadata: ClassVar[dict[str, Any]] = {"render_modes": []}

    def __init__(self, length: int = 1) -> None:
        self.length = length

    def reset(self, *, seed: int | None = None, options: Any = None) -> Any:
        super().reset(seed=seed)
        self.time = 0
        return self._obs(), {}

    def step(self, action: Any) -> Any:
        self.time += 1
        return self._obs(), float(action), self.time >= self.length, False, {}

    def _obs(self) -> np.ndarray:
        return self.np_random.uniform(-1, 1, 2).astype(np.float32)


@pytest.mark.parametrize("n_seeds", [1, 2, 5])
def test_each_real_row_counts_once_an_epoch_and_the_clock_counts_every_step(n_seeds: int) -> None:
    trial = small_trial(range(n_seeds), env=Short, n_envs=4, n_steps=100, batch_size=64)
    batch = rollout_batch(trial)
    assert (trial.group.env_steps, trial.group.transitions) == (400, 200 * n_seeds)
    if n_seeds > 1:
        batch["valid"][1, 40:80] = False  # seeds differ in how many rows are real
    epochs = drawn_epochs(trial.learner, SampleBatch(batch, SEED_ROW_AXES), 3, 64)
    mask = epochs.of_update["mask"].split(7)
    for rows, counts in zip(epochs.rows, mask, strict=True):
        assert rows.shape == counts.shape == (7, n_seeds, 64)
        times = torch.bincount(rows[counts], minlength=400 * n_seeds).view(n_seeds, 400)
        assert torch.equal(times, batch["valid"].long())


@pytest.mark.parametrize("length", [1, 3])
def test_padding_changes_no_update(length: int) -> None:
    """One step of A2C on a rollout with reset rows equals one on its valid rows alone."""
    own = {"n_envs": 4, "n_steps": 24, "normalize_advantage": True, "model": {"hidden_sizes": [8]}}
    settings: dict[str, Any] = {"spec": A2C, "env": Short, "env_kwargs": {"length": length}, "hyperparameters": own}
    padded, bare = (small_trial((0,), **settings) for _ in range(2))
    batch = rollout_batch(padded)
    real = int(batch["valid"].sum())
    assert real == (48 if length == 1 else 72)
    train_one_step(padded.learner, SampleBatch(batch, SEED_ROW_AXES), 1, 96)
    expected, _ = step_on(bare, minibatch_of(batch, real))
    statistics, _ = padded.learner.log.latest()
    assert {"policy_loss", "value_loss", "entropy", "grad_norm"} <= expected.keys()
    for name, value in statistics.items():
        torch.testing.assert_close(value, expected[name], rtol=1e-4, atol=1e-6, msg=name)


def test_a_loss_that_reads_no_mask_learns_as_before() -> None:
    def plain_loss(nets: Any, batch: Any, cfg: Any) -> Any:
        return (nets.online.value(batch["obs"]) - batch["value_target"]).pow(2).mean(), {}

    spec = replace(A2C, name="plain", loss_fn=plain_loss)
    trial = small_trial((0, 1), env=Short, spec=spec, hyperparameters={"n_steps": 8, "n_envs": 2})
    trial.advance()
    assert not trial.learner.failed.any()
    assert "mask" not in trial.learner.next_step.columns_read
