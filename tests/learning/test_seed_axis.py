"""Training S seeds at once equals S single runs, and no seed affects another."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
import torch
from torch import Tensor

from tests.small import (
    minibatch_of,
    moments_of,
    parameters_of,
    rollout_batch,
    same,
    small_trial,
    step_on,
    training_steps,
)
from tuneexp.algorithms.ppo import PPO
from tuneexp.algorithms.spec import replace
from tuneexp.data.sample_batch import SEED_ROW_AXES, SampleBatch
from tuneexp.training.training_ops import train_one_step
from tuneexp.trial import Trial


def trained(seeds: list[int], rollouts: int = 3, **changes: object) -> Trial:
    trial = small_trial(seeds, **changes)
    for _ in range(rollouts):
        trial.training_step()
    return trial


@pytest.mark.parametrize("n_seeds", [2, 3, 8])
def test_seeds_at_once_are_single_runs(n_seeds: int) -> None:
    together = trained(list(range(n_seeds)))
    for seed in range(n_seeds):
        alone = trained([seed])
        for name, leaf in together.learner.parameters.items():
            torch.testing.assert_close(leaf[seed], alone.learner.parameters[name][0], rtol=1e-4, atol=1e-5)


def test_seeds_at_once_are_single_runs_where_normalised() -> None:
    changes = {"normalize_observation": True, "normalize_reward": True, "target_kl": 0.5}
    together, alone = trained([4, 7], **changes), trained([7], **changes)
    for name, leaf in together.learner.parameters.items():
        torch.testing.assert_close(leaf[1], alone.learner.parameters[name][0], rtol=1e-4, atol=1e-5)


def sgd(named_parameters: Mapping[str, Any], cfg: Any) -> torch.optim.Optimizer:
    """SGD, which has no step counter that all seeds share, unlike Adam."""
    return torch.optim.SGD(named_parameters.values(), lr=cfg.learning_rate, momentum=0.9)


def test_seeds_at_once_are_single_runs_where_each_stops_at_its_own_time() -> None:
    changes = {"spec": replace(PPO, name="sgd", optimizer_fn=sgd), "learning_rate": 0.1, "target_kl": 0.002}
    together = small_trial([0, 1, 2], n_epochs=4, **changes)
    applied = training_steps(together, 3)
    assert min(map(min, applied)) < 16, "some stopped early"
    assert any(len(set(row)) > 1 for row in applied), "not all at the same time"
    for seed in range(3):
        alone = small_trial([seed], n_epochs=4, **changes)
        assert training_steps(alone, 3) == [[row[seed]] for row in applied]
        for name, leaf in together.learner.parameters.items():
            torch.testing.assert_close(leaf[seed], alone.learner.parameters[name][0], rtol=1e-4, atol=1e-5)


def test_seeds_differ_from_each_other() -> None:
    trial = trained([0, 1])
    assert all(not torch.equal(leaf[0], leaf[1]) for name, leaf in trial.learner.parameters.items() if "weight" in name)


def test_reset_rows_fall_at_different_times_of_each_seed() -> None:
    """Otherwise the tests above would not cover seeds with different numbers of valid rows."""
    batch = rollout_batch(small_trial([0, 1, 2]))
    counts = batch["valid"].sum(1)
    assert (counts < batch["valid"].shape[1]).all()
    assert not torch.equal(batch["valid"][0], batch["valid"][1])


@pytest.mark.parametrize("garbage", [float("nan"), 1e30])
def test_a_reset_row_counts_in_no_loss(garbage: float) -> None:
    results = []
    for spoil in (False, True):
        trial = small_trial([0, 1, 2])
        batch = rollout_batch(trial)
        assert not batch["valid"].all()
        if spoil:
            for name in ("obs", "log_prob", "advantage", "value", "value_target"):
                batch[name] = batch[name].clone()
                batch[name][~batch["valid"]] = garbage
        train_one_step(trial.learner, SampleBatch(batch, SEED_ROW_AXES), n_epochs=2, batch_size=16)
        results.append((parameters_of(trial), trial.learner.log.summary()))
    assert same(results[0][0], results[1][0])
    assert same(results[0][1], results[1][1])


def one_update(spoil: Mapping[str, float] = {}, seed: int = 1, **changes: object) -> tuple[Trial, dict[str, Tensor]]:
    """One gradient step on real rows, with columns of one seed scaled. Returns the parameters before it, too."""
    trial = small_trial([0, 1, 2], **changes)
    minibatch = minibatch_of(rollout_batch(trial))
    for name, factor in spoil.items():
        minibatch[name][seed] *= factor
    before = parameters_of(trial)
    step_on(trial, minibatch)
    return trial, before


def of_seed(parameters: Mapping[str, Tensor], seed: int) -> dict[str, Tensor]:
    return {name: leaf[seed] for name, leaf in parameters.items()}


def test_a_huge_gradient_of_one_seed_leaves_the_others_alone() -> None:
    changes = {"max_grad_norm": 0.1, "normalize_advantage": False}
    plain, _ = one_update(**changes)
    spoiled, _ = one_update({"value_target": 1e6, "advantage": 1e6}, **changes)
    for seed in (0, 2):
        assert same(of_seed(plain.learner.parameters, seed), of_seed(spoiled.learner.parameters, seed))
    assert not same(of_seed(plain.learner.parameters, 1), of_seed(spoiled.learner.parameters, 1))


def test_gradients_are_clipped_to_the_norm_of_each_seed() -> None:
    trial = small_trial([0, 1, 2], max_grad_norm=0.01)
    minibatch = minibatch_of(rollout_batch(trial))
    ((step, program),) = trial.trainer.programs.steps.values()
    flat, statistics, *_ = program.run(trial.learner.step_inputs(trial.learner.columns_of(minibatch, {}, 0)))
    norms_before = statistics[step.metric_names.index("grad_norm")]
    squares = torch.zeros(3)
    for gradient in trial.learner.stack.split(flat).values():
        squares += gradient.square().flatten(1).sum(1)
    assert (norms_before > 0.01).all()
    torch.testing.assert_close(squares.sqrt(), torch.full((3,), 0.01), rtol=1e-3, atol=0)


@pytest.mark.parametrize("poison", [float("nan"), float("inf")])
def test_a_seed_that_turns_nan_is_frozen_and_the_others_go_on_untouched(poison: float) -> None:
    plain, _ = one_update()
    poisoned, before = one_update({"value_target": poison})
    assert poisoned.learner.failed.tolist() == [False, True, False]
    assert same(of_seed(poisoned.learner.parameters, 1), of_seed(before, 1))
    for seed in (0, 2):
        assert same(of_seed(plain.learner.parameters, seed), of_seed(poisoned.learner.parameters, seed))
        assert not same(of_seed(poisoned.learner.parameters, seed), of_seed(before, seed))


def test_a_failed_seed_stays_frozen_in_later_rollouts() -> None:
    trial, before = one_update({"value_target": float("nan")})
    trial.training_step()
    assert trial.learner.failed.tolist() == [False, True, False]
    assert same(of_seed(trial.learner.parameters, 1), of_seed(before, 1))


def test_the_kl_stop_keeps_parameters_and_moments_of_its_seed_until_the_next_rollout() -> None:
    trial = small_trial([0, 1, 2], target_kl=0.5)
    minibatch = minibatch_of(rollout_batch(trial))
    assert step_on(trial, minibatch)[1].tolist() == [True, True, True]  # so that there are moments to keep
    own = trial.learner.stack.per_element(torch.tensor([False, True, False]))
    before, moments = parameters_of(trial), moments_of(trial)

    far = {**minibatch, "log_prob": minibatch["log_prob"].clone()}
    far["log_prob"][1] -= 3.0
    assert step_on(trial, far)[1].tolist() == [True, False, True]
    assert step_on(trial, minibatch)[1].tolist() == [True, False, True], "sticky, although these rows are near"
    assert same(of_seed(trial.learner.parameters, 1), of_seed(before, 1))
    for old, new in zip(moments, moments_of(trial), strict=True):
        assert torch.equal(old[own], new[own])
        assert not torch.equal(old[~own], new[~own])

    trial.learner.start_rollout(0.5)
    assert step_on(trial, minibatch)[1].tolist() == [True, True, True]
    assert not same(of_seed(trial.learner.parameters, 1), of_seed(before, 1))


def test_a_skipped_first_update_leaves_no_moments_behind() -> None:
    trial = small_trial([0, 1], target_kl=0.5)
    minibatch = minibatch_of(rollout_batch(trial))
    minibatch["log_prob"][1] -= 3.0
    assert step_on(trial, minibatch)[1].tolist() == [True, False]
    own = trial.learner.stack.per_element(torch.tensor([False, True]))
    assert all(moment[own].abs().max() == 0 for moment in moments_of(trial))


def test_a_seed_that_sits_out_can_not_fail() -> None:
    """Later minibatches of a stopped seed are not applied, so a non-finite value in them is no divergence."""
    trial = small_trial([0, 1], target_kl=0.5)
    minibatch = minibatch_of(rollout_batch(trial))
    minibatch["log_prob"][1] -= 3.0
    step_on(trial, minibatch)
    minibatch["log_prob"][1] -= 1000.0  # a ratio beyond float32
    step_on(trial, minibatch)
    assert trial.learner.failed.tolist() == [False, False]


@pytest.mark.parametrize("valid_rows", [0, 1])
def test_a_seed_with_fewer_than_two_valid_rows_is_not_updated(valid_rows: int) -> None:
    trial = small_trial([0, 1])
    batch = rollout_batch(trial)
    batch["valid"] = batch["valid"].clone()
    batch["valid"][1, valid_rows:] = False
    batch["valid"][1, :valid_rows] = True
    if not valid_rows:
        batch["obs"] = batch["obs"].clone()
        batch["obs"][1] = float("nan")
    before = parameters_of(trial)
    train_one_step(trial.learner, SampleBatch(batch, SEED_ROW_AXES), n_epochs=2, batch_size=16)
    assert same(of_seed(trial.learner.parameters, 1), of_seed(before, 1))
    assert not same(of_seed(trial.learner.parameters, 0), of_seed(before, 0))
    assert trial.learner.log.updates_per_seed().tolist() == [8, 0]
    assert trial.learner.failed.tolist() == [False, False]


def test_statistics_are_means_over_the_applied_updates_of_each_seed() -> None:
    trial = small_trial([0, 1], target_kl=0.5)
    minibatch = minibatch_of(rollout_batch(trial))
    far = {**minibatch, "log_prob": minibatch["log_prob"].clone()}
    far["log_prob"][1] -= 3.0
    steps = [step_on(trial, columns) for columns in (minibatch, far)]
    first, second = (statistics["approx_kl"] for statistics, _ in steps)
    assert [taken.tolist() for _, taken in steps] == [[True, True], [True, False]]
    mean = trial.learner.log.summary()["approx_kl"]
    torch.testing.assert_close(mean, torch.stack([(first[0] + second[0]) / 2, first[1]]))
