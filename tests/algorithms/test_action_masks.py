"""Action masks in training: invalid actions are never taken and do not contribute to the loss."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from gymnasium.spaces import Box, Dict, Discrete

from tests.algorithms.memory_envs import Forbidding
from tests.algorithms.networks import Wide
from tests.small import rollout_batch, small_trial
from tuneexp.algorithms.ppo import PPOConfig
from tuneexp.algorithms.rollouts import build_model
from tuneexp.errors import UserError
from tuneexp.learning.hyper import CfgView
from tuneexp.rl.distributions import Categorical
from tuneexp.trial import Trial

RECURRENT = {"hidden_sizes": [8], "recurrent": "gru", "recurrent_size": 8}


def masked_trial(seeds: list[int], parts: int = 1, **changes: Any) -> Trial:
    settings = {"wrappers": ["ActionMask"], "action_mask": "action_mask", "env_kwargs": {"parts": parts}}
    return small_trial(seeds, env=Forbidding, **{**settings, **changes})


@pytest.mark.parametrize("model", [{"hidden_sizes": [8]}, RECURRENT], ids=["plain", "recurrent"])
@pytest.mark.parametrize("parts", [1, 3])
def test_forbidden_actions_are_never_taken(parts: int, model: dict[str, Any]) -> None:
    """Neither in exploration, nor in training, nor as the mode in evaluation."""
    trial = masked_trial([0, 1], parts, model=model)
    Forbidding.taken_in_spite = 0
    for _ in range(4):
        trial.training_step()
    trial.evaluate(20, seed=3)
    assert Forbidding.taken_in_spite == 0
    trial.group.sample(1)  # not because nobody counts
    free = small_trial([0], env=Forbidding, wrappers=["ActionMask"], env_kwargs={"parts": parts})
    free.training_step()
    assert Forbidding.taken_in_spite > 0


def test_log_probabilities_are_those_of_the_allowed_actions_renormalised() -> None:
    trial = masked_trial([0, 1])
    batch = rollout_batch(trial)
    for seed in range(2):
        keep = batch["valid"][seed]
        obs, action = batch["obs"][seed][keep], batch["action"][seed][keep]
        trial.learner.model.load_state_dict({name: leaf[seed] for name, leaf in trial.learner.parameters.items()})
        logits = trial.learner.model.policy_net(obs[:, 8:])  # the mask is no feature
        renormalised = logits.softmax(-1) * obs[:, :8]
        renormalised = renormalised / renormalised.sum(-1, keepdim=True)
        expected = renormalised.gather(-1, action[:, None]).squeeze(-1).log()
        torch.testing.assert_close(batch["log_prob"][seed][keep], expected)
        entropy = trial.learner.model.dist(obs).entropy()
        of_allowed = Categorical(renormalised.log()).entropy()  # log 0 = -inf forbids
        torch.testing.assert_close(entropy, of_allowed)


def test_learning_works_where_most_actions_are_forbidden() -> None:
    """2 of 40 actions are valid. Without the mask the same budget would be spent on invalid actions."""
    settings: dict[str, Any] = {
        "n_envs": 8, "n_steps": 32, "batch_size": 64, "n_epochs": 8, "learning_rate": 5e-3, "gamma": 0.5,
        "env_kwargs": {"n_actions": 40, "allowed": 2}, "budget_env_steps": 2048, "report_every_env_steps": 2048,
        "model": {"hidden_sizes": [16]}, "evaluation": {"final_episodes": 10},
    }  # fmt: skip
    masked = masked_trial([0, 1, 2], **settings).advance()["return_per_seed"]
    free = masked_trial([0, 1, 2], **settings, action_mask=None).advance()["return_per_seed"]
    # Ten steps: 5 for a random choice of the two, 10 for the best; every forbidden action costs 1.
    assert min(masked) > 8.0
    assert max(free) < min(masked) - 3.0


def test_an_own_network_obeys_the_mask_too() -> None:
    trial = masked_trial([0], model=Wide)
    Forbidding.taken_in_spite = 0
    trial.training_step()
    trial.evaluate(5, seed=3)
    assert Forbidding.taken_in_spite == 0


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"env": "CartPole-v1", "wrappers": []}, "'action_mask'.* Dict"),
        ({"action_mask": "mask"}, "'mask'.* 'action_mask' of 8"),
        ({"env": "Pendulum-v1", "wrappers": []}, "Discrete and MultiDiscrete"),
    ],
)
def test_a_mask_that_is_not_there_is_refused(changes: dict[str, Any], told: str) -> None:
    defaults = {"env": Forbidding, "wrappers": ["ActionMask"], "action_mask": "action_mask"}
    with pytest.raises(UserError, match=told):
        small_trial([0], **{**defaults, **changes})


def test_a_mask_that_normalisation_would_scale_is_refused() -> None:
    space = Dict({"allowed": Box(0.0, 1.0, (2,)), "x": Box(-1.0, 1.0, (3,))})
    cfg = CfgView({**PPOConfig().model_dump(), "action_mask": "allowed", "normalize_observation": True})
    with pytest.raises(UserError, match=r"'allowed' .*MultiBinary"):
        build_model(space, Discrete(2), cfg)
