"""Named parts of a loss: the parameters that each trains, and parts that are not due."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
import torch
from torch import Tensor, nn, optim

from tuneexp.algorithms.configs.off_policy import OffPolicyConfig
from tuneexp.errors import UserError
from tuneexp.learning.compile.program import eager
from tuneexp.learning.learner import Learner
from tuneexp.learning.loss_parts import WHOLE, UpdatePeriods, named_losses, part_of
from tuneexp.learning.target import TargetUpdate


def test_a_parameter_belongs_to_the_part_whose_name_it_starts_with() -> None:
    parts = ["actor", "critic", "log_alpha"]
    names = ["actor.layers.0.weight", "critic.bias", "log_alpha", "actor_old.weight", "encoder.actor.weight"]
    assert [part_of(name, parts) for name in names] == ["actor", "critic", "log_alpha", None, None]


def test_a_loss_that_is_one_number_is_the_whole() -> None:
    assert named_losses(torch.tensor(2.0)) == {WHOLE: torch.tensor(2.0)}


def test_an_omitted_part_is_not_even_computed() -> None:
    def never() -> Tensor:
        raise RuntimeError("computed")

    assert list(named_losses({"critic": torch.tensor(1.0), "actor": never}, frozenset({"actor"}))) == ["critic"]


def test_a_loss_of_many_numbers_is_refused_with_its_shape() -> None:
    with pytest.raises(UserError, match=r"'actor' .*\(3,\)"):
        named_losses({"actor": torch.zeros(3)})


def test_periods_count_updates_from_one() -> None:
    periods = UpdatePeriods({"actor": 2, "temperature": 3, "critic": 1})
    due = [sorted({"actor", "temperature", "critic"} - periods.omitted(update)) for update in range(1, 7)]
    assert due == [
        ["critic"], ["actor", "critic"], ["critic", "temperature"], ["actor", "critic"], ["critic"],
        ["actor", "critic", "temperature"],
    ]  # fmt: skip


def test_there_is_a_program_for_each_set_of_parts_that_rest_at_once_and_for_no_other() -> None:
    assert UpdatePeriods({"actor": 2, "temperature": 4}).all_omitted() == [
        frozenset(), frozenset({"actor", "temperature"}), frozenset({"temperature"}),
    ]  # fmt: skip
    assert UpdatePeriods({}).all_omitted() == [frozenset()]


@pytest.mark.parametrize("periods", [{"actor": 0}, {"actor": 101, "critic": 103}])
def test_periods_that_make_no_sense_are_refused(periods: dict[str, int]) -> None:
    with pytest.raises(UserError, match="actor"):
        UpdatePeriods(periods).all_omitted()


class Model(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.critic, self.actor = nn.Linear(2, 1), nn.Linear(2, 1)

    def of_critic(self, obs: Tensor) -> Tensor:
        return self.critic(obs)

    def of_actor(self, obs: Tensor) -> Tensor:
        return self.actor(obs)


def losses(nets: Any, batch: Mapping[str, Tensor], cfg: Any) -> tuple[Any, dict[str, Tensor]]:
    """Losses of two parts; `gain` scales the actor's."""

    def actor() -> Tensor:
        return nets.online.of_actor(batch["obs"]).square().mean() * batch["gain"].mean()

    return {"critic": nets.online.of_critic(batch["obs"]).square().mean(), "actor": actor}, {}


def adam(named_parameters: Mapping[str, nn.Parameter], cfg: Any) -> optim.Optimizer:
    return optim.Adam(named_parameters.values(), lr=0.1, fused=True)


def learner(max_grad_norm: float | None = None, **settings: Any) -> Learner:
    cfg = OffPolicyConfig(max_grad_norm=max_grad_norm)
    made = Learner(lambda view: Model(), losses, adam, cfg, [0, 1], {"actor": 2}, **settings)
    steps = {}
    for omitted in made.periods.all_omitted():
        step = made.gradient_step(["obs", "gain"], omitted=omitted)
        steps[omitted] = (step, eager(step))
    made.use_programs(steps)
    return made


def columns(gain: float = 1.0) -> list[Tensor]:
    return [torch.randn(2, 5, 2, generator=torch.Generator().manual_seed(0)), torch.full((2, 5), gain)]


def copies(own: Learner, part: str) -> dict[str, Tensor]:
    return {name: leaf.clone() for name, leaf in own.parameters.items() if name.startswith(part)}


def changed(before: dict[str, Tensor], own: Learner) -> list[bool]:
    return [not torch.equal(leaf, own.parameters[name]) for name, leaf in before.items()]


def test_an_omitted_part_keeps_its_parameters_and_the_others_learn() -> None:
    own, seen = learner(), []
    for _ in range(4):
        before = {part: copies(own, part) for part in ("critic", "actor")}
        own.learn_on_batch(columns())
        seen.append([part for part, leaves in before.items() if all(changed(leaves, own))])
        assert all(len(set(changed(leaves, own))) == 1 for leaves in before.values())
    assert seen == [["critic"], ["critic", "actor"], ["critic"], ["critic", "actor"]]


def test_an_omitted_part_takes_the_step_that_it_would_have_taken_alone() -> None:
    """Moments and step counter of an omitted part stay: the first step of Adam has the size of the learning rate."""
    own = learner()
    first = copies(own, "actor")
    for _ in range(2):
        own.learn_on_batch(columns())
    for name, leaf in first.items():
        torch.testing.assert_close((own.parameters[name] - leaf).abs(), torch.full_like(leaf, 0.1), rtol=1e-4, atol=0)


def test_each_part_is_clipped_by_its_own_norm() -> None:
    small, huge = learner(max_grad_norm=0.5), learner(max_grad_norm=0.5)
    for own, gain in ((small, 1.0), (huge, 1e4)):
        for _ in range(2):
            own.learn_on_batch(columns(gain))
    for name in copies(small, "critic"):
        assert torch.equal(small.parameters[name], huge.parameters[name]), (
            "the size of the actor's loss is not its matter"
        )


def test_each_part_reports_its_loss_and_its_norm_when_it_is_due() -> None:
    own = learner()
    names = []
    for _ in range(2):
        own.learn_on_batch(columns())
        names.append(sorted(own.log.latest()[0]))
    assert names == [
        ["critic_grad_norm", "critic_loss"],
        ["actor_grad_norm", "actor_loss", "critic_grad_norm", "critic_loss"],
    ]


def test_targets_follow_after_every_update_of_any_part() -> None:
    own = learner(target=TargetUpdate(1.0, 2))
    assert own.target is not None
    own.learn_on_batch(columns())
    assert not torch.equal(own.target.flat, own.stack.flat)
    own.learn_on_batch(columns())
    assert torch.equal(own.target.flat, own.stack.flat)


def test_a_nan_of_one_part_and_seed_stops_that_seed_only() -> None:
    own = learner()
    own.learn_on_batch(columns())
    before = {name: leaf.clone() for name, leaf in own.parameters.items()}
    obs, gain = columns()
    gain[1] = float("nan")
    own.learn_on_batch([obs, gain])
    assert own.failed.tolist() == [False, True]
    for name, leaf in own.parameters.items():
        assert torch.equal(leaf[1], before[name][1])
        assert not torch.equal(leaf[0], before[name][0])
