"""Methods that are compared: samplers with schedulers, each with options."""

from __future__ import annotations

import json
from typing import Any, NamedTuple

from tuneexp.errors import UserError
from tuneexp.sweep.search import choice
from tuneexp.sweep.sweep_config import SETTINGS


class Method(NamedTuple):
    """A sampler and a scheduler: a name, an address, or a JSON mapping `{"name": "asha", "reduction_factor": 4}`."""

    sampler: str
    scheduler: str

    def __str__(self) -> str:
        return f"{label_of(self.sampler)} + {label_of(self.scheduler)}"

    def check(self) -> None:
        """Raise UserError for an unknown name or option."""
        choice.check("searcher", choice_of(self.sampler))
        choice.check("scheduler", choice_of(self.scheduler))


def choice_of(text: str) -> str | dict[str, Any]:
    """Return a name or address as it is, and a JSON mapping as a mapping. UserError for other JSON."""
    if not text.startswith("{"):
        return text
    try:
        read = json.loads(text)
    except ValueError as error:
        raise UserError(f"{text!r} is no JSON: {error}") from None
    if not isinstance(read.get("name"), str):
        raise UserError(f'{text!r} has no name; write {{"name": "tpe", ...}}')
    return dict(read)


def label_of(text: str) -> str:
    """Return a choice for a table: `asha reduction_factor=4 promote`."""
    name, options = choice.parts(choice_of(text))
    shown = (key if value is True else f"{key}={json.dumps(value)}" for key, value in options.items())
    return " ".join([name, *shown])


def _with(name: str, **options: Any) -> str:
    return json.dumps({"name": name, **options})


BASELINE = Method("random", "fifo")
DEFAULT = Method(str(SETTINGS["searcher"].default), str(SETTINGS["scheduler"].default))
# Samplers without early stopping and with ASHA, then schedulers with TPE. Left out: `gp`, which takes 6 s a search;
# `nsga3` and `tpe` with `group`, which search these spaces as `nsga2` and `tpe` do.
WITH_ASHA = (
    "random",
    "tpe",
    "cmaes",
    _with("cmaes", carry_pruned=True),
    _with("noisy_gp", carry_pruned=True),
    "qmc",
    "nsga2",
)
METHODS = (
    *(Method(sampler, "fifo") for sampler in ("random", "tpe", "noisy_gp", "cmaes", "qmc", "nsga2")),
    *(Method(sampler, "asha") for sampler in WITH_ASHA),
    Method("tpe", _with("asha", reduction_factor=2)),
    Method("tpe", _with("asha", reduction_factor=4)),
    Method("tpe", _with("asha", promote=True)),
    Method("tpe", "hyperband"),
    Method("tpe", _with("hyperband", synchronous=True)),
    Method("tpe", "median"),
)
