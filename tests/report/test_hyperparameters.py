"""The table of `tuneexp describe`."""

from __future__ import annotations

import io
from typing import Annotated, Literal

from annotated_types import Gt
from pydantic import Field
from rich.console import Console

from tuneexp.config import Config, numeric, structural
from tuneexp.report.hyperparameters import hyperparameter_rows, hyperparameter_table
from tuneexp.rl.schedules import PositiveScheduledFloat, ScheduleBounds


class Net(Config):
    activation: Literal["tanh", "relu"] = structural("tanh", "Between the layers.")
    sizes: tuple[int, ...] = structural((64, 64), "Widths.")


class Example(Config):
    gamma: float = numeric(0.99, "Discount.", gt=0.0, le=1.0)
    n_steps: int = structural(32, "Steps.", ge=1)
    target_kl: float | None = numeric(None, "Stop above it; None: off.", gt=0.0)
    shared: bool = structural(False, "One trunk.")
    rate: Annotated[float, Gt(0)] = numeric(1e-3, "Step size.")
    schedule: PositiveScheduledFloat = numeric(1e-3, "Step size over time.")
    maybe: Annotated[float | str, ScheduleBounds(ge=0.0)] | None = numeric(None, "Clip, or not.")
    mixed: int | str = structural(3, "Either.")
    every: int | tuple[int, Literal["episode"]] = structural(1, "Steps, or episodes.")
    model: Net = Field(default_factory=Net, description="Networks.")


def rows() -> dict[str, dict[str, object]]:
    return {row["name"]: row for row in hyperparameter_rows(Example)}


def test_every_field_is_a_row_and_nested_ones_are_joined_with_a_slash() -> None:
    assert list(rows()) == [
        "gamma",
        "n_steps",
        "target_kl",
        "shared",
        "rate",
        "schedule",
        "maybe",
        "mixed",
        "every",
        "model/activation",
        "model/sizes",
    ]


def test_a_row_has_default_range_kind_and_meaning() -> None:
    assert rows()["gamma"] == {
        "name": "gamma",
        "default": 0.99,
        "range": "number > 0, <= 1",
        "kind": "numeric",
        "meaning": "Discount.",
    }


def test_ranges_read_as_words() -> None:
    ranges = {name: row["range"] for name, row in rows().items()}
    assert ranges["n_steps"] == "integer >= 1"
    assert ranges["target_kl"] == "number > 0, or null"
    assert ranges["shared"] == "true or false"
    assert ranges["schedule"] == "number or schedule > 0"
    assert ranges["maybe"] == "number or schedule >= 0, or null"
    assert ranges["mixed"] == "integer or text"
    assert ranges["every"] == 'integer or [integer, "episode"]'
    assert ranges["rate"] == "number > 0"
    assert ranges["model/activation"] == "one of tanh, relu"
    assert ranges["model/sizes"] == "list of integers"


def test_the_table_spells_values_as_they_are_typed_on_the_command_line() -> None:
    out = io.StringIO()
    Console(file=out, width=120, color_system=None).print(hyperparameter_table(hyperparameter_rows(Example)))
    shown = {line.split()[0]: line for line in out.getvalue().splitlines()}
    assert "null: off." in shown["target_kl"]
    assert [shown[name].split()[1] for name in ("target_kl", "shared", "gamma")] == ["null", "false", "0.99"]


def test_the_table_fits_80_columns_and_keeps_every_name_whole() -> None:
    out = io.StringIO()
    Console(file=out, width=80, color_system=None).print(hyperparameter_table(hyperparameter_rows(Example)))
    lines = out.getvalue().splitlines()
    assert max(map(len, lines)) <= 80
    assert all(any(line.startswith(name) for line in lines) for name in rows())
