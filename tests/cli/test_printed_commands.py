"""Printed commands can be pasted into a shell, and run."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import Done
from tests.faults.stored import store_checkpoint, store_sweep
from tuneexp.cli.training import Job
from tuneexp.sweep import load_config, load_sweep
from tuneexp.sweep.storage.folder import sweep_folder
from tuneexp.sweep.sweep_config import SweepConfig, save_config

Cli = Callable[..., Done]
STORAGE = "it's a b/runs"
CHANGES: dict[str, Any] = {
    "env_kwargs": {"sutton_barto_reward": True, "note": "true", "number": "1e-3", "empty": ""},
    "evaluation": {"episodes": 3},
    "wrappers": ["ClipAction", {"TimeLimit": {"max_episode_steps": 9}}],
    "env_backend": "sync",
}


@pytest.fixture
def kept(tmp_path: Path) -> Path:
    """A storage whose name needs quotes, with an interrupted sweep and the checkpoint of its best trial."""
    store_sweep(tmp_path / STORAGE)
    folder = sweep_folder("kept", tmp_path / STORAGE)
    save_config(folder, changed(load_config("kept", tmp_path / STORAGE), CHANGES))
    best = load_sweep("kept", tmp_path / STORAGE).best
    assert best is not None
    store_checkpoint(Path(best.checkpoint))
    return tmp_path / STORAGE


def changed(config: SweepConfig, settings: Mapping[str, Any]) -> SweepConfig:
    """The sweep with other settings of its trials."""
    return SweepConfig.parse({**config.flat(), **settings}, "the sweep")


def printed(text: str, name: str) -> list[str]:
    """The words of the command `tuneexp NAME ...` in `text`, without placeholders."""
    (line,) = re.findall(rf"tuneexp {name} .*", text)
    return [word for word in shlex.split(line)[1:] if word != "..."]


def test_the_commands_of_show_can_be_run(kept: Path, tuneexp: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    shown = tuneexp("show", "kept", "--storage", str(kept))
    assert shown.code == 0, shown.err
    assert tuneexp(*printed(shown.out, "evaluate"), "--episodes", "1").code == 0
    assert printed(shown.err, "resume") == ["resume", "kept", "--storage", STORAGE]
    jobs: list[Job] = []
    monkeypatch.setattr("tuneexp.cli.train._train", lambda screen, job, *rest: jobs.append(job))
    monkeypatch.setattr("tuneexp.cli.train.check_job", lambda job: None)  # CartPole has no such arguments
    retrain = tuneexp(*printed(shown.out, "train"))
    assert retrain.code == 0, retrain.err
    best = load_sweep("kept", kept).best
    assert best is not None
    assert jobs[0].hyperparameters == best.config
    assert jobs[0].settings == CHANGES


def test_an_id_that_a_script_registered_is_printed_as_its_entry_point(
    kept: Path, tuneexp: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    (kept / "own.py").write_text("from gymnasium.envs.classic_control import CartPoleEnv\nclass Own(CartPoleEnv): pass")
    registration = {
        "entry_point": f"{kept}/own.py:Own",
        "vector_entry_point": None,
        "kwargs": {"sutton_barto_reward": False, "render_mode": "rgb_array"},
        "max_episode_steps": 50,
    }
    changes = {"env": "Own-v0", "env_registration": registration, "wrappers": ["ClipAction"]}
    changes |= {"env_kwargs": {"sutton_barto_reward": True}}
    folder, config = sweep_folder("kept", kept), load_config("kept", kept)
    save_config(folder, changed(config, changes))
    jobs: list[Job] = []
    monkeypatch.setattr("tuneexp.cli.train._train", lambda screen, job, *rest: jobs.append(job))
    shown = tuneexp("show", "kept", "--storage", str(kept))
    assert tuneexp(*printed(shown.out, "train")).code == 0
    assert Path(jobs[0].env).resolve() == kept / "own.py:Own"
    assert jobs[0].settings["env_kwargs"] == {"sutton_barto_reward": True, "render_mode": "rgb_array"}
    assert jobs[0].settings["wrappers"] == [{"TimeLimit": {"max_episode_steps": 50}}, "ClipAction"]
    vector = {**registration, "vector_entry_point": f"{kept}/own.py:Vector"}
    save_config(folder, changed(config, {**changes, "env_registration": vector}))
    assert "tuneexp train" not in tuneexp("show", "kept", "--storage", str(kept)).out


def test_the_commands_of_errors_name_the_storage(kept: Path, tuneexp: Cli) -> None:
    missing = tuneexp("show", "nothing-alike", "--storage", STORAGE)
    assert tuneexp(*printed(missing.err, "list")).code == 0
    (kept / "space.yaml").write_text("gamma: {uniform: [0.9, 0.99]}")
    again = ("--env", "CartPole-v1", "--space", f"{STORAGE}/space.yaml")
    taken = tuneexp("sweep", "--name", "kept", *again, "--storage", STORAGE)
    assert printed(taken.err, "resume") == ["resume", "kept", "--storage", str(kept)]
    assert printed(taken.err, "sweep") == ["sweep", "--name", "kept-2", "--storage", str(kept)]
    with sweep_folder("kept", kept).lock():
        held = tuneexp("resume", "kept", "--storage", STORAGE)
    assert printed(held.err, "resume") == ["resume", "kept", "--storage", str(kept)]
