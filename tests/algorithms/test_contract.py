"""What every algorithm must do. A new one joins by one line in `HYPERPARAMETERS`."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from tuneexp.algorithms.registry import ALGORITHMS, address_of, load_spec
from tuneexp.testing.probes import PROBES, Probe
from tuneexp.trial import Trial
from tuneexp.trial_config import TrialConfig

# With which it solves every probe within BUDGET steps.
HYPERPARAMETERS: dict[str, dict[str, Any]] = {
    "ppo": {
        "n_envs": 4, "n_steps": 32, "batch_size": 64, "n_epochs": 8, "learning_rate": 5e-3, "gamma": Probe.GAMMA,
        "model": {"hidden_sizes": [16]},
    },
}  # fmt: skip
BUDGET = 3072
SEEDS = [0, 1, 2]


def test_every_algorithm_is_under_contract() -> None:
    assert set(HYPERPARAMETERS) == set(ALGORITHMS)


def value_errors(trial: Trial, probe: type[Probe]) -> Tensor:
    """[S]: the largest error of the value function over the probe's observations."""
    obs = torch.tensor(probe.contexts)[:, None, None].expand(-1, len(SEEDS), 1, -1)
    values = trial.learner.nets().frozen.value(obs)[..., 0]
    return (values - torch.tensor(probe.values)[:, None]).abs().max(0).values


def solved(trial: Trial, probe: type[Probe]) -> list[bool]:
    """For each seed: the right values, and the right actions where they matter."""
    right = value_errors(trial, probe) < 0.15
    if probe.solved_return is not None:
        right &= torch.from_numpy(trial.evaluate(12, seed=5).mean(1)) >= probe.solved_return
    return right.tolist()


@pytest.mark.parametrize("probe", PROBES, ids=lambda probe: probe.__name__)
@pytest.mark.parametrize("algorithm", HYPERPARAMETERS)
def test_it_solves_the_probe_and_an_untrained_network_does_not(algorithm: str, probe: type[Probe]) -> None:
    trial = Trial(
        load_spec(algorithm),
        TrialConfig(
            algorithm=algorithm,
            env=f"tuneexp.testing.probes:{probe.__name__}",
            seeds=SEEDS,
            budget_env_steps=BUDGET,
            report_every_env_steps=BUDGET,
            compile="off",
            hyperparameters=HYPERPARAMETERS[algorithm],
        ),
    )
    assert not any(solved(trial, probe))
    if probe.solved_return is not None:
        assert (trial.evaluate(12, seed=5).mean(1) < probe.solved_return).all(), "nor are its actions right"
    trial.advance()
    assert all(solved(trial, probe)), value_errors(trial, probe)


@pytest.mark.parametrize("algorithm", HYPERPARAMETERS)
def test_its_name_leads_to_it_and_back(algorithm: str) -> None:
    spec = load_spec(algorithm)
    assert spec.name == algorithm
    assert address_of(spec) == algorithm
    assert spec.config_class.parse({}, algorithm) == spec.config_class()


@pytest.mark.parametrize("algorithm", HYPERPARAMETERS)
def test_every_hyperparameter_has_a_description(algorithm: str) -> None:
    fields = load_spec(algorithm).config_class.model_fields
    assert not [name for name, field in fields.items() if not (field.description or "").endswith(".")]
