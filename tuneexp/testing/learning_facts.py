"""Tests of learning: training solves each probe, an untrained network solves none."""

from __future__ import annotations

import re

import torch
from torch import Tensor

from tuneexp.learning.nets import Nets
from tuneexp.testing.probes import PROBES, Probe
from tuneexp.testing.subject import Subject, require, training_steps
from tuneexp.testing.value_estimates import values_of
from tuneexp.trial import Trial

EVALUATION = {"episodes": 12, "seed": 5}
LOOKS = 8  # within the budget
LOG_PROB_TOLERANCE = 1e-4


def probes_for(kinds: tuple[str, ...]) -> list[type[Probe]]:
    return [probe for probe in PROBES if ("continuous" if probe.continuous else "discrete") in kinds]


def solves(subject: Subject, probe: type[Probe]) -> None:
    """Within the budget: at two looks in a row, as values may pass by the right ones, or at its end."""
    trial = _trial(subject, probe)
    try:
        shortfall: str | None = "not yet trained"
        for look in range(1, LOOKS + 1):
            seen = trial.env_steps
            _train_until(trial, look * subject.budget_env_steps // LOOKS)
            if trial.env_steps == seen:
                continue  # one rollout went past several looks
            before, shortfall = shortfall, _shortfall(subject, trial, probe)
            if before is None and shortfall is None:
                break
        require(trial.learner.n_updates, "nothing was learned: no update within the budget")
        require(shortfall is None, str(shortfall))
    finally:
        trial.close()


def _train_until(trial: Trial, env_steps: int) -> None:
    while trial.env_steps < env_steps and not trial.done:
        trial.training_step()


def _shortfall(subject: Subject, trial: Trial, probe: type[Probe]) -> str | None:
    """Unsolved part of the probe as text, or None."""
    errors = value_errors(subject, trial, probe)
    if not (errors < subject.tolerance).all():
        return (
            f"after {trial.env_steps} steps its values are off by {_shown(errors)} (seeds {list(subject.seeds)}); "
            f"they are {list(probe.values)}, {subject.tolerance:g} is allowed"
        )
    right = actions_right(trial, probe)
    wrong = f"after {trial.env_steps} steps its actions are wrong for {_wrong(subject, right)}"
    return None if right.all() else wrong


def untrained_solves_none(subject: Subject) -> None:
    """An untrained network solves no probe; else probes would show nothing about training."""
    for probe in probes_for(subject.kinds):
        trial = _trial(subject, probe)
        try:
            right = actions_right(trial, probe)
            near = value_errors(subject, trial, probe) < subject.tolerance
            require(not (near & right).any(), f"an untrained network solves {probe.__name__}")
        finally:
            trial.close()


def stored_log_probs_are_of_their_actions(subject: Subject) -> None:
    """Of an algorithm that keeps them (`log_prob`, beside a model with `dist`): under the networks that acted, before
    and after learning, so the first ratio of new to old is one."""
    trial = subject.short_trial(subject.seeds)
    try:
        for _ in range(2):
            trial.learner.start_rollout(trial.progress, trial.env_steps, 0)
            fragment = trial.group.sample(2)
            if "log_prob" not in fragment or not callable(getattr(trial.learner.model, "dist", None)):
                return
            for index in range(len(subject.seeds)):
                parameters = {name: leaf[index] for name, leaf in trial.learner.parameters.items()}
                given = [fragment[name][:, index] for name in ("obs", "state") if name in fragment]
                with torch.no_grad():
                    dist = Nets.of_one_seed(trial.learner.model, parameters).frozen.dist(*given)
                    again = dist.log_prob(fragment["action"][:, index])
                apart = (again - fragment["log_prob"][:, index]).abs().max()
                require(apart < LOG_PROB_TOLERANCE, f"stored log-probabilities are off by up to {apart:.3g}")
            training_steps(trial, 1)
    finally:
        trial.close()


def value_errors(subject: Subject, trial: Trial, probe: type[Probe]) -> Tensor:
    """Maximum absolute error over the probe's observations, [S]; with a recurrent network over initial observations
    only.
    """
    memory = getattr(trial.learner.model, "state_size", 0)
    indices = probe.starts if memory and probe.starts is not None else range(len(probe.contexts))
    obs = torch.tensor([probe.contexts[index] for index in indices])
    expected = torch.tensor([probe.values[index] for index in indices])
    errors = (values_of(trial, subject.values, obs) - expected[:, None]).abs()
    return errors.nan_to_num(float("inf")).max(0).values


def actions_right(trial: Trial, probe: type[Probe]) -> Tensor:
    """True for seeds whose actions are right, bool [S]; always if actions don't matter."""
    if probe.solved_return is None:
        return torch.ones(len(trial.config.seeds), dtype=torch.bool)
    return torch.from_numpy(trial.evaluate(**EVALUATION).mean(1)) >= probe.solved_return


def _trial(subject: Subject, probe: type[Probe]) -> Trial:
    env = f"{probe.__module__}:{probe.__name__}"
    return subject.trial(env, subject.seeds, subject.budget_env_steps, gamma=Probe.GAMMA)


def _shown(numbers: Tensor) -> str:
    return "[" + ", ".join(f"{number:.3g}" for number in numbers.tolist()) + "]"


def _wrong(subject: Subject, right: Tensor) -> str:
    return "seeds " + ", ".join(str(seed) for seed, ok in zip(subject.seeds, right.tolist(), strict=True) if not ok)


def words(name: str) -> str:
    """Snake case: `RewardOneStepLater` -> `reward_one_step_later`."""
    return re.sub(r"(?<!^)(?=[A-Z])", "_", name).lower()
