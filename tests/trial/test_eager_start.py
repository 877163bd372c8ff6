"""Training without a budget: a first result at once, and compiled programs after it."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from ray.tune.trainable import trainable as of_tune

from tests.small import HYPERPARAMETERS, small_config
from tuneexp import DQN, PPO, SAC
from tuneexp.trial.eager_start import EagerStart, eager_env_steps

FIRST_SCRIPT = """
from tuneexp import PPO
algo = PPO.build(env="CartPole-v1", seeds=[0])
print(algo.train()["train/return_mean"])
"""
FIRST_PRINT_CPU_S = 15.0  # measured: 5; compiling first took 32 to 86
SMALL: dict[str, Any] = {**HYPERPARAMETERS, "seeds": [0], "evaluation": {"episodes": 2, "final_episodes": 2}}


def cpu_s_of_children() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def test_the_first_script_prints_before_anything_is_compiled_and_prints_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "first.py").write_text(FIRST_SCRIPT)
    before = cpu_s_of_children()
    done = subprocess.run(
        [sys.executable, "first.py"], cwd=tmp_path, env={**os.environ, "TUNEEXP_CACHE": str(tmp_path / "cold")},
        capture_output=True, text=True, timeout=300, check=True,
    )  # fmt: skip
    assert cpu_s_of_children() - before < FIRST_PRINT_CPU_S
    assert float(done.stdout) > 0
    assert done.stderr == ""


def test_what_tune_remarks_on_a_slow_setup_is_left_out(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(of_tune, "SETUP_TIME_THRESHOLD", -1.0)
    PPO.build("CartPole-v1", **SMALL).stop()
    assert "setup" not in "".join(capfd.readouterr())


def test_an_eager_start_is_short_where_each_step_is_followed_by_an_update() -> None:
    def steps(spec: Any) -> int:
        return eager_env_steps(spec.config_class.parse({}, spec.name))

    assert (steps(PPO), steps(DQN), steps(SAC)) == (1920, 1200, 300)


def test_with_a_budget_or_a_word_on_compiling_there_is_no_eager_start() -> None:
    for settings in ({"budget_env_steps": 1000}, {"compile": "off"}):
        algo = PPO.build("CartPole-v1", **SMALL, **settings)
        assert not algo.trial.eager_start.pending
        assert algo.trial.config.compile == settings.get("compile", "auto")
        algo.stop()


def test_reports_at_steps_that_are_named_stay_there() -> None:
    algo = PPO.build("CartPole-v1", report_every_env_steps=64, **SMALL)
    assert [algo.train()["env_steps"] for _ in range(2)] == [64, 128]
    assert algo.trial.eager_start.pending
    algo.stop()


def test_a_command_that_continues_from_an_eager_start_is_not_held_to_it(tmp_path: Path) -> None:
    def pending(compile_mode: str, eager_start: bool | None, budget: int) -> tuple[bool, str | None]:
        start = EagerStart(small_config(compile=compile_mode, budget_env_steps=256), None)
        state = {"config": {"budget_env_steps": budget}, "compiled": False, "eager_start": eager_start}
        mode = start.mode_after_restore(state, compiled=True)
        return start.pending, mode

    assert pending("auto", True, 256) == (False, None)
    assert pending("later", True, 256) == (True, "off")
    assert pending("auto", False, 256) == (False, "off"), "it trained eagerly to its end"
    assert pending("later", False, 256) == (False, "off")
    assert pending("later", None, 256) == (False, "off"), "of an older version"
    assert pending("later", None, 512) == (True, None)
