"""Figures of the report in plotly, from rows and curves."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from typing import Any

import plotly.graph_objects as go

from tuneexp.report.page.budget import ENDS
from tuneexp.report.page.curves import Curve
from tuneexp.report.tables import Rows

COLOURS = ("#1f77b4", "#d62728", "#2ca02c", "#9467bd", "#ff7f0e", "#17becf", "#8c564b", "#e377c2")
OUTCOME_COLOURS = {
    "completed": "#2ca02c", "pruned": "#e6b800", "failed": "#d62728", "not ended": "#1f77b4", "went on": "#d9d9d9",
    "running": "#1f77b4", "interrupted": "#17becf", "paused": "#9467bd", "waiting": "#7f7f7f",
}  # fmt: skip
_FAILED = "#d62728"
_STEPS = "environment steps per seed"
_ROW_PX = 26  # height of a bar with a name


def _figure(x: str, y: str, height: int = 420, **layout: Any) -> go.Figure:
    """Return an empty figure. x, y: titles of the axes, plain text."""
    figure = go.Figure(layout={"template": "plotly_white", "height": height, "margin": {"t": 30, "r": 20}, **layout})
    figure.update_xaxes(title_text=html.escape(x), automargin=True)
    figure.update_yaxes(title_text=html.escape(y), automargin=True)
    return figure


def _colour(index: int) -> str:
    return COLOURS[index % len(COLOURS)]


def _shade(colour: str) -> str:
    """Return a translucent `#rrggbb`."""
    red, green, blue = (int(colour[at : at + 2], 16) for at in (1, 3, 5))
    return f"rgba({red},{green},{blue},0.15)"


def curves_figure(curves: Sequence[Curve], labels: Sequence[str], others: Sequence[Curve] = ()) -> go.Figure:
    """Draw means over seeds with their intervals, and other curves thin and grey, as one trace."""
    figure = _figure(_STEPS, "return (evaluation)", 500)
    if others:
        x = [step for one in others for step in (*one.env_steps, None)]
        y = [value for one in others for value in (*one.mean, None)]
        figure.add_scatter(
            x=x, y=y, mode="lines", line={"color": "#cccccc", "width": 1}, name="other trials", hoverinfo="skip"
        )
    for index, (curve, label) in enumerate(zip(curves, labels, strict=True)):
        colour, group = _colour(index), str(index)
        if curve.low:
            figure.add_scatter(
                x=[*curve.env_steps, *reversed(curve.env_steps)], y=[*curve.high, *reversed(curve.low)], fill="toself",
                mode="lines", fillcolor=_shade(colour), line={"width": 0}, hoverinfo="skip", showlegend=False,
                legendgroup=group,
            )  # fmt: skip
        figure.add_scatter(
            x=curve.env_steps, y=curve.mean, mode="lines" if len(curve.mean) > 1 else "markers",
            line={"color": colour, "width": 2}, name=html.escape(label), legendgroup=group,
        )  # fmt: skip
    return figure


def levels_figure(rows: Rows) -> go.Figure:
    """Draw what became of the trials that reached each level, as stacked bars. Rungs are marked below the axis."""
    figure = _figure(_STEPS, "trials", barmode="stack")
    names = [f"{row['env_steps']:,}{' ▲' if row['rung'] else ''}" for row in rows]
    for end in ("went on", *ENDS):
        values = [row[end] for row in rows]
        if any(values):
            figure.add_bar(x=names, y=values, name=end, marker_color=OUTCOME_COLOURS[end])
    figure.update_xaxes(type="category")
    return figure


def stability_figure(rows: Rows) -> go.Figure:
    """Draw the rank correlation with the final ranking over the budget."""
    figure = _figure(_STEPS, "Spearman correlation with the final ranking")
    figure.add_scatter(
        x=[row["env_steps"] for row in rows], y=[row["spearman"] for row in rows], mode="lines+markers",
        customdata=[[row["trials"], row["rank_of_best"]] for row in rows], line={"color": _colour(0)},
        hovertemplate="%{y:.2f} over %{customdata[0]} trials; rank of the final best: %{customdata[1]}<extra></extra>",
    )  # fmt: skip
    figure.update_yaxes(range=[min(-0.05, *(row["spearman"] for row in rows)) - 0.05, 1.05])
    return figure


def timeline_figure(rows: Rows) -> go.Figure:
    """Draw the time in which each trial had started and not ended, coloured by outcome. rows: from `time_rows`."""
    started = [row for row in rows if row["start_s"] is not None]
    figure = _figure("seconds since the first start", "trial", max(260, min(900, 60 + 14 * len(started))),
                     barmode="overlay", bargap=0.1)  # fmt: skip
    for outcome in dict.fromkeys(row["outcome"] for row in started):
        own = [row for row in started if row["outcome"] == outcome]
        figure.add_bar(
            y=[row["number"] for row in own], x=[row["end_s"] - row["start_s"] for row in own],
            base=[row["start_s"] for row in own], orientation="h", name=html.escape(str(outcome)),
            marker_color=OUTCOME_COLOURS.get(outcome, _FAILED),
            customdata=[[row["wall_s"], row["other_s"]] for row in own],
            hovertemplate="trial %{y}: %{customdata[0]:.1f} s of training, %{customdata[1]:.1f} s other<extra></extra>",
        )  # fmt: skip
    figure.update_yaxes(autorange="reversed")
    return figure


def importances_figure(rows: Rows) -> go.Figure:
    """Draw the importance of hyperparameters, a colour for each objective. rows: from `importance_rows`."""
    names = list(dict.fromkeys(row["hyperparameter"] for row in rows))
    objectives = list(dict.fromkeys(row["objective"] for row in rows))
    figure = _figure("importance", "", 120 + _ROW_PX * len(names) * len(objectives), showlegend=len(objectives) > 1)
    for index, objective in enumerate(objectives):
        own = [row for row in rows if row["objective"] == objective]
        figure.add_bar(
            y=[html.escape(row["hyperparameter"]) for row in own], x=[row["importance"] for row in own],
            orientation="h", name=html.escape(objective), marker_color=_colour(index),
        )  # fmt: skip
    figure.update_yaxes(type="category", autorange="reversed")
    return figure


def intervals_figure(rows: Rows, x: str, hollow: str = "") -> go.Figure:
    """Draw a point with its interval for each row.

    Args:
        rows: Rows `name`, `value`, `low` and `high`; the last two may be None. Also `before`: a second, hollow point.
        x: Title of the axis.
        hollow: Name of the second points.
    """
    figure = _figure(x, "", 130 + _ROW_PX * len(rows), showlegend=bool(hollow))
    figure.add_scatter(
        y=[html.escape(row["name"]) for row in rows], x=[row["value"] for row in rows], mode="markers",
        marker={"size": 10, "color": _colour(0)}, name="score", error_x=_ends(rows),
    )  # fmt: skip
    if hollow:
        figure.add_scatter(
            y=[html.escape(row["name"]) for row in rows], x=[row.get("before") for row in rows], mode="markers",
            marker={"size": 10, "color": _colour(1), "symbol": "circle-open"}, name=hollow,
        )  # fmt: skip
    figure.update_yaxes(type="category", autorange="reversed")
    return figure


def _ends(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the error bars of rows; without an end they have the length 0."""
    over = [0.0 if row["high"] is None else row["high"] - row["value"] for row in rows]
    under = [0.0 if row["low"] is None else row["value"] - row["low"] for row in rows]
    return {"type": "data", "symmetric": False, "array": over, "arrayminus": under}


def incumbents_figure(rows: Rows) -> go.Figure:
    """Draw the best value of each sweep so far over the environment steps spent. rows: from `incumbent_rows`."""
    figure = _figure("environment steps of all ended trials, per seed", "best completed trial so far")
    for index, sweep in enumerate(dict.fromkeys(row["sweep"] for row in rows)):
        own = [row for row in rows if row["sweep"] == sweep]
        figure.add_scatter(
            x=[row["env_steps"] for row in own], y=[row["best"] for row in own], mode="lines+markers",
            line={"shape": "hv", "color": _colour(index)}, name=html.escape(sweep),
        )  # fmt: skip
    return figure
