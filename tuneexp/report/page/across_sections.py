"""Section that compares several sweeps."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from tuneexp.report.formatting import count, duration
from tuneexp.report.page import figures
from tuneexp.report.page.across import differences, incumbent_rows, sweep_rows
from tuneexp.report.page.curves import best_curves
from tuneexp.report.page.parts import (
    Drawing,
    Formatter,
    LeftOut,
    Part,
    Section,
    Words,
    ends_text,
    grid_of,
    section,
    value_text,
)
from tuneexp.report.page.source import SweepData


def across_sections(sweeps: Sequence[SweepData]) -> list[Section]:
    """Return the sections that compare the sweeps."""
    return [
        section("Sweeps side by side", lambda: _table(sweeps)),
        section("Best trial of each sweep", lambda: _curves(sweeps)),
        section("Progress of the searches", lambda: _progress(sweeps)),
    ]


def _table(sweeps: Sequence[SweepData]) -> Iterator[Part]:
    if differing := differences(sweeps):
        yield Words(f"These sweeps are not comparable in every respect. {' '.join(differing)}", strong=True)
    rows = [
        {**row, "interval": ends_text(row["low"], row["high"]),
         "on_unseen_seeds": ends_text(row["confirmed_low"], row["confirmed_high"])}
        for row in sweep_rows(sweeps)
    ]  # fmt: skip
    words = ["sweep", "state", "algorithm", "env", "searcher", "scheduler", "objective"]
    columns: dict[str, Formatter] = {
        **dict.fromkeys(words, str), "seeds": count, "budget_env_steps": count, "trials": count, "completed": count,
        "best_trial": count, "best": value_text, "interval": str, "confirmed": value_text, "on_unseen_seeds": str,
        "env_steps": count, "wall_s": duration,
        "elapsed_s": duration,
    }  # fmt: skip
    yield grid_of(rows, columns, words)
    scored = [{**row, "name": row["sweep"], "value": row["best"]} for row in rows if row["best"] is not None]
    if len({row["objective"] for row in scored}) == 1:
        yield Words(
            "Best objective of each sweep with the 95 % interval over the seeds of that trial. The best of many trials "
            "is rated too high by them, more so in a larger sweep."
        )
        yield Drawing(figures.intervals_figure(scored, scored[0]["objective"]))


def _curves(sweeps: Sequence[SweepData]) -> Iterator[Part]:
    found = [
        (data, curve)
        for data in sweeps
        for curve in best_curves([row.trial for row in data.ranking], data.reports, most=1)
    ]
    if not found:
        raise LeftOut("there is no evaluation yet")
    yield Words("Mean return of the evaluations over seeds. Bands are 95 % intervals of the mean over seeds.")
    labels = [f"{data.name}: trial {curve.trial}" for data, curve in found]
    yield Drawing(figures.curves_figure([curve for _, curve in found], labels))


def _progress(sweeps: Sequence[SweepData]) -> Iterator[Part]:
    rows = incumbent_rows(sweeps)
    if not rows:
        raise LeftOut("no trial of a sweep with one objective has completed")
    yield Words("The best completed trial so far, over the environment steps of all trials that had ended.")
    yield Drawing(figures.incumbents_figure(rows))
