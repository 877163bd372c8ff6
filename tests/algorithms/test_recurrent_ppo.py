"""Recurrent PPO: it solves tasks that need memory, and unrolling restores the states of acting."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import pytest
import torch
from torch import Tensor

from tests.algorithms.memory_envs import RandomLengths, Recall
from tests.small import parameters_of, same, small_config, small_trial
from tuneexp.algorithms.ppo import PPO, PPOConfig
from tuneexp.data.sample_batch import SampleBatch
from tuneexp.data.sequences import to_sequences
from tuneexp.envs.seed_envs import SeedEnvs
from tuneexp.errors import UserError
from tuneexp.files import checkpoint
from tuneexp.learning.nets import Nets
from tuneexp.sampling.env_runner import EnvRunner
from tuneexp.sampling.group import EnvRunnerGroup
from tuneexp.sampling.runners import LocalRunners
from tuneexp.training.training_ops import postprocess, train_one_step
from tuneexp.trial import Trial

Autoreset = Literal["next_step", "same_step"]
AUTORESET = pytest.mark.parametrize("autoreset", ["next_step", "same_step"])
CELL = pytest.mark.parametrize("cell", ["lstm", "gru"])


def recurrent_trial(
    seeds: list[int], cell: str = "lstm", env: Any = RandomLengths, critic: bool | None = None, **changes: Any
) -> Trial:
    """Trial with a large recurrent state and large outputs, so that a wrong state exceeds rounding errors."""
    model = {"hidden_sizes": [8], "recurrent": cell, "recurrent_size": 6, "enable_critic_lstm": critic}
    trial = small_trial(seeds, env=env, model=model, **{"sequence_length": 8, **changes})
    for name, leaf in trial.learner.parameters.items():
        if "policy_net" in name:
            leaf.mul_(100.0)
        if "cell" in name:
            leaf.mul_(2.0)
    return trial


def runner_of(trial: Trial, autoreset: Autoreset) -> EnvRunnerGroup:
    envs = SeedEnvs(RandomLengths, trial.config.seeds, 2, autoreset=autoreset)
    return EnvRunnerGroup(
        trial.trainer.new_policy(), LocalRunners(EnvRunner(envs, trial.trainer.new_policy())), trial.config.seeds
    )


def columns_of(trial: Trial, fragment: SampleBatch) -> SampleBatch:
    return postprocess(trial.spec.postprocess_fn, trial.learner, fragment, trial.trainer.training.view)


def net_of(trial: Trial, seed: int) -> Any:
    parameters = {name: leaf[seed] for name, leaf in trial.learner.parameters.items()}
    return Nets.of_one_seed(trial.learner.model, parameters).frozen


def unrolled(trial: Trial, sequences: SampleBatch, seed: int) -> tuple[Tensor, Tensor]:
    """log_prob and value [K, L] of every step, from the stored states, with the current parameters."""
    own = {name: column[seed].movedim(1, 0) for name, column in sequences.items() if name != "valid"}
    dist, value = net_of(trial, seed).unroll(own["obs"], own["state"][0], own["start"])
    return dist.log_prob(own["action"]).T, value.T


@AUTORESET
@pytest.mark.parametrize(("cell", "critic"), [("lstm", None), ("gru", None), ("lstm", True), ("lstm", False)])
def test_unrolling_gives_what_acting_gave(cell: str, critic: bool | None, autoreset: Autoreset) -> None:
    """With an unchanged policy the ratio is exactly 1, in every autoreset mode and across fragments and episodes."""
    trial = recurrent_trial([0, 1], cell, critic=critic)
    runner = runner_of(trial, autoreset)
    for _ in range(3):
        fragment = runner.sample(32)
        assert fragment["start"].any(0).all(), "episodes start within every fragment"
        sequences = to_sequences(columns_of(trial, fragment), 8)
        for seed in range(2):
            counts = sequences["mask"][seed]
            log_prob, value = unrolled(trial, sequences, seed)
            torch.testing.assert_close(log_prob[counts], sequences["log_prob"][seed][counts], rtol=1e-5, atol=1e-5)
            torch.testing.assert_close(value[counts], sequences["value"][seed][counts], rtol=1e-5, atol=1e-5)
    stale = sequences.with_columns({"state": torch.zeros_like(sequences["state"])})
    wrong, _ = unrolled(trial, stale, 1)
    assert (wrong - sequences["log_prob"][1])[counts].abs().max() > 0.01, "a stale state would be seen"


@AUTORESET
def test_states_are_carried_within_an_episode_and_zero_at_its_start(autoreset: Autoreset) -> None:
    trial = recurrent_trial([0, 1])
    runner = runner_of(trial, autoreset)
    fragments = [runner.sample(16) for _ in range(4)]
    joined = {name: torch.cat([part[name] for part in fragments]) for name in fragments[0]}
    ended, valid = joined["terminated"] | joined["truncated"], joined["valid"]
    before_start = ~valid if autoreset == "next_step" else ended
    assert joined["start"][0].all()
    assert torch.equal(joined["start"][1:], before_start[:-1])
    for seed in range(2):
        state = torch.zeros(2, 12)
        for t in range(64):
            state = torch.where(joined["start"][t, seed][:, None], torch.zeros(2, 12), state)
            torch.testing.assert_close(joined["state"][t, seed], state)
            _, _, state = net_of(trial, seed).step(joined["obs"][t, seed], state)
            torch.testing.assert_close(joined["next_state"][t, seed], state)


@AUTORESET
def test_advantages_bootstrap_from_the_state_after_the_last_step(autoreset: Autoreset) -> None:
    """At a truncation and at the end of the fragment: delta = reward + gamma * value(next_obs, next_state) - value."""
    trial = recurrent_trial([0, 1], gae_lambda=0.0, gamma=0.9)
    fragment = runner_of(trial, autoreset).sample(64)
    columns, seed = columns_of(trial, fragment), 1
    own = {name: fragment[name][:, seed] for name in fragment}
    following = net_of(trial, seed).value(own["next_obs"], own["next_state"]).masked_fill(own["terminated"], 0.0)
    delta = own["reward"] + 0.9 * following - net_of(trial, seed).value(own["obs"], own["state"])
    assert (own["truncated"] & own["valid"]).any()
    torch.testing.assert_close(columns["advantage"][:, seed][own["valid"]], delta[own["valid"]])


@pytest.mark.parametrize("garbage", [float("nan"), 1e30])
def test_a_reset_row_counts_in_no_loss(garbage: float) -> None:
    results = []
    for spoil in (False, True):
        trial = recurrent_trial([0, 1, 2])
        batch = columns_of(trial, trial.group.sample(32))
        resets = ~batch["valid"]
        assert resets.any()
        if spoil:
            spoiled = ("obs", "log_prob", "advantage", "value", "value_target", "state")
            fill = {name: batch[name].clone() for name in spoiled}
            for column in fill.values():
                column[resets] = garbage
            batch = batch.with_columns(fill)
        train_one_step(trial.learner, to_sequences(batch, 8), n_epochs=2, batch_size=2)
        results.append((parameters_of(trial), trial.learner.log.summary()))
    assert not trial.learner.failed.any()
    assert same(results[0][0], results[1][0])
    assert same(results[0][1], results[1][1])


@CELL
@pytest.mark.parametrize("n_seeds", [2, 3, 8])
def test_seeds_at_once_are_single_runs(n_seeds: int, cell: str) -> None:
    """Loss and gradient of the first step, and the parameters after a rollout."""

    def after_one_rollout(seeds: list[int]) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        trial = small_trial(seeds, env=RandomLengths, sequence_length=8, model={
            "hidden_sizes": [8], "recurrent": cell, "recurrent_size": 6,
        })  # fmt: skip
        trial.training_step()
        return parameters_of(trial), trial.learner.log.summary()

    together, logged = after_one_rollout(list(range(n_seeds)))
    for seed in range(n_seeds):
        alone, own = after_one_rollout([seed])
        for name, leaf in together.items():
            torch.testing.assert_close(leaf[seed], alone[name][0], rtol=1e-4, atol=1e-5)
        for name in ("loss", "policy_loss", "value_loss", "entropy", "grad_norm"):
            torch.testing.assert_close(logged[name][seed], own[name][0], rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("env", ["CartPole-v1", "Acrobot-v1"])
def test_the_state_continues_over_save_and_load(env: Any, tmp_path: Path) -> None:
    trial = recurrent_trial([0, 1], env=env)
    trial.training_step()
    checkpoint.write(tmp_path, trial.state_dict())
    again = recurrent_trial([0, 1], env=env)
    again.load_state_dict(checkpoint.read(tmp_path))
    state, loaded = (one.group.runners.runner._state for one in (trial, again))
    assert state is not None
    assert state.abs().sum() > 0
    assert torch.equal(state, loaded)
    for one in (trial, again):
        one.training_step()
    assert same(parameters_of(trial), parameters_of(again))
    assert torch.equal(trial.group.runners.runner._state, again.group.runners.runner._state)  # type: ignore[arg-type]


def test_a_minibatch_has_as_many_whole_sequences_as_fit_its_rows() -> None:
    def config(**values: Any) -> PPOConfig:
        return PPOConfig.parse({"model": {"recurrent": "lstm"}, "n_envs": 2, **values}, "ppo")

    assert config(n_steps=32, batch_size=48).minibatch_rows() == 3
    assert config(n_steps=32, batch_size=8).minibatch_rows() == 1
    assert config(n_steps=32, batch_size=32, n_epochs=3).updates_per_rollout() == 3 * 2
    assert PPOConfig(n_steps=33, batch_size=48).minibatch_rows() == 48


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"n_steps": 40}, "n_steps=40 .*sequence_length=16; .*n_steps=48, or sequence_length=10"),
        ({"sequence_length": 33}, "sequence_length: .* 32"),
        ({"model": {"recurrent": "rnn"}}, "model/recurrent: .*'none', 'lstm' or 'gru'"),
        ({"model": {"recurrent": "gru", "vf_hidden_sizes": [4]}}, "vf_hidden_sizes, or recurrent"),
    ],
)
def test_sequences_that_do_not_fit_are_refused_with_numbers(changes: dict[str, Any], told: str) -> None:
    with pytest.raises(UserError, match=told):
        PPOConfig.parse({"model": {"recurrent": "lstm"}, **changes}, "ppo")


def test_one_sequence_a_rollout_is_learned_from() -> None:
    trial = recurrent_trial([0], n_envs=1, n_steps=8, batch_size=8, env=Recall)
    before = parameters_of(trial)
    trial.training_step()
    assert not same(before, parameters_of(trial))


def recall_returns(cell: str) -> list[float]:
    config = small_config(
        [0, 1, 2], env=Recall, budget_env_steps=6144, report_every_env_steps=6144, n_envs=8, n_steps=32, batch_size=128,
        n_epochs=8, learning_rate="linear:0.005", gamma=0.95, ent_coef=0.01,
        model={"hidden_sizes": [16], "recurrent": cell, "recurrent_size": 16},
        evaluation={"episodes": 100, "final_episodes": 100},
    )  # fmt: skip
    trial = Trial(PPO, config)
    returns = trial.advance()["return_per_seed"]
    trial.close()
    return returns


@CELL
def test_what_was_seen_steps_ago_is_recalled(cell: str) -> None:
    assert min(recall_returns(cell)) >= 0.95


def test_without_a_memory_it_is_not() -> None:
    assert max(recall_returns("none")) < 0.4
