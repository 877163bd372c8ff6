"""Compiled programs: equal results, one compilation, and eager training if compilation fails."""

from __future__ import annotations

import io
import logging
import multiprocessing
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from tests.faults.process_tree import descendants, is_alive
from tests.small import HYPERPARAMETERS, parameters_of, same, small_config, small_trial
from tuneexp.algorithms.ppo import PPO
from tuneexp.algorithms.spec import replace
from tuneexp.errors import UserError
from tuneexp.learning.compile import build, compilation, program
from tuneexp.learning.compile.compilation import CannotCompile, Counter
from tuneexp.learning.compile.in_place import Layout
from tuneexp.learning.compile.workload import Workload
from tuneexp.trial import Trial


@pytest.mark.timeout(600)
def test_compiled_training_equals_eager_training_and_is_compiled_once(
    fresh_programs: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """In a folder with a file that has the name of a Python module, which the compiler must not import."""
    (tmp_path / "random.py").write_text("raise RuntimeError('imported from the working folder')")
    monkeypatch.chdir(tmp_path)
    changes = {"target_kl": 0.5, "normalize_observation": True, "env_backend": "tensor"}
    eager, compiled = small_trial(compile="off", **changes), small_trial(compile="on", **changes)
    assert not eager.trainer.programs.compiled
    assert compiled.trainer.programs.compiled
    assert [built.in_place for _, built in compiled.trainer.programs.steps.values()] == [True]
    for _ in range(3):
        eager.training_step()
        compiled.training_step()
    eager_stats = eager.learner.log.summary()
    for name, leaf in compiled.learner.parameters.items():
        torch.testing.assert_close(leaf, eager.learner.parameters[name], rtol=1e-3, atol=1e-5)
    for name, values in compiled.learner.log.summary().items():
        torch.testing.assert_close(values, eager_stats[name], rtol=1e-2, atol=1e-4)

    assert Counter.compiled == 2, "one to act in the environments and one to learn"
    assert [record.getMessage().partition(",")[0] for record in caplog.records] == ["compiling 2 programs"]
    for number in range(20):
        share = 0.5 + number / 50
        values = {
            "learning_rate": 1e-3 * share, "gamma": 0.99 * share, "gae_lambda": 0.95 * share, "clip_range": 0.2 * share,
            "ent_coef": 0.1 * share, "vf_coef": share, "max_grad_norm": share, "target_kl": 0.5 * share,
            "n_steps": 32 + 16 * (number % 2), "n_epochs": 1 + number % 3,
        }  # fmt: skip
        again = small_trial(compile="on", normalize_observation=True, env_backend="tensor", **values)
        assert again.trainer.programs.compiled
        again.training_step()
        again.close()
    assert Counter.compiled == 2
    assert Counter.traced == 4, "eager and compiled"

    # `auto` compiles what the cache holds, but a trial that was run eagerly continues eagerly.
    resumed = small_trial(compile="auto", expected_trials=1000, **changes)
    assert resumed.trainer.programs.compiled
    resumed.load_state_dict(eager.state_dict())
    assert not resumed.trainer.programs.compiled
    eager.advance()
    resumed.advance()
    assert same(parameters_of(resumed), parameters_of(eager))
    assert Counter.compiled == 2


@pytest.mark.timeout(600)
def test_a_compiled_rollout_takes_the_steps_that_python_takes_one_by_one() -> None:
    changes = {"target_kl": 0.5, "normalize_observation": True, "env_backend": "tensor", "compile": "on"}
    compiled, plain = small_trial([0, 1], **changes), small_trial([0, 1], **changes)
    rollout = compiled.trainer.programs.rollout
    assert rollout is not None
    assert rollout.program.in_place
    plain.group.policy.rollout = None
    for n_steps in (32, 1, 40):
        one, other = compiled.group.sample(n_steps), plain.group.sample(n_steps)
        assert list(one) == list(other)
        for name in one:
            torch.testing.assert_close(one[name], other[name], rtol=1e-4, atol=1e-5, msg=name)
    assert one["terminated"].any()
    played, expected = (trial.source.evaluate(episodes=5, seed=3) for trial in (compiled, plain))
    assert (played.returns == expected.returns).all()
    assert played.steps == expected.steps

    again = small_trial([0, 1], **changes)
    again.load_state_dict(compiled.state_dict())
    for trial in (compiled, again):
        trial.advance()
    assert same(parameters_of(again), parameters_of(compiled))


@pytest.mark.slow
def test_compiled_programs_take_over_after_the_first_report_also_in_a_trial_that_continues(
    fresh_programs: None, tmp_path: Path
) -> None:
    """With programs in the cache, so that the switch does not wait for the compiler."""
    settings: dict[str, Any] = {**HYPERPARAMETERS, "seeds": [0, 1], "normalize_observation": True, "target_kl": 0.5}
    PPO.build("CartPole-v1", **settings, compile="on").stop()
    algo = PPO.build("CartPole-v1", **settings)
    stages, parameters = [], []
    for number in range(3):
        result = algo.train()
        stages.append((result["env_steps"], result["compiled"]))
        parameters.append(parameters_of(algo.trial))
        algo.save(str(tmp_path / str(number)))
    assert stages == [(2048, False), (10048, True), (20032, True)]

    # From both sides of the switch, in a trial that is compiled already and in one that isn't.
    for number, other in enumerate([algo, PPO.build("CartPole-v1", **settings)]):
        other.restore(tmp_path / str(number))
        assert (other.trial.compiled, other.trial.eager_start.pending) == (bool(number), not number)
        other.train()
        assert other.trial.compiled
        assert same(parameters_of(other.trial), parameters[number + 1])
        other.stop()


# `auto` compiles for as many trials as this.
REPAYS = {"compile": "auto", "expected_trials": 10**6}


def test_without_a_compiler_auto_trains_eagerly_and_reports_it_once_and_on_is_an_error(
    fresh_programs: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("TUNEEXP_CACHE", str(tmp_path / "empty"))
    monkeypatch.setenv("CXX", "/nowhere/c++")
    monkeypatch.setattr(build, "_TOLD", set())
    with caplog.at_level(logging.WARNING, "tuneexp"):
        for n_epochs in (1, 2):
            trial = small_trial(**REPAYS, n_epochs=n_epochs, clip_range_vf=None if n_epochs == 1 else 0.2)
            metrics = trial.advance()
    assert metrics["compiled"] is False
    assert metrics["env_steps"] == 64
    assert [record.getMessage() for record in caplog.records] == [
        "not compiled, running eagerly: there is no C++ compiler '/nowhere/c++'; install one, or name it in CXX"
    ]
    with pytest.raises(UserError, match=r"CXX\n.*compile=auto"):
        small_trial(compile="on", n_steps=64)


def test_a_cache_that_can_not_be_written_is_reported_and_training_continues(
    fresh_programs: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("TUNEEXP_CACHE", str(tmp_path / "file"))
    assert small_trial(**REPAYS).advance()["compiled"] is False
    assert "TUNEEXP_CACHE" in caplog.text
    with pytest.raises(UserError, match="TUNEEXP_CACHE"):
        small_trial(compile="on", n_steps=64)


def reading_loss(nets: Any, batch: Mapping[str, Tensor], cfg: Any) -> tuple[Tensor, dict[str, Any]]:
    """Loss that reads the values of metrics as Python numbers, a common mistake."""
    loss, statistics = PPO.loss_fn(nets, batch, cfg)
    return loss, {**statistics, "policy_loss": statistics["policy_loss"].item()}


@pytest.mark.parametrize("seeds", [[0], [0, 1]])
@pytest.mark.parametrize("mode", ["auto", "off"])
def test_a_loss_that_reads_values_trains_eagerly_with_one_clear_line(
    mode: str, seeds: list[int], fresh_programs: None, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(build, "_TOLD", set())
    trial = small_trial(seeds, spec=replace(PPO, name="reading", loss_fn=reading_loss), **{**REPAYS, "compile": mode})
    trial.training_step()
    assert not trial.trainer.programs.compiled
    lines = [record.getMessage() for record in caplog.records if "tuneexp" in record.name]
    assert len([line for line in lines if ".item()" in line]) == len(lines)
    assert len(lines) <= 2
    assert lines or (mode == "off" and seeds == [0])

    plain = small_trial(seeds, compile="off")
    plain.training_step()
    for name, leaf in plain.learner.parameters.items():
        torch.testing.assert_close(trial.learner.parameters[name], leaf, rtol=1e-4, atol=1e-6)


def test_a_loss_that_reads_values_can_not_be_compiled_on_request(fresh_programs: None) -> None:
    with pytest.raises(UserError, match=r"\.item\(\)"):
        small_trial(spec=replace(PPO, name="reading", loss_fn=reading_loss), compile="on")


def test_a_loss_that_raises_reports_what_it_raised(fresh_programs: None) -> None:
    def wrong(nets: Any, batch: Mapping[str, Tensor], cfg: Any) -> Any:
        return PPO.loss_fn(nets, {**batch, "obs": batch["observation"]}, cfg)

    with pytest.raises(UserError, match=rf"{Path(__file__).name}:\d+: KeyError: 'observation'"):
        small_trial(spec=replace(PPO, name="wrong", loss_fn=wrong), compile="on")


@pytest.mark.parametrize("seeds", [[0], [0, 1]])
def test_a_loss_of_many_numbers_is_refused(seeds: list[int], fresh_programs: None) -> None:
    def unreduced(nets: Any, batch: Mapping[str, Tensor], cfg: Any) -> tuple[Tensor, dict[str, Tensor]]:
        return nets.online.value(batch["obs"]), {}

    with pytest.raises(UserError, match="one number"):
        small_trial(seeds, spec=replace(PPO, name="unreduced", loss_fn=unreduced)).training_step()


def test_auto_compiles_where_the_work_of_all_trials_repays_it() -> None:
    small = Workload(n_seeds=1, updates=1000, acts=1000)
    assert not small.repays_compiling()
    assert Workload(n_seeds=1, updates=1000, acts=1000, trials=100).repays_compiling()
    assert Workload(n_seeds=8, updates=100_000, acts=10_000).repays_compiling()


def test_a_program_has_its_constants_and_shapes() -> None:
    """They are part of the key of a stored program."""

    def keyed(factor: float, rows: int) -> str:
        example = [torch.ones(rows)]
        return program.key_of(program.trace(lambda x: [x[0] * factor], example), example)

    keys = [keyed(2.0, 3), keyed(3.0, 3), keyed(2.0, 4)]
    assert len(set(keys)) == 3
    assert keyed(2.0, 3) == keys[0]


def doubled(x: list[Tensor]) -> list[Tensor]:
    return [x[0] * 2 + x[1].sum()]


EXAMPLE = [torch.ones(3), torch.ones(4)]


def compile_doubled(_: int = 0) -> tuple[int, list[float]]:
    """In a separate process: the number of compiled programs, and the program's result."""
    torch.set_num_threads(1)
    built = program.compile_graphs([program.trace(doubled, EXAMPLE)], [EXAMPLE])[0]
    return Counter.compiled, built.run(EXAMPLE)[0].tolist()


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_two_processes_compile_the_same_program_once_and_a_damaged_one_is_compiled_anew(
    fresh_programs: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TUNEEXP_CACHE", str(tmp_path))
    with multiprocessing.get_context("spawn").Pool(2) as pool:
        results = pool.map(compile_doubled, [1, 2], chunksize=1)
    assert sorted(compiled for compiled, _ in results) == [0, 1]
    assert [values for _, values in results] == [[6.0] * 3] * 2

    (package,) = (tmp_path / "programs").glob("*.pt2")
    package.write_bytes(package.read_bytes()[:5000])
    assert compile_doubled() == (1, [6.0] * 3)
    assert sorted(p.suffix for p in (tmp_path / "programs").iterdir()) == [".lock", ".pt2"], "nothing is left behind"


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_compiled_training_of_one_seed_equals_its_eager_training(fresh_programs: None) -> None:
    """One seed is compiled without `vmap`."""
    compiled, eager = (small_trial([3], compile=mode, env_backend="native") for mode in ("on", "off"))
    assert compiled.trainer.programs.compiled
    for _ in range(3):
        compiled.training_step()
        eager.training_step()
    for name, leaf in compiled.learner.parameters.items():
        torch.testing.assert_close(leaf, eager.learner.parameters[name], rtol=1e-3, atol=1e-5)


@pytest.mark.skipif(shutil.which("g++") is None, reason="needs g++")
def test_where_the_cpp_compiler_fails_the_instruction_sets_are_probed(
    fresh_programs: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may be older than the CPU. This one compiles no file, and notes the assumption that it was called with."""
    old = tmp_path / "old-g++"
    note = f'echo "assumed:$TORCHINDUCTOR_VEC_ISA_OK" >> {tmp_path}/calls'
    old.write_text(f'#!/bin/sh\ncase "$*" in *-o*) {note}; exit 1;; esac\nexec g++ "$@"\n')
    old.chmod(0o755)
    monkeypatch.setenv("CXX", str(old))
    monkeypatch.setenv("TUNEEXP_CACHE", str(tmp_path))
    with pytest.raises(CannotCompile, match="CppCompileError"):
        compile_doubled()
    assert set((tmp_path / "calls").read_text().split()) == {"assumed:1", "assumed:"}


COMPILED = """
import sys
from tests.learning.compile.test_compiled_training import compile_doubled
compile_doubled()
print("torch._inductor.compile_fx" in sys.modules)
"""


@pytest.mark.skipif(shutil.which("g++") is None, reason="needs g++")
def test_the_cpp_compiler_is_called_four_times_for_a_program_and_inductor_is_only_in_its_process(
    tmp_path: Path,
) -> None:
    """No headers are compiled beforehand and no instruction sets are probed: kernels, wrapper, constants, link.

    The kernels are not compiled after the wrapper, but beside it."""
    counting = tmp_path / "g++"
    noted = f'echo "$*" >> {tmp_path}/calls; g++ "$@"; code=$?; echo "$*" >> {tmp_path}/ends; exit $code'
    counting.write_text(f'#!/bin/sh\ncase "$*" in *-o*) {noted};; esac\nexec g++ "$@"\n')
    counting.chmod(0o755)
    done = subprocess.run(
        [sys.executable, "-c", COMPILED], capture_output=True, text=True, timeout=300,
        env={**os.environ, "CXX": str(counting), "TUNEEXP_CACHE": str(tmp_path),
             "TORCHINDUCTOR_CACHE_DIR": str(tmp_path / "inductor"), "TMPDIR": str(tmp_path)},
    )  # fmt: skip
    calls = (tmp_path / "calls").read_text().splitlines()
    assert len(calls) == 4, calls
    assert {"wrapper.cpp" in call for call in calls[:2]} == {True, False}
    assert "kernel.cpp" in (tmp_path / "ends").read_text().splitlines()[0]
    assert not [call for call in calls if "header" in call or " -E " in call]
    assert done.stdout.strip() == "False", done.stderr


def test_a_failing_compiler_is_reported_in_one_line(
    fresh_programs: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TUNEEXP_CACHE", str(tmp_path))
    monkeypatch.setattr(compilation, "COMPILE_TIMEOUT_S", 0.01)
    with pytest.raises(CannotCompile) as caught:
        compile_doubled()
    assert len(str(caught.value).splitlines()) == 1
    assert not list((tmp_path / "programs").glob("*.pt2"))


def compiler_of(folder: Path, *graphs: bytes) -> list[str]:
    """Command of the compiler for files that hold `graphs`."""
    sources = [folder / f"{index}-graph.pt" for index in range(len(graphs))]
    for source, graph in zip(sources, graphs, strict=True):
        source.write_bytes(graph)
    files = [str(path) for source in sources for path in (source, source.with_suffix(".package"))]
    return compilation.compiler_command(folder / "lock", files, {})


def test_why_a_program_can_not_be_compiled_is_reported(tmp_path: Path) -> None:
    done = subprocess.run(compiler_of(tmp_path, b"no graph", b"none either"), capture_output=True, text=True)
    assert done.returncode
    assert "UnpicklingError" in done.stderr.splitlines()[-1]
    assert not list(tmp_path.glob("*.package"))


@pytest.mark.slow
def test_a_compiler_that_is_killed_leaves_no_other_behind(tmp_path: Path) -> None:
    graph = io.BytesIO()
    torch.save((program.trace(doubled, EXAMPLE), EXAMPLE), graph)
    compiler = subprocess.Popen(compiler_of(tmp_path, graph.getvalue(), graph.getvalue()))
    while len(children := descendants(compiler.pid)) < 2:
        assert compiler.poll() is None
        time.sleep(0.05)
    compiler.kill()
    compiler.wait()
    while any(is_alive(child) for child in children):
        time.sleep(0.05)
    assert not list(tmp_path.glob("*.package"))


def test_a_second_trial_takes_over_the_programs_of_the_first(fresh_programs: None) -> None:
    first, second = Trial(PPO, small_config()), Trial(PPO, small_config(learning_rate=0.1, gamma=0.5))
    assert second.trainer.programs is first.trainer.programs
    # What no function reads makes no new program.
    assert (
        Trial(PPO, small_config(n_epochs=5, n_steps=16, normalize_observation=True)).trainer.programs
        is first.trainer.programs
    )
    assert Trial(PPO, small_config(model={"hidden_sizes": [4]})).trainer.programs is not first.trainer.programs
    assert Trial(PPO, small_config(normalize_advantage=False)).trainer.programs is not first.trainer.programs
    assert Trial(PPO, small_config(target_kl=0.1)).trainer.programs is not first.trainer.programs
    assert Trial(PPO, small_config(batch_size=8)).trainer.programs is not first.trainer.programs
    assert Trial(PPO, small_config(seeds=[0, 1, 2])).trainer.programs is not first.trainer.programs
    reading = replace(PPO, name="reading", loss_fn=epochs_loss)
    one, other = Trial(reading, small_config()), Trial(reading, small_config(n_epochs=5))
    assert one.trainer.programs is not other.trainer.programs


def epochs_loss(nets: Any, batch: Mapping[str, Tensor], cfg: Any) -> tuple[Tensor, dict[str, Tensor]]:
    """Loss that reads a structural field that PPO's own loss doesn't read."""
    loss, statistics = PPO.loss_fn(nets, batch, cfg)
    return loss * cfg.n_epochs, statistics


def test_updates_that_are_no_program_as_a_whole_are_compiled_in_parts_with_a_warning(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def untraceable(tensors: Any) -> list[Tensor]:
        raise RuntimeError("no such\noperation")

    ones = [torch.ones(2)]
    whole = build.InPlaceSpec(untraceable, ones, Layout(1, 0, (), (True,)))
    spec = build.ProgramSpec(lambda tensors: [tensors[0] + 1], ones, in_place=whole)
    monkeypatch.setattr(build, "_TOLD", set())
    monkeypatch.setattr(program, "compile_graphs", lambda graphs, *_: [program.Program(list, True) for _ in graphs])
    (made,) = build.build_programs([spec], "on", Workload(1, 0, 0))
    assert (made.compiled, made.in_place) == (True, False)
    assert [record.getMessage() for record in caplog.records] == [
        "compiled in parts, which is slower: no such operation"
    ]
