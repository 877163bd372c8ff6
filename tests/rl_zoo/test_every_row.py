"""Every row of RL Zoo's files is read, and its configuration, networks and optimizer are built."""

from __future__ import annotations

import functools
import json
import re
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest
import torch

from tests.rl_zoo.published import Published, folder, of_other_packages, rows
from tests.rl_zoo.stand_in import spaces_of
from tuneexp import UserError, rl_zoo_row
from tuneexp.algorithms.preflight import check_action_space
from tuneexp.algorithms.registry import load_algorithm
from tuneexp.envs.env_factory import describe_env
from tuneexp.envs.seed_envs import EnvFacts
from tuneexp.trial.assembly import build_learner

folder()  # skips what follows where the package isn't installed
PAGE = Path(__file__).parents[2] / "docs" / "rl_zoo.md"


@functools.cache
def described(env: str, env_kwargs: str, wrappers: str) -> tuple[Any, Any]:
    return describe_env(env, json.loads(env_kwargs), json.loads(wrappers))


def spaces(published: Published, settings: dict[str, Any]) -> tuple[Any, Any]:
    wrappers, env = settings.get("wrappers", []), settings["env"]
    if of_other_packages(settings) or (env not in gymnasium.registry and "NoFrameskip" not in env):
        return spaces_of(published.name)
    return described(env, json.dumps(settings.get("env_kwargs", {})), json.dumps(wrappers))


@functools.cache
def problem(published: Published) -> str:
    """Reason of a refused row; empty if it was built."""
    try:
        row = published.read()
    except UserError as error:
        return str(error)
    spec, settings = load_algorithm(published.algorithm), row.settings
    cfg = spec.config_class.parse(settings["hyperparameters"], spec.name)
    observation_space, action_space = spaces(published, settings)
    check_action_space(spec.name, spec.action_kinds, action_space, published.name)
    space = observation_space
    facts = EnvFacts(published.name, space, action_space, space.shape or (), np.dtype(space.dtype), apart=True)
    build_learner(spec, cfg, [0], facts, torch.device("cpu"))
    return ""


def test_each_row_is_built_or_needs_hindsight_replay() -> None:
    refused = {row: problem(row) for row in rows() if problem(row)}
    assert {row.content().get("replay_buffer_class") for row in refused} == {"HerReplayBuffer"}
    assert all("hindsight" in said for said in refused.values())


def counted() -> dict[str, tuple[int, int]]:
    """(accepted, rows) of each file, and of all, without PyBullet and MiniGrid."""
    named = [row for row in rows() if row.of_gymnasium]
    files = dict.fromkeys(row.file for row in named)
    counts = {file: [not problem(row) for row in named if row.file == file] for file in files}
    counts["all"] = [not problem(row) for row in named]
    counts["with PyBullet and MiniGrid"] = [not problem(row) for row in rows()]
    return {file: (sum(accepted), len(accepted)) for file, accepted in counts.items()}


def test_nine_in_ten_are_accepted_and_the_page_has_their_numbers() -> None:
    table = re.findall(r"^\| `?([\w ]+?)`? \| (\d+) \| (\d+) \|", PAGE.read_text(), re.MULTILINE)
    assert {name: (int(accepted), int(of)) for name, accepted, of in table} == counted()
    accepted, of = counted()["all"]
    assert accepted >= 0.9 * of


@pytest.mark.parametrize("file", ["ars", "crossq", "her", "trpo"])
def test_a_file_of_an_algorithm_that_is_not_here_is_refused(file: str) -> None:
    with pytest.raises(UserError, match=f"{file} is not available"):
        rl_zoo_row(folder() / f"{file}.yml", "CartPole-v1")
