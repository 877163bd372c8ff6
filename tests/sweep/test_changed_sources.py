"""The user's files that are edited between the start of a sweep and a resume."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import pytest

from tuneexp.errors import UserError
from tuneexp.security.trust import addresses_in, require_trusted
from tuneexp.sweep import Sweep, load_config, resume
from tuneexp.sweep.other_settings import refuse_other_settings
from tuneexp.sweep.resuming import _with_moved, refuse_changed_space, report_changed_sources
from tuneexp.sweep.search.space import SearchSpace
from tuneexp.sweep.sweep_config import SweepConfig, save_config, trial_config, with_sources
from tuneexp.trial.trial_config import TrialConfig

PARTS = {
    "algorithm": "from dataclasses import replace\nfrom tuneexp import PPO\nIt = replace(PPO, name='mine')",
    "environment": "from gymnasium.envs.classic_control import CartPoleEnv\nclass It(CartPoleEnv): pass",
    "wrapper": "import gymnasium\nclass It(gymnasium.Wrapper): pass",
    "model": "from torch import nn\nclass It(nn.Module): pass",
    "space": "def It(trial):\n    trial.suggest_float('gamma', 0.9, 0.99)\n"
    "    trial.suggest_categorical('model/activation', ['relu', 'tanh'])",
}


def file_of(tmp_path: Path, part: str) -> Path:
    return tmp_path / f"{part}.py"


@pytest.fixture
def sweep(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Sweep:
    """A sweep with five files of the user, before it has run."""
    monkeypatch.chdir(tmp_path)
    for part, text in PARTS.items():
        file_of(tmp_path, part).write_text(text)
    own = {part: f"{part}.py:It" for part in PARTS}
    made = Sweep(
        own["algorithm"],
        own["environment"],
        own["space"],
        name="s",
        trials=1,
        budget_env_steps=4096,
        wrappers=[own["wrapper"]],
    )
    config = made.config.model_copy(update={"fixed": {"model": f"{file_of(tmp_path, 'model')}:It"}})
    made.config = with_sources(config)
    made.folder.path.mkdir(parents=True)
    save_config(made.folder, made.config)
    return made


def test_each_part_of_ones_own_has_a_hash(sweep: Sweep, tmp_path: Path) -> None:
    assert set(load_config("s").trial.sources) == {f"{file_of(tmp_path, part)}:It" for part in PARTS}


def test_each_change_is_reported(sweep: Sweep, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "tuneexp"):
        report_changed_sources(load_config("s"))
        assert not caplog.records
        for part in PARTS:
            file_of(tmp_path, part).write_text(PARTS[part] + "\n# edited\n")
        today = report_changed_sources(load_config("s"))
    told = [record.getMessage() for record in caplog.records]
    assert len(told) == len(PARTS)
    for part in PARTS:
        assert any(f"{part}.py:It has changed" in text for text in told)
    assert today.trial.sources != load_config("s").trial.sources  # nodes are compared with what this machine has now


EDITS = {
    "gamma": ("0.99)", "0.999)"),
    "model/activation": ("['relu', 'tanh']", "['relu', 'tanh', 'elu']"),
    "learning_rate": ("'gamma', 0.9, 0.99", "'learning_rate', 1e-4, 1e-3"),
}


@pytest.mark.parametrize("name", EDITS)
def test_a_space_that_suggests_something_else_is_refused_before_anything_starts(
    name: str, sweep: Sweep, tmp_path: Path
) -> None:
    edited = tmp_path / "edited.py"  # a new name: this process has imported the old file
    edited.write_text(PARTS["space"].replace(*EDITS[name]))
    stored = json.loads(sweep.folder.config_file.read_text())
    stored |= {"algorithm": "ppo", "fixed": {}, "space": {"function": f"{edited}:It"}}
    sweep.folder.config_file.write_text(json.dumps(stored))
    with pytest.raises(UserError, match=f"{name}.*\n.*sweep --name s-2"):
        resume("s", trust=True)
    assert not sweep.folder.snapshot_file.exists()


def test_a_space_whose_file_changed_and_which_suggests_the_same_continues(sweep: Sweep, tmp_path: Path) -> None:
    edited = tmp_path / "edited.py"
    edited.write_text("# a comment\n" + PARTS["space"])
    space = SearchSpace.of(f"{edited}:It").validate(sweep.space._binding.config_class)  # type: ignore[union-attr]
    refuse_changed_space(load_config("s"), space, sweep.folder)


def test_a_sweep_of_an_earlier_version_continues(sweep: Sweep, caplog: pytest.LogCaptureFixture) -> None:
    stored = json.loads(sweep.folder.config_file.read_text())
    for name in ("sources", "suggested"):
        stored.pop(name)
    sweep.folder.config_file.write_text(json.dumps({**stored, "source_hash": "of the algorithm"}))
    config = load_config("s")
    assert config.trial.sources == {config.trial.algorithm: "of the algorithm"}
    refuse_changed_space(config, sweep.space, sweep.folder)
    sweep.folder.config_file.write_text(json.dumps({**stored, "source_hash": None}))
    with caplog.at_level(logging.WARNING, "tuneexp"):
        report_changed_sources(load_config("s"))
    assert not caplog.records


def test_a_new_address_is_kept_and_reaches_the_trials(sweep: Sweep, tmp_path: Path) -> None:
    old, new = file_of(tmp_path, "environment"), tmp_path / "new.py"
    old.rename(new)
    stored = _with_moved(load_config("s"), {str(old): str(new)})
    save_config(sweep.folder, stored)
    config = load_config("s")
    assert config.trial.env == f"{new}:It"
    assert f"{new}:It" in config.trial.sources
    assert require_trusted(addresses_in({"env": config.trial.env}), "it", ("evaluate", "it")) is None
    # A restored trial has the addresses of its start.
    restored = {**trial_config(config), "env": f"{old}:It"}
    assert TrialConfig.parse(restored, "the trial").env == f"{new}:It"
    with pytest.raises(UserError, match="no address"):
        _with_moved(config, {"/elsewhere.py": str(new)})


def test_a_file_that_is_gone_is_reported_once_with_the_option_for_its_new_place(
    sweep: Sweep, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file_of(tmp_path, "environment").unlink()
    with caplog.at_level(logging.WARNING, "tuneexp"), pytest.raises(UserError, match="--moved"):
        resume("s", trust=True)
    assert not [record for record in caplog.records if "has changed" in record.getMessage()]


def test_settings_that_differ_are_named_by_their_nested_keys(sweep: Sweep) -> None:
    stored = load_config("s")
    values = stored.flat()
    changes = {"fixed": {**stored.fixed, "gamma": 0.9}, "evaluation": {"episodes": 3}, "seeds": [*range(99), 100]}
    asked = SweepConfig.parse({**values, **changes, "trials": 2}, "the sweep")
    before = {**values, "seeds": list(range(100)), "evaluation": {"episodes": 2}}
    save_config(sweep.folder, SweepConfig.parse(before, "the sweep"))
    with pytest.raises(UserError) as refused:
        refuse_other_settings(sweep.folder, asked)
    settings = str(refused.value).partition("other settings: ")[2].partition("\n")[0].split("; ")
    told = dict(setting.split(": ", 1) for setting in settings)
    seeds = told.pop("seeds")
    assert seeds.startswith("...")
    assert "99], now ..." in seeds
    assert seeds.endswith("100]")
    assert told == {"fixed/gamma": "not set, now 0.9", "trials": "1, now 2", "evaluation/episodes": "2, now 3"}
