"""`tuneexp sweep ... --dry-run`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.conftest import Done, assert_refused
from tuneexp.sweep.planning import probing

Cli = Callable[..., Done]
SMALL = ("ppo", "CartPole-v1", "--seeds", "2", "--env-steps", "1000", "--compile", "off", "--set", "n_envs=2")


def test_it_prints_the_plan_and_starts_nothing(tuneexp: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probing, "PROBE_S", 0.1)
    monkeypatch.setattr(probing, "PROBES", 1)
    done = tuneexp("sweep", *SMALL, "--trials", "9", "--name", "s", "--concurrency", "2", "--dry-run")
    assert done.code == 0, done.err
    first, *lines = done.out.splitlines()
    assert first == "sweep s: ppo on CartPole-v1, 9 trials, seeds 0,1, 1,000 env steps per seed, 2 at a time"
    said = {line[:12].strip(): line[12:] for line in lines if line[0] != " "}
    # Reports are at 100, 200, ...; the first rung of asha is at 111.
    assert said["env steps"] == "18,000 in all; 5,200 if asha stops as many trials as it can"
    assert said["sampler"].startswith("tpe models 11 of 11")
    assert said["programs"] == "none is compiled (compile=off)"
    assert " if all trials run to the end, from " in said["time"]
    assert "of checkpoints" in said["disk"]
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("more", "says"),
    [
        (["--storage", "file/inside"], "can't be written"),
        (["--scheduler-option", "reduction=4"], "reduction_factor"),
        (["--searcher", "grid"], "continuous"),
        (["--name", "stored"], "tuneexp resume stored"),
    ],
)
def test_what_a_start_refuses_is_refused(tuneexp: Cli, tmp_path: Path, more: list[str], says: str) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "runs" / "stored").mkdir(parents=True)
    (tmp_path / "runs" / "stored" / "sweep.json").touch()
    before = sorted(tmp_path.rglob("*"))
    assert_refused(tuneexp("sweep", *SMALL, *more, "--dry-run"), says)
    assert sorted(tmp_path.rglob("*")) == before
