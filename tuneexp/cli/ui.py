"""`tuneexp ui`: a sweep's page in MLflow, on a server that only this machine can reach."""

from __future__ import annotations

import os
import signal
import subprocess
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Annotated

import typer

from tuneexp.cli.options import DEFAULT_STORAGE, StorageOption, VerboseOption, examples
from tuneexp.cli.serving import (
    HOST,
    NewestArgument,
    check_port,
    end_like_ctrl_c,
    open_in_browser,
    refuse_taken_port,
    sweep_to_open,
)
from tuneexp.cli.terminal import Terminal, terminal
from tuneexp.commands import command as command_line
from tuneexp.errors import TuneexpError, UserError, reason_of

EPILOG = examples("tuneexp ui", "tuneexp ui first", "tuneexp ui --storage /data/runs --port 5001")

START_LIMIT_S = 90.0
STOP_LIMIT_S = 10.0


def ui(
    name: NewestArgument = None,
    storage: StorageOption = DEFAULT_STORAGE,
    port: Annotated[int, typer.Option("--port", help="Port on this machine.")] = 5000,
    verbose: VerboseOption = False,
) -> None:
    """Open a sweep in the MLflow UI: its charts and its trials. It serves this machine only; Ctrl-C stops it."""
    check_port(port)
    with terminal(json=False, verbose=verbose) as screen:
        from tuneexp.tracking.links import is_server
        from tuneexp.tracking.store import check_store, tracking_uri

        check_store()
        sweep = sweep_to_open(name, storage)
        if is_server(tracking_uri(storage)):
            _show_pages(screen, sweep, storage, port, _store_views(screen, sweep))
            return
        command, environment = _command(storage, port)
        refuse_taken_port(port, "ui", storage)
        _serve(screen, command, environment, sweep, storage, port, verbose)


def _command(storage: str, port: int) -> tuple[list[str], dict[str, str]]:
    """Return the command and environment of MLflow's server. UserError if nothing is stored."""
    from tuneexp.tracking.store import ui_command

    if not os.environ.get("MLFLOW_TRACKING_URI") and not (Path(storage).expanduser() / "mlflow.db").is_file():
        raise UserError(
            f"nothing is stored in {storage!r} yet; run a sweep first, or name its folder: tuneexp ui --storage FOLDER"
        )
    return ui_command(Path(storage).expanduser(), port)


def _serve(
    screen: Terminal,
    command: list[str],
    environment: dict[str, str],
    sweep: Path | None,
    storage: str,
    port: int,
    verbose: bool,
) -> None:
    output = None if verbose else subprocess.DEVNULL
    end_like_ctrl_c()
    # A process group of its own: only this process receives Ctrl-C, and then ends the group in order.
    server = subprocess.Popen(command, stdout=output, stderr=output, env=environment, start_new_session=True)
    try:
        screen.note("starting the MLflow UI")
        has_view = _store_views(screen, sweep)  # while it starts
        _wait_until_up(server, port)
        screen.note(f"MLflow UI on http://{HOST}:{port} (Ctrl-C stops it)")
        _show_pages(screen, sweep, storage, port, has_view)
        server.wait()
        raise TuneexpError(f"the MLflow UI exited with code {server.returncode}; see why with: tuneexp ui -v")
    except KeyboardInterrupt:
        screen.note("stopped")
    finally:
        _stop(server)


def _store_views(screen: Terminal, sweep: Path | None) -> bool:
    """Write the sweep's saved view, which earlier versions did not have. Return True if it is there."""
    from tuneexp.tracking.delivery_process import mlflow_ids
    from tuneexp.tracking.store_errors import SHORT_PATIENCE
    from tuneexp.tracking.view_store import store_views

    if sweep is None or not mlflow_ids(sweep).is_there:
        return False
    for setting, value in SHORT_PATIENCE.items():
        os.environ.setdefault(setting, value)
    try:
        return store_views(sweep, screen.note)
    except Exception as error:  # the pages are worth opening without it
        screen.note(f"the saved view can't be brought up to date: {reason_of(error)}")
        return mlflow_ids(sweep).has_view


def _show_pages(screen: Terminal, sweep: Path | None, storage: str, port: int, has_view: bool) -> None:
    """Print the links, and open the first one."""
    from tuneexp.tracking.links import experiments_link, sweep_link

    link = sweep_link(sweep, port, has_view=has_view) if sweep is not None else None
    if sweep is None or link is None:
        if sweep is not None:
            deliver = command_line("resume", sweep.name, storage=sweep.parent)
            screen.note(f"nothing of {sweep.name} has reached MLflow yet; to deliver the outbox, write: {deliver}")
        link = experiments_link(storage, port)
        screen.show_text(link)
    else:
        screen.show_text(_links(sweep, port) if has_view else f"all runs of its problem  {link}")
    open_in_browser(link)


def _links(sweep: Path, port: int) -> str:
    from tuneexp.tracking.links import all_sweeps_link, sweep_link

    charts, table = (sweep_link(sweep, port, charts=charts, has_view=True) for charts in (True, False))
    return (
        f"{sweep.name}: charts  {charts}\n{sweep.name}: table   {table}\n"
        f"all sweeps of its problem  {all_sweeps_link(sweep, port)}"
    )


def _wait_until_up(server: subprocess.Popen[bytes], port: int) -> None:
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # ignores http_proxy
    limit = time.monotonic() + START_LIMIT_S
    while time.monotonic() < limit:
        if server.poll() is not None:
            raise TuneexpError(f"the MLflow UI did not start (code {server.returncode}); see why with: tuneexp ui -v")
        try:
            with direct.open(f"http://{HOST}:{port}/health", timeout=2):
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.2)
    raise TuneexpError(f"the MLflow UI did not answer within {START_LIMIT_S:.0f} s; see why with: tuneexp ui -v")


def _stop(server: subprocess.Popen[bytes]) -> None:
    for sign in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(server.pid, sign)
            server.wait(STOP_LIMIT_S)
            return
        except ProcessLookupError:
            return
        except subprocess.TimeoutExpired:
            continue
