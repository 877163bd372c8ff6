"""Schedules: accepted forms and their values; texts are never evaluated."""

from __future__ import annotations

from typing import Annotated

import pytest
from pydantic import BaseModel

from tuneexp.config import Config, numeric
from tuneexp.errors import UserError
from tuneexp.rl.schedules import PositiveScheduledFloat, Schedule, ScheduleBounds, parse_schedule


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        (3e-4, Schedule("constant", 3e-4)),
        (0, Schedule("constant", 0.0)),
        ("0.001", Schedule("constant", 0.001)),
        ("1e-3", Schedule("constant", 1e-3)),
        ("linear:0.001", Schedule("linear", 0.001, 0.0)),
        ("linear:1e-3", Schedule("linear", 1e-3, 0.0)),
        ("lin_0.001", Schedule("linear", 0.001, 0.0)),
        ("lin_2.5e-4", Schedule("linear", 2.5e-4, 0.0)),
        ("linear:0.001:0.0001", Schedule("linear", 0.001, 0.0001)),
        (" Linear:0.2 ", Schedule("linear", 0.2, 0.0)),
        ("constant:0.1", Schedule("constant", 0.1)),
        (Schedule("linear", 1.0, 0.5), Schedule("linear", 1.0, 0.5)),
    ],
)
def test_what_may_be_written(written: float | str | Schedule, meant: Schedule) -> None:
    assert parse_schedule(written) == meant


@pytest.mark.parametrize(
    "written",
    [
        "", "fast", "linear", "linear:", "linear:fast", "linear:0.1:fast", "linear:0.1:0.2:0.3", "lin_", "cosine:0.1",
        "constant:0.1:0.2", "lambda p: p", "__import__('os').getcwd()", "1 + 1", "linear:2*3",
        True, None, [0.1], {"kind": "linear"}, float("nan"), float("inf"), "nan", "linear:inf",
    ],
)  # fmt: skip
def test_anything_else_is_refused_in_one_line_that_shows_what_to_write(written: object) -> None:
    with pytest.raises(UserError) as caught:
        parse_schedule(written)  # type: ignore[arg-type]
    assert "'linear:0.001'" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_an_unknown_kind_of_schedule_is_refused() -> None:
    with pytest.raises(UserError, match="'constant' or 'linear'"):
        Schedule("cosine", 0.1)  # type: ignore[arg-type]


def test_a_linear_schedule_falls_evenly_and_stays_at_its_end() -> None:
    schedule = parse_schedule("linear:0.5")
    assert [schedule.value_at(done) for done in (0.0, 0.25, 0.5, 1.0)] == [0.5, 0.375, 0.25, 0.0]
    # A rollout overshoots the budget: a learning rate must not turn negative there.
    assert schedule.value_at(1.1) == 0.0
    assert schedule.value_at(-0.1) == 0.5


def test_a_linear_schedule_reaches_the_final_value_it_names() -> None:
    schedule = parse_schedule("linear:0.5:1.5")
    assert [schedule.value_at(done) for done in (0.0, 0.5, 1.0, 2.0)] == [0.5, 1.0, 1.5, 1.5]


def test_a_constant_schedule_never_changes() -> None:
    assert {parse_schedule(0.3).value_at(done) for done in (0.0, 0.5, 1.0)} == {0.3}


class Example(Config):
    learning_rate: PositiveScheduledFloat = numeric(3e-4, "Step size.")
    ent_coef: Annotated[float | str, ScheduleBounds(ge=0.0)] = numeric(0.0, "Entropy weight.")
    clip_range_vf: PositiveScheduledFloat | None = numeric(None, "Clipping.")


def test_a_field_keeps_its_schedule_as_written_so_that_json_round_trips() -> None:
    cfg = Example(learning_rate="lin_0.001", ent_coef="linear:0.1:0.01")
    assert cfg.learning_rate == "lin_0.001"
    again = Example.model_validate_json(cfg.model_dump_json())
    assert again == cfg
    assert parse_schedule(again.ent_coef) == Schedule("linear", 0.1, 0.01)


def test_a_constant_becomes_a_float_whatever_way_it_was_written() -> None:
    assert [type(Example(learning_rate=v).learning_rate) for v in (1, "1e-3", 0.1)] == [float] * 3
    assert Example(learning_rate="1e-3").learning_rate == 1e-3


def test_a_schedule_object_is_stored_as_text() -> None:
    cfg = Example(learning_rate=Schedule("linear", 0.1, 0.05))
    assert cfg.learning_rate == "linear:0.1:0.05"
    assert parse_schedule(cfg.learning_rate) == Schedule("linear", 0.1, 0.05)


@pytest.mark.parametrize("value", [-1e-3, "-0.001", "linear:-0.1", "lin_-0.1"])
def test_a_negative_start_is_refused(value: float | str) -> None:
    with pytest.raises(UserError, match=r"^example: ent_coef: .* 0"):
        Example.parse({"ent_coef": value}, "example")


@pytest.mark.parametrize("value", [0, "0.0", "linear:0:0.1"])
def test_a_positive_field_refuses_to_start_at_zero_and_an_optional_one_too(value: float | str) -> None:
    for field in ("learning_rate", "clip_range_vf"):
        with pytest.raises(UserError, match=rf"^example: {field}: .* 0"):
            Example.parse({field: value}, "example")


def test_an_optional_schedule_may_be_absent() -> None:
    assert Example.parse({"clip_range_vf": None}, "example").clip_range_vf is None
    assert Example.parse({"clip_range_vf": "lin_0.2"}, "example").clip_range_vf == "lin_0.2"


def test_a_config_error_names_the_field_and_what_to_write() -> None:
    with pytest.raises(UserError) as caught:
        Example.parse({"learning_rate": "cosine:0.1"}, "example")
    message = str(caught.value)
    assert message.startswith("example: learning_rate: 'cosine:0.1' is no schedule; write a number such as 0.001")
    assert "\n" not in message


def test_the_json_schema_allows_a_number_or_a_text() -> None:
    class Plain(BaseModel):
        rate: Annotated[float | str, ScheduleBounds(ge=0.0)] = 0.1

    kinds = {branch["type"] for branch in Plain.model_json_schema()["properties"]["rate"]["anyOf"]}
    assert kinds == {"number", "string"}
