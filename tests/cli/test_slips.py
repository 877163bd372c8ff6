"""Near misses of command lines are answered with the line to write."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import typer

from tests.cli.conftest import Done, assert_refused
from tests.cli.slips import NEAR_MISSES, NO_NEAR_MISSES
from tuneexp.algorithms.registry import ALGORITHMS, config_class_of
from tuneexp.cli.app import app
from tuneexp.cli.slips import line_instead
from tuneexp.sweep.space.binding import hyperparameter_names

Cli = Callable[..., Done]
GROUP = typer.main.get_command(app)


@pytest.mark.parametrize("typed", NEAR_MISSES)
def test_a_near_miss_gets_the_line_to_write(typed: str) -> None:
    told = line_instead(GROUP, typed.split())
    assert told is not None
    why, line = told
    assert line == f"tuneexp {NEAR_MISSES[typed]}"
    assert why


@pytest.mark.parametrize("typed", NO_NEAR_MISSES)
def test_what_is_near_to_nothing_gets_no_line(typed: str) -> None:
    assert line_instead(GROUP, typed.split()) is None


@pytest.mark.parametrize("line", [line for line in set(NEAR_MISSES.values()) if not line.startswith("--")])
def test_a_line_that_is_told_is_no_near_miss_itself(line: str) -> None:
    assert line_instead(GROUP, line.split()) is None


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_each_hyperparameter_that_is_given_as_an_option_is_told_of_set(algorithm: str) -> None:
    for name in hyperparameter_names(config_class_of(algorithm)):
        told = line_instead(GROUP, ["train", algorithm, "Any-v0", f"--{name}", "1"])
        assert told is not None, name
        assert told[1] == f"tuneexp train {algorithm} Any-v0 --set {name}=1"


@pytest.mark.parametrize(
    ("typed", "says"),
    [
        (
            "train ppo CartPole-v1 --learning_rate 0.001",
            "--set\nwrite: tuneexp train ppo CartPole-v1 --set learning_rate=0.001",
        ),
        ("train CartPole-v1 ppo", "write: tuneexp train ppo CartPole-v1\n"),
        ("train ppo CartPole-v1 --set lr=0.001", "write: tuneexp train ppo CartPole-v1 --set learning_rate=0.001"),
        ("tune ppo CartPole-v1", "write: tuneexp sweep ppo CartPole-v1"),
        ("describe PPO", "did you mean 'ppo'"),
        ("train ppo cartpole-v1", "did you mean 'CartPole-v1'"),
    ],
)
def test_a_refused_command_line_ends_with_the_line_to_write(tuneexp: Cli, typed: str, says: str) -> None:
    assert_refused(tuneexp(*typed.split()), says)
