"""Warm starts: which trials of an earlier sweep are taken, that they count as none of the new one, and that kills keep
them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient
from optuna.trial import TrialState

from tests.faults.stored import BUDGET, SPACE, store_sweep
from tuneexp.errors import UserError
from tuneexp.sweep import Sweep, load_study
from tuneexp.sweep.search.choice import SamplerContext, build_sampler
from tuneexp.sweep.search.earlier_trials import WARM_START, frozen_trial
from tuneexp.sweep.search.searchers import StudySearcher
from tuneexp.sweep.search.space import SearchSpace
from tuneexp.sweep.storage import snapshot
from tuneexp.sweep.storage.folder import SweepFolder

FIXED = {"n_envs": 2, "n_steps": 32, "batch_size": 32}


@pytest.fixture
def storage(tmp_path: Path) -> Path:
    store_sweep(tmp_path / "runs")
    return tmp_path / "runs"


def warm(storage: Path, **changes: Any) -> Sweep:
    asked = {"env": "CartPole-v1", "space": SPACE, "fixed": FIXED, "trials": 1, "seeds": 1,
             "budget_env_steps": BUDGET, "name": "new", "storage": storage, "scheduler": "fifo", "warm_start": "kept",
             "compile": "off"}  # fmt: skip
    return Sweep(**{**asked, **changes})


def test_completed_trials_that_the_space_can_suggest_are_taken(storage: Path) -> None:
    sweep = warm(storage)
    record = snapshot.read_records(SweepFolder(storage / "kept"))[0]
    (trial,) = sweep.warm_start.taken
    assert (trial.source, trial.outcome, trial.objective, trial.env_steps) == ("kept/0", "completed", 20.0, BUDGET)
    assert trial.params["learning_rate"] == record.config["learning_rate"]
    assert sweep.warm_start.lines == ["warm start from kept: 1 of 2 trials (0); left out: 1 not ended"]
    # A hyperparameter that the earlier sweep left at its default may be searched now.
    wider = {**SPACE, "gamma": {"uniform": [0.9, 0.999]}}
    assert warm(storage, space=wider).warm_start.taken[0].params["gamma"] == 0.99
    assert warm(storage, warm_start=[str(storage / "kept"), "kept"]).config.warm_start == ["kept"]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"warm_start": "kepd"}, "did you mean 'kept'"),
        (
            {"algorithm": "a2c", "fixed": {"n_envs": 2}, "space": {"gamma": {"uniform": [0.9, 0.99]}}},
            "another algorithm",
        ),
        ({"env": "Acrobot-v1"}, "another env: 'CartPole-v1'"),
        ({"budget_env_steps": 2 * BUDGET}, "another budget_env_steps: 128"),
        ({"objectives": ["return_mean"]}, "another objectives"),
        ({"space": {"learning_rate": {"loguniform": [1e-9, 1e-8]}}}, r"1 outside of this search \(learning_rate="),
        ({"fixed": {**FIXED, "gae_lambda": 0.5}}, r"outside of this search \(gae_lambda=0.95, here 0.5\)"),
        ({"searcher": "cmaes"}, "cmaes learns nothing"),
        ({"searcher": "grid", "space": {"gamma": {"choice": [0.9, 0.99]}}}, "grid learns nothing"),
    ],
)
def test_a_warm_start_that_would_mislead_is_refused(storage: Path, changes: dict[str, Any], words: str) -> None:
    with pytest.raises(UserError, match=words):
        warm(storage, **changes)


def test_numbers_begin_at_0_beside_earlier_trials_also_after_a_kill(tmp_path: Path) -> None:
    space = SearchSpace.of({"gamma": {"uniform": [0.9, 0.99]}})
    earlier = [
        frozen_trial(space, {"gamma": 0.9 + n / 1000}, f"kept/{n}", "completed", float(n), 100) for n in range(5)
    ]
    earlier.append(frozen_trial(space, {"gamma": 0.95}, "kept/5", "pruned", 0.5, 50))

    def searcher(*earlier: Any) -> StudySearcher:
        sampler = build_sampler("tpe", SamplerContext(0, 8, space))
        return StudySearcher(space, sampler, "s", 100, tmp_path / "log", earlier=earlier)

    first = searcher(*earlier)
    assert [first.suggest("a")["trial_number"], first.suggest("b")["trial_number"]] == [0, 1]
    first.on_trial_complete("a", error=True)
    first.save(str(tmp_path / "state"))
    lost = first.suggest("c")
    second = searcher()  # without the file of the warm start
    second.restore(str(tmp_path / "state"))
    assert second.suggest("c") == lost
    assert lost["trial_number"] == 2
    second.reopen("a", 0)
    states = [trial.state for trial in second.study.trials]
    assert states == [TrialState.COMPLETE] * 5 + [TrialState.PRUNED] + [TrialState.RUNNING] * 3
    assert [json.loads(line)["number"] for line in (tmp_path / "log").read_text().split("\n") if line] == [0, 1, 2, 2]


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.usefixtures("ray_cluster", "mlflow_tables")
def test_earlier_trials_are_in_the_study_and_nowhere_else(storage: Path) -> None:
    file = storage.parent / "points.yaml"
    file.write_text("- {learning_rate: 0.001, model/activation: relu}\n")
    result = warm(storage, points=file).run()
    assert [(trial.trial_number, trial.config["learning_rate"]) for trial in result.trials] == [(0, 0.001)]
    study = load_study("new", storage)
    assert [trial.user_attrs.get(WARM_START) for trial in study.trials] == ["kept/0", None]
    assert study.trials[1].params == {"learning_rate": 0.001, "model/activation": "relu"}
    stored = json.loads((storage / "new" / "sweep.json").read_text())
    assert (stored["warm_start"], len(stored["space"]["initial"])) == (["kept"], 1)
    client = MlflowClient(result.mlflow["tracking_uri"])
    assert client.get_run(result.mlflow["parent_run_id"]).data.tags["warm_start"] == "1 trials of kept"
    runs = client.search_runs([result.mlflow["experiment_id"]])
    assert sum("mlflow.parentRunId" in run.data.tags for run in runs) == 1
