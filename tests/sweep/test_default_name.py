"""Default names of sweeps: readable, portable and unique."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tuneexp.errors import UserError
from tuneexp.sweep import Sweep
from tuneexp.sweep.default_name import new_name
from tuneexp.sweep.storage.folder import new_sweep_folder


@pytest.mark.parametrize(
    ("algorithm", "env", "stem"),
    [
        ("ppo", "CartPole-v1", "ppo-CartPole-v1"),
        ("ppo", "ALE/Pong-v5", "ppo-ALE-Pong-v5"),
        ("/a b/loss.py:MyPPO", "/home/me/env.py:Parking", "MyPPO-Parking"),
        ("m:_private", "my env☃", "private-my-env"),
        ("x" * 300, "CartPole-v1", "x" * 100),
    ],
)
def test_a_made_name_shows_what_is_trained_and_can_name_a_folder(
    tmp_path: Path, algorithm: str, env: str, stem: str
) -> None:
    name = new_name(algorithm, env, tmp_path)
    assert re.fullmatch(re.escape(stem) + r"-?-20\d{6}-[a-z]{4}", name)
    new_sweep_folder(name, tmp_path)


def test_a_made_name_is_never_that_of_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    letters = iter("bbbbbbbbcccc")
    monkeypatch.setattr("secrets.choice", lambda _: next(letters))
    (tmp_path / new_name("ppo", "CartPole-v1", tmp_path)).mkdir()
    assert new_name("ppo", "CartPole-v1", tmp_path).endswith("cccc")


def test_a_sweep_needs_neither_a_name_nor_a_space(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)  # the shipped space is found from any folder
    first, second = Sweep("sac", "Pendulum-v1"), Sweep("sac", "Pendulum-v1")
    assert first.config.name.startswith("sac-Pendulum-v1-")
    assert first.config.name != second.config.name
    assert "tau" in first.space.names or "gamma" in first.space.names
    assert not list(tmp_path.iterdir())


def test_a_sweep_that_continues_needs_its_name() -> None:
    with pytest.raises(UserError, match="--name"):
        Sweep("ppo", "CartPole-v1", resume=True)
