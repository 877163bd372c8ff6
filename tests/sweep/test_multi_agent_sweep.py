"""experiments/multi_agent_ppo.py and self_play.py: several policies are trained, resumed, swept and shown in MLflow."""

from __future__ import annotations

import contextlib
import io
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("pettingzoo")

from tuneexp.algorithms.registry import load_spec
from tuneexp.cli import run
from tuneexp.sweep import Sweep
from tuneexp.trial import Trial
from tuneexp.trial.trial_config import TrialConfig

ROOT = Path(__file__).parents[2]
SCRIPT, PLAY = ROOT / "experiments" / "multi_agent_ppo.py", ROOT / "experiments" / "self_play.py"
PAGE = (ROOT / "docs" / "multi_agent.md").read_text()


def trained(*args: str) -> dict[str, Any]:
    """The JSON of `tuneexp train ...`."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = run(["train", *args, "--compile", "off", "--json"])
    assert code == 0, err.getvalue()
    return dict(json.loads(out.getvalue()))


def test_two_policies_find_a_language() -> None:
    """Guessing earns 10/3 per episode; no policy observes both the mark and the word."""
    spec: Any = load_spec(f"{SCRIPT}:TELLING_PPO")
    config = {
        "algorithm": spec.name, "env": f"{SCRIPT}:Telling", "seeds": [0, 1], "budget_env_steps": 9_000,
        "report_every_env_steps": 9_000, "compile": "off", "hyperparameters": {"speaker": {"n_epochs": 5}},
    }  # fmt: skip
    trial = Trial(spec, TrialConfig.parse(config, "the test"))
    result = trial.advance()
    trial.close()
    assert min(result["return_per_seed"]) > 8.0
    assert result["policy/speaker/return_mean"] == result["policy/listener/return_mean"]


def test_the_page_trains_as_it_stands_there_and_continues_from_its_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (script,) = re.findall(r"```python\n# two_policies.py\n(.*?)```", PAGE, re.DOTALL)
    Path("two_policies.py").write_text(script)
    rps = "pettingzoo.classic.rps_v2"
    own = ("n_envs=2", "red/n_steps=16", "red/batch_size=32", "red/n_epochs=2", "blue/learning_starts=32")
    few = ("evaluation/episodes=2", "evaluation/final_episodes=2")
    small = [word for setting in (*own, *few) for word in ("--set", setting)]
    first = trained("two_policies.py:TWO", rps, "--env-steps", "64", "--seeds", "2", *small)
    assert first["env_steps"] == 64
    again = trained("--resume", first["checkpoint"], "--env-steps", "128")
    assert again["env_steps"] == 128
    assert again["seeds"] == [0, 1]
    # Rock, paper, scissors: what one gains the other loses.
    assert again["return_mean"] == 0.0


def test_self_play_plays_a_copy_on_both_sides_and_is_measured_against_chance() -> None:
    spec: Any = load_spec(f"{PLAY}:SELF_PLAY")
    small = {"n_steps": 16, "batch_size": 64, "n_epochs": 2}
    config = {
        "algorithm": spec.name, "env": "pettingzoo.classic.tictactoe_v3", "seeds": [0], "budget_env_steps": 512,
        "report_every_env_steps": 512, "compile": "off", "hyperparameters": {"n_envs": 8, "learner": small},
    }  # fmt: skip
    trial = Trial(spec, TrialConfig.parse(config, "the test"))
    sides = {agent for _, agent in trial.source.runner.envs.spaces["learner"].seats}
    assert sides == {"player_1", "player_2"}
    result = trial.advance()
    returns = trial.source.evaluate(200, seed=1).by_policy
    trial.close()
    assert np.array_equal(returns["learner"], -returns["opponent"])
    assert set(np.unique(returns["learner"])) <= {-1.0, 0.0, 1.0}
    assert result["policy/learner/return_mean"] == -result["policy/opponent/return_mean"]


@pytest.mark.slow
@pytest.mark.timeout(400)
@pytest.mark.usefixtures("ray_cluster")
def test_a_sweep_searches_one_policy_and_mlflow_shows_both(tmp_path: Path) -> None:
    from mlflow import MlflowClient

    sweep = Sweep(
        f"{SCRIPT}:TELLING_PPO", f"{SCRIPT}:Telling", {"speaker": {"learning_rate": {"loguniform": [1e-3, 1e-2]}}},
        trials=2, seeds=2, budget_env_steps=512, scheduler="fifo", name="two", storage=tmp_path / "runs", compile="off",
        fixed={"n_envs": 2, "listener": {"n_epochs": 2}}, evaluation={"episodes": 2, "final_episodes": 2},
    )  # fmt: skip
    result = sweep.run()
    assert [trial.outcome for trial in result.trials] == ["completed"] * 2
    rates = [trial.config["speaker"]["learning_rate"] for trial in result.trials]
    assert len(set(rates)) == 2
    client = MlflowClient(f"sqlite:///{tmp_path / 'runs' / 'mlflow.db'}")
    for trial in result.trials:
        logged = client.get_run(trial.mlflow_run_id).data
        assert float(logged.params["speaker/learning_rate"]) == rates[trial.trial_number]
        assert not [name for name in logged.params if name.startswith("listener")]
        assert logged.metrics["policy/listener/update/learning_rate"] == pytest.approx(3e-3)
        assert logged.metrics["policy/speaker/update/learning_rate"] == pytest.approx(rates[trial.trial_number])
        assert {
            "policy/speaker/return_mean",
            "policy/listener/return_mean",
            "seed/1/policy/speaker/return_mean",
        } <= set(logged.metrics)
