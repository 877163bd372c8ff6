"""Compiled programs that the cache has, and those that it gets while a trial trains."""

from __future__ import annotations

import json
import logging
import shutil
import subprocess
import sys
import time
import zipfile
from collections import OrderedDict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.small import parameters_of, same, small_config, small_trial
from tuneexp.algorithms.ppo import PPO
from tuneexp.files.locks import is_held, locked
from tuneexp.learning.compile import build, cache, compilation, program
from tuneexp.learning.compile.compilation import Counter
from tuneexp.trial import Trial, ahead, programs
from tuneexp.trial.trial_config import CohortConfig

NATIVE = {"env_backend": "native"}  # `auto` depends on the decision to compile
REPAYS: dict[str, Any] = {
    **NATIVE, "compile": "auto", "expected_trials": 10**6, "concurrent_trials": 10**6, "rollouts": 1000,
}  # fmt: skip
MEANWHILE = {**REPAYS, "concurrent_trials": 0}
HIT = """
import json, sys
from tests.learning.compile.test_cached_programs import REPAYS
from tests.small import small_trial
from tuneexp.learning.compile.compilation import Counter
trial = small_trial([3], **REPAYS)
trial.training_step()
trial.evaluate(2, 0)
trial.load_state_dict(trial.state_dict())
tracer = [name for name in ("torch._dynamo", "torch._inductor", "sympy") if name in sys.modules]
print(json.dumps([trial.compiled, Counter.traced, tracer]))
"""


def forget_programs(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a new process."""
    monkeypatch.setattr(programs, "_BUILT", OrderedDict())


@pytest.fixture
def stored(fresh_programs: None, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Cache with the programs of a small trial of one seed."""
    small_trial([3], compile="on", **NATIVE).close()
    forget_programs(monkeypatch)
    monkeypatch.setattr(Counter, "traced", 0)
    return cache.cache_folder()


@pytest.mark.timeout(600)
def test_with_cached_programs_nothing_is_traced_and_no_tracer_is_imported(stored: Path) -> None:
    done = subprocess.run([sys.executable, "-c", HIT], capture_output=True, text=True, timeout=120)
    assert json.loads(done.stdout) == [True, 0, []], done.stderr


def wrappers(stored: Path) -> Iterator[tuple[str, bool]]:
    """Code between the kernels of each program, and whether the program works in place."""
    for key, in_place in json.loads(next(stored.glob("*.json")).read_text()):
        with zipfile.ZipFile(stored / f"{key}.pt2") as files:
            code = [files.read(name).decode() for name in files.namelist() if name.endswith("wrapper.cpp")]
        yield "".join(code), in_place


@pytest.mark.timeout(600)
def test_no_time_is_spent_on_compiling_checks_of_inputs(stored: Path) -> None:
    for code, _ in wrappers(stored):
        assert "run_impl" in code
        assert "unmatched" not in code


@pytest.mark.timeout(600)
def test_compiled_layers_add_their_bias_in_a_kernel_and_only_updates_share_one_allocation(stored: Path) -> None:
    """Inductor joins a product with the sum that follows it, if it sees them."""
    for code, in_place in wrappers(stored):
        assert "aoti_torch_cpu_mm_out" in code
        assert "aoti_torch_cpu_addmm_out" not in code
        assert ("alloc_from_pool" in code) == in_place


@pytest.mark.timeout(600)
def test_a_process_that_builds_a_trial_ahead_notes_its_programs(stored: Path) -> None:
    config = small_config([3], compile="on", **NATIVE)
    note = ahead._note(config, PPO.config_class.parse(config.hyperparameters, "ppo"))
    assert ahead.start_compiling(config).wait(300) == 0
    keys = json.loads(note.read_text())
    assert len(keys) == 2
    assert all(cache.is_cached(key) for key in keys)


@pytest.mark.timeout(600)
@pytest.mark.parametrize("end", ["its programs are there", "it is killed"])
def test_a_trial_without_a_core_waits_for_the_process_that_builds_it_ahead(stored: Path, end: str) -> None:
    config = small_config([3], **REPAYS)
    cfg = PPO.config_class.parse(config.hyperparameters, "ppo")
    note = ahead._note(config, cfg)
    note.unlink(missing_ok=True)
    process = ahead.start_compiling(config)
    while not is_held(ahead._lock(note)):
        assert process.poll() is None
        time.sleep(0.01)
    for eager in ({"concurrent_trials": 0}, {"compile": "off"}, {"compile": "later"}):
        ahead.wait_for_compilation(config.model_copy(update=eager), cfg)
    assert not note.exists()
    if end == "it is killed":
        process.kill()
    ahead.wait_for_compilation(config, cfg)
    assert note.exists() == (end != "it is killed")
    process.wait()


def test_a_trial_does_not_wait_for_ever_for_a_process_that_is_stuck(
    empty_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ahead, "LONGEST_WAIT_S", 0.01)
    config = small_config([3], **REPAYS)
    cfg = PPO.config_class.parse(config.hyperparameters, "ppo")
    with locked(ahead._lock(ahead._note(config, cfg))):
        ahead.wait_for_compilation(config, cfg)


def test_a_trial_of_several_cohorts_waits_for_the_programs_of_the_first() -> None:
    config = small_config([3], **REPAYS)
    cfg = PPO.config_class.parse(config.hyperparameters, "ppo")
    cohorts = [CohortConfig(from_env_steps=steps, seeds=1) for steps in (0, 100)]
    racing = config.model_copy(update={"seeds": [3, 4], "cohorts": cohorts})
    assert ahead._note(racing, cfg) == ahead._note(config, cfg)


@pytest.fixture
def empty_cache(stored: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TUNEEXP_CACHE", str(tmp_path / "cache"))
    cache.cache_folder().mkdir(parents=True)
    return cache.cache_folder()


@pytest.fixture
def compiling_elsewhere(stored: Path, empty_cache: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """As if another process compiled the programs: their lock is held. Returns a function that ends it."""
    recipes: list[str | None] = []
    recipe_of = build.recipe_of
    monkeypatch.setattr(build, "recipe_of", lambda specs: recipes.append(recipe_of(specs)) or recipes[-1])
    monkeypatch.setattr(build, "POLL_S", 0.0)
    small_trial([3], **{**REPAYS, "expected_trials": 1, "rollouts": 20}).close()
    forget_programs(monkeypatch)
    monkeypatch.setattr(Counter, "traced", 0)
    lock = locked(cache.lock_of([], recipes[0]))
    lock.__enter__()

    def end(with_programs: bool = True) -> None:
        if with_programs:
            shutil.copytree(stored, empty_cache, dirs_exist_ok=True, ignore=shutil.ignore_patterns("*.lock"))
        lock.__exit__(None, None, None)

    return end


def test_a_trial_trains_eagerly_while_another_process_compiles_its_programs(compiling_elsewhere: Any) -> None:
    trial = small_trial([3], **MEANWHILE)
    first = trial.advance()
    assert (first["compiled"], trial.compiling, trial.state_dict()["eager_start"]) == (False, True, True)
    before = parameters_of(trial)
    compiling_elsewhere()
    assert trial.advance()["compiled"]
    assert not trial.compiling
    assert Counter.traced == 0
    assert not same(parameters_of(trial), before)


def test_a_trial_that_was_saved_while_it_waited_for_programs_gets_them_and_an_eager_one_does_not(
    compiling_elsewhere: Any,
) -> None:
    waiting, eager = small_trial([3], **MEANWHILE), small_trial([3], **{**MEANWHILE, "compile": "off"})
    compiling_elsewhere()
    for trial, compiled in ((waiting, True), (eager, False)):
        resumed = small_trial([3], **MEANWHILE)
        resumed.load_state_dict(trial.state_dict())
        assert resumed.advance()["compiled"] == compiled


def test_a_trial_trains_eagerly_until_its_own_compiler_has_made_its_programs(
    stored: Path, empty_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """This compiler copies stored programs into the cache once a file exists."""
    go = empty_cache.parent / "go"
    code = f"""
import pathlib, shutil, time
while not pathlib.Path({str(go)!r}).exists():
    time.sleep(0.01)
shutil.copytree({str(stored)!r}, {str(empty_cache)!r}, dirs_exist_ok=True, ignore=shutil.ignore_patterns("*.lock"))
print(2)
"""
    monkeypatch.setattr(compilation, "compiler_command", lambda *arguments: [sys.executable, "-S", "-c", code])
    monkeypatch.setattr(build, "POLL_S", 0.0)
    trial = small_trial([3], **MEANWHILE)
    assert (trial.advance()["compiled"], trial.compiling) == (False, True)
    go.touch()
    before, compiled = parameters_of(trial), Counter.compiled
    while trial.compiling:
        trial.advance()
    assert Counter.compiled == compiled + 2
    assert trial.advance()["compiled"]
    assert not same(parameters_of(trial), before)


def failing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the compiler fail within milliseconds."""
    command = [sys.executable, "-S", "-c", "raise SystemExit('no room')"]
    monkeypatch.setattr(compilation, "compiler_command", lambda *arguments: command)
    monkeypatch.setattr(build, "_TOLD", set())
    monkeypatch.setattr(build, "POLL_S", 0.0)


def test_a_trial_whose_programs_can_not_be_compiled_stays_eager_and_reports_it_once(
    empty_cache: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    failing(monkeypatch)
    trial = small_trial([3], **MEANWHILE)
    assert trial.compiling
    with caplog.at_level(logging.WARNING, "tuneexp"):
        while trial.compiling:
            trial.advance()
    assert not trial.compiled
    told = [record.getMessage() for record in caplog.records if "compiling" not in record.getMessage()]
    assert told == ["not compiled, running eagerly: no room"]
    assert not list(empty_cache.glob("tuneexp-*")), "nothing is left behind"
    assert Trial(trial.spec, trial.config).compiling is False, "of the same actor"


def test_a_trial_that_ends_leaves_its_compiler_to_the_next_one(
    empty_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    command = [sys.executable, "-S", "-c", "import time; time.sleep(600)"]
    monkeypatch.setattr(compilation, "compiler_command", lambda *arguments: command)
    first = small_trial([3], **MEANWHILE)
    first.close()
    second = small_trial([4], **MEANWHILE)
    assert second.trainer.programs.pending is first.trainer.programs.pending is not None
    assert Counter.traced == 2, "one to act and one to learn"
    compilation._end_all()
    assert not list(empty_cache.glob("tuneexp-*"))


def test_the_compiler_gets_rewritten_graphs(empty_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    graphs = []
    monkeypatch.setattr(compilation.torch, "save", lambda handed, file: graphs.append(handed[0]))
    monkeypatch.setattr(compilation.Compilation, "_start", lambda self: None)
    example = [torch.ones(3)]
    traced = program.trace(lambda x: [x[0].tanh()], example)
    compilation.Compilation([traced], [example], [("key", False)], None)._exit.close()
    assert "tanh" in traced.code
    assert "tanh" not in graphs[0].code
