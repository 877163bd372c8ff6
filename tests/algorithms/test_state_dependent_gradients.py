"""With gSDE, one gradient step of PPO, A2C, SAC and TQC equals that of Stable-Baselines3 and sb3_contrib."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch
from sb3_contrib import TQC
from stable_baselines3 import A2C, PPO, SAC
from stable_baselines3.common.logger import Logger
from stable_baselines3.common.type_aliases import ReplayBufferSamples, RolloutBufferSamples
from torch import Tensor

from tuneexp.algorithms.registry import load_algorithm
from tuneexp.learning.hyper import Hyper
from tuneexp.learning.nets import Nets

ROWS, SIZES = 12, [8, 6]
OBSERVATIONS, ACTIONS = gym.spaces.Box(-1.0, 1.0, (3,)), gym.spaces.Box(-1.0, 1.0, (2,))


class Nowhere(gym.Env[Any, Any]):
    observation_space, action_space = OBSERVATIONS, ACTIONS

    def reset(self, **_: Any) -> tuple[Any, dict[str, Any]]:
        return np.zeros(3, np.float32), {}


def randn(*shape: int, seed: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def ours(algorithm: str, **hyperparameters: Any) -> tuple[Any, Any, Any]:
    """Specification, configuration and the networks of one seed in tuneexp."""
    spec = load_algorithm(algorithm)
    given = {"n_envs": 1, "use_sde": True, **hyperparameters}
    cfg: Any = Hyper(
        [spec.config_class.parse({**given, "model": {"hidden_sizes": SIZES, **given["model"]}}, algorithm)]
    )
    return spec, cfg.view(), spec.build_model(OBSERVATIONS, ACTIONS, cfg.view())


def learner_of(kind: Callable[..., Any], policy_kwargs: Mapping[str, Any], **settings: Any) -> Any:
    torch.manual_seed(0)  # of its parameters: where actions saturate, its epsilon in log(1 - tanh^2 + epsilon) shows
    algorithm = kind(
        "MlpPolicy", Nowhere(), use_sde=True, learning_rate=0.0, device="cpu",
        policy_kwargs={"net_arch": SIZES, **policy_kwargs}, **settings,
    )  # fmt: skip
    algorithm.set_logger(Logger(None, []))
    return algorithm


def names_of_actor_critic(theirs: Any) -> dict[str, Tensor]:
    """Parameters of Stable-Baselines3's policy by the names of tuneexp."""
    layers = {"mlp_extractor.policy_net": "policy_net.layers", "mlp_extractor.value_net": "value_net.layers"}
    heads = {"action_net": "policy_net.layers.4", "value_net": "value_net.layers.4", "log_std": "exploration.log_std"}
    found = {}
    for name, parameter in theirs.named_parameters():
        own = next(name.replace(their, mine, 1) for their, mine in (layers | heads).items() if name.startswith(their))
        found[own] = parameter
    return found


def copied(model: Any, theirs: Mapping[str, Tensor]) -> dict[str, Tensor]:
    shapes = {name: leaf.shape for name, leaf in model.named_parameters()}
    assert {name: leaf.shape for name, leaf in theirs.items()} == shapes
    return {name: leaf.detach().clone().requires_grad_() for name, leaf in theirs.items()}


def check_gradients(loss: Tensor, leaves: Mapping[str, Tensor], theirs: Mapping[str, Tensor | None]) -> None:
    found = torch.autograd.grad(loss, list(leaves.values()), retain_graph=True)
    for name, gradient in zip(leaves, found, strict=True):
        expected = theirs[name]
        assert expected is not None
        assert expected.abs().max() > 1e-3, f"{name} is not learned at all"
        torch.testing.assert_close(gradient, expected, rtol=1e-5, atol=5e-6, msg=lambda told, name=name: name + told)


POLICIES: list[dict[str, Any]] = [
    {"log_std_init": -1.0},
    {"log_std_init": 0.3, "use_expln": True, "full_std": False},
    {"log_std_init": -1.0, "squash_output": True},
]


@pytest.mark.parametrize("options", POLICIES, ids=["plain", "expln of units", "squashed"])
@pytest.mark.parametrize(("name", "kind"), [("ppo", PPO), ("a2c", A2C)])
def test_of_a_rollout(name: str, kind: Any, options: dict[str, Any]) -> None:
    settings: dict[str, Any] = {"n_steps": ROWS, "ent_coef": 0.01, "max_grad_norm": 1e9}
    if kind is PPO:
        settings |= {"batch_size": ROWS, "n_epochs": 1}
    theirs = learner_of(kind, options, **settings)
    with torch.no_grad():
        theirs.policy.log_std += 0.2 * randn(*theirs.policy.log_std.shape, seed=9)
        theirs.policy.action_net.weight += 0.5 * randn(2, SIZES[-1], seed=8)
    spec, cfg, model = ours(name, **settings, model=options)
    leaves = copied(model, names_of_actor_critic(theirs.policy))

    action = 0.5 * randn(ROWS, 2, seed=1).clamp(-1.5, 1.5)
    old = -2.0 + 0.3 * randn(ROWS, seed=2)
    batch = {
        "obs": randn(ROWS, 3, seed=0), "action": action, "log_prob": old, "advantage": randn(ROWS, seed=3),
        "value": randn(ROWS, seed=4), "value_target": randn(ROWS, seed=5),
    }  # fmt: skip
    rollout = RolloutBufferSamples(batch["obs"], action, batch["value"], old, batch["advantage"], batch["value_target"])
    theirs.rollout_buffer.get = lambda batch_size=None: iter([rollout])
    theirs.train()

    loss, _ = spec.loss_fn(Nets.of_one_seed(model, leaves), batch, cfg)
    check_gradients(loss, leaves, {key: leaf.grad for key, leaf in names_of_actor_critic(theirs.policy).items()})


def names_of_soft_actor(actor: Any) -> dict[str, Tensor]:
    found = {}
    for name, parameter in actor.named_parameters():
        own = name.replace("latent_pi", "trunk.mlp.layers").replace("mu.0", "mean")
        found["actor." + own.replace("log_std", "exploration.log_std")] = parameter
    return found


def names_of_critics(critics: Any, of: Callable[[Tensor], Tensor | None]) -> dict[str, Tensor]:
    """Parameters of both critics, stacked, with transposed weights."""
    first, second = list(critics.children())[-2:]
    pairs = zip(first.named_parameters(), second.named_parameters(), strict=True)
    found = {}
    for (name, one), (_, other) in pairs:
        both = torch.stack([value for value in (of(one), of(other)) if value is not None])
        found[f"critic.layers.{name}"] = both.mT if name.endswith("weight") else both.unsqueeze(1)
    return found


def hold_exploration(actor: Any, weights: Tensor) -> None:
    """Replace the sampled exploration weights by fixed ones, `weights`, which are standard normal numbers."""

    def reset_noise(batch_size: int = 1) -> None:
        actor.action_dist.exploration_mat = actor.get_std() * weights
        actor.action_dist.exploration_matrices = actor.action_dist.exploration_mat.unsqueeze(0)

    actor.reset_noise = reset_noise


def replayed_rows(weights: Tensor) -> tuple[dict[str, Tensor], ReplayBufferSamples]:
    """The same minibatch for both losses."""
    done = (randn(ROWS, seed=5) > 1.0).float()
    batch = {
        "obs": randn(ROWS, 3, seed=0), "action": randn(ROWS, 2, seed=1).tanh(), "next_obs": randn(ROWS, 3, seed=2),
        "reward": randn(ROWS, seed=3), "discount": 0.9 * (1.0 - done), "weights": weights,
    }  # fmt: skip
    columns = batch["obs"], batch["action"], batch["next_obs"], done[:, None], batch["reward"][:, None]
    return batch, ReplayBufferSamples(*columns)


# sb3_contrib takes the mean over both critics of TQC and all of their quantiles; here each critic has its own loss, as
# in eq. 14 of the paper. Adam's steps are the same.
@pytest.mark.parametrize(("name", "kind", "critic_losses"), [("sac", SAC, 1.0), ("tqc", TQC, 2.0)])
@pytest.mark.parametrize("options", [{"log_std_init": -2.0}, {"log_std_init": 0.2, "use_expln": True}])
def test_of_replayed_rows(name: str, kind: Any, critic_losses: float, options: dict[str, Any]) -> None:
    theirs = learner_of(kind, options, ent_coef="auto_0.3", gamma=0.9)
    actor, critic = theirs.actor, theirs.critic
    actor.action_dist.bijector.epsilon = 0.0  # as in tests/rl/test_state_dependent.py
    with torch.no_grad():
        actor.log_std += 0.3 * randn(*actor.log_std.shape, seed=9)
        actor.mu[0].bias += torch.tensor([2.5, 0.0])  # beyond clip_mean in one component
        for parameter in critic.parameters():
            parameter += 0.1 * randn(*parameter.shape, seed=10)
    spec, cfg, model = ours(name, gamma=0.9, initial_ent_coef=0.3, model=options)
    networks = names_of_soft_actor(actor) | names_of_critics(critic, lambda leaf: leaf)
    online = copied(model, {**networks, "temperature.log_alpha": theirs.log_ent_coef[0]})
    nets = Nets.of_one_seed(model, online, {**online, **names_of_critics(theirs.critic_target, lambda leaf: leaf)})

    weights = 0.5 * randn(SIZES[-1], 2, seed=6)
    hold_exploration(actor, weights)
    batch, replayed = replayed_rows(weights)
    actor.reset_noise()
    _, their_log_prob = actor.action_log_prob(replayed.observations)
    _, log_prob = nets.online.dist(batch["obs"]).sample_and_log_prob(weights)
    torch.testing.assert_close(log_prob, their_log_prob.flatten(), rtol=1e-5, atol=1e-5)

    theirs.replay_buffer.sample = lambda *_, **__: replayed
    of_critics: dict[str, Tensor] = {}
    step = critic.optimizer.step
    critic.optimizer.step = lambda: (of_critics.update(names_of_critics(critic, lambda leaf: leaf.grad)), step())
    theirs.train(gradient_steps=1, batch_size=ROWS)

    losses, _ = spec.loss_fn(nets, batch, cfg)
    expected = {
        "actor": {name: leaf.grad for name, leaf in names_of_soft_actor(actor).items()},
        "critic": {name: critic_losses * gradient for name, gradient in of_critics.items()},
        "temperature": {"temperature.log_alpha": theirs.log_ent_coef.grad[0]},
    }
    assert set(losses) == set(expected)
    for part, gradients in expected.items():
        check_gradients(losses[part], {name: online[name] for name in gradients}, gradients)
