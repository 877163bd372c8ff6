"""Learning curves per seed: rows as data, their mean, bootstrap intervals, and the figure."""

from __future__ import annotations

import math
import os
import re
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from tuneexp.statistics.intervals import percentile_interval

_SEED_RETURN = re.compile(r"seed/(\d+)/return_mean")


def interval(
    values: Sequence[float], confidence: float = 0.95, of: Callable[..., Any] | None = None
) -> tuple[float, float] | None:
    """Bootstrap confidence interval over seeds.

    Args:
        values: One per seed; those that are not finite are left out.
        confidence: Coverage, such as 0.95.
        of: Statistic, as in `percentile_interval`.
    Returns:
        `(low, high)`; None for fewer than 3 finite values."""
    finite = [value for value in values if value is not None and math.isfinite(value)]
    return percentile_interval(finite, confidence, of) if len(finite) >= 3 else None


def seed_curves(results: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Rows `{"env_steps", "seed", "return_mean"}` from the reports of one trial (keys `seed/<seed>/return_mean`).

    A report that appears twice (after a resume) counts once: the later one."""
    points: dict[tuple[int, int], float] = {}
    for result in results:
        for key, value in result.items():
            match = _SEED_RETURN.fullmatch(key)
            if match and value is not None:
                points[(int(match[1]), int(result["env_steps"]))] = float(value)
    return [{"env_steps": steps, "seed": seed, "return_mean": value} for (seed, steps), value in sorted(points.items())]


def stored_curves(sweep_folder: Path) -> dict[int, list[dict[str, Any]]]:
    """Trial number -> rows of `seed_curves`, from the reports in the sweep's folder."""
    from tuneexp.report.tables import stored_reports

    return {trial: seed_curves(reports) for trial, reports in stored_reports(sweep_folder).items()}


def final_returns(sweep_folder: Path, trial: int) -> dict[int, float]:
    """Seed -> its last evaluation in `trial`; empty if the sweep has no reports."""
    rows = stored_curves(sweep_folder).get(trial, [])
    return {row["seed"]: row["return_mean"] for row in rows}  # rows are sorted by env_steps: the last one stays


def plot_seed_curves(rows: Sequence[Mapping[str, Any]], axes: Any, label: str = "") -> None:
    """Plot thin lines per seed and a thick line for the mean over environment steps per seed, on matplotlib `axes`."""
    seeds = sorted({row["seed"] for row in rows})
    colour: str | None = None
    for seed in seeds:
        line = [(row["env_steps"], row["return_mean"]) for row in rows if row["seed"] == seed]
        (drawn,) = axes.plot(*zip(*line, strict=True), _marker(line), color=colour, alpha=0.35, linewidth=1)
        colour = drawn.get_color()
    steps, means = mean_curve(rows)
    axes.plot(steps, means, _marker(steps), color=colour, linewidth=2, label=label)


def _marker(points: Sequence[Any]) -> str:
    """matplotlib's format of a curve: a line, or a marker for a single point."""
    return "-" if len(points) > 1 else "o"


def mean_curve(rows: Sequence[Mapping[str, Any]]) -> tuple[list[int], list[float]]:
    """Environment steps, and at each the mean over the seeds that have a value there."""
    steps = sorted({row["env_steps"] for row in rows})
    by_step = {step: [row["return_mean"] for row in rows if row["env_steps"] == step] for step in steps}
    return steps, [sum(values) / len(values) for values in by_step.values()]


def _import_matplotlib() -> None:
    """Import matplotlib. Its import fails if MPLBACKEND names a backend that is not installed, such as a notebook's."""
    if "matplotlib" in sys.modules:
        return
    backend = os.environ.pop("MPLBACKEND", None)
    import matplotlib

    if backend is not None:
        os.environ["MPLBACKEND"] = backend
        with suppress(ValueError):  # not installed: only a file is written here
            matplotlib.rcParams["backend"] = backend


def save_seed_plot(trials: Mapping[str, Sequence[Mapping[str, Any]]], path: Path, title: str) -> None:
    """Write the figure of several trials (`label -> rows of seed_curves`) to `path` (.png, .pdf, .svg)."""
    _import_matplotlib()
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 5), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    for label, rows in trials.items():
        if rows:
            plot_seed_curves(rows, axes, label)
    axes.set(xlabel="environment steps per seed", ylabel="return (evaluation)", title=title)
    axes.legend(loc="best", fontsize="small")
    figure.savefig(path, dpi=150)
