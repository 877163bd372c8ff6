"""A setting of a trial is declared once and reaches Python, YAML, the command line, MLflow and the documentation."""

from __future__ import annotations

import inspect
import json
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

import pytest
from pydantic.fields import FieldInfo

from tuneexp import PPO
from tuneexp.algorithms.registry import load_algorithm
from tuneexp.cli import run
from tuneexp.cli import sweep as sweep_command
from tuneexp.cli import train as train_command
from tuneexp.cli.option_values import WRITTEN_AS, option_of
from tuneexp.cli.settings import declared
from tuneexp.config import fields_of
from tuneexp.sweep import Sweep
from tuneexp.sweep.experiment.writing import experiment_text
from tuneexp.sweep.mlflow_contents import _constants
from tuneexp.sweep.sweep_config import SETTINGS as OF_SWEEPS
from tuneexp.trial.trainable import AlgorithmTrainable
from tuneexp.trial.trial_config import TrialConfig, is_group, settings_in, without_defaults

SPACE = {"gamma": {"uniform": [0.9, 0.99]}}
SETTINGS = settings_in(TrialConfig.model_fields)
# In a sweep, hyperparameters are fixed or searched: tests/sweep/test_sweep_input.py.
NAMES = [name for name in SETTINGS if name != "hyperparameters"]


def another(field: FieldInfo) -> Any:
    """A value that isn't the default: the example of the declaration, else one of the type."""
    if field.examples:
        return field.examples[0]
    if inner := fields_of(field.annotation):
        name = next(iter(inner))
        return {name: another(inner[name])}
    if get_origin(field.annotation) is Literal:
        return next(choice for choice in get_args(field.annotation) if choice != field.default)
    return (field.default or 500) + 7


def changed(config: TrialConfig, name: str) -> Any:
    return without_defaults(SETTINGS[name], config.model_dump()[name])


def asked(tmp_path: Path, **settings: Any) -> Sweep:
    return Sweep(**{"space": SPACE, "name": "s", "storage": tmp_path / "runs", **settings})


def words(name: str, value: Any) -> list[str]:
    """The setting on a command line after `ppo CartPole-v1`."""
    if name in ("algorithm", "env"):
        return []
    if name in WRITTEN_AS:
        text = ",".join(map(str, value)) if isinstance(value, list) else str(value)
        return [WRITTEN_AS[name], text]
    if is_group(SETTINGS[name]):
        return [word for key, one in value.items() for word in ("--set", f"{name}/{key}={json.dumps(one)}")]
    return [option_of(name), str(value)]


def line(command: str, name: str, value: Any, tmp_path: Path) -> list[str]:
    names = {"algorithm": "ppo", "env": "CartPole-v1"}
    if name in names:
        names[name] = value
    return [command, *names.values(), *words(name, value), "--storage", str(tmp_path / "runs")]


@pytest.mark.parametrize("name", NAMES)
def test_a_sweep_and_its_experiment_file_and_mlflow_have_it(name: str, tmp_path: Path) -> None:
    value = another(SETTINGS[name])
    sweep = asked(tmp_path, **{name: value})
    assert changed(sweep.config.trial, name) == value
    file = tmp_path / "e.yaml"
    file.write_text(experiment_text(sweep.config))
    again = Sweep.from_file(file, storage=tmp_path / "again")
    assert changed(again.config.trial, name) == value
    assert _constants(sweep.config)[name] == sweep.config.trial.model_dump(mode="json")[name]


@pytest.mark.parametrize("name", NAMES)
def test_the_command_line_of_a_sweep_has_it(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found: list[Any] = []
    monkeypatch.setattr(sweep_command, "watch_on", lambda screen, config, *rest: found.append(config))
    value = another(SETTINGS[name])
    (tmp_path / "space.yaml").write_text(json.dumps(SPACE))
    more = ["--space", str(tmp_path / "space.yaml"), "--name", "s"]
    assert run([*line("sweep", name, value, tmp_path), *more]) == 0
    assert changed(found[0].trial, name) == value


@pytest.mark.parametrize("name", NAMES)
def test_the_command_line_of_a_training_has_it(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found: list[Any] = []
    monkeypatch.setattr(train_command, "_train", lambda screen, job, *rest: found.append(job))
    value = another(SETTINGS[name])
    assert run(line("train", name, value, tmp_path)) == 0
    own = {key: getattr(found[0], key) for key in ("algorithm", "env", "seeds", "budget_env_steps")}
    assert changed(TrialConfig.parse({**own, **found[0].settings}, "the job"), name) == value


@pytest.mark.parametrize("name", [name for name in SETTINGS if name not in ("algorithm", "env")])
def test_an_algorithm_builds_with_it(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    found: list[dict[str, Any]] = []
    monkeypatch.setattr(AlgorithmTrainable, "__init__", lambda self, config: found.append(config))
    value = {"gamma": 0.5} if name == "hyperparameters" else another(SETTINGS[name])
    PPO.build("CartPole-v1", **{name: value})
    assert changed(TrialConfig.parse(found[0], "the trial"), name) == value


def test_every_argument_of_a_sweep_is_described() -> None:
    doc = inspect.getdoc(Sweep) or ""
    parameters = list(inspect.signature(Sweep).parameters)
    assert not [name for name in parameters if doc.count(f"\n    {name}: ") != 1]
    keys = [key for field in OF_SWEEPS.values() for key in fields_of(field.annotation)]
    assert len(keys) > 5
    assert not [key for key in keys if f"\n        {key}: " not in doc]
    assert set(OF_SWEEPS) <= set(parameters)


def test_every_setting_has_a_description() -> None:
    every = {**TrialConfig.model_fields, **OF_SWEEPS}
    inner = {key: one for field in every.values() for key, one in fields_of(field.annotation).items()}
    assert not [name for name, field in {**every, **inner}.items() if not (field.description or "").endswith(".")]


def test_no_hyperparameter_of_an_algorithm_has_the_name_of_a_setting() -> None:
    """`build` takes both as keyword arguments."""
    for name in ("ppo", "dqn", "sac"):
        assert not set(TrialConfig.model_fields) & set(load_algorithm(name).config_class.model_fields)


def test_settings_of_a_sweep_have_options_too() -> None:
    assert {"trials", "scheduler", "searcher", "searcher_seed", "concurrency", "checkpoints"} <= set(
        declared(OF_SWEEPS)
    )
