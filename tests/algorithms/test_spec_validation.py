"""Errors of a custom algorithm: one or two lines with the correction."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn, optim

from tests.small import small_trial
from tuneexp.algorithms.ppo import PPO, PPOConfig, ppo_loss
from tuneexp.algorithms.registry import load_spec
from tuneexp.algorithms.rollouts import act, advantages
from tuneexp.config import numeric
from tuneexp.errors import UserError
from tuneexp.learning.target import TargetUpdate


def told(make: Callable[[], Any]) -> str:
    """The message of the error, checked to have one or two lines."""
    with pytest.raises(UserError) as refused:
        make()
    assert 1 <= len(str(refused.value).splitlines()) <= 2
    return str(refused.value)


class Unmarked(PPOConfig):
    mine: float = 0.5


class NoDefault(PPOConfig):
    mine: float = numeric(..., "It has none.")


def two_arguments(batch: Any, cfg: Any) -> Any:
    return batch["obs"].mean(), {}


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        (
            {"loss_fn": two_arguments},
            "two_arguments(batch: 'Any', cfg: 'Any') -> 'Any' can't be called with 3 arguments",
        ),
        ({"loss_fn": None}, "write a function loss_fn(nets, batch, cfg) -> (loss, metrics)"),
        ({"training_step": lambda: None}, "write training_step(training)"),
        ({"config_class": dict}, "config_class dict is no AlgorithmConfig"),
        ({"config_class": Unmarked}, "write mine: float = numeric(0.5,"),
        ({"config_class": NoDefault}, "the hyperparameter 'mine' has no default"),
        ({"action_kinds": ("continous",)}, "'continuous'"),
        ({"update_period": {"policy_net": "n_epoch"}}, "'n_epochs'"),
        ({"target": TargetUpdate("taau", 1)}, "target's tau is 'taau', no field of PPOConfig"),
    ],
)
def test_a_spec_that_is_not_well_formed_is_refused_where_it_is_written(changes: dict[str, Any], says: str) -> None:
    assert says in told(lambda: replace(PPO, name="mine", **changes))


def vector(nets: Any, batch: Mapping[str, Tensor], cfg: Any) -> Any:
    return (nets.online.value(batch["obs"]) - batch["value_target"]).square(), {}


def no_statistics(nets: Any, batch: Mapping[str, Tensor], cfg: Any) -> Any:
    return nets.online.value(batch["obs"]).mean()


def nothing(nets: Any, batch: Mapping[str, Tensor], cfg: Any) -> None:
    nets.online.value(batch["obs"]).mean()


def no_such_column(nets: Any, batch: Mapping[str, Tensor], cfg: Any) -> Any:
    return nets.online.value(batch["obss"]).mean(), {}


def no_such_method(nets: Any, batch: Mapping[str, Tensor], cfg: Any) -> Any:
    return nets.online.valu(batch["obs"]).mean(), {}


def no_such_field(nets: Any, batch: Mapping[str, Tensor], cfg: Any) -> Any:
    return nets.online.value(batch["obs"]).mean() * cfg.clip_rang, {}


def wrong_shapes(nets: Any, batch: Mapping[str, Tensor], cfg: Any) -> Any:
    return (nets.online.value(batch["obs"])[:, None] @ batch["obs"]).mean(), {}


def without_gradient(nets: Any, batch: Mapping[str, Tensor], cfg: Any) -> Any:
    return nets.frozen.value(batch["obs"]).mean(), {}


def asks_the_target(nets: Any, batch: Mapping[str, Tensor], cfg: Any) -> Any:
    return (nets.online.value(batch["obs"]) - nets.target.value(batch["obs"])).mean(), {}


def calls_the_target(nets: Any, batch: Mapping[str, Tensor], cfg: Any) -> Any:
    return nets.target(batch["obs"]).value.mean(), {}


def text_as_statistic(nets: Any, batch: Mapping[str, Tensor], cfg: Any) -> Any:
    return nets.online.value(batch["obs"]).mean(), {"note": "large"}


def part_of_nothing(nets: Any, batch: Mapping[str, Tensor], cfg: Any) -> Any:
    return {"actor": nets.online.value(batch["obs"]).mean()}, {}


LOSSES = [
    (vector, "loss_fn returned 'loss' of shape (16,); return one number: its mean"),
    (no_statistics, "loss_fn no_statistics gave Tensor; write loss_fn(nets, batch, cfg) -> (loss, metrics)"),
    (nothing, "loss_fn nothing gave NoneType"),
    (no_such_column, "KeyError: 'obss'; did you mean 'obs'?"),
    (no_such_column, f"failed at test_spec_validation.py:{no_such_column.__code__.co_firstlineno + 1}:"),
    (no_such_column, "there are obs, action, log_prob, advantage, value, value_target"),
    (no_such_method, "no attribute 'valu'; did you mean 'value'?"),
    (no_such_field, "'clip_range'"),
    (wrong_shapes, "failed at test_spec_validation.py"),
    (without_gradient, "depends on no parameter: nets.online carries gradients"),
    (asks_the_target, "give the algorithm target=TargetUpdate(tau, every)"),
    (calls_the_target, "give the algorithm target=TargetUpdate(tau, every)"),
    (text_as_statistic, "loss_fn's metric 'note' is str"),
    (part_of_nothing, "no submodule of that name; it has policy_net, value_net"),
]


@pytest.mark.parametrize("seeds", [[0], [0, 1]], ids=["one seed", "two seeds"])
@pytest.mark.parametrize(("loss", "says"), LOSSES, ids=[f"{loss.__name__}-{i}" for i, (loss, _) in enumerate(LOSSES)])
def test_a_loss_that_is_wrong_is_reported_before_training(loss: Any, says: str, seeds: list[int]) -> None:
    assert says in told(lambda: small_trial(seeds, spec=replace(PPO, name="mine", loss_fn=loss)))


def action_only(nets: Any, obs: Tensor, state: Any, noise: Any, cfg: Any, explore: Tensor) -> Any:
    return act(nets, obs, state, noise, cfg, explore)[0]


def unknown_noise(nets: Any, obs: Tensor, state: Any, noise: Any, cfg: Any, explore: Tensor) -> Any:
    return nets.online.dist(obs).sample(noise["actoin"]), {}, state


def one_action_for_all(nets: Any, obs: Tensor, state: Any, noise: Any, cfg: Any, explore: Tensor) -> Any:
    return nets.online.dist(obs).mode()[0], {}, state


def no_log_prob(nets: Any, obs: Tensor, state: Any, noise: Any, cfg: Any, explore: Tensor) -> Any:
    return nets.online.dist(obs).mode(), {}, state


def no_columns(nets: Any, fragment: Any, cfg: Any) -> None:
    advantages(nets, fragment, cfg)


def one_advantage(nets: Any, fragment: Any, cfg: Any) -> Any:
    return {**advantages(nets, fragment, cfg), "advantage": torch.zeros(())}


def no_optimizer(named_parameters: Mapping[str, nn.Parameter], cfg: Any) -> None:
    optim.Adam(named_parameters.values())


def of_names(named_parameters: Mapping[str, nn.Parameter], cfg: Any) -> Any:
    return optim.Adam(named_parameters)  # type: ignore[arg-type]


def no_module(observation_space: Any, action_space: Any, cfg: Any) -> Any:
    return object()


def sizes(model: Any, action_space: Any, cfg: Any) -> Any:
    return {"jitter": (3,)}


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"act_fn": action_only}, "act_fn action_only gave Tensor; write act_fn("),
        ({"act_fn": unknown_noise}, "KeyError: 'actoin'; did you mean 'action'?"),
        ({"act_fn": one_action_for_all}, "act_fn gave 'action' of shape [2]; give [N, ...]"),
        ({"act_fn": no_log_prob}, "postprocess_fn advantages failed at rollouts.py"),
        ({"postprocess_fn": no_columns}, "postprocess_fn no_columns gave NoneType"),
        ({"postprocess_fn": one_advantage}, "'advantage' of shape []; give [T, S, N, ...]"),
        ({"optimizer_fn": no_optimizer}, "optimizer_fn no_optimizer gave NoneType"),
        ({"optimizer_fn": of_names}, "over named_parameters.values()"),
        ({"build_model": no_module}, "build_model gave object; write build_model("),
        ({"loss_noise": sizes}, "loss_noise gave 'jitter' as tuple; write"),
        ({"act_noise": sizes}, "act_noise gave 'jitter' as tuple; write"),
        ({"update_period": {"policy_net": 2}}, "no part of the loss; its parts are none: it returns one number"),
    ],
)
def test_another_function_that_is_wrong_is_reported_before_training(changes: dict[str, Any], says: str) -> None:
    assert says in told(lambda: small_trial(spec=replace(PPO, name="mine", **changes)))


def test_a_training_step_that_collects_another_number_of_steps_is_reported() -> None:
    trial = small_trial(spec=replace(PPO, name="mine", training_step=lambda training: None))
    try:
        assert "collected 0 environment steps per seed, PPOConfig.rollout_env_steps() says 64" in told(trial.advance)
    finally:
        trial.close()


def forgets_the_value(named_parameters: Mapping[str, nn.Parameter], cfg: Any) -> optim.Optimizer:
    return optim.Adam([leaf for name, leaf in named_parameters.items() if name.startswith("policy_net.")], lr=1e-3)


def test_parameters_that_the_optimizer_leaves_out_are_named(caplog: pytest.LogCaptureFixture) -> None:
    small_trial(spec=replace(PPO, name="mine", optimizer_fn=forgets_the_value)).close()
    assert "optimizer_fn leaves out value_net." in caplog.text
    assert "policy_net" not in caplog.text


def test_a_loss_that_reads_values_trains_all_the_same(caplog: pytest.LogCaptureFixture) -> None:
    def reads(nets: Any, batch: Mapping[str, Tensor], cfg: Any) -> Any:
        loss, statistics = ppo_loss(nets, batch, cfg)
        return (loss * 2.0 if loss.item() > 0 else loss), statistics

    trial = small_trial(spec=replace(PPO, name="mine", loss_fn=reads))
    trial.advance()
    trial.close()
    assert trial.learner.n_updates > 0


def test_a_file_that_raises_on_import_is_reported_with_its_reason(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text("import no_such_package\n")
    assert "No module named 'no_such_package'" in told(lambda: load_spec(f"{tmp_path / 'mine.py'}:MINE"))
    (tmp_path / "other.py").write_text(
        "from dataclasses import replace\nfrom tuneexp import PPO\nMINE = replace(PPO, name='mine', loss_fn=3)\n"
    )
    assert "loss_fn is 3; write a function" in told(lambda: load_spec(f"{tmp_path / 'other.py'}:MINE"))
