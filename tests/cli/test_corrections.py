"""Wrong command lines are refused with the corrected line."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from pathlib import Path

import pytest
import typer

from tests.cli.conftest import Done, assert_refused
from tests.cli.refused_lines import CORRECTED, NOT_CORRECTED
from tuneexp.algorithms.registry import ALGORITHMS, config_class_of
from tuneexp.cli.app import app
from tuneexp.cli.corrections import correction_of
from tuneexp.cli.exit_codes import refusal_of
from tuneexp.sweep.search.space.binding import hyperparameter_names

Cli = Callable[..., Done]
GROUP = typer.main.get_command(app)


@pytest.fixture(autouse=True)
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The files that the command lines name."""
    monkeypatch.chdir(tmp_path)
    Path("x.yaml").write_text("learning_rate: {loguniform: [1e-4, 1e-2]}\n")
    Path("runs/stored").mkdir(parents=True)
    for file in ("hand.yaml", "runs/stored/experiment.yaml"):
        Path(file).write_text("env: CartPole-v1\n")


@pytest.mark.parametrize("typed", CORRECTED)
def test_a_near_miss_gets_the_line_to_write(typed: str) -> None:
    told = correction_of(GROUP, typed.split())
    assert told is not None
    why, new = told
    assert shlex.join(new) == CORRECTED[typed]
    assert why


@pytest.mark.parametrize("line", sorted({line for line in CORRECTED.values() if line.startswith(("train", "sweep"))}))
def test_a_printed_line_is_accepted_by_its_command(line: str) -> None:
    assert refusal_of(GROUP, line.split()) is None


@pytest.mark.parametrize("typed", NOT_CORRECTED)
def test_what_is_near_to_nothing_gets_no_line(typed: str) -> None:
    assert correction_of(GROUP, typed.split()) is None


@pytest.mark.parametrize("line", [line for line in set(CORRECTED.values()) if not line.startswith("--")])
def test_a_printed_line_is_no_near_miss_itself(line: str) -> None:
    assert correction_of(GROUP, line.split()) is None


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_each_hyperparameter_that_is_given_as_an_option_is_answered_with_set(algorithm: str) -> None:
    for name in hyperparameter_names(config_class_of(algorithm)):
        told = correction_of(GROUP, ["train", algorithm, "Any-v0", f"--{name}", "1"])
        assert told is not None, name
        assert told[1] == ["train", algorithm, "Any-v0", "--set", f"{name}=1"]


@pytest.mark.parametrize(
    ("typed", "says"),
    [
        (
            "train ppo CartPole-v1 --learning_rate 0.001",
            "--set\nwrite: tuneexp train ppo CartPole-v1 --set learning_rate=0.001",
        ),
        ("train CartPole-v1 ppo", "write: tuneexp train ppo CartPole-v1\n"),
        ("train ppo CartPole-v1 --set lr=0.001", "write: tuneexp train ppo CartPole-v1 --set learning_rate=0.001"),
        ("optimize ppo CartPole-v1", "write: tuneexp sweep ppo CartPole-v1"),
        ("sweep CartPole-v1", "sweep needs an environment\nwrite: tuneexp sweep ppo CartPole-v1\n"),
        ("train sac", "write for example: tuneexp train sac Pendulum-v1\n"),
        ("train td", "write for example: tuneexp train td3 Pendulum-v1\n"),
        ("describe PPO", "'ppo'"),
        ("train ppo cartpole-v1", "'CartPole-v1'"),
    ],
)
def test_a_refused_command_line_ends_with_the_line_to_write(tuneexp: Cli, typed: str, says: str) -> None:
    assert_refused(tuneexp(*typed.split()), says)


@pytest.mark.parametrize(
    ("typed", "says"),
    [
        ("train ppo CartPole-v1 --set gamma=1.5 --set n_epoch=3", "'n_epochs'"),
        ("train ppo CartPole-v1 --gamma", "--set gamma=VALUE"),
        ("train ppo cartpole-v1 --lr 0.1", "fixed with --set\nunknown environment 'cartpole-v1'"),
        ("train ppo CartPole-v1 --search-space none.yaml", "none.yaml"),
        ("sweep .", ". is a folder"),
        ("status first", "did you mean 'show'?\nthere is no sweep 'first'"),
        ("eval some/checkpoint", "'evaluate'"),
    ],
)
def test_a_line_that_its_command_would_refuse_is_not_printed(tuneexp: Cli, typed: str, says: str) -> None:
    done = tuneexp(*typed.split())
    assert_refused(done, says)
    assert "write: " not in done.err
