"""Bad input is refused before anything starts, and nothing is written."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tuneexp import PPO
from tuneexp.errors import UserError
from tuneexp.seeds import seed_list
from tuneexp.sweep import Sweep, list_sweeps, load_config, load_study, load_sweep, resume
from tuneexp.sweep.cluster import capacity
from tuneexp.sweep.sweep_config import FORMAT_VERSION, save_config, trial_config
from tuneexp.trial.trial_config import TrialConfig

SPACE = {"learning_rate": {"loguniform": [1e-4, 1e-2]}}


def asked(tmp_path: Path, **changes: Any) -> Sweep:
    return Sweep(**{"space": SPACE, "name": "s", "storage": tmp_path / "runs", "seeds": 1, **changes})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"trials": 0}, "trials: .* 0"),
        ({"trials": -3}, "trials"),
        ({"budget_env_steps": 0}, "budget_env_steps: .* 0"),
        ({"budget_env_steps": -1}, "budget_env_steps"),
        ({"env_steps": 9}, "budget_env_steps"),
        ({"sampler": "tpe"}, "'sampler'"),
        ({"expected_trials": 2}, "'expected_trials'"),
        ({"hyperparameters": {}}, "'hyperparameters'"),
        ({"concurrency": 0}, "concurrency: .* 0"),
        ({"report_every_env_steps": 0}, "report_every_env_steps"),
        ({"seeds": 0}, "one seed"),
        ({"seeds": -1}, "one seed"),
        ({"seeds": []}, "one seed"),
        ({"seeds": [1, -2]}, "whole number from 0"),
        ({"seeds": [1, 1]}, "repeated"),
        ({"searcher": "tpee"}, "'tpee'.* 'tpe'"),
        ({"scheduler": "ahsa"}, "'ahsa'.* 'asha'"),
        ({"algorithm": "ppp"}, "'ppp'.* 'ppo'"),
        ({"env": "CartPol-v1"}, "'CartPol-v1'.* 'CartPole-v1'"),
        ({"fixed": {"n_epoch": 3}}, "'n_epoch'.* 'n_epochs'"),
        ({"fixed": {"learning_rate": 0.1}}, "'learning_rate' is fixed"),
        ({"algorithm": "dqn", "fixed": {"buffer_size": 31}}, "batch_size=32 .*buffer_size=31"),
        ({"space": {"learning_rate": {"loguniform": [0, 1]}}}, "learning_rate"),
        ({"space": {"gamma": {"uniform": [0.9, 1.5]}}}, "gamma"),
        ({"compile": "maybe"}, "compile"),
        ({"wrappers": ["ClipRewards"]}, "'ClipRewards'.* 'ClipReward'"),
        ({"wrappers": [{"ClipReward": {"low": 1}}]}, "min_reward"),
        ({"env_backend": "asynch"}, "env_backend: .*'auto', 'sync', 'async', 'native', 'envpool' or 'tensor'"),
        ({"env_backend": "native", "wrappers": ["ClipReward"]}, "wrappers"),
        ({"objective": {"kind": "lst"}}, "objective/kind"),
        ({"name": "a/b"}, "'a/b'"),
        ({"checkpoints": "s3://key:secret@bucket/x"}, "environment of all nodes"),
    ],
)
def test_bad_input_is_refused_and_nothing_is_written(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message) as refusal:
        asked(tmp_path, **changes)
    assert str(refusal.value).count("\n") <= 1
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: Sweep(name="s", callbacks=3), r"callbacks=\[MyCallback"),
        (lambda: Sweep(name="s", callbacks=[3]), "ray.tune.Callback"),
        (lambda: Sweep(name="s", checkpoints=3), "--checkpoints"),
        (lambda: Sweep(name="s", seeds="4"), "seeds=4"),
        (lambda: Sweep(name="s", wrappers="X"), r"\['X'\]"),
        (lambda: Sweep(name="s", env=3), "environment 3"),
        (lambda: Sweep(name="s", storage=None), "storage"),
        (lambda: resume(3), "name 3"),
        (lambda: resume("s", callbacks=3), r"callbacks=\[MyCallback"),
        (lambda: PPO.build("CartPole-v1", seeds="4"), "seeds=4"),
        (lambda: PPO.build("CartPole-v1", hyperparameters=3), "hyperparameters.*got 3"),
    ],
)  # fmt: skip
def test_an_argument_of_another_type_is_refused_in_one_line(
    call: Callable[[], Any], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "search_spaces").mkdir()
    (tmp_path / "search_spaces" / "ppo.yaml").write_text("learning_rate: {loguniform: [1.0e-4, 1.0e-2]}\n")
    with pytest.raises(UserError, match=message) as refusal:
        call()
    assert "\n" not in str(refusal.value)
    assert not (tmp_path / "runs").exists()


def test_numbers_mean_the_same_to_a_sweep_and_to_a_single_training(tmp_path: Path) -> None:
    assert asked(tmp_path, trials="8").config.trials == 8
    settings: dict[str, Any] = {"compile": "off", "n_steps": 8, "n_envs": 2, "batch_size": 16}
    algo = PPO.build("CartPole-v1", seeds=3, **settings)
    assert algo.trial.config.seeds == asked(tmp_path, seeds=3).config.trial.seeds == [0, 1, 2]
    algo.stop()


def test_refusals_need_no_ray(tmp_path: Path) -> None:
    import ray

    before = ray.is_initialized()
    with pytest.raises(UserError):
        asked(tmp_path, trials=0)
    assert ray.is_initialized() == before


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_storage_folder_without_write_permission_is_refused(tmp_path: Path) -> None:
    (tmp_path / "runs").mkdir(mode=0o500)
    with pytest.raises(UserError, match="can't be written"):
        asked(tmp_path).run()


def test_a_storage_that_is_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "runs").write_text("")
    with pytest.raises(UserError, match="can't be written"):
        asked(tmp_path).run()


def test_a_name_that_exists_is_refused_with_both_commands(tmp_path: Path) -> None:
    sweep = asked(tmp_path)
    sweep.folder.path.mkdir(parents=True)
    save_config(sweep.folder, sweep.config)
    stored = sweep.folder.config_file.read_bytes()
    with pytest.raises(UserError) as refusal:
        asked(tmp_path, trials=99)
    assert "tuneexp resume s" in str(refusal.value)
    assert "tuneexp sweep --name s-2" in str(refusal.value)
    with pytest.raises(UserError, match="exists already"):
        sweep.run()  # it came into being after the check
    assert sweep.folder.config_file.read_bytes() == stored


def test_a_folder_of_something_else_is_left_alone(tmp_path: Path) -> None:
    mine = tmp_path / "runs" / "s" / "trial_notes"
    mine.mkdir(parents=True)
    with pytest.raises(UserError, match="no sweep"):
        asked(tmp_path)
    assert mine.exists()


@pytest.mark.parametrize(
    "name",
    ["mlflow.db", "mlflow.db-wal", "mlflow.db-shm", "mlflow.db-journal", "mlflow.lock", "MLflow.DB", "mlflow",
     "mlartifacts", "MlArtifacts", "mlruns", "train", "tuneexp.json", "first."],
)  # fmt: skip
def test_names_that_the_storage_folder_needs_are_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(UserError, match="--name"):
        asked(tmp_path, name=name)


def test_a_name_that_a_file_or_a_link_has_is_refused_and_both_stay(tmp_path: Path) -> None:
    storage = tmp_path / "runs"
    storage.mkdir()
    (storage / "file").write_text("mine")
    (storage / "link").symlink_to(storage)
    (storage / "dangling").symlink_to(tmp_path / "none")
    for name, message in (("file", "no sweep"), ("link", "symbolic link"), ("dangling", "symbolic link")):
        with pytest.raises(UserError, match=message):
            asked(tmp_path, name=name)
        with pytest.raises(UserError, match="no sweep"):
            load_sweep(name, storage)
    assert (storage / "file").read_text() == "mine"
    assert not (tmp_path / "none").exists()


def test_a_name_that_becomes_a_file_before_the_start_is_refused(tmp_path: Path) -> None:
    sweep = asked(tmp_path)
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs" / "s").touch()
    with pytest.raises(UserError, match="can't be created"):
        sweep.run()


def test_a_sweep_that_does_not_exist_leaves_no_folder(tmp_path: Path) -> None:
    for open_it in (resume, load_sweep, load_config, load_study):
        with pytest.raises(UserError, match="'nope'"):
            open_it("nope", tmp_path / "runs")
    assert not (tmp_path / "runs").exists()


def test_a_sweep_of_a_newer_format_is_not_touched(tmp_path: Path) -> None:
    folder = tmp_path / "s"
    folder.mkdir()
    (folder / "sweep.json").write_text(json.dumps({"format_version": FORMAT_VERSION + 1}))
    with pytest.raises(UserError, match="newer tuneexp"):
        resume("s", tmp_path)
    assert [path.name for path in folder.iterdir()] == ["sweep.json"]


def test_what_was_requested_is_read_back_from_the_folder(tmp_path: Path) -> None:
    sweep = asked(tmp_path, seeds=[3, 5], fixed={"n_epochs": 2}, env_kwargs={}, concurrency=2)
    sweep.folder.path.mkdir(parents=True)
    save_config(sweep.folder, sweep.config)
    assert load_config("s", tmp_path / "runs") == sweep.config
    assert load_sweep("s", tmp_path / "runs").trials == []
    (row,) = list_sweeps(tmp_path / "runs")
    assert {key: row[key] for key in ("name", "state", "finished", "trials", "best")} == {
        "name": "s", "state": "interrupted", "finished": 0, "trials": 8, "best": None,
    }  # fmt: skip


def test_the_number_of_concurrent_trials_is_found_anew_at_each_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(capacity, "runs_elsewhere", lambda address: False)  # whatever Ray other tests left connected
    monkeypatch.setattr(capacity, "cores", lambda: 2)
    sweep = asked(tmp_path)
    assert sweep.resolved.concurrency == 2
    sweep.folder.path.mkdir(parents=True)
    save_config(sweep.folder, sweep.config)
    monkeypatch.setattr(capacity, "cores", lambda: 16)
    stored = load_config("s", tmp_path / "runs")
    assert (stored.concurrency, capacity.resolved_here(stored, sweep.space).concurrency) == (None, 8)


def test_a_sweep_of_the_format_before_is_read(tmp_path: Path) -> None:
    sweep = asked(tmp_path, seeds=[3, 5], budget_env_steps=700, evaluation={"episodes": 2}, fixed={"n_epochs": 2})
    sweep.folder.path.mkdir(parents=True)
    save_config(sweep.folder, sweep.config)
    values = json.loads(sweep.folder.config_file.read_text())
    budget = values.pop("budget_env_steps")
    before = {**values, "env_steps": budget, "evaluation": {"episodes": 2}, "objective": {}}
    sweep.folder.config_file.write_text(json.dumps(before))
    assert load_config("s", tmp_path / "runs") == sweep.config


@pytest.mark.parametrize("name", ["seeds", "budget_env_steps", "env"])
def test_a_stored_sweep_without_a_setting_is_damaged(name: str, tmp_path: Path) -> None:
    sweep = asked(tmp_path)
    sweep.folder.path.mkdir(parents=True)
    save_config(sweep.folder, sweep.config)
    values = json.loads(sweep.folder.config_file.read_text())
    sweep.folder.config_file.write_text(json.dumps({key: one for key, one in values.items() if key != name}))
    with pytest.raises(UserError, match=name):
        load_config("s", tmp_path / "runs")


def test_a_resume_goes_to_the_address_that_it_is_given(tmp_path: Path) -> None:
    """The cluster on which the sweep started may no longer exist."""
    sweep = asked(tmp_path, address="local")
    sweep.folder.path.mkdir(parents=True)
    save_config(sweep.folder, sweep.config)
    with pytest.raises(UserError, match=r"'127\.0\.0\.1:1'"):
        resume("s", tmp_path / "runs", address="127.0.0.1:1")
    assert load_config("s", tmp_path / "runs").address == "local"


def test_every_trial_gets_the_backend_and_the_wrappers(tmp_path: Path) -> None:
    wrappers = ["ClipAction", {"FrameStackObservation": {"stack_size": 2}}]
    sweep = asked(tmp_path, env="Pendulum-v1", env_backend="async", wrappers=wrappers)
    sweep.folder.path.mkdir(parents=True)
    save_config(sweep.folder, sweep.config)
    trial = TrialConfig.parse(trial_config(load_config("s", tmp_path / "runs")), "the trial")
    assert (trial.env_backend, trial.wrappers) == ("async", wrappers)


def test_reading_sweeps_loads_neither_ray_nor_torch_nor_mlflow(tmp_path: Path) -> None:
    import subprocess

    code = f"""
import sys
from tuneexp.sweep import list_sweeps
assert list_sweeps({str(tmp_path)!r}) == []
print([name for name in ("ray", "torch", "mlflow", "optuna") if name in sys.modules])
"""
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert found.strip() == "[]"


def test_seeds_are_a_number_or_a_list() -> None:
    assert seed_list(3) == [0, 1, 2]
    assert seed_list([7, 3]) == [7, 3]
