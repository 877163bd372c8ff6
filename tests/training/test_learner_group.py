"""Several learners equal one: seeds are divided, or the rows of each minibatch."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from tests.algorithms.trials import trial_of
from tests.small import moments_of, parameters_of, small_trial
from tests.training.learners import ThreadedLearners, threaded_learners
from tuneexp.algorithms.ppo import PPO
from tuneexp.algorithms.registry import load_spec
from tuneexp.algorithms.spec import replace
from tuneexp.errors import UserError
from tuneexp.files import checkpoint
from tuneexp.rl.losses import mean_over
from tuneexp.rl.noise import Noise
from tuneexp.training.learner_shards import shard_learning
from tuneexp.training.training_ops import on_policy_step, postprocess, synchronous_parallel_sample, train_one_step
from tuneexp.trial import Trial
from tuneexp.trial.from_checkpoint import evaluate_checkpoint

__all__ = ["threaded_learners"]
pytestmark = pytest.mark.usefixtures("threaded_learners")

SEQUENCES = {"sequence_length": 8, "model": {"hidden_sizes": [8], "recurrent": "gru", "recurrent_size": 6}}


def trained(seeds: list[int], num_learners: int, rollouts: int = 2, **changes: Any) -> Trial:
    trial = small_trial(seeds, num_learners=num_learners, **changes)
    for _ in range(rollouts):
        trial.training_step()
    return trial


def assert_same_training(one: Trial, several: Trial) -> None:
    """Compare parameters, moments, counters, random states and statistics."""
    for name, leaf in parameters_of(one).items():
        torch.testing.assert_close(several.learner.parameters[name], leaf, rtol=1e-4, atol=1e-6, equal_nan=True)
    for own, other in zip(moments_of(one), moments_of(several), strict=True):
        torch.testing.assert_close(other, own, rtol=1e-3, atol=1e-6, equal_nan=True)
    states = [trial.learner.state_dict() for trial in (one, several)]
    steps = [[float(own["step"]) for own in state["optimizer"]["state"].values()] for state in states]
    assert steps[0] == steps[1]
    assert states[0]["n_updates"] == states[1]["n_updates"]
    assert torch.equal(states[0]["failed"], states[1]["failed"])
    assert all(torch.equal(*pair) for pair in zip(*(state["generators"] for state in states), strict=True))
    assert one.learner.log.updates_per_seed().tolist() == several.learner.log.updates_per_seed().tolist()
    summaries = [trial.learner.log.summary() for trial in (one, several)]
    assert summaries[0].keys() == summaries[1].keys()
    for name, values in summaries[0].items():
        if name != "explained_variance":  # a ratio of variances: the mean over parts is another number
            torch.testing.assert_close(summaries[1][name], values, rtol=1e-3, atol=1e-5)


# 15 rows on two learners are 7 and 8; gradients of the first updates are some hundred times the bound.
@pytest.mark.parametrize("seeds", [[0], [0, 1]])
def test_learners_that_split_rows_take_the_steps_of_one(seeds: list[int]) -> None:
    changes = {"batch_size": 15, "n_epochs": 3, "max_grad_norm": 0.05, "learning_rate": 1e-2}
    one, several = (trained(seeds, n, **changes) for n in (0, len(seeds) + 1))
    assert (one.learner.log.latest()[0]["grad_norm"] > 0.05).all(), "the bound must bind"
    assert_same_training(one, several)


def test_advantages_are_scaled_over_the_minibatch_and_not_over_each_part() -> None:
    """Each part normalised alone would give another result."""
    changes = {"batch_size": 8, "n_epochs": 1, "vf_coef": 0.0, "max_grad_norm": None}
    one, several, unscaled = (
        trained([0], n, rollouts=1, **{**changes, "normalize_advantage": scaled})
        for n, scaled in ((0, True), (2, True), (2, False))
    )
    assert_same_training(one, several)
    name = "policy_net.layers.2.weight"
    assert not torch.allclose(unscaled.learner.parameters[name], one.learner.parameters[name], rtol=1e-3)


def test_sequences_count_by_the_steps_that_are_no_resets() -> None:
    """Learners have unequal numbers of valid steps, which weight their means."""
    changes = {**SEQUENCES, "batch_size": 24, "n_epochs": 2}
    assert_same_training(trained([0], 0, **changes), trained([0], 2, **changes))


def test_the_kl_stop_of_learners_that_split_rows_is_that_of_the_whole_minibatch() -> None:
    changes = {"target_kl": 0.002, "learning_rate": 1e-2, "n_epochs": 4}
    one, several = (trained([0], n, **changes) for n in (0, 2))
    assert one.learner.log.updates_per_seed().item() < 32, "it must strike"
    assert_same_training(one, several)


def test_a_bool_that_skips_an_update_counts_if_it_is_true_for_any_learner() -> None:
    def loss(nets: Any, batch: Mapping[str, Tensor], cfg: Any) -> Any:
        total, statistics = PPO.loss_fn(nets, batch, cfg)
        return total, {**statistics, "skip_update": (batch["obs"][..., 0] == 7.0).any()}

    several = small_trial([0], num_learners=2, spec=replace(PPO, name="skips", loss_fn=loss), batch_size=64, n_epochs=1)

    def with_one_seven(training: Any) -> None:
        marked = training.group.sample
        training.group.sample = lambda n: _with_a_seven(marked(n))
        on_policy_step(training)

    several.training_step()
    assert several.learner.log.updates_per_seed().tolist() == [1]
    with_one_seven(several.trainer.training)
    assert several.learner.log.updates_per_seed().tolist() == [1], "the second update was skipped"


def _with_a_seven(fragment: Any) -> Any:
    obs = fragment["obs"].clone()
    obs[fragment["valid"].nonzero()[0].tolist()[0], 0, 0] = 7.0
    return fragment.with_columns({"obs": obs})


@pytest.mark.parametrize("num_learners", [1, 2, 3])
def test_learners_that_share_seeds_take_the_steps_of_one(num_learners: int) -> None:
    """Three seeds on two learners: one and two. Each seed stops at its own time, and one learner is idle at the end."""
    changes = {"target_kl": 0.002, "learning_rate": 3e-3, "n_epochs": 4}
    one, several = (trained([0, 1, 2], n, rollouts=3, **changes) for n in (0, num_learners))
    taken = one.learner.log.updates_per_seed().tolist()
    assert len(set(taken)) == 3, f"seeds must stop at different times: {taken}"
    assert_same_training(one, several)


def test_a_seed_that_diverges_in_one_learner_is_frozen_in_all_and_stays_so() -> None:
    trials = [small_trial([0, 1, 2], num_learners=n) for n in (0, 2)]
    for trial in trials:
        trial.training_step()
        trial.learner.parameters["value_net.layers.0.weight"][2] = float("inf")
        trial.training_step()
        assert trial.learner.failed.tolist() == [False, False, True]
        trial.training_step()
    assert_same_training(*trials)


def noisy_loss(nets: Any, batch: Mapping[str, Tensor], cfg: Any) -> Any:
    """Loss with noise per row and per step, both in the gradient."""
    total, statistics = PPO.loss_fn(nets, batch, cfg)
    of_rows = mean_over(nets.online.value(batch["obs"]) * batch["of_row"], batch["mask"])
    return total + of_rows * batch["of_step"][0], statistics


def noise(model: Any, action_space: Any, cfg: Any) -> dict[str, Noise]:
    return {"of_row": Noise("normal"), "of_step": Noise("uniform", (2,), per="step")}


@pytest.mark.parametrize("seeds", [[0], [0, 1]])
def test_noise_is_that_of_one_learner(seeds: list[int]) -> None:
    spec = replace(PPO, name="noisy", loss_fn=noisy_loss, loss_noise=noise)
    assert_same_training(*(trained(seeds, n, spec=spec, batch_size=15) for n in (0, 2)))


def test_a_trial_continues_from_a_checkpoint_with_other_learners() -> None:
    changes = {"rollouts": 4}
    whole, first, rest = (small_trial([0, 1, 2], num_learners=n, **changes) for n in (0, 2, 3))
    for _ in range(2):
        whole.training_step()
        first.training_step()
    rest.load_state_dict(first.state_dict())
    for trial in (whole, rest):
        trial.learner.log.summary()
        trial.training_step()
    assert_same_training(whole, rest)


def test_evaluating_a_checkpoint_takes_no_learners_and_no_gpu(
    threaded_learners: list[ThreadedLearners], tmp_path: Path
) -> None:
    trial = small_trial([0], num_learners=2)
    assert threaded_learners[0].first_bundle == 1  # after that of the trial, as it has no runners
    state = trial.state_dict()
    checkpoint.write(tmp_path / "saved", {**state, "config": {**state["config"], "device": "cuda"}})
    threaded_learners.clear()
    assert evaluate_checkpoint(tmp_path / "saved", episodes=2)["episodes"] == 2
    assert not threaded_learners


def test_a_loss_that_looks_at_its_rows_together_is_refused() -> None:
    def loss(nets: Any, batch: Mapping[str, Tensor], cfg: Any) -> Any:
        total, statistics = PPO.loss_fn(nets, batch, cfg)
        return total + nets.online.value(batch["obs"]).std(), statistics

    spec = replace(PPO, name="together", loss_fn=loss)
    with pytest.raises(UserError, match=r"mean over the rows.*\n.*num_learners=1"):
        trained([0], 2, spec=spec)
    trained([0, 1], 2, spec=spec, rollouts=1)


def test_sequences_of_impala_are_split_and_advantages_that_a_loss_normalises_itself_are_not() -> None:
    """APPO computes its advantages within the loss."""
    changes = {"n_envs": 4, "n_steps": 8}
    one, several = (trial_of("impala", "CartPole-v1", [0], num_learners=n, **changes) for n in (0, 2))
    for trial in (one, several):
        trial.training_step()
    for name, leaf in parameters_of(one).items():
        torch.testing.assert_close(several.learner.parameters[name], leaf, rtol=1e-4, atol=1e-6)
    appo = {**changes, "num_learners": 2, "batch_size": 32, "n_epochs": 1}
    with pytest.raises(UserError, match=r"num_learners=1 .*normalize_advantage=false"):
        trial_of("appo", "CartPole-v1", [0], **appo).training_step()
    trial_of("appo", "CartPole-v1", [0], normalize_advantage=False, **appo).training_step()


def test_a_training_step_that_leaves_its_learners_idle_is_refused() -> None:
    def step(training: Any) -> None:
        fragment = synchronous_parallel_sample(training.group, training.cfg.n_steps)
        batch = postprocess(training.postprocess_fn, training.learner, fragment, training.view)
        train_one_step(training.learner, batch.to_rows(), 1, 16)

    with pytest.raises(UserError, match=r"num_learners=2 .*\n.*multi_gpu_train_one_step"):
        trained([0], 2, spec=replace(PPO, name="idle", training_step=step))


def test_a_replay_algorithm_is_refused_before_anything_starts() -> None:
    with pytest.raises(UserError, match="num_learners=2"):
        load_spec("dqn").config_class.parse({"num_learners": 2}, "dqn")


def test_parts_of_a_gpu_are_refused_where_gradients_are_exchanged() -> None:
    with pytest.raises(UserError, match="num_gpus_per_learner=1, or num_learners=2"):
        shard_learning(2, 64, 3, n_gpus=0.5)
    assert not shard_learning(3, 64, 3, n_gpus=0.5).by_rows


def test_minibatches_smaller_than_the_learners_are_refused_with_the_numbers() -> None:
    with pytest.raises(UserError, match=r"2 rows .*num_learners=3; .*num_learners=2"):
        small_trial([0, 1], num_learners=3, batch_size=2)


def test_shares_are_even_and_whole() -> None:
    by_seeds, by_rows = shard_learning(5, 64, 2), shard_learning(2, 64, 3)
    assert [(shard.seeds, shard.n_rows) for shard in by_seeds.shards] == [(slice(0, 2), 64), (slice(2, 5), 64)]
    assert [(shard.seeds, shard.rows) for shard in by_rows.shards] == [
        (slice(0, 2), slice(0, 21)), (slice(0, 2), slice(21, 42)), (slice(0, 2), slice(42, 64)),
    ]  # fmt: skip


def test_a_learner_keeps_nothing_between_operations(threaded_learners: list[ThreadedLearners]) -> None:
    """Each operation starts from the trial's own parameters and moments."""
    whole, several = (small_trial([0], num_learners=n) for n in (0, 2))
    for trial in (whole, several):
        trial.training_step()
    for learner in threaded_learners[0].learners:
        learner.stack.flat.fill_(9.0)
        learner.n_updates, learner.failed[:] = 77, True
        learner.optimizer.optimizer.state.clear()
    for trial in (whole, several):
        trial.training_step()
    assert_same_training(whole, several)
