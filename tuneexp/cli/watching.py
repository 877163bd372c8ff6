"""`tuneexp show NAME --watch`: a sweep that another process runs, read from its folder until it stops."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from tuneexp.cli.show import show_result
from tuneexp.cli.sweep_view import progress_of, title_of
from tuneexp.cli.terminal import Terminal
from tuneexp.errors import TuneexpError

if TYPE_CHECKING:
    from tuneexp.report.leaderboard import TrialState
    from tuneexp.report.live import SweepProgress
    from tuneexp.sweep import SweepResult
    from tuneexp.sweep.storage.folder import SweepFolder

PERIOD_S = 1.0
MOST_READING = 0.1  # share of the time that is spent on reading the sweep


def watch_stored(screen: Terminal, name: str, storage: str, top: int | None = None) -> SweepResult:
    """Show the leaderboard of a running sweep until it stops, then the final one. Returns its last state.

    Ctrl-C stops watching and not the sweep.

    Raises:
        UserError: There is no such sweep.
        TuneexpError: The sweep stopped before its end."""
    from tuneexp.sweep import load_sweep
    from tuneexp.sweep.storage.folder import stored_folder

    folder = stored_folder(name, storage)
    _wait_for_start(screen, folder)
    try:
        result = _shown_until_it_stops(screen, name, storage)
    except KeyboardInterrupt:
        result = load_sweep(name, storage)
        show_result(screen, result, top)
        if result.state == "running":
            screen.note(f"stopped watching; sweep {result.name} continues")
        raise
    show_result(screen, result, top)
    if result.state == "interrupted":
        raise TuneexpError(f"sweep {result.name} was interrupted or killed before its end")
    return result


def _wait_for_start(screen: Terminal, folder: SweepFolder) -> None:
    """Wait for a sweep whose process has its lock and has stored nothing yet, because Ray is starting."""
    from tuneexp.files.locks import is_held

    told = False
    while not folder.config_file.exists() and is_held(folder.lock_file):
        if not told:
            screen.note(f"sweep {folder.name} is starting")
        told = True
        time.sleep(PERIOD_S)


def _shown_until_it_stops(screen: Terminal, name: str, storage: str) -> SweepResult:
    from tuneexp.report.live import sweep_view
    from tuneexp.report.stored_leaderboard import varied_names
    from tuneexp.sweep import load_config, load_sweep

    result = load_sweep(name, storage)
    if result.state != "running":
        return result
    config = load_config(name, storage)
    progress = progress_of(config, varied_names(config), result.trials)
    interrupt: KeyboardInterrupt | None = None
    with sweep_view(screen.err, progress, f"watching {title_of(config)}") as view:
        try:
            while result.state == "running":
                began_s = time.monotonic()
                result = load_sweep(name, storage)
                for trial in _news(progress, result):
                    view.ended(trial)
                if result.state == "running":
                    time.sleep(max(PERIOD_S, (time.monotonic() - began_s) / MOST_READING))
        except KeyboardInterrupt as error:
            interrupt = error  # raised outside of the view, which would show the trials as interrupted
    if interrupt is not None:
        raise interrupt
    return result


def _news(progress: SweepProgress, result: SweepResult) -> list[TrialState]:
    from tuneexp.report.leaderboard import TrialState

    return progress.restate(map(TrialState.of, result.trials))
