"""Every loss with a seed axis, by `vmap` or in a loop, equals the loss of each seed alone."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from tests.algorithms.trials import minibatch_of, trial_of
from tuneexp.trial import Trial

RAINBOW = {"double": True, "dueling": True, "noisy": True, "prioritized": True, "n_step": 3}
CASES: dict[str, tuple[str, str, dict[str, Any]]] = {
    "a2c discrete": ("a2c", "CartPole-v1", {"ent_coef": 0.01}),
    "a2c continuous": ("a2c", "Pendulum-v1", {"normalize_advantage": True}),
    "impala": ("impala", "CartPole-v1", {}),
    "appo": ("appo", "Pendulum-v1", {"batch_size": 32, "n_epochs": 2}),
    "dqn": ("dqn", "CartPole-v1", {}),
    "rainbow": ("dqn", "CartPole-v1", {**RAINBOW, "distributional": True}),
    "qrdqn": ("qrdqn", "CartPole-v1", {"n_quantiles": 5}),
    "qrdqn, all switches": ("qrdqn", "CartPole-v1", {**RAINBOW, "n_quantiles": 5}),
    "sac": ("sac", "Pendulum-v1", {}),
    "sac prioritized, fixed temperature": ("sac", "Pendulum-v1", {"prioritized": True, "ent_coef": 0.1, "n_step": 2}),
    "sac discrete": ("sac", "CartPole-v1", {"prioritized": True}),
    "td3": ("td3", "Pendulum-v1", {"prioritized": True}),
    "ddpg": ("ddpg", "Pendulum-v1", {"prioritized": True}),
    "tqc": ("tqc", "Pendulum-v1", {"n_quantiles": 5, "prioritized": True}),
}


def outputs(trial: Trial, **settings: Any) -> dict[frozenset[str], list[Tensor]]:
    """Omitted parts -> outputs of the gradient step, by the plain function."""
    minibatch = minibatch_of(trial)
    inputs = trial.learner.step_inputs(list(minibatch.values()))
    steps = trial.trainer.programs.steps.items()
    return {omitted: replace(step, **settings)(inputs) for omitted, (step, _) in steps}


def assert_the_same(given: Any, expected: Any) -> None:
    assert given.keys() == expected.keys()
    for omitted in expected:
        for one, other in zip(given[omitted], expected[omitted], strict=True):
            torch.testing.assert_close(one, other, rtol=2e-4, atol=2e-5)


def by_seed(trial: Trial, outputs: list[Tensor], seed: int) -> dict[str, Tensor]:
    """Gradient, metrics and row outputs of one seed."""
    flat, statistics, skip, finite, _, *rows = outputs
    own = {f"d {name}": leaf[seed] for name, leaf in trial.learner.stack.split(flat).items()}
    own |= {"statistics": statistics[:, seed], "skip": skip[seed], "finite": finite[seed]}
    return own | {f"row {index}": row[seed] for index, row in enumerate(rows)}


@pytest.mark.parametrize("case", CASES)
def test_seeds_at_once_give_what_each_gives_alone(case: str) -> None:
    algorithm, env, changes = CASES[case]
    alone = [trial_of(algorithm, env, [seed], **changes) for seed in (4, 5, 6)]
    together = trial_of(algorithm, env, [4, 5, 6], **changes)
    at_once = outputs(together)
    assert_the_same(outputs(together, in_turn=True), at_once)
    for omitted, given in at_once.items():
        for index, single in enumerate(alone):
            expected = by_seed(single, outputs(single)[omitted], 0)
            own = by_seed(together, given, index)
            for name, value in expected.items():
                torch.testing.assert_close(
                    own[name], value, rtol=2e-4, atol=2e-5, msg=lambda text, n=name: f"{n}: {text}"
                )


@pytest.mark.parametrize("case", CASES)
def test_it_trains_two_seeds_and_every_parameter_that_is_due_moves(case: str) -> None:
    algorithm, env, changes = CASES[case]
    trial = trial_of(algorithm, env, [0, 1], **changes)
    before = {name: leaf.clone() for name, leaf in trial.learner.parameters.items()}
    metrics = trial.advance()
    assert metrics["failed_seeds"] == []
    unmoved = {name for name, leaf in trial.learner.parameters.items() if torch.equal(leaf, before[name])}
    assert unmoved == ({"temperature.log_alpha"} if "ent_coef" in changes and algorithm == "sac" else set())
