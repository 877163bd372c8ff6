"""Whole confirmations: real PPO on CartPole with Ray Tune, Optuna and MLflow."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from mlflow import MlflowClient

from tests.cli.conftest import Done, tuneexp  # noqa: F401
from tests.sweep.test_sweep_run import FAULTY, FIXED, small
from tuneexp import load_policy
from tuneexp.cli.training_file import job_of_file
from tuneexp.errors import UserError
from tuneexp.sweep import Confirmation, SweepResult, confirm, list_sweeps, load_sweep, resume
from tuneexp.sweep.confirming.confirm import folder_for, prepare, stages
from tuneexp.sweep.resuming import Running
from tuneexp.trial.trainable import build_trainable

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400), pytest.mark.usefixtures("ray_cluster", "mlflow_tables")]
SEEDS = [2, 3, 4]
Run = Callable[..., Done]


def test_the_best_of_a_sweep_and_the_defaults_are_trained_on_unseen_seeds(tmp_path: Path, tuneexp: Run) -> None:  # noqa: F811
    storage = tmp_path / "runs"
    sweep = small(tmp_path, seeds=2, trials=3)
    tuning = sweep.run()
    found = sweep.confirm(top=2, seeds=3)
    _check_scores(tuning, found)
    _check_mlflow(storage, tuning, found)
    _check_the_champion(storage, found)
    _check_that_best_yaml_repeats_it(found)
    _check_that_a_repetition_trains_nothing(storage, found)
    _check_the_command_line(tuneexp, storage, found)
    assert [row["name"] for row in list_sweeps(storage)] == ["s"]  # a confirmation is a part of its sweep


def _check_scores(tuning: SweepResult, found: Confirmation) -> None:
    assert tuning.best is not None
    ranked = sorted(tuning.trials, key=lambda trial: -(trial.objective or 0.0))
    names = [f"trial {trial.trial_number}" for trial in ranked[:2]]
    assert [one.name for one in found.configurations] == [*names, "defaults"]
    assert (found.state, found.sweep_state, found.seeds, found.tuning_seeds) == ("finished", "finished", SEEDS, [0, 1])
    assert found.winner is not None
    assert found.winner.name in names
    for one, trial in zip(found.configurations, ranked, strict=False):
        assert sorted(one.scores) == SEEDS
        assert one.outcome == "completed"
        assert one.score is not None
        assert min(one.scores.values()) <= one.score.low <= one.score.value <= one.score.high
        if one.trial_number is not None:
            assert (one.config, one.tuning) == (trial.config, trial.objective)
            assert one.overstated is not None
            mean = sum(one.scores.values()) / 3
            assert one.overstated.value == pytest.approx((trial.objective or 0.0) - mean)
    defaults = found.named("defaults")
    assert defaults is not None
    assert defaults.config == FIXED
    assert json.loads(json.dumps(found.as_json())) == found.as_json()
    assert load_sweep(found.sweep, found.storage).confirmations == [found]


def _check_mlflow(storage: Path, tuning: SweepResult, found: Confirmation) -> None:
    """The run of the confirmation lies under that of the sweep, with one run for each configuration."""
    client = MlflowClient(f"sqlite:///{storage}/mlflow.db")
    parent = client.get_run(found.mlflow["parent_run_id"])
    assert parent.data.tags["mlflow.parentRunId"] == tuning.mlflow["parent_run_id"]
    assert (parent.data.tags["tuneexp.kind"], parent.info.status) == ("confirmation", "FINISHED")
    assert found.winner is not None
    assert parent.data.metrics["confirmed"] == found.winner.corrected.value
    assert {one.path for one in client.list_artifacts(parent.info.run_id)} >= {
        "best.yaml", "checklist.md", "confirmation.json", "experiment.yaml", "trials.csv",
    }  # fmt: skip
    (experiment,) = [one.experiment_id for one in client.search_experiments() if one.name == "CartPole-v1"]
    children = client.search_runs([experiment], f"tags.`mlflow.parentRunId` = '{parent.info.run_id}'")
    confirmed = {run.data.tags.get("confirms"): run.data.tags.get("confirms.run_id") for run in children}
    expected = {f"s, trial {one.trial_number}": one.mlflow_run_id for one in tuning.trials}
    tuned = [f"s, {one.name}" for one in found.configurations[:2]]
    assert confirmed == {None: None, **{name: expected[name] for name in tuned}}
    for one in found.configurations:
        (run,) = [run for run in children if run.info.run_name.endswith(one.name)]
        assert {seed: run.data.metrics[f"seed/{seed}/return_mean"] for seed in SEEDS} == one.scores


def _check_the_champion(storage: Path, found: Confirmation) -> None:
    """The recommended configuration is registered, with its interval; its address is that of its checkpoint."""
    assert found.mlflow["champion"] == "models:/s@champion"
    client, estimate = MlflowClient(f"sqlite:///{storage}/mlflow.db"), found.recommended_score
    (version,) = client.search_model_versions("name='s'")
    assert estimate is not None
    assert "95 % interval {:.6g} to {:.6g}".format(*estimate[1:]) in version.description
    policy = load_policy("models:/s@champion", storage=storage)
    assert policy.facts.seeds == SEEDS
    assert version.tags["tuneexp.seed"] == str(policy.facts.seed)
    files = {one.path for one in client.list_logged_model_artifacts(version.source.removeprefix("models:/"))}
    assert files >= {"MLmodel", "state.json"}


def _check_that_best_yaml_repeats_it(found: Confirmation) -> None:
    assert found.best_file is not None
    job = job_of_file(Path(found.best_file), None, None, None, None, {}, {})
    settings = {**job.settings, "budget_env_steps": job.budget_env_steps, "hyperparameters": dict(job.hyperparameters)}
    from tuneexp.algorithms.registry import load_spec

    algo = build_trainable(load_spec(job.algorithm), job.env, job.seeds, settings)
    while not (report := algo.train())["done"]:
        pass
    algo.stop()
    assert found.winner is not None
    chosen = found.named(found.winner.name)
    assert chosen is not None
    assert dict(zip(SEEDS, report["return_per_seed"], strict=True)) == chosen.scores


def _check_that_a_repetition_trains_nothing(storage: Path, found: Confirmation) -> None:
    files = {path: path.stat().st_mtime_ns for path in Path(found.folder).rglob("*") if path.name != ".lock"}
    assert confirm("s", storage, 2, 3) == found
    resume("s", storage)
    assert {path: path.stat().st_mtime_ns for path in files} == files
    assert [one.name for one in load_sweep("s", storage).confirmations] == ["confirm"]
    sweep, request = prepare("s", storage, 1, 3, False, False, Running())
    other = folder_for(sweep, request)  # another request is another confirmation
    assert other.name == "confirm-2"
    with pytest.raises(UserError, match="confirm-2"):
        prepare("s", storage, 2, 4, False, False, Running())  # while that one is unfinished
    with stages(other, Running()) as left:
        assert [stage.folder.name for stage in left] == ["confirm-2"]
    (other.path / "request.json").unlink()
    other.path.rmdir()


def _check_the_command_line(tuneexp: Run, storage: Path, found: Confirmation) -> None:  # noqa: F811
    shown = tuneexp("show", "s", "--storage", str(storage))
    assert found.winner is not None
    for text in ("confirmed", found.winner.name, "defaults", "train --config runs/s/best.yaml"):
        assert text in shown.out
    as_json = json.loads(tuneexp("show", "s", "--storage", str(storage), "--json").out)
    assert as_json["confirmations"] == [found.as_json()]
    again = json.loads(tuneexp("confirm", "s", "--top", "2", "--seeds", "3", "--storage", str(storage), "--json").out)
    assert again == found.as_json()


def test_a_random_search_of_the_same_budget_is_confirmed_beside_the_sweep(tmp_path: Path) -> None:
    tuning = small(tmp_path, trials=2, concurrency=1).run()
    found = tuning.confirm(top=1, seeds=[7, 9, 11], random_search=True)
    assert [one.name for one in found.configurations][1:] == ["defaults", "random search"]
    random = load_sweep("random-search", Path(found.storage) / "s")
    assert random.best is not None
    assert len(random.trials) == round(sum(one.env_steps for one in tuning.trials) / 1000)
    assert {trial.outcome for trial in random.trials} == {"completed"}
    searched = found.named("random search")
    assert searched is not None
    assert (searched.config, searched.tuning) == (random.best.config, random.best.objective)
    assert not {str(one.config) for one in tuning.trials} & {str(one.config) for one in random.trials}


def test_trainings_that_fail_have_no_score_and_are_shown_with_their_reason(tmp_path: Path, tuneexp: Run) -> None:  # noqa: F811
    flag = tmp_path / "flag"
    env = {"env": f"{FAULTY}:Breaks", "env_kwargs": {"flag": str(flag)}}
    sweep = small(tmp_path, **env, trials=1, concurrency=1)
    sweep.run()
    flag.touch()
    found = sweep.confirm(seeds=3)
    assert found.winner is None
    assert [one.outcome for one in found.configurations] == ["error", "error"]
    assert all(one.score is None for one in found.configurations)
    assert "the pole broke" in str(found.configurations[0].reason)
    shown = tuneexp("show", "s", "--storage", str(tmp_path / "runs"))
    assert "the pole broke" in shown.out
    resumed = resume("s", tmp_path / "runs", failed=True)  # the sweep itself has no failed trial
    assert resumed.confirmations == [found]
