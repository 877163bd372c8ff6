"""The page: one file of HTML with plotly embedded once. It loads nothing, and its text is escaped."""

from __future__ import annotations

import html
from collections.abc import Iterable, Iterator, Sequence
from itertools import count
from typing import Any

from tuneexp.report.formatting import visible
from tuneexp.report.page.parts import Drawing, Grid, Lines, Part, Section, Words

# No script, style or image from elsewhere, and no request.
_POLICY = (
    "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data: blob:; font-src data:"
)
_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; color: #222; margin: 0 auto; max-width: 1200px; padding: 1rem 2rem; }
h1 { margin-bottom: 0; } h2 { border-bottom: 2px solid #ddd; margin-top: 2.5rem; } h3 { margin-bottom: 0.3rem; }
nav a { margin-right: 1rem; white-space: nowrap; } a { color: #1f5fa8; }
.about { color: #666; } .strong { background: #fff3cd; padding: 0.6rem 1rem; border-radius: 4px; }
.left-out { color: #666; font-style: italic; } pre { background: #f6f6f6; padding: 0.8rem; white-space: pre-wrap; }
.scroll { overflow: auto; max-height: 520px; } table { border-collapse: collapse; font-size: 13px; }
th { position: sticky; top: 0; background: #fff; } th, td { padding: 3px 10px; text-align: right; white-space: nowrap; }
td { border-top: 1px solid #eee; } .word { text-align: left; }
.facts td { white-space: normal; } .marked td { background: #e6f4e6; font-weight: 600; }
"""
_SCRIPT = """
for (const source of document.querySelectorAll("script[data-figure]")) {
  const figure = JSON.parse(source.textContent);
  Plotly.newPlot(source.dataset.figure, figure.data, figure.layout, {responsive: true, displaylogo: false});
}
"""

Group = tuple[str, Sequence[Section]]


def page_of(title: str, about: str, groups: Sequence[Group]) -> str:
    """Return the HTML of a page.

    Args:
        title: Title of the page, plain text.
        about: Line below it.
        groups: Heading and sections of each part; a heading may be empty.
    """
    from plotly.offline import get_plotlyjs

    numbers = count(1)
    body = [part for number, group in enumerate(groups) for part in _group(number, group, numbers)]
    return "\n".join([
        "<!doctype html>",
        '<html lang="en"><head><meta charset="utf-8">',
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f"<title>{_text(title)}</title><style>{_STYLE}</style>",
        f"<script>{get_plotlyjs()}</script></head><body>",
        f'<h1>{_text(title)}</h1><p class="about">{_text(about)}</p>',
        f"<nav>{_links(groups)}</nav>",
        *body,
        f"<script>{_SCRIPT}</script></body></html>\n",
    ])  # fmt: skip


def _text(text: Any) -> str:
    return html.escape(visible(text))


def _links(groups: Sequence[Group]) -> str:
    if len(groups) > 1:
        return " ".join(f'<a href="#{_id(number)}">{_text(name)}</a>' for number, (name, _) in enumerate(groups))
    return " ".join(f'<a href="#{_id(0, at)}">{_text(one.title)}</a>' for at, one in enumerate(groups[0][1]))


def _id(group: int, section: int | None = None) -> str:
    return f"part-{group}" if section is None else f"part-{group}-{section}"


def _group(number: int, group: Group, numbers: Iterator[int]) -> Iterator[str]:
    heading, sections = group
    if heading:
        yield f'<h2 id="{_id(number)}">{_text(heading)}</h2>'
    level = "h3" if heading else "h2"
    for at, one in enumerate(sections):
        yield f'<section id="{_id(number, at)}"><{level}>{_text(one.title)}</{level}>'
        if one.left_out is not None:
            yield f'<p class="left-out">Left out: {_text(one.left_out)}.</p>'
        yield from (_part(part, numbers) for part in one.parts)
        yield "</section>"


def _part(part: Part, numbers: Iterator[int]) -> str:
    if isinstance(part, Words):
        return f'<p class="strong">{_text(part.text)}</p>' if part.strong else f"<p>{_text(part.text)}</p>"
    if isinstance(part, Lines):
        return f"<pre>{_text(part.text)}</pre>"
    return _grid(part) if isinstance(part, Grid) else _drawing(part, next(numbers))


def _drawing(part: Drawing, number: int) -> str:
    # A browser ends a script at "</script" wherever it is; in JSON "<" may be written so.
    data = part.figure.to_json().replace("<", "\\u003c")
    name, height = f"figure-{number}", int(part.figure.layout.height)
    return (
        f'<div id="{name}" class="figure" style="height: {height}px"></div>\n'
        f'<script type="application/json" data-figure="{name}">{data}</script>'
    )


def _grid(part: Grid) -> str:
    head = "".join(_cell("th", text, at in part.words) for at, text in enumerate(part.headings))
    rows = (
        f"<tr{' class=marked' if at in part.marked else ''}>{''.join(_cells(row, part.words))}</tr>"
        for at, row in enumerate(part.rows)
    )
    header = f"<thead><tr>{head}</tr></thead>" if any(part.headings) else ""
    kind = "" if header else ' class="facts"'
    return f'<div class="scroll"><table{kind}>{header}<tbody>{"".join(rows)}</tbody></table></div>'


def _cells(row: Iterable[str], words: frozenset[int]) -> Iterator[str]:
    return (_cell("td", text, at in words) for at, text in enumerate(row))


def _cell(tag: str, text: str, is_word: bool) -> str:
    return f"<{tag}{' class=word' if is_word else ''}>{_text(text)}</{tag}>"
