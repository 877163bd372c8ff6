"""The contract of `tuneexp.testing` for every built-in algorithm.

To add an algorithm, add one line: its name and hyperparameters that solve the probe environments."""

from __future__ import annotations

import inspect
from typing import Any

import pytest

from tuneexp.algorithms.registry import ALGORITHMS
from tuneexp.testing import contract
from tuneexp.testing.config_facts import compiled_equals_eager

SMALL = {"hidden_sizes": [16]}
ON_POLICY: dict[str, Any] = {"n_envs": 4, "learning_rate": 5e-3, "model": SMALL}
FAST = {"learning_rate": 0.01}
PPO: dict[str, Any] = {**ON_POLICY, "n_steps": 32, "batch_size": 64, "n_epochs": 8}
REPLAY: dict[str, Any] = {
    "n_envs": 8, "learning_rate": 5e-3, "learning_starts": 128, "batch_size": 64, "buffer_size": 1000, "train_freq": 1,
    "gradient_steps": 2, "model": SMALL,
}  # fmt: skip
DQN = {**REPLAY, "target_update_interval": 96, "exploration_final_eps": 0.2}
C51 = {"distributional": True, "v_min": -2.0, "v_max": 2.0, "n_atoms": 21}
RAINBOW = {**DQN, **C51, "double": True, "dueling": True, "n_step": 3, "prioritized": True, "noisy": True}
SAC = {**REPLAY, "tau": 0.05, "ent_coef": 0.01}

TestPPO = contract("ppo", PPO)
TestRecurrentPPO = contract(
    "ppo", {**PPO, "sequence_length": 4, "model": {**SMALL, "recurrent": "gru", "recurrent_size": 16}},
    action_kinds=["discrete"],
)  # fmt: skip
TestA2C = contract("a2c", {**ON_POLICY, "n_steps": 8})
TestIMPALA = contract("impala", {**ON_POLICY, **FAST, "n_steps": 4, "ent_coef": 0.0}, budget_env_steps=2048)
TestAPPO = contract(
    "appo", {**ON_POLICY, **FAST, "n_steps": 16, "batch_size": 64, "n_epochs": 4}, budget_env_steps=2048
)
TestDQN = contract("dqn", DQN)
TestPrioritizedDQN = contract("dqn", {**DQN, "prioritized": True})
TestRainbow = contract("dqn", RAINBOW)
TestQRDQN = contract("qrdqn", {**DQN, "n_quantiles": 16})
TestSAC = contract("sac", SAC, action_kinds=["continuous"])
TestDiscreteSAC = contract("sac", SAC, action_kinds=["discrete"])
TestTD3 = contract("td3", {**REPLAY, "tau": 0.05}, budget_env_steps=2048)
TestDDPG = contract("ddpg", {**REPLAY, "tau": 0.05}, budget_env_steps=2048)
TestTQC = contract("tqc", {**SAC, "n_quantiles": 8}, budget_env_steps=2048)


def under_contract() -> list[Any]:
    """Algorithms with a contract in this file."""
    return [value.subject for name, value in globals().items() if name.startswith("Test") and inspect.isclass(value)]


def test_every_algorithm_is_under_contract() -> None:
    assert {subject.address for subject in under_contract()} == set(ALGORITHMS)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_every_kind_of_action_is_under_contract(algorithm: str) -> None:
    own = [subject for subject in under_contract() if subject.address == algorithm]
    kinds = {kind for subject in own for kind in subject.kinds}
    assert kinds == set(own[0].spec.action_kinds) - {"multi_discrete"}


# One for each thing that a compiled program can hold: noise, atoms and priorities; sequences. All others are traced,
# parts that rest too, which every contract has; `python -m tuneexp.testing NAME --compiled` asks it of any.
COMPILED = [TestRainbow, TestRecurrentPPO]


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("subject", [test.subject for test in COMPILED], ids=lambda subject: subject.address)
def test_compiled_training_equals_eager_training(subject: Any) -> None:
    compiled_equals_eager(subject)
