"""Policies after training: they act as in evaluation."""

from __future__ import annotations

import math
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.small import small_trial
from tuneexp.envs.env_rng import env_seed
from tuneexp.errors import UserError
from tuneexp.files import checkpoint
from tuneexp.sampling.loaded_policy import LoadedPolicy
from tuneexp.trial.from_checkpoint import trial_from_checkpoint
from tuneexp.trial.loaded_policies import policy_from_checkpoint

STORED = Path(__file__).parents[1] / "fixtures" / "format_2"
EPISODES, SEED = 3, 77
SPARKS = "tests.trial.envs:Sparks"


def masked() -> Any:
    settings = {
        "action_mask": "mask",
        "normalize_observation": True,
        "model": {"recurrent": "gru", "recurrent_size": 4},
    }
    return small_trial((4,), SPARKS, **settings)


def images() -> Any:
    return small_trial((4,), SPARKS, env_kwargs={"images": True, "start": 5})


NEW: dict[str, Callable[[], Any]] = {"masked": masked, "images": images}


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Checkpoints of trained policies of each kind."""
    base = tmp_path_factory.mktemp("policies")
    found = {name: STORED / name for name in ("ppo_lstm", "ppo_gsde", "dqn_per", "sac_episodes")}
    for name, build in NEW.items():
        trial = build()
        trial.training_step()
        trial.training_step()
        found[name] = checkpoint.write(base / name, trial.state_dict())
        trial.close()
    return found


def played(policy: LoadedPolicy, seed: int, max_steps: int) -> float:
    """Return of an episode of the policy in one gymnasium environment."""
    env, total = policy.make_env(), 0.0
    obs, _ = env.reset(seed=seed)
    policy.reset()
    for _ in range(max_steps):
        obs, reward, terminated, truncated, _ = env.step(policy(obs))
        total += float(reward)
        if terminated or truncated:
            break
    env.close()
    return total


EXACT = ("ppo_lstm", "dqn_per", *NEW)


@pytest.mark.parametrize("name", [*EXACT, "ppo_gsde", "sac_episodes"])
def test_a_loaded_policy_scores_as_in_evaluation(name: str, folders: dict[str, Path]) -> None:
    """Continuous actions differ in the last digits: evaluation computes all seeds at once."""
    trial = trial_from_checkpoint(folders[name], learns=False, trust=True, env_backend="sync")
    expected = trial.evaluate(EPISODES, SEED)
    for own, seed in zip(expected.tolist(), trial.config.seeds, strict=True):
        policy = policy_from_checkpoint(folders[name], seed=seed, trust=True)
        limit = trial.config.evaluation.max_steps
        scores = [played(policy, env_seed(SEED, index), limit) for index in range(EPISODES)]
        assert scores == (own if name in EXACT else pytest.approx(own, rel=1e-6))
    assert len(set(expected.ravel().tolist())) > 1
    trial.close()


def same(one: Any, other: Any) -> bool:
    return np.allclose(one, other, rtol=1e-6)


@pytest.mark.parametrize("name", [*NEW, "ppo_gsde"])
def test_a_batch_is_acted_on_row_by_row(name: str, folders: dict[str, Path]) -> None:
    policy = policy_from_checkpoint(folders[name], trust=True)
    policy.observation_space.seed(3)
    seen = [policy.observation_space.sample() for _ in range(3)]
    batch = {key: np.stack([one[key] for one in seen]) for key in seen[0]} if name == "masked" else np.stack(seen)
    alone = []
    for one in seen:
        policy.reset()
        alone.append([policy(one), policy(one)])
    policy.reset()
    together = [policy(batch), policy(batch)]
    assert same(np.swapaxes(together, 0, 1), alone)
    assert policy.action_space.contains(alone[0][0])
    assert together[0].shape == (3, *policy.action_space.shape)


def test_rows_whose_episodes_start_forget_the_past(folders: dict[str, Path]) -> None:
    policy = policy_from_checkpoint(folders["ppo_lstm"])
    state = lambda: None if policy._state is None else policy._state[0].clone()  # noqa: E731
    obs = np.array([[0.1, 1.0, 0.1, 1.0]] * 3, np.float32)
    policy(obs)
    first = state()
    policy(obs)
    policy.reset(np.array([False, True, False]))
    policy(obs)
    assert torch.equal(state()[1], first[1])
    assert not torch.equal(state()[0], first[0])
    with pytest.raises(UserError, match="state of 3"):
        policy(obs[0])
    with pytest.raises(UserError, match="3 rows"):
        policy.reset([True])
    policy.reset()
    policy(obs[0])
    assert same(state()[0], first[0])


def test_a_mask_can_be_given_apart_from_the_observation(folders: dict[str, Path]) -> None:
    policy = policy_from_checkpoint(folders["masked"], trust=True)
    view = np.ones(3)
    for allowed in range(4):
        mask = np.arange(4) == allowed
        assert policy({"view": view}, mask=mask) == policy(view, mask=mask) == allowed
        assert policy({"view": view, "mask": np.ones(4, np.int8)}, mask=mask, explore=True) == allowed
    policy.reset()
    assert policy({"view": np.stack([view] * 4)}, mask=np.eye(4, dtype=int)).tolist() == [0, 1, 2, 3]


def test_exploration_is_sampled_and_repeats_by_its_seed(folders: dict[str, Path]) -> None:
    policy = policy_from_checkpoint(folders["sac_episodes"])
    obs = np.zeros(3, np.float32)

    def sampled() -> list[float]:
        policy.reset(seed=5)
        return [float(policy(obs, explore=True)[0]) for _ in range(4)]

    assert sampled() == sampled()
    assert len(set(sampled())) == 4
    assert len({float(policy(obs)[0]) for _ in range(4)}) == 1


def test_state_dependent_noise_is_held_for_an_episode(folders: dict[str, Path]) -> None:
    policy = policy_from_checkpoint(folders["ppo_gsde"])
    obs = np.zeros(3, np.float32)
    held = {float(policy(obs, explore=True)[0]) for _ in range(4)}
    policy.reset()
    assert len(held) == 1
    assert held != {float(policy(obs, explore=True)[0])}


def test_the_default_is_the_best_seed_that_has_not_diverged(tmp_path: Path) -> None:
    state = checkpoint.read(STORED / "ppo_lstm")
    state["objective"]["history"] = [[9.0, 1.0], [3.0, 7.0]]
    facts = policy_from_checkpoint(checkpoint.write(tmp_path / "a", state)).facts
    assert (facts.seed, facts.seeds, facts.returns) == (1, [0, 1], {0: 3.0, 1: 7.0})
    state["learner"]["failed"][1] = True
    assert policy_from_checkpoint(checkpoint.write(tmp_path / "b", state)).facts.seed == 0


def test_a_policy_among_several_is_named() -> None:
    pytest.importorskip("pettingzoo")
    with pytest.raises(UserError, match="'speaker' or 'listener'"):
        policy_from_checkpoint(STORED / "telling", trust=True)
    with pytest.raises(UserError, match="did you mean 'speaker'"):
        policy_from_checkpoint(STORED / "telling", policy="speker", trust=True)
    trial = trial_from_checkpoint(STORED / "telling", learns=False, trust=True)
    policies = {name: policy_from_checkpoint(STORED / "telling", 1, name, True) for name in trial.trainers}
    env = policies["speaker"].make_env()
    scores = []
    for index in range(EPISODES):
        env.reset(seed=int(np.random.default_rng(env_seed(SEED, index)).integers(2**31)))
        total = 0.0
        for agent in env.agent_iter():
            obs, reward, ended, truncated, _ = env.last()
            total += reward / len(policies)
            env.step(None if ended or truncated else policies[agent](obs))
        scores.append(total)
    assert scores == trial.evaluate(EPISODES, SEED)[1].tolist()
    trial.close()


@pytest.mark.parametrize(
    ("name", "obs", "says"),
    [
        ("sac_episodes", np.zeros(4), r"shape \[4\]; give \[3\], or \[N, 3\]"),
        ("sac_episodes", np.zeros((2, 2, 3)), "batch"),
        ("sac_episodes", np.zeros((0, 3)), "no observation"),
        ("sac_episodes", [0.0, math.nan, 0.0], "not finite"),
        ("sac_episodes", "abc", "space is Box"),
        ("images", np.zeros((3, 36, 36)), "float64"),
        ("masked", np.zeros(3), "mapping with 'mask', 'view'"),
        ("masked", {"view": np.zeros(3)}, "lacks 'mask'"),
        ("masked", {"view": np.zeros((2, 3)), "mask": np.ones(4, int)}, "different sizes"),
    ],
)
def test_a_wrong_observation_is_refused(folders: dict[str, Path], name: str, obs: Any, says: str) -> None:
    with pytest.raises(UserError, match=says):
        policy_from_checkpoint(folders[name], trust=True)(obs)


def test_a_wrong_mask_or_seed_or_policy_is_refused(folders: dict[str, Path]) -> None:
    with pytest.raises(UserError, match="no action mask"):
        policy_from_checkpoint(folders["sac_episodes"])(np.zeros(3), mask=[1])
    with pytest.raises(UserError, match="seeds 0, 1"):
        policy_from_checkpoint(folders["sac_episodes"], seed=2)
    with pytest.raises(UserError, match="leave out policy"):
        policy_from_checkpoint(folders["sac_episodes"], policy="red")


def test_code_of_a_checkpoint_is_not_imported_without_trust(folders: dict[str, Path], tmp_path: Path) -> None:
    moved = tmp_path / "stranger"
    shutil.copytree(folders["masked"], moved)
    state = moved / "state.json"
    state.write_text(state.read_text().replace(SPARKS, "tests.trial.stranger:Sparks"))
    with pytest.raises(UserError, match="trust=True"):
        policy_from_checkpoint(moved)
    assert "tests.trial.stranger" not in sys.modules
