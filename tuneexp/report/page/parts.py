"""Parts of a page: words, tables and figures, in sections."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from tuneexp.report.formatting import number
from tuneexp.report.tables import Rows

if TYPE_CHECKING:
    import plotly.graph_objects as go

OBJECTIVE_DIGITS = 5


class LeftOut(Exception):
    """A part of the report that can't be made; the message is the reason, one line."""


@dataclass(frozen=True)
class Words:
    """A paragraph, plain text. strong: it is set off."""

    text: str
    strong: bool = False


@dataclass(frozen=True)
class Lines:
    """Lines whose spaces count, plain text."""

    text: str


@dataclass(frozen=True)
class Grid:
    """A table. rows: cells as plain text. marked: indices of rows that stand out. words: columns of words."""

    headings: Sequence[str]
    rows: Sequence[Sequence[str]]
    marked: frozenset[int] = frozenset()
    words: frozenset[int] = frozenset()


@dataclass(frozen=True)
class Drawing:
    """A figure of plotly."""

    figure: go.Figure


Part = Words | Lines | Grid | Drawing
Formatter = Callable[[Any], str]


@dataclass(frozen=True)
class Section:
    """A section of the page. left_out: the reason if it can't be made."""

    title: str
    parts: Sequence[Part] = field(default_factory=list)
    left_out: str | None = None


def section(title: str, make: Callable[[], Iterable[Part]]) -> Section:
    """Return a section, or one line with the reason if it can't be made."""
    try:
        return Section(title, list(make()))
    except LeftOut as why:
        return Section(title, left_out=str(why))


def grid_of(rows: Rows, columns: Mapping[str, Formatter], words: Sequence[str] = ()) -> Grid:
    """Return a table of rows. columns: name in the rows -> format; `_` is shown as a space. words: columns of words."""
    headings = [name.replace("_", " ") for name in columns]
    cells = [[form(row.get(name)) for name, form in columns.items()] for row in rows]
    return Grid(headings, cells, words=frozenset(list(columns).index(name) for name in words))


def value_text(value: Any) -> str:
    """Format a value of an objective."""
    return number(value, OBJECTIVE_DIGITS)


def ends_text(low: float | None, high: float | None) -> str:
    """Format an interval; empty without one."""
    return "" if low is None or high is None else f"{value_text(low)} to {value_text(high)}"
