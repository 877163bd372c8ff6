"""Progress of a sweep, and the leaderboard with the next commands at its end."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from tuneexp.cli.show import show_result
from tuneexp.cli.terminal import Terminal
from tuneexp.commands import command
from tuneexp.errors import TuneexpError
from tuneexp.report.formatting import short_path
from tuneexp.sweep.storage.folder import SweepFolder
from tuneexp.tracking.event_files import how_to_open

if TYPE_CHECKING:
    from tuneexp.report.live import SweepProgress
    from tuneexp.sweep import Sweep, SweepConfig, SweepResult, TrialResult


def watch_on(
    screen: Terminal,
    config: SweepConfig,
    varied: list[str] | None,
    run: Callable[..., SweepResult],
    title: str | None = None,
    known: Iterable[TrialResult] = (),
    is_last: bool = True,
) -> SweepResult:
    """Run the sweep with a live view, then print its leaderboard and the next commands.

    Args:
        screen: Output streams of the command.
        config: The sweep.
        varied: Names of the varied hyperparameters; None shows those that differ between trials.
        run: Runs the sweep; called with `on_event`.
        title: First line of the view; None describes the sweep.
        known: Trials of a sweep that is resumed. They are shown until their events arrive.
        is_last: Nothing follows; else the JSON object and the next commands are left to what follows.

    Raises:
        TuneexpError: No trial has finished."""
    result = live_view(screen, config, varied, run, title, known)
    if screen.json and is_last:
        screen.result(result.as_json())
    elif not screen.json:
        show_result(screen, result, is_last=is_last)
    if not result.front:
        raise TuneexpError(_none_finished(result))
    if not screen.json and is_last:
        screen.show_text(_next_commands(result, config.tensorboard))
    return result


def live_view(
    screen: Terminal,
    config: SweepConfig,
    varied: list[str] | None,
    run: Callable[..., SweepResult],
    title: str | None = None,
    known: Iterable[TrialResult] = (),
) -> SweepResult:
    """Run the sweep with a live view. Arguments as those of `watch_on`."""
    from tuneexp.report.live import sweep_view

    progress = progress_of(config, varied, known)
    with sweep_view(screen.err, progress, title or title_of(config)) as view:
        return run(on_event=view.on_event)


def progress_of(config: SweepConfig, varied: list[str] | None, known: Iterable[TrialResult]) -> SweepProgress:
    """Return the progress of a sweep. Arguments as those of `watch_on`."""
    from tuneexp.report.leaderboard import TrialState
    from tuneexp.report.live import SweepProgress
    from tuneexp.sweep.search.space.listed import KEY
    from tuneexp.sweep.sweep_config import objectives_of

    return SweepProgress(
        config.trials,
        config.trial.budget_env_steps,
        varied,
        map(TrialState.of, known),
        objectives_of(config),
        dict(enumerate(config.space.get(KEY, ()))),
    )


def _next_commands(result: SweepResult, tensorboard: bool) -> str:
    """The lines that follow the leaderboard of `show`."""
    storage = short_path(result.storage)
    folder = SweepFolder(Path(result.storage) / result.name)
    logs = f"logs        {how_to_open(short_path(str(folder.logs)))}\n" if tensorboard else ""
    return (
        f"{logs}confirm     {command('confirm', result.name, storage=storage)}\n"
        f"show        {command('show', result.name, '--plot', 'curves.png', storage=storage)}\n"
        f"repeat      {command('sweep', short_path(f'{result.storage}/{result.name}/experiment.yaml'))}"
    )


def title_with_plan(screen: Terminal, sweep: Sweep) -> str | None:
    """Title of a new sweep, its plan in one line; None for a sweep that is resumed.

    On a terminal, where a title is cut at the end of the line, the plan is a line above it."""
    from tuneexp.report.plan import plan_line

    if sweep.goes_on:
        return None
    plan = sweep.plan()
    if not screen.err.is_terminal:
        return plan_line(plan)
    screen.note(plan_line(plan))
    return f"sweep {plan.name}: {plan.algorithm} on {plan.env}"


def title_of(config: SweepConfig) -> str:
    """First line of the live view."""
    from tuneexp.report.plan import sweep_title

    trial = config.trial
    size = (config.trials, trial.seeds, trial.budget_env_steps, config.concurrency)
    return sweep_title(config.name, trial.algorithm, trial.env, *size)


def _none_finished(result: SweepResult) -> str:
    if completed := [one for one in result.trials if one.outcome == "completed" and one.violated]:
        texts = ", ".join(sorted({text for one in completed for text in one.violated}))
        return f"no completed trial satisfies the constraints ({texts}); loosen them, or widen the search space"
    if result.ended_by == "time_budget_s":
        more = command("extend", result.name, "--time-budget", "1h", storage=result.storage)
        return f"no trial finished within the time budget; give it more time: {more}"
    if result.state != "failed":
        return f"no trial finished; what went wrong: {command('show', result.name, storage=result.storage)}"
    first = result.trials[0]
    return (
        f"no trial ran; trial {first.trial_number}: {first.reason}\n"
        f"once that is fixed: {command('resume', result.name, storage=result.storage)}"
    )
