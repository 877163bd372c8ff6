"""Tests of the seed axis: seeds do not influence each other, and equal seeds give equal results."""

from __future__ import annotations

import numpy as np
from torch import Tensor

from tuneexp.data.prioritized import PrioritizedReplay
from tuneexp.data.sample_batch import SampleBatch
from tuneexp.testing.subject import (
    Subject,
    differences,
    distance,
    first_of,
    of_seed,
    require,
    training_steps,
)  # fmt: skip
from tuneexp.trial import Trial

# Allowed distance relative to the change by training. Rounding alone stays far below unless trajectories diverge.
SAME_RUN = 2e-3
SPARE_ROUNDS = 3
GARBAGE = 1000.0


def same_seeds_same_result(subject: Subject) -> None:
    first, second, other = (_state_after(subject, seeds) for seeds in ((3, 5, 7), (3, 5, 7), (3, 5, 8)))
    found = differences(first, second)
    require(not found, f"the same seeds gave another result: {first_of(found)} differ")
    require(differences(first["learner"], other["learner"]), "other seeds gave the same result")


def _state_after(subject: Subject, seeds: tuple[int, ...]) -> dict[str, Tensor]:
    trial = subject.short_trial(seeds)
    try:
        state = training_steps(trial).state_dict()
        return {name: state[name] for name in ("learner", "group", "experience")}
    finally:
        trial.close()


def single_run(subject: Subject, seed: int) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """One seed trained alone: its parameters at first and at last. Kept for the next question."""
    key = ("alone", seed)
    if key not in subject.kept:
        trial = subject.short_trial([seed])
        before = of_seed(trial, 0)
        subject.kept[key] = before, of_seed(training_steps(trial), 0)
        trial.close()
    return subject.kept[key]


def at_once_are_single_runs(subject: Subject, n_seeds: int) -> None:
    trial = subject.short_trial(range(n_seeds))
    try:
        training_steps(trial)
        for seed in range(n_seeds):
            first, alone = single_run(subject, seed)
            moved, apart = distance(first, alone), distance(of_seed(trial, seed), alone)
            require(
                apart <= SAME_RUN * moved,
                f"seed {seed} among {n_seeds} is not what it is alone: its parameters moved by {moved:.3g} and are "
                f"{apart:.3g} apart after {trial.learner.n_updates} updates",
            )
    finally:
        trial.close()


def nan_stays_with_its_seed(subject: Subject) -> None:
    """Parameters of seed 1 of three become NaN: it is reported as failed, and the others are unchanged."""
    healthy, sick = (subject.short_trial((0, 1, 2), subject.rounds() + SPARE_ROUNDS) for _ in range(2))
    try:
        for trial in (healthy, sick):
            training_steps(trial, subject.rounds())
        for leaf in sick.learner.parameters.values():
            leaf[1] = float("nan")
        for trial in (healthy, sick):
            training_steps(trial)
        require(sick.learner.failed.tolist() == [False, True, False], f"failed seeds: {sick.learner.failed.tolist()}")
        _require_others_untouched(healthy, sick)
    finally:
        healthy.close()
        sick.close()


def reset_rows_count_for_nothing(subject: Subject) -> None:
    """Values in reset rows influence neither parameters nor metrics."""
    plain, spoiled = (subject.short_trial((0, 1, 2), env=_world(subject)) for _ in range(2))
    resets = 0
    sample = spoiled.group.sample

    def garbage(n_steps: int) -> SampleBatch:
        nonlocal resets
        fragment = sample(n_steps)
        reset = ~fragment["valid"]
        resets += int(reset.sum())
        spoil = {name: fragment[name].clone() for name in ("obs", "next_obs", "action", "reward")}
        for name in ("obs", "next_obs", "reward"):
            spoil[name][reset] = GARBAGE
        spoil["action"][reset] = 0
        return fragment.with_columns(spoil)

    spoiled.group.sample = garbage
    try:
        training_steps(plain)
        training_steps(spoiled)
        require(resets, "no environment was reset: this test shows nothing")
        for index in range(3):
            found = differences(of_seed(plain, index), of_seed(spoiled, index))
            require(not found, f"reset rows were learned from: {first_of(found)} differ")
        found = differences(plain.learner.log.summary(), spoiled.learner.log.summary())
        require(not found, f"reset rows count in the statistics: {first_of(found)} differ")
    finally:
        plain.close()
        spoiled.close()


def _world(subject: Subject) -> str:
    return "tuneexp.testing.failing_envs:Overflow" + ("" if "discrete" in subject.kinds else "Continuous")


def huge_rewards_stay_with_their_seed(subject: Subject) -> None:
    """Rewards of seed 1 exceed the square root of float32's range. It may fail; the others are unchanged."""
    env = _world(subject)
    rounds = subject.rounds() + SPARE_ROUNDS
    healthy = subject.short_trial((0, 1, 2), rounds, env=env)
    sick = subject.short_trial((0, 1, 2), rounds, env=env, env_kwargs={"victim": 1})
    try:
        training_steps(healthy)
        training_steps(sick)
        require(not sick.learner.failed[[0, 2]].any(), "a healthy seed was stopped with it")
        require(differences(of_seed(sick, 1), of_seed(healthy, 1)), "the rewards of seed 1 made no difference to it")
        _require_others_untouched(healthy, sick)
    finally:
        healthy.close()
        sick.close()


def _require_others_untouched(healthy: Trial, sick: Trial) -> None:
    for index in (0, 2):
        found = differences(of_seed(healthy, index), of_seed(sick, index))
        require(not found, f"seed {index} was changed by the NaN of seed 1: {first_of(found)}")
    returns = [trial.evaluate(2, seed=1) for trial in (healthy, sick)]
    require((returns[0][[0, 2]] == returns[1][[0, 2]]).all(), "the other seeds act differently")
    buffer = None if sick.trainer.experience is None else sick.trainer.experience.buffer
    if isinstance(buffer, PrioritizedReplay):
        priorities = np.concatenate([np.asarray(own) for own in buffer.state_dict()["priorities"]])
        require(np.isfinite(priorities).all(), "priorities of rows are no longer finite")
