"""Schedulers and samplers by name with options."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tuneexp.errors import UserError
from tuneexp.sweep.search import choice
from tuneexp.sweep.search.schedulers.scheduler import Scheduler, SchedulerContext

CONTEXT = SchedulerContext(1000)

OWN = """
from tuneexp import Scheduler

class Options(Scheduler.Options):
    patience: int = 3

class Patient(Scheduler):
    Options = Options

class Broken(Scheduler):
    def __init__(self, options, context):
        raise RuntimeError("no budget for this")
"""


@pytest.fixture
def own(tmp_path: Path) -> str:
    path = tmp_path / "own.py"
    path.write_text(OWN)
    return str(path)


@pytest.mark.parametrize(
    ("kind", "asked", "told"),
    [
        ("scheduler", "ashaa", r"'ashaa'.* 'asha'"),
        ("searcher", "tpee", r"'tpee'.* 'tpe'"),
        (
            "scheduler",
            {"name": "asha", "reduction": 4},
            r"asha has no option 'reduction'.* reduction_factor, grace_env",
        ),
        ("scheduler", {"name": "asha", "synchronous": True}, r"'synchronous'; it is an option of hyperband; it has"),
        ("scheduler", {"name": "fifo", "brackets": 2}, r"'brackets'; it is an option of asha; it has none"),
        ("scheduler", {"name": "asha", "reduction_factor": 1}, "scheduler asha: reduction_factor: .*greater than 1"),
        ("scheduler", {"name": "asha", "promote": 3}, "promote"),
    ],
)
def test_a_wrong_choice_is_refused_with_what_there_is(kind: str, asked: Any, told: str) -> None:
    with pytest.raises(UserError, match=told):
        choice.check(kind, asked)


def test_counts_have_suffixes() -> None:
    scheduler = choice.build_scheduler({"name": "asha", "grace_env_steps": "10k"}, SchedulerContext(10**6))
    assert scheduler.options.grace_env_steps == 10_000


def test_a_scheduler_of_the_user_gets_its_options(own: str) -> None:
    scheduler = choice.build_scheduler({"name": f"{own}:Patient", "patience": 5}, CONTEXT)
    assert isinstance(scheduler, Scheduler)
    assert (scheduler.options.patience, scheduler.context) == (5, CONTEXT)  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        ({"name": "Patient", "patienc": 5}, r"no option 'patienc'; it has patience"),
        ("Missing", "Missing"),
        ("OWN", "OWN"),
        ("Broken", "no budget for this"),
    ],
)
def test_a_wrong_scheduler_of_the_user_is_refused(own: str, asked: Any, told: str) -> None:
    named = f"{own}:{asked}" if isinstance(asked, str) else {**asked, "name": f"{own}:{asked['name']}"}
    with pytest.raises(UserError, match=told):
        choice.build_scheduler(named, CONTEXT)


def test_a_class_is_stored_by_its_address() -> None:
    assert choice.stored_form(Scheduler, "scheduler") == "tuneexp.sweep.search.schedulers.scheduler:Scheduler"
    assert choice.stored_form({"name": "asha"}, "scheduler") == {"name": "asha"}


@pytest.mark.parametrize(("kind", "name"), [(kind, name) for kind, names in choice.KINDS.items() for name in names])
def test_every_option_is_described(kind: str, name: str) -> None:
    assert all(str(row["meaning"]).endswith(".") for row in choice.option_rows(kind, name))
