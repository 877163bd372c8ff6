"""Pictures for the documentation: the live table of a sweep, the pages of MLflow that `tuneexp ui` opens, and a report.

python -m benchmarks.screenshots                                    # run the sweeps first: some minutes
python -m benchmarks.screenshots --storage runs --name first        # pictures of a stored sweep
"""

from __future__ import annotations

import argparse
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from io import StringIO
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from PIL import Image
from rich.console import Console

from tests.browser.pages import drawn_bars, drawn_lines, drawn_pixels, open_browser, rows_of, until, visit
from tuneexp.cli.sweep_view import title_of
from tuneexp.report.leaderboard import TrialState
from tuneexp.report.live import LiveView, SweepProgress
from tuneexp.report.stored_leaderboard import varied_names
from tuneexp.sweep import list_sweeps, load_config, load_sweep

IMAGES = Path(__file__).parents[1] / "docs" / "img"
NAME, PORT = "first", "5099"
SWEEPS = (
    ["ppo", "CartPole-v1", "--space", "search_spaces/ppo.yaml", "--name", NAME],
    ["a2c", "CartPole-v1", "--space", "search_spaces/a2c.yaml", "--name", "a2c"],
)
BUDGET = ["--trials", "8", "--seeds", "3", "--env-steps", "20000", "--scheduler", "asha"]
_SETTLED_S = 3.0  # MLflow's charts are animated
_COLORS = 200  # of a picture: its file is half as large
_DRAWN_CURVES = "return document.querySelectorAll('.scatterlayer .trace').length"
TERMINAL, COLUMNS, TRIALS_ENDED = "sweep.svg", 150, 5  # of eight: the picture shows a progress bar and results


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--storage", help="storage folder of the sweep; without it, sweeps are run")
    parser.add_argument("--name", default=NAME, help="name of the sweep")
    arguments = parser.parse_args()
    if arguments.storage:
        take_all(arguments.storage, arguments.name)
        return
    with TemporaryDirectory() as storage:
        commands = [[*_tuneexp("sweep"), *sweep, *BUDGET, "--storage", storage] for sweep in SWEEPS]
        run_and_take_table(commands[0], storage, NAME)
        subprocess.run(commands[1], check=True)
        take_all(storage, NAME)


def take_all(storage: str, name: str) -> None:
    with _served(storage, name) as (charts, table, all_sweeps):
        browser = open_browser()
        try:
            take(
                browser, charts, "mlflow.png", 1600, lambda: len(drawn_lines(browser)) > 1 and drawn_pixels(browser) > 0
            )
            take(browser, table, "mlflow-table.png", 1920, lambda: len(rows_of(browser)) > 1)
            take(browser, all_sweeps, "mlflow-sweeps.png", 1600, lambda: drawn_bars(browser) > 1)
            take_report(browser, storage, name)
        finally:
            browser.quit()


def take_report(browser: Any, storage: str, name: str) -> None:
    """Take a picture of the report that compares all sweeps of the storage."""
    others = [load_sweep(one["name"], storage) for one in list_sweeps(storage) if one["name"] != name]
    with TemporaryDirectory() as folder:
        page = load_sweep(name, storage).report(Path(folder) / "report.html", others)
        take(browser, page.as_uri(), "report.png", 1200, lambda: browser.execute_script(_DRAWN_CURVES) > 1)


def run_and_take_table(command: Sequence[str], storage: str, name: str) -> None:
    """Run a sweep, with a picture of its live table once `TRIALS_ENDED` of its trials have ended."""
    process = subprocess.Popen(command)
    while process.poll() is None and not take_table(storage, name):
        time.sleep(0.5)
    if process.wait():
        raise SystemExit(f"{command} failed")


def take_table(storage: str, name: str) -> bool:
    """Write the live table of a running sweep, from its stored state. Returns False if too few trials have ended."""
    if not (Path(storage) / name / "snapshot.zip").is_file():
        return False
    config, result = load_config(name, storage), load_sweep(name, storage)
    known = map(TrialState.of, result.trials)
    progress = SweepProgress(config.trials, config.trial.budget_env_steps, varied_names(config), known)
    if progress.ended < TRIALS_ENDED:
        return False
    progress.fraction_at_start, progress.started_at = 0.0, time.monotonic() - (time.time() - config.created_at_s)
    console = Console(file=StringIO(), record=True, force_terminal=True, width=COLUMNS)
    console.print(LiveView(console, progress, title_of(config)).picture())
    (IMAGES / TERMINAL).write_text(_without_fonts(console.export_svg(title="tuneexp", unique_id="sweep")))
    print(f"wrote docs/img/{TERMINAL}")
    return True


def _without_fonts(svg: str) -> str:
    """Return the picture with the fixed-width font of the reader; the font of rich is loaded from the web."""
    fonts = re.compile(r"@font-face \{.*?\}\s*", re.DOTALL)
    return fonts.sub("", svg).replace("Fira Code", "ui-monospace, Menlo, Consolas, monospace")


def take(browser: Any, address: str, file: str, width: int, drawn: Callable[[], bool]) -> None:
    """Take a picture of a whole window once everything in it is drawn."""
    browser.set_window_size(width, 1087)
    visit(browser, address)
    until(browser, drawn, "content")
    time.sleep(_SETTLED_S)
    # The buttons of a chart appear below the mouse pointer; a browser without a mouse always shows them.
    browser.execute_script("document.querySelectorAll('.modebar').forEach(bar => bar.remove())")
    browser.save_screenshot(str(IMAGES / file))
    with Image.open(IMAGES / file) as picture:
        picture.convert("RGB").quantize(_COLORS).save(IMAGES / file, optimize=True)
    print(f"wrote docs/img/{file}")


@contextmanager
def _served(storage: str, name: str) -> Iterator[list[str]]:
    """Yield the links that `tuneexp ui` prints, while its server runs."""
    command = [*_tuneexp("ui"), name, "--storage", storage, "--port", PORT]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        yield [re.findall(r"http\S+", process.stdout.readline())[0] for _ in range(3)]
    finally:
        process.send_signal(signal.SIGINT)
        process.wait()


def _tuneexp(command: str) -> list[str]:
    return [sys.executable, "-m", "tuneexp", command]


if __name__ == "__main__":
    main()
