"""Numeric hyperparameters are tensors: new values take effect without a new program."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from tests.small import minibatch_of, parameters_of, rollout_batch, same, small_config, small_trial, step_on
from tuneexp.algorithms.ppo import PPO, PPOConfig
from tuneexp.config import is_numeric
from tuneexp.errors import UserError
from tuneexp.learning.compile.compilation import Counter
from tuneexp.learning.hyper import Hyper
from tuneexp.trial import Trial

# Two values of each numeric field that give different updates.
VALUES: dict[str, tuple[Any, Any]] = {
    "learning_rate": (1e-3, 2e-3),
    "gamma": (0.9, 0.99),
    "gae_lambda": (0.5, 0.95),
    "clip_range": (0.2, 1e-4),
    "clip_range_vf": (0.2, 0.01),
    "ent_coef": (0.0, 0.1),
    "vf_coef": (0.5, 1.0),
    "max_grad_norm": (0.5, 0.01),
    "target_kl": (0.5, 1e-6),
}


def test_every_numeric_field_is_tried() -> None:
    assert set(VALUES) == {name for name, field in PPOConfig.model_fields.items() if is_numeric(field)}


@pytest.mark.parametrize("name", VALUES)
def test_a_numeric_field_acts(name: str) -> None:
    results = []
    for value in VALUES[name]:
        trial = small_trial([0], **{name: value})
        trial.training_step()
        results.append(parameters_of(trial))
    assert not same(*results)


def test_a_loss_sees_numeric_fields_as_tensors_and_structural_ones_as_values() -> None:
    seen = {}

    def loss(nets: Any, batch: Any, cfg: Any) -> Any:
        seen.update({name: getattr(cfg, name) for name in PPOConfig.model_fields})
        return PPO.loss_fn(nets, batch, cfg)

    from tuneexp.algorithms.spec import replace

    small_trial([0], spec=replace(PPO, name="spy", loss_fn=loss), target_kl=0.1).training_step()
    for name, field in PPOConfig.model_fields.items():
        tensor = isinstance(seen[name], torch.Tensor)
        assert tensor == (is_numeric(field) and seen[name] is not None), name
        assert not tensor or seen[name].dim() == 0, name


def test_numeric_fields_that_are_none_are_part_of_the_program() -> None:
    hyper = Hyper([PPOConfig(target_kl=None, max_grad_norm=None)])
    assert "target_kl" not in hyper.names
    assert hyper.static["max_grad_norm"] is None
    assert "target_kl" in Hyper([PPOConfig(target_kl=0.1)]).names


def test_an_unknown_field_of_the_configuration_is_reported_with_the_nearest() -> None:
    with pytest.raises(UserError, match="clip_range"):
        _ = Hyper([PPOConfig()]).view().clip_rnge


def test_schedules_reach_the_optimizer_and_the_loss() -> None:
    trial = small_trial([0], rollouts=4, learning_rate="linear:0.001", clip_range="linear:0.2:0.1")
    clip = trial.learner.hyper.names.index("clip_range")
    seen = []
    for _ in range(4):
        trial.training_step()
        group = trial.learner.optimizer.optimizer.param_groups[0]
        seen.append((group["lr"], float(trial.learner.hyper.tensor[0, clip])))
    expected = [(0.001 * (1 - done), 0.2 - 0.1 * done) for done in (0, 0.25, 0.5, 0.75)]
    for got, wanted in zip(seen, expected, strict=True):
        assert got == pytest.approx(wanted)


def test_a_clip_schedule_changes_the_updates() -> None:
    results = []
    for clip_range in (0.05, "linear:0.05:0.0001"):
        trial = small_trial([0], clip_range=clip_range, learning_rate=1e-2)
        for _ in range(3):
            trial.training_step()
        results.append(parameters_of(trial))
    assert not same(*results)


def test_no_numeric_field_causes_a_new_program_over_20_trials(fresh_programs: None) -> None:
    """Every numeric field has a new value in each trial; the count is of traced programs, compiled or not."""
    traced = []
    for number in range(20):
        share = 0.5 + number / 50
        changes = {name: values[0] * share for name, values in VALUES.items() if values[0]}
        trial = Trial(PPO, small_config(**{**changes, "ent_coef": number / 1000}))
        trial.training_step()
        trial.close()
        traced.append(Counter.traced)
    assert traced[0] > 0
    assert set(traced) == {traced[0]}


def test_the_loss_of_a_shared_program_follows_the_values(fresh_programs: None) -> None:
    """The second trial reuses the program of the first one with its own values."""
    losses = []
    for clip_range, ent_coef in ((0.2, 0.0), (0.2, 0.5), (0.01, 0.0)):
        trial = small_trial([0, 1], clip_range=clip_range, ent_coef=ent_coef)
        minibatch = minibatch_of(rollout_batch(trial))
        minibatch["log_prob"] -= 0.1
        losses.append(step_on(trial, minibatch)[0]["loss"])
    assert Counter.traced == 2, "one program to act, one to learn"
    assert not torch.allclose(losses[0], losses[1])
    assert not torch.allclose(losses[0], losses[2])
