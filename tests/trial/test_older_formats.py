"""Checkpoints of versions whose networks had other default sizes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from tests.envs.images import Images
from tuneexp import PPO
from tuneexp.algorithms.dqn import DQN
from tuneexp.files import checkpoint
from tuneexp.trial.from_checkpoint import evaluate_checkpoint, trial_from_checkpoint

ON_POLICY = {"n_envs": 2, "n_steps": 4, "batch_size": 8, "n_epochs": 1}
OFF_POLICY = {"buffer_size": 50, "learning_starts": 4, "batch_size": 4}
TRIAL: dict[str, Any] = {
    "env": Images, "env_kwargs": {"shape": [3, 36, 36]}, "budget_env_steps": 16, "compile": "off",
    "evaluation": {"episodes": 1, "final_episodes": 1},
}  # fmt: skip


@pytest.mark.parametrize(("spec", "settings"), [(PPO, ON_POLICY), (DQN, OFF_POLICY)], ids=["ppo", "dqn"])
def test_networks_of_an_old_checkpoint_stay_what_they_were(spec: Any, settings: dict[str, Any], tmp_path: Path) -> None:
    made = spec.build(**TRIAL, **settings, model={"hidden_sizes": [64, 64]})
    made.train()
    state = made.trial.state_dict()
    made.stop()
    # As it was written when [64, 64] was the default for images, too.
    del state["network_defaults"], state["config"]["hyperparameters"]["model"]
    old = checkpoint.write(tmp_path / "old", state)

    restored = spec.build(**TRIAL, **settings)
    restored.load_checkpoint(str(old))
    trial = trial_from_checkpoint(old)
    for loaded in (restored.trial, trial):
        for name, leaf in loaded.learner.parameters.items():
            assert torch.equal(leaf, state["learner"]["parameters"][name])
    again = checkpoint.write(tmp_path / "again", trial.state_dict())
    assert evaluate_checkpoint(again, 1) == evaluate_checkpoint(old, 1)
    restored.stop()
    trial.close()


def test_a_new_checkpoint_has_the_networks_of_today(tmp_path: Path) -> None:
    made = PPO.build(**TRIAL, **ON_POLICY)
    made.train()
    path = checkpoint.write(tmp_path / "new", made.trial.state_dict())
    made.stop()
    trial = trial_from_checkpoint(path)
    assert trial.learner.parameters["policy_net.layers.0.weight"].shape == (1, 2, 512)
    trial.close()
