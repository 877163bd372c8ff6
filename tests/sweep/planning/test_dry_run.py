"""Dry runs: real trials for a fraction of a second, and nothing is left behind."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
import ray

from tuneexp.errors import TuneexpError
from tuneexp.sweep import Sweep
from tuneexp.sweep.planning import probing
from tuneexp.sweep.planning.probing import first_configurations

SPACE = {"learning_rate": {"loguniform": [1e-4, 1e-2]}, "gamma": {"uniform": [0.9, 0.999]}}
FIXED = {"n_envs": 2, "n_steps": 32, "batch_size": 64, "n_epochs": 2}


def small(tmp_path: Path, **changes: Any) -> Sweep:
    asked = {"space": SPACE, "fixed": FIXED, "trials": 1, "seeds": 2, "budget_env_steps": 1000, "name": "s",
             "storage": tmp_path / "runs", "compile": "off", "concurrency": 2,
             "evaluation": {"episodes": 2, "final_episodes": 3}}  # fmt: skip
    return Sweep(**{**asked, **changes})


@pytest.fixture(autouse=True)
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probing, "PROBE_S", 0.1)


def test_a_dry_run_measures_and_leaves_nothing(tmp_path: Path) -> None:
    running = ray.is_initialized()
    plan = small(tmp_path).dry_run()
    assert not list(tmp_path.iterdir())
    assert ray.is_initialized() == running
    assert (plan.env_steps, plan.least_env_steps) == (2000, 2000)
    assert plan.sampler.startswith("tpe models 2 of 2")
    assert plan.programs.combinations == 1
    assert plan.time is not None
    (probe,) = plan.time.probes
    assert probe.cpu_s > 0
    assert plan.time.to_the_end is not None
    assert 0 < plan.time.trial.low <= plan.time.trial.high < plan.time.to_the_end.high
    assert plan.time.best_case == plan.time.to_the_end
    assert probe.longest_episode == 500
    assert plan.disk is not None
    assert plan.disk.checkpoints == 2 * probe.checkpoint_bytes > 10_000  # the best one and the last
    assert json.loads(json.dumps(plan.as_json()))["time"]["at_once"] == 1


def test_the_probes_are_the_first_trials_of_the_sweep(tmp_path: Path) -> None:
    sweep = small(tmp_path, space={**SPACE, "initial": [{"learning_rate": 0.005, "gamma": 0.95}]})
    first, *others = [one["hyperparameters"] for one in first_configurations(sweep.resolved, sweep.space, 3)]
    assert first == {**FIXED, "learning_rate": 0.005, "gamma": 0.95}
    assert len({one["gamma"] for one in others} | {0.95}) == 3


BROKEN = """
import gymnasium, time

class Raises(gymnasium.Wrapper):
    def __init__(self):
        super().__init__(gymnasium.make("CartPole-v1"))
        self.steps = 0

    def step(self, action):
        self.steps += 1
        if self.steps > 40:
            self.fail()
        return self.env.step(action)

    def fail(self):
        raise RuntimeError("the simulator lost its window")

class Hangs(Raises):
    def fail(self):
        time.sleep(3600)
"""


def test_a_trial_that_fails_or_hangs_ends_the_dry_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "broken.py").write_text(BROKEN)
    with pytest.raises(TuneexpError, match=r"trial 0 failed in its first seconds: .*lost its window"):
        small(tmp_path, env=f"{tmp_path}/broken.py:Raises").dry_run()
    monkeypatch.setattr(probing, "LIMIT_S", 10.0)
    with pytest.raises(TuneexpError, match="trial 0 was not trained"):
        small(tmp_path, env=f"{tmp_path}/broken.py:Hangs").dry_run()
    assert "broken.py" not in subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True).stdout
    assert not (tmp_path / "runs").exists()


def test_a_searched_budget_is_that_of_each_trial(tmp_path: Path) -> None:
    space = {"gamma": {"uniform": [0.9, 0.99]}, "budget_env_steps": {"choice": [500, 1000]}}
    sweep = small(tmp_path, space=space, constraints=["wall_s<=60"])
    found = list(first_configurations(sweep.resolved, sweep.space, 8))
    assert {one["budget_env_steps"] for one in found} == {500, 1000}
    assert all("budget_env_steps" not in one["hyperparameters"] for one in found)
    assert sweep.plan().programs.combinations == 1
