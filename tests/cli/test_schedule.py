"""`tuneexp train --schedule`: the file, its seeds, and bad input."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tuneexp.cli.training_file import job_of_file, job_of_schedule
from tuneexp.errors import UserError

FILE = """
algorithm: ppo
env: CartPole-v1
budget_env_steps: 1000
hyperparameters: {learning_rate: 0.001, n_steps: 32}
tuned_on: [0, 1, 4]
schedule:
- {env_steps: 100, member: 2, values: {learning_rate: 0.002}}
- {env_steps: 500, member: 0, values: {learning_rate: 0.0005, gamma: 0.9}}
"""


def job(folder: Path, text: str = FILE, seeds: str | None = None, **options: Any) -> Any:
    path = folder / "schedule.yaml"
    path.write_text(text)
    chosen = None if seeds is None else [int(one) for one in seeds.split(",")] if "," in seeds else [*range(int(seeds))]
    given = {"algorithm": None, "env": None, "env_steps": None, "hyperparameters": {}, "settings": {}, **options}
    return job_of_schedule(path, seeds, seeds=chosen, **given)


def test_a_number_of_seeds_is_of_seeds_that_the_sweep_was_not_tuned_on(tmp_path: Path) -> None:
    assert job(tmp_path, seeds="3").seeds == [5, 6, 7]
    assert job(tmp_path).seeds == [5]
    assert job(tmp_path, seeds="1,2").seeds == [1, 2]
    found = job(tmp_path)
    assert [change["env_steps"] for change in found.settings["schedule"]] == [100, 500]
    assert (found.budget_env_steps, found.hyperparameters["learning_rate"]) == (1000, 0.001)


@pytest.mark.parametrize(
    ("old", "new", "options", "line"),
    [
        ("gamma", "tau", {}, "the schedule changes tau, which ppo does not have; it is of another one"),
        ("gamma: 0.9", "n_steps: 64", {}, "n_steps shapes the program, so a schedule can't change it"),
        ("gamma: 0.9", "gamma: high", {}, "in the schedule, gamma: input should be a valid number"),
        ("gamma: 0.9", "gamma: 1.5", {}, "in the schedule, gamma: input should be less than"),
        ("gamma: 0.9", "gamma: true", {}, "the schedule changes gamma to True, which is no number"),
        ("0.0005", "cos:1", {}, "in the schedule, learning_rate: 'cos:1' is no schedule"),
        ("env_steps: 500", "env_steps: 50", {}, "env_steps of the schedule increase from 0; got 50 after 100"),
        ("ppo", "ppo", {"algorithm": "dqn"}, "is a schedule of ppo, not of dqn; leave out dqn"),
        ("ppo", "ppo", {"hyperparameters": {"gamma": 0.5}}, "gamma changes by the schedule; leave out --set gamma"),
    ],
)
def test_bad_input_is_refused_in_one_line(
    tmp_path: Path, old: str, new: str, options: dict[str, Any], line: str
) -> None:
    with pytest.raises(UserError, match=line) as raised:
        job(tmp_path, FILE.replace(old, new), **options)
    assert "\n" not in str(raised.value)


def test_a_change_may_be_to_a_text_that_the_hyperparameter_takes(tmp_path: Path) -> None:
    changes = job(tmp_path, FILE.replace("0.0005", "linear:0.0005")).settings["schedule"]
    assert changes[1]["values"] == {"learning_rate": "linear:0.0005", "gamma": 0.9}


def test_a_file_without_a_schedule_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="holds no schedule; write one: tuneexp export NAME --to schedule"):
        job(tmp_path, FILE.partition("schedule:")[0])


def test_a_missing_file_is_no_search_space(tmp_path: Path) -> None:
    given: Any = (None, None, None, None, {}, {})
    with pytest.raises(UserError, match=r"no file .*; a schedule is written by: tuneexp export NAME --to schedule"):
        job_of_schedule(tmp_path / "nothing.yaml", None, *given)
    with pytest.raises(UserError, match=r"no file .*; a configuration file is, for example, the best.yaml"):
        job_of_file(tmp_path / "nothing.yaml", *given)


def test_a_schedule_is_no_configuration_file(tmp_path: Path) -> None:
    job(tmp_path)
    with pytest.raises(UserError, match="is a schedule; write: tuneexp train --schedule"):
        job_of_file(tmp_path / "schedule.yaml", None, None, None, None, {}, {})


def test_a_configuration_file_may_have_a_schedule_as_the_best_yaml_of_a_population_has(tmp_path: Path) -> None:
    path = tmp_path / "best.yaml"
    path.write_text(FILE.replace("tuned_on: [0, 1, 4]", "seeds: [7, 8]"))
    found = job_of_file(path, None, None, None, None, {}, {})
    assert found.seeds == [7, 8]
    assert [change["env_steps"] for change in found.settings["schedule"]] == [100, 500]
    with pytest.raises(UserError, match="gamma changes by the schedule; leave out --set gamma"):
        job_of_file(path, None, None, None, None, {"gamma": 0.5}, {})
    assert job_of_schedule(path, "2", None, None, [0, 1], None, {}, {}).seeds == [9, 10]
