"""Sections about the confirmations of a sweep: its best configurations and the defaults on unseen seeds."""

from __future__ import annotations

from collections.abc import Iterator

from tuneexp.report.confirmation import HEADINGS, confirmation_row, confirmation_text
from tuneexp.report.formatting import seeds as seeds_text
from tuneexp.report.page import figures
from tuneexp.report.page.parts import Drawing, Grid, Lines, Part, Section, Words, section
from tuneexp.report.page.source import SweepData
from tuneexp.report.tables import Rows
from tuneexp.sweep.confirming.confirmation import Confirmation


def confirm_sections(data: SweepData) -> list[Section]:
    """Return a section for each confirmation of a sweep, the newest first."""
    found = list(reversed(data.confirmations))
    return [section(_title(one, len(found)), lambda one=one: _confirmation(one)) for one in found]  # type: ignore[misc]


def _title(found: Confirmation, of: int) -> str:
    return "Confirmation on unseen seeds" + (f" ({found.name})" if of > 1 else "")


def _confirmation(found: Confirmation) -> Iterator[Part]:
    if found.state in ("running", "interrupted"):
        yield Words(f"This confirmation is {found.state}: more results may come.", strong=True)
    yield Lines(confirmation_text(found))
    chosen = [index for index, one in enumerate(found.configurations) if one == found.recommended]
    rows = [confirmation_row(one) for one in found.configurations]
    yield Grid(HEADINGS, rows, frozenset(chosen), words=frozenset({0}))
    scored = [row for row in confirmation_rows([found]) if row["value"] is not None]
    if scored:
        yield Words(
            f"Interquartile mean of the return over {len(found.seeds)} unseen seeds ({seeds_text(found.seeds)}) with "
            "its 95 % interval, and the score in tuning."
        )
        yield Drawing(figures.intervals_figure(scored, "return", hollow="score in tuning"))


def confirmation_rows(found: list[Confirmation]) -> Rows:
    """Return a row for each configuration of each confirmation.

    Returns:
        Rows `confirmation`, `name` ("trial 3", "defaults"), `value`, `low`, `high` (score on unseen seeds), `before`
        (score in tuning), `over_defaults`, `over_defaults_low`, `over_defaults_high`, `beats_defaults`, `seeds`,
        `diverged` (number of seeds), `outcome`. Without a result they are None.
    """
    return [
        {
            "confirmation": one.name,
            "name": row.name,
            **dict(zip(("value", "low", "high"), row.score or (None,) * 3, strict=True)),
            "before": row.tuning,
            **dict(zip(_OVER, row.over_defaults or (None,) * 3, strict=True)),
            "beats_defaults": None if row.beats_defaults is None else row.beats_defaults.value,
            "seeds": len(row.scores),
            "diverged": len(row.diverged),
            "outcome": row.outcome,
        }
        for one in found
        for row in one.configurations
    ]


_OVER = ("over_defaults", "over_defaults_low", "over_defaults_high")
