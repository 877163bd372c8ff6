"""A trial's clock, schedules, failed seeds and evaluations."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from tests.sampling.envs import Counted, Pixels, Seen
from tests.small import parameters_of, same, small_trial
from tuneexp.algorithms.ppo import PPO
from tuneexp.algorithms.spec import replace
from tuneexp.errors import UserError
from tuneexp.sampling.evaluation import Evaluation
from tuneexp.training.training_ops import Training
from tuneexp.trial import Trial, programs

POISONED = "tests.sampling.envs:Poisoned"


def run(trial: Trial) -> list[dict[str, Any]]:
    reports = []
    while not trial.done:
        reports.append(trial.advance())
    return reports


@pytest.mark.parametrize(
    ("period", "budget"), [(100, 1000), (64, 640), (300, 1000), (10, 200), (1000, 300), (None, 500)]
)
def test_reports_come_at_multiples_of_their_period_and_overshoot_by_less_than_a_rollout(
    period: int | None, budget: int
) -> None:
    trial = small_trial([0], budget_env_steps=budget, report_every_env_steps=period)
    rollout, steps = 64, [report["env_steps"] for report in run(trial)]
    every = period or budget // 10
    due = [min(-(-(step + 1) // every) * every, budget) for step in [0, *steps[:-1]]]
    assert all(0 <= step - wanted < rollout for step, wanted in zip(steps, due, strict=True))
    assert steps[-1] == -(-budget // rollout) * rollout
    assert all(step % rollout == 0 for step in steps)


def test_env_steps_is_what_the_environments_were_stepped() -> None:
    """Per seed: steps that only reset an environment (NEXT_STEP) count, since they cost a step."""
    Counted.steps = 0
    trial = small_trial(env=Counted, n_steps=60, batch_size=8, evaluation={"episodes": 1, "final_episodes": 1})
    trial.source.evaluate = lambda episodes, seed: Evaluation(np.zeros((2, 1)), np.zeros((2, 1), np.bool_))  # type: ignore[method-assign]
    metrics = trial.advance()
    fragments = metrics["env_steps"] * 2
    resets = fragments - Counted.steps
    assert metrics["env_steps"] == 120
    assert metrics["train/episodes"] - 4 <= resets <= metrics["train/episodes"]


def test_done_comes_with_the_budget_and_not_before() -> None:
    reports = run(small_trial(rollouts=3))
    assert [report["done"] for report in reports] == [False, False, True]
    assert [report["iteration"] for report in reports] == [1, 2, 3]
    assert [report["time/train_s"] for report in reports] == sorted(report["time/train_s"] for report in reports)


def test_schedules_span_the_full_budget_also_where_a_trial_is_stopped_early() -> None:
    stopped, whole = (small_trial(rollouts=8, learning_rate="linear:0.008") for _ in range(2))
    rates = [stopped.advance()["update/learning_rate"] for _ in range(3)]
    assert rates == pytest.approx([0.008, 0.007, 0.006])
    assert [report["update/learning_rate"] for report in run(whole)][:3] == rates
    change = {"env_steps": 128, "values": {"learning_rate": "linear:0.008"}}
    changed = small_trial(rollouts=8, learning_rate=0.5, schedule=[change])
    assert [changed.advance()["update/learning_rate"] for _ in range(3)] == pytest.approx([0.5, 0.5, 0.006])


@pytest.mark.parametrize("period", [64, 128, 1000])
def test_reports_and_evaluations_do_not_disturb_training(period: int) -> None:
    """Parameters are equal with any number of evaluations in between."""
    trial = small_trial(rollouts=4, report_every_env_steps=period, normalize_observation=True)
    run(trial)
    plain = small_trial(rollouts=4, normalize_observation=True)
    for _ in range(4):
        plain.training_step()
    assert same(parameters_of(trial), parameters_of(plain))


def test_every_seed_and_every_report_is_evaluated_on_the_same_episodes() -> None:
    trial = small_trial([3, 4, 5], env=Seen, n_envs=2)
    starts = []
    for _ in range(2):
        Seen.firsts.clear()
        trial.evaluate(5, seed=10_000)
        # Later resets are of episodes beyond the first of each environment.
        starts.append(Seen.firsts[:15])
    assert starts[0] == starts[1]
    assert starts[0][:5] == starts[0][5:10] == starts[0][10:]
    assert len({tuple(start) for start in starts[0][:5]}) == 5
    Seen.firsts.clear()
    trial.evaluate(5, seed=10_001)
    assert Seen.firsts[:5] != starts[0][:5]


def test_evaluation_is_deterministic_and_the_final_one_is_longer() -> None:
    trial = small_trial(rollouts=2, evaluation={"episodes": 3, "final_episodes": 7})
    seen: list[int] = []
    evaluate = trial.source.evaluate
    trial.source.evaluate = lambda episodes, seed: seen.append(episodes) or evaluate(episodes, seed)  # type: ignore[method-assign, func-returns-value]
    run(trial)
    assert seen == [3, 7]
    assert (trial.evaluate(6, 1) == trial.evaluate(6, 1)).all()
    # More episodes than environments of the policy's width, fewer, and a part of one: the same first ones.
    assert (trial.evaluate(7, 1)[:, :3] == trial.evaluate(3, 1)).all()


def test_a_seed_that_diverges_is_named_and_the_others_are_as_without_it() -> None:
    healthy = small_trial([0, 1, 2], env=POISONED)
    sick = small_trial([0, 1, 2], env=POISONED, env_kwargs={"victim": 1})
    reports = [run(healthy), run(sick)]
    assert reports[0][-1]["failed_seeds"] == []
    assert reports[1][-1]["failed_seeds"] == [1]
    assert [name for name in reports[1][-1] if name.endswith("/failed")] == ["seed/1/failed"]
    assert reports[1][-1]["done"]
    assert reports[1][-1]["env_steps"] == 256
    for name, leaf in sick.learner.parameters.items():
        assert torch.equal(leaf[[0, 2]], healthy.learner.parameters[name][[0, 2]])
        assert leaf.isfinite().all()
    for mine, other in zip(reports[1], reports[0], strict=True):
        for key in ("seed/0/return_mean", "seed/2/return_mean", "seed/2/train_return_mean"):
            assert mine[key] == other[key]
        assert np.isfinite(mine["objective"])
        assert np.isfinite(mine["update/policy_loss"])


def test_a_trial_whose_seeds_all_diverge_is_done_and_has_no_objective() -> None:
    reports = run(small_trial([0, 1], env=POISONED, env_kwargs={"everybody": True}, rollouts=100))
    assert reports[-1]["failed_seeds"] == [0, 1]
    assert reports[-1]["done"]
    assert reports[-1]["env_steps"] < 6400
    assert np.isnan(reports[-1]["objective"])
    assert np.isnan(reports[-1]["return_mean"])


@pytest.mark.parametrize("env", ["Pendulum-v1", "CartPole-v1"])
def test_parameters_that_overflow_in_an_update_fail_their_seed_not_the_trial(env: str) -> None:
    """Environments never get non-finite actions."""
    trial = small_trial([0, 1], env=env)
    trial.advance()
    for leaf in trial.learner.parameters.values():
        leaf[1] = float("nan")
    reports = run(trial)
    assert reports[-1]["failed_seeds"] == [1]
    assert reports[-1]["env_steps"] == 256
    assert np.isfinite(reports[-1]["seed/0/return_mean"])


def test_an_absurd_learning_rate_diverges_and_does_not_raise() -> None:
    reports = run(small_trial([0, 1], env="Pendulum-v1", learning_rate=1e30, max_grad_norm=None))
    assert reports[-1]["failed_seeds"] == [0, 1]
    assert np.isnan(reports[-1]["objective"])


def test_whole_numbers_as_observations_may_be_normalised(fresh_programs: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """The policy then gets floating-point numbers, and its programs are built for them."""
    built_for = []
    built = programs.built
    monkeypatch.setattr(programs, "built", lambda requests, *rest: built_for.extend(requests) or built(requests, *rest))
    trial = small_trial(env=Pixels, normalize_observation=True)
    fragment = trial.group.sample(20)
    assert fragment["obs"].dtype == built_for[0].example[2].dtype == torch.float32
    assert np.isfinite(trial.advance()["update/policy_loss"])

    small_trial(env=Pixels)
    assert built_for[2].example[2].dtype == torch.uint8


def test_the_same_trial_twice_is_the_same_twice() -> None:
    first, second = small_trial([5, 9], target_kl=0.3), small_trial([5, 9], target_kl=0.3)
    reports = [run(first), run(second)]
    assert same(parameters_of(first), parameters_of(second))
    assert [report["objective"] for report in reports[0]] == [report["objective"] for report in reports[1]]


def test_an_algorithm_brings_its_own_training_step() -> None:
    rounds = []

    def watched(training: Training) -> None:
        rounds.append(training.cfg.n_steps)
        PPO.training_step(training)

    small_trial(spec=replace(PPO, name="watched", training_step=watched)).advance()
    assert rounds == [32]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"env": "CartPole-v9"}, "CartPole-v1"),
        ({"env": "tuneexp.testing.probes:ConstantRewrd"}, "ConstantReward"),
        ({"learning_rate": -1.0}, "learning_rate"),
        ({"seeds": [1, 1]}, "seed"),
        ({"env": "tests.sampling.envs:Pixels", "normalize_observation": "yes please"}, "normalize_observation"),
    ],
)
def test_bad_input_is_reported_before_anything_runs(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(UserError, match=said) as caught:
        small_trial(**changes)
    assert len(str(caught.value).splitlines()) <= 2
