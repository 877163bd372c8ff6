"""Writer of `docs/learning.md`: measured and published returns, and a learning curve for each task."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.learning import stored
from benchmarks.learning_tasks import LONG_RUN, SEEDS, TASKS, TOO_LONG, Published, Task, TooLong, source
from benchmarks.long_run import stored as long_run_stored
from benchmarks.report import load, machine_words, table
from benchmarks.running import ROOT
from tuneexp.statistics.aggregates import aggregate
from tuneexp.statistics.intervals import estimate

PAGE = ROOT / "docs" / "learning.md"
FIGURES = ROOT / "docs" / "img" / "learning"


def curve_table(curve: dict[str, list[Any]]) -> list[dict[str, float]]:
    """One row for each report: `env_steps`, `iqm`, `low`, `high`."""
    estimates = [estimate(per_seed, "iqm") for per_seed in curve["return_per_seed"]]
    return [
        {"env_steps": steps, "iqm": iqm.value, "low": iqm.low, "high": iqm.high}
        for steps, iqm in zip(curve["env_steps"], estimates, strict=True)
    ]


def plot_curve(rows: list[dict[str, float]], published: Published | None, axes: Any) -> None:
    """On matplotlib `axes`: the interquartile mean, its interval as a band, and the published return as a line."""
    steps = [row["env_steps"] for row in rows]
    axes.fill_between(steps, [row["low"] for row in rows], [row["high"] for row in rows], alpha=0.25, linewidth=0)
    axes.plot(steps, [row["iqm"] for row in rows], linewidth=1.8)
    if published:
        axes.axhline(published.mean_return, color="0.4", linestyle="--", linewidth=1)
    axes.set(xlabel="environment steps per seed", ylabel="return")


def save_figure(task: Task, measured: dict[str, Any]) -> Path:
    return _saved(task, lambda axes: plot_curve(curve_table(measured["curve"]), task.published, axes))


def _saved(task: Task, draw: Callable[[Any], None]) -> Path:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(4.2, 2.6), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    draw(axes)
    axes.set_title(title_of(task), fontsize="medium")
    FIGURES.mkdir(parents=True, exist_ok=True)
    path = FIGURES / f"{task.name}.png"
    figure.savefig(path, dpi=90, metadata={"Software": None})
    return path


def _words(per_seed: list[float]) -> str:
    iqm = estimate(per_seed, "iqm")
    return f"{iqm.value:.1f} ({iqm.low:.1f} to {iqm.high:.1f})"


def title_of(task: Task) -> str:
    return task.name.replace("_", " ", 1) if task.has_row else task.name.replace("_", " ")


def verdict(task: Task, measured: dict[str, Any]) -> str:
    """Return whether the published return was matched, by the rule on the page."""
    published = task.published
    if published is None:
        return "no published row"
    enough = aggregate(measured["return_per_seed"], "iqm") >= published.wanted
    return "matched" if enough and measured["env_steps"] <= published.env_steps else "**missed**"


def write_page() -> Path:
    """Write docs/learning.md and its figures from the stored measurements. Unmeasured tasks are listed."""
    measured = {name: found for name, task in TASKS.items() if (found := stored(task)) is not None}
    parts = [_HEAD.format(seeds=len(SEEDS), source=source())]
    parts += _machines(measured)
    if measured:
        parts.append(_results(measured))
    parts.append(_not_run(measured))
    if (long_run := long_run_stored()) is not None:
        parts.append(_long_run(long_run))
    parts += ["## Each run, with its hyperparameters", *(_details(TASKS[name], measured[name]) for name in measured)]
    PAGE.write_text("\n\n".join(parts) + "\n")
    return PAGE


def _machines(measured: dict[str, dict[str, Any]]) -> list[str]:
    """Return one line for each machine, day and set of versions, with its runs."""
    runs: dict[str, list[str]] = {}
    machines: dict[str, dict[str, Any]] = {}
    for name, found in measured.items():
        machine = found["machine"]
        key = json.dumps([machine["cpu"], machine["date"], machine["versions"]])
        machines.setdefault(key, machine)
        runs.setdefault(key, []).append(title_of(TASKS[name]))
    most = max(runs, key=lambda key: len(runs[key]), default="")
    return [
        f"{'All others' if key == most and len(runs) > 1 else ', '.join(runs[key])}: {machine_words(machine)}"
        if len(runs) > 1
        else machine_words(machine)
        for key, machine in sorted(machines.items(), key=lambda pair: pair[0] == most)
    ]


_HEAD = """# Proof of learning

This page is written by `make learn`. The figures are in `benchmarks/results/learning/`. Each algorithm is trained
with {seeds} seeds at once, in one process with one thread. The score of a seed is the mean return of its final
deterministic policy over 20 episodes, in environments with fixed seeds that are not used in training. The score of a
run is the interquartile mean (IQM) of the scores of its seeds, with a 95 % bootstrap interval. Wall-clock time includes
building, compilation if the cache was empty, training and evaluation. It is no measure of speed: up to two runs ran in
parallel, and Acrobot and the runs of 2026-11-28 and 2026-11-29 shared the machine with other work, with pauses of many
minutes.

The reference is `benchmarks/reference_returns.csv`: "{source}" A row is **matched** if the IQM is at least the
reference minus the larger of its standard deviation and 2 % of its absolute value, with at most as many environment
steps. Otherwise it is missed."""


def _results(measured: dict[str, dict[str, Any]]) -> str:
    rows = []
    for name, found in measured.items():
        task, row = TASKS[name], TASKS[name].published
        rows.append(
            (
                f"[{title_of(task)}](#{_anchor(task)})",
                _words(found["return_per_seed"]),
                f"{found['env_steps']:,}",
                f"{found['wall_s']:,.0f} s",
                f"{row.mean_return:g} ± {row.std_return:g}" if row else "none",
                f"{row.wanted:.1f}" if row else "",
                f"{row.env_steps:,}" if row else "",
                verdict(task, found),
            )
        )
    heads = (
        "run",
        "IQM and interval",
        "env steps per seed",
        "wall clock",
        "reference",
        "required",
        "its env steps",
        "",
    )
    count = [verdict(TASKS[name], found) for name, found in measured.items()].count("matched")
    with_row = sum(TASKS[name].published is not None for name in measured)
    return f"## Results\n\n{count} of {with_row} rows matched.\n\n" + table(heads, rows)


def _not_run(measured: dict[str, dict[str, Any]]) -> str:
    rows = [
        (f"{title_of(task)}", "not measured yet: `make learn`") for name, task in TASKS.items() if name not in measured
    ]
    rows += [(f"{row.algorithm} {row.env}", f"not run: {row.why}; {_hours(row)}") for row in TOO_LONG]
    return "## Not run\n\n" + table(("row", "why"), rows)


def _hours(row: TooLong) -> str:
    """Return an estimate for 5 seeds, from the measured time of an update if there is one."""
    steps = f"{row.published.env_steps:,} steps"
    images = load("images")
    if images is None or not row.image_updates:
        return f"{steps} for 5 seeds"
    per_seed_update_ms = min(images["ms"].values()) / images["seeds"]
    hours = row.image_updates * len(SEEDS) * per_seed_update_ms / 1000 / 3600
    return f"{steps} for 5 seeds: about {hours:.0f} hours of gradient steps alone, at {per_seed_update_ms:.0f} ms each"


def _details(task: Task, measured: dict[str, Any]) -> str:
    figure = save_figure(task, measured).relative_to(PAGE.parent)
    scores = ", ".join(f"{score:.1f}" for score in measured["return_per_seed"])
    failed = f" Seeds that diverged: {measured['failed_seeds']}." if measured["failed_seeds"] else ""
    how = "compiled" if measured["compiled"] else "eager"
    hyperparameters = json.dumps(task.hyperparameters)
    words = f"{task.algorithm} on {task.env}" + (f": {task.note}" if task.note else "")
    return (
        f"### {title_of(task)}\n\n![{title_of(task)}]({figure})\n\n{words}. Seeds {SEEDS}: {scores}; {how}.{failed}\n\n"
        f"`{hyperparameters}`"
    )


def _long_run(measured: dict[str, Any]) -> str:
    reports, published = measured["reports"], LONG_RUN.published
    last = reports[-1]
    figure = _save_long_run(reports, published).relative_to(PAGE.parent)
    at_the_end = f"; the dashed line is the published {published.mean_return:g}, after all steps" if published else ""
    return (
        f"## A long run: {title_of(LONG_RUN)}\n\n![{title_of(LONG_RUN)}]({figure})\n\n"
        f"One seed with the published network and configuration, stopped after {last['env_steps']:,} of "
        f"{LONG_RUN.env_steps:,} environment steps: its return is {last['return_mean']:.1f} (5 games without "
        f"exploration; the minimum is -21){at_the_end}. {machine_words(measured['machine'])} "
        "`python -m benchmarks.long_run --hours 2` continues from its checkpoint if there is one.\n\n"
        f"`{json.dumps(LONG_RUN.hyperparameters)}`"
    )


def _save_long_run(reports: list[dict[str, Any]], published: Published | None) -> Path:
    steps = [report["env_steps"] for report in reports]
    returns = [report["return_mean"] for report in reports]
    rows = [{"env_steps": at, "iqm": score, "low": score, "high": score} for at, score in zip(steps, returns)]
    return _saved(LONG_RUN, lambda axes: plot_curve(rows, published, axes))


def _anchor(task: Task) -> str:
    return title_of(task).lower().replace(" ", "-")
