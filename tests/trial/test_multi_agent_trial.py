"""Trials of several policies: each learns from its own agents, by its own algorithm and configuration."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

pytest.importorskip("pettingzoo")

from tests.envs.agents import ComingAndGoing, Differ, OutOfTurn
from tuneexp.algorithms.multi_agent import MultiAgentSpec
from tuneexp.algorithms.policy_spec import PolicySpec
from tuneexp.errors import UserError
from tuneexp.files import checkpoint
from tuneexp.tracking.reports import metrics_of
from tuneexp.trial import Trial
from tuneexp.trial.from_checkpoint import evaluate_checkpoint
from tuneexp.trial.schedule import check_schedule
from tuneexp.trial.trial_config import EvaluationConfig, TrialConfig

NETWORK = {"hidden_sizes": [16]}
PPO = {
    "n_steps": 16,
    "batch_size": 16,
    "n_epochs": 4,
    "learning_rate": 3e-3,
    "gamma": 0.9,
    "model": NETWORK,
}
DQN = {
    "train_freq": 4,
    "learning_starts": 64,
    "buffer_size": 2000,
    "batch_size": 32,
    "learning_rate": 3e-3,
    "target_update_interval": 64,
    "exploration_fraction": 0.5,
    "gamma": 0.9,
    "model": NETWORK,
}


def always_one(obs: Any, rng: np.random.Generator) -> int:
    return 1


def coin(obs: Any, rng: np.random.Generator) -> int:
    return int(rng.integers(2))


BOTH_PPO = MultiAgentSpec("both", {"red": PolicySpec("ppo", PPO), "blue": PolicySpec("ppo", PPO)}, "per_agent")
BOTH_DQN = MultiAgentSpec("both", {"red": PolicySpec("dqn", DQN), "blue": PolicySpec("dqn", DQN)}, "per_agent")
MIXED = MultiAgentSpec("mixed", {"red": PolicySpec("ppo", PPO), "blue": PolicySpec("dqn", DQN)}, "per_agent")
ONE = MultiAgentSpec("one", {"shared": PolicySpec("ppo", PPO)})


def trial_of(
    spec: MultiAgentSpec, env: Any = Differ, seeds: tuple[int, ...] = (0, 1), steps: int = 256,
    every: int | None = None, **hyperparameters: Any,
) -> Trial:  # fmt: skip
    config = {
        "algorithm": spec.name, "env": env, "seeds": list(seeds), "budget_env_steps": steps, "compile": "off",
        "report_every_env_steps": every or steps, "evaluation": {"episodes": 2, "final_episodes": 4},
        "hyperparameters": {"n_envs": 2, **hyperparameters},
    }  # fmt: skip
    return Trial(spec, TrialConfig.parse(config, "the test"))


def weights(trial: Trial) -> dict[str, Tensor]:
    """policy -> [S, P]."""
    return {
        name: torch.cat([leaf.flatten(1) for leaf in one.learner.parameters.values()], dim=1)
        for name, one in trial.trainers.items()
    }


def to_the_end(trial: Trial) -> dict[str, Any]:
    result = trial.advance()
    while not result["done"]:
        result = trial.advance()
    return result


@pytest.mark.parametrize(
    ("spec", "steps"), [(BOTH_PPO, 1024), (BOTH_DQN, 1600), (MIXED, 1600)], ids=["ppo", "dqn", "mixed"]
)
def test_policies_of_their_own_learn_to_differ(spec: MultiAgentSpec, steps: int) -> None:
    """Only different behaviour earns a reward, at most 5; a random pair earns a quarter of that."""
    trial = trial_of(spec, seeds=(0, 1, 2), steps=steps)
    result = to_the_end(trial)
    assert min(result["return_per_seed"]) == 5.0
    assert result["policy/red/return_mean"] == result["policy/blue/return_mean"] == 5.0


def test_one_policy_for_both_cannot_differ() -> None:
    result = to_the_end(trial_of(ONE, steps=256))
    assert result["return_mean"] == 0.0
    assert result["train/return_mean"] > 0.5  # by chance only, while it explores


def test_noise_that_is_held_over_steps_is_for_policies_that_sample_alone() -> None:
    with pytest.raises(UserError, match="policy 'shared': use_sde"):
        trial_of(MultiAgentSpec("one", {"shared": PolicySpec("ppo", {**PPO, "use_sde": True})}))


def test_policies_of_one_seed_start_from_different_networks() -> None:
    own = weights(trial_of(BOTH_PPO))
    assert own["red"].shape == own["blue"].shape
    assert not torch.isclose(own["red"], own["blue"]).all(1).any()


@pytest.mark.parametrize("env", [ComingAndGoing, OutOfTurn])
def test_seeds_at_once_are_seeds_alone(env: Any) -> None:
    agents = ("stays", "leaves", "comes") if env is ComingAndGoing else ("first", "second", "third")
    mapping = dict(zip(agents, ("red", "blue", "red"), strict=True))
    # Minibatches that every seed can fill when learning starts: Adam's step counter is one for all seeds.
    policies = {"red": PolicySpec("ppo", PPO), "blue": PolicySpec("dqn", DQN | {"batch_size": 8})}
    spec = MultiAgentSpec("seeds", policies, mapping)
    together = trial_of(spec, env, seeds=(3, 5, 8), steps=192)
    returns = to_the_end(together)["return_per_seed"]
    for index, seed in enumerate((3, 5, 8)):
        alone = trial_of(spec, env, seeds=(seed,), steps=192)
        assert to_the_end(alone)["return_per_seed"] == pytest.approx([returns[index]])
        for name, own in weights(alone).items():
            assert torch.allclose(own[0], weights(together)[name][index], atol=1e-4), name


@pytest.mark.parametrize("env", [ComingAndGoing, OutOfTurn])
def test_a_restored_trial_continues_as_if_uninterrupted(env: Any, tmp_path: Path) -> None:
    """The report falls within a PPO rollout; statistics, random streams of scripts and schedules are restored, too."""
    agents = ("stays", "leaves", "comes") if env is ComingAndGoing else ("first", "second", "third")
    red = {**PPO, "normalize_observation": True, "normalize_reward": True, "learning_rate": "linear:0.003"}
    policies = {
        "red": PolicySpec("ppo", red),
        "blue": PolicySpec("dqn", DQN | {"n_step": 3}),
        "dice": PolicySpec.scripted(coin),
    }
    spec = MultiAgentSpec("saved", policies, dict(zip(agents, policies, strict=True)))
    whole, first, second = (trial_of(spec, env, steps=240, every=80) for _ in range(3))
    expected = [whole.advance() for _ in range(3)]
    first.advance()
    assert first.trainers["red"].group.fragment.steps == 8
    checkpoint.write(tmp_path / "state", first.state_dict())
    second.load_state_dict(checkpoint.read(tmp_path / "state"))
    for before in expected[1:]:
        again = second.advance()
        assert set(again) == set(before)
        for name, value in before.items():
            if not name.startswith("time/"):
                assert again[name] == value or math.isnan(value), name
    for name, own in weights(whole).items():
        assert torch.equal(own, weights(second)[name])


def test_each_policy_learns_when_its_own_rollout_is_complete() -> None:
    trial = trial_of(MIXED, steps=128)
    updates = []
    for _ in range(8):
        trial.training_step()
        updates.append(tuple(one.learner.n_updates for one in trial.trained.values()))
    # Every 4 steps of 2 environments DQN learns once, after 64 of its agent's; PPO every 16, 4 epochs of 2 minibatches.
    assert [ppo for ppo, _ in updates] == [0, 0, 0, 8, 8, 8, 8, 16]
    assert [dqn for _, dqn in updates] == [0, 0, 0, 0, 0, 0, 0, 1]
    assert trial.env_steps == 64


def test_a_policy_that_is_not_trained_keeps_its_weights() -> None:
    spec = MultiAgentSpec(
        "frozen", {"red": PolicySpec("ppo", PPO), "blue": PolicySpec("ppo", PPO, trained=False)}, "per_agent"
    )
    trial = trial_of(spec, steps=64)
    before = weights(trial)
    result = to_the_end(trial)
    after = weights(trial)
    assert torch.equal(before["blue"], after["blue"])
    assert not torch.equal(before["red"], after["red"])
    assert "policy/blue/return_mean" in result
    assert "policy/blue/update/updates" not in result


def test_a_copy_takes_the_newest_weights_at_its_times_and_no_others() -> None:
    policies = {"red": PolicySpec("ppo", PPO), "old": PolicySpec.copy_of("red", every_env_steps=96)}
    trial = trial_of(MultiAgentSpec("play", policies, {"red": "red", "blue": "old"}), steps=192)
    equal = [torch.equal(*weights(trial).values())]
    for _ in range(6):  # of 32 steps each
        trial.training_step()
        equal.append(torch.equal(*weights(trial).values()))
    assert equal == [True, False, False, True, False, False, True]


def test_a_scripted_policy_acts_and_the_others_learn_against_it() -> None:
    policies = {"red": PolicySpec("ppo", PPO), "blue": PolicySpec.scripted(always_one)}
    result = to_the_end(trial_of(MultiAgentSpec("scripted", policies, "per_agent"), steps=512))
    assert result["return_per_seed"] == [5.0, 5.0]


def test_a_policy_starts_from_a_checkpoint(tmp_path: Path) -> None:
    trained = trial_of(MIXED, steps=96)
    to_the_end(trained)
    checkpoint.write(tmp_path / "ready", trained.state_dict())
    policies = {
        "blue": PolicySpec("ppo", PPO),
        "red": PolicySpec("ppo", PPO, trained=False, checkpoint=str(tmp_path / "ready")),
    }
    trial = trial_of(MultiAgentSpec("after", policies, "per_agent"))
    assert torch.equal(weights(trial)["red"], weights(trained)["red"])
    policies["red"] = PolicySpec("ppo", PPO, checkpoint=str(tmp_path / "ready"), checkpoint_policy="yellow")
    with pytest.raises(checkpoint.CheckpointError, match=r"'yellow'.*'red' or 'blue'"):
        trial_of(MultiAgentSpec("after", policies, "per_agent"))
    policies["red"] = PolicySpec("ppo", PPO | {"model": {"hidden_sizes": [8]}}, checkpoint=str(tmp_path / "ready"))
    with pytest.raises(checkpoint.CheckpointError, match="networks"):
        trial_of(MultiAgentSpec("after", policies, "per_agent"))


def test_the_objective_is_the_mean_of_the_trained_policies_or_of_the_one_named() -> None:
    mapping = {"first": "red", "second": "blue", "third": "blue"}
    spec = MultiAgentSpec("judged", {"red": PolicySpec("ppo", PPO), "blue": PolicySpec("ppo", PPO)}, mapping)
    both = trial_of(spec, OutOfTurn, steps=32).advance()
    red = trial_of(spec, OutOfTurn, steps=32, objective_policy="red").advance()
    assert both["policy/red/return_mean"] == red["policy/red/return_mean"] == red["objective"]
    assert both["objective"] == pytest.approx((both["policy/red/return_mean"] + both["policy/blue/return_mean"]) / 2)
    assert both["policy/red/return_mean"] != both["policy/blue/return_mean"]


def test_policies_change_sides_if_the_mapping_takes_the_environment() -> None:
    spec = MultiAgentSpec(
        "sides", {"a": PolicySpec("ppo", PPO), "b": PolicySpec("ppo", PPO)},
        lambda agent, index: "ab"[(agent == "red") == (index % 2 == 0)],
    )  # fmt: skip
    trial = trial_of(spec, steps=64)
    assert trial.source.runner.envs.spaces["a"].seats == [(0, "blue"), (1, "red")]
    assert trial.source.runner.envs.spaces["b"].seats == [(0, "red"), (1, "blue")]
    assert to_the_end(trial)["env_steps"] == 64


def test_a_policy_that_no_evaluation_episode_has_room_for_is_left_out_of_it() -> None:
    """The mapping depends on the environment index, and an evaluation has fewer environments than training."""
    spec = MultiAgentSpec(
        "league", {name: PolicySpec("ppo", PPO) for name in ("main", "early", "late")},
        lambda agent, index: "main" if agent == "red" else "early" if index < 2 else "late",
    )  # fmt: skip
    result = trial_of(spec, steps=128, every=64, n_envs=4).advance()  # of its first two episodes
    returns = {name: result[f"policy/{name}/return_mean"] for name in spec.policies}
    assert math.isnan(returns.pop("late"))
    assert result["objective"] == pytest.approx(np.mean(list(returns.values())))


def test_an_objective_counts_the_episodes_in_which_its_policy_plays() -> None:
    spec = MultiAgentSpec(
        "every second", {"main": PolicySpec("ppo", PPO), "other": PolicySpec("ppo", PPO)},
        lambda agent, index: "main" if index % 2 == 0 else "other", objective_policy="other",
    )  # fmt: skip
    trial = trial_of(spec, steps=64)
    result = trial.advance()
    assert result["objective"] == result["policy/other/return_mean"]
    assert np.isnan(trial.evaluate(4, 0)).tolist() == [[True, False, True, False]] * 2
    with pytest.raises(UserError, match="episodes"):
        trial.evaluate(1, 0)
    config = trial.config.model_copy(update={"evaluation": EvaluationConfig(episodes=1, final_episodes=4)})
    with pytest.raises(UserError, match=r"other, .* first 1 environment.*\n.*evaluation episodes"):
        Trial(spec, config)


def test_a_checkpoint_of_several_policies_is_evaluated(tmp_path: Path) -> None:
    config = trial_of(ONE).config.model_copy(
        update={"algorithm": f"{__file__}:ONE", "env": "tests.envs.agents:Differ", "seeds": [0, 1]}
    )
    trial = Trial(ONE, config)
    checkpoint.write(tmp_path, trial.state_dict())
    found = evaluate_checkpoint(tmp_path, episodes=3, seed=7, trust=True)
    assert found["return_per_seed"] == pytest.approx(trial.evaluate(3, 7).mean(axis=1).tolist())


def test_episodes_of_several_agents_that_are_stopped_are_partial() -> None:
    config = trial_of(ONE).config
    short = config.evaluation.model_copy(update={"max_steps": 1})
    trial = Trial(ONE, config.model_copy(update={"evaluation": short}))
    trial.evaluate(3, 7)
    assert trial.partial_episodes == 3 * len(config.seeds)
    assert trial_of(ONE, steps=64).advance()["partial_episodes"] == 0


def test_what_every_policy_did_reaches_the_tracker_by_name() -> None:
    metrics, _ = metrics_of(trial_of(MIXED, steps=96).advance())
    wanted = ("policy/{}/return_mean", "policy/{}/train_return_mean", "policy/{}/update/learning_rate",
              "seed/1/policy/{}/return_mean")  # fmt: skip
    assert {name.format(policy) for name in wanted for policy in ("red", "blue")} <= set(metrics)
    assert {"policy/red/update/entropy", "policy/blue/update/q_mean", "objective", "return_mean"} <= set(metrics)


def test_an_evaluation_against_a_script_leaves_the_opponent_out() -> None:
    """blue is trained to choose 1; its replacement by a script never does."""
    spec = MultiAgentSpec(
        "measured", {"red": PolicySpec("ppo", PPO), "blue": PolicySpec("ppo", PPO)}, "per_agent",
        evaluated_against={"blue": always_zero},
    )  # fmt: skip
    result = to_the_end(trial_of(spec, steps=640))
    assert result["return_mean"] == 0.0
    assert result["train/return_mean"] > 1.0


def always_zero(obs: Any, rng: np.random.Generator) -> int:
    return 0


def test_a_seed_of_which_one_policy_diverges_is_failed_and_the_others_go_on() -> None:
    trial = trial_of(BOTH_PPO, seeds=(0, 1), steps=64)
    next(iter(trial.trainers["blue"].learner.parameters.values()))[0] = float("nan")
    result = to_the_end(trial)
    assert result["failed_seeds"] == [0]
    assert result["env_steps"] == 64
    assert torch.isfinite(weights(trial)["blue"][1]).all()
    assert torch.isfinite(weights(trial)["red"]).all()


def scheduled(schedule: list[dict[str, Any]], **changes: Any) -> Trial:
    config = trial_of(BOTH_PPO, steps=128, every=64).config
    return Trial(BOTH_PPO, config.model_copy(update={"schedule": schedule, **changes}))


def test_a_schedule_changes_the_values_of_one_policy_at_its_steps() -> None:
    trial = scheduled([{"env_steps": 64, "values": {"red/learning_rate": 1e-5}}])
    rates = [[report[f"policy/{name}/update/learning_rate"] for name in ("red", "blue")]
             for report in (trial.advance(), trial.advance())]  # fmt: skip
    assert np.array(rates) == pytest.approx(np.array([[3e-3, 3e-3], [1e-5, 3e-3]]))
    unchanged, plain = scheduled([{"env_steps": 64, "values": {"red/learning_rate": 3e-3}}]), scheduled([])
    for one in (unchanged, plain):
        to_the_end(one)
    for name, expected in weights(plain).items():
        assert torch.equal(weights(unchanged)[name], expected)


def test_a_schedule_of_several_policies_is_checked() -> None:
    for name, problem in (("red/n_steps", "n_steps shapes"), ("yellow/gamma", "does not have"), ("red/x", "x, which")):
        with pytest.raises(UserError, match=problem):
            check_schedule([{"env_steps": 1, "values": {name: 8}}], BOTH_PPO.config_class, "both", "schedule.yaml")
    check_schedule([{"env_steps": 1, "values": {"red/gamma": 0.9}}], BOTH_PPO.config_class, "both", "schedule.yaml")


def test_a_copy_of_several_policies_has_their_parameters_and_other_random_numbers() -> None:
    donor = scheduled([], trial_number=1)
    donor.advance()
    state = donor.state_dict()
    own, copy, again = (scheduled([], trial_number=number) for number in (1, 2, 2))
    for trial in (own, copy, again):
        trial.load_state_dict(state)
        assert all(torch.equal(found, weights(donor)[name]) for name, found in weights(trial).items())
    for trial in (donor, own, copy, again):
        trial.advance()
    for name, expected in weights(donor).items():
        assert torch.equal(weights(own)[name], expected)
        assert not torch.equal(weights(copy)[name], expected)
        assert torch.equal(weights(again)[name], weights(copy)[name])
