"""`tuneexp ui`: a sweep's page in MLflow, on a server that only this machine can reach."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
import webbrowser
from contextlib import suppress
from pathlib import Path
from types import FrameType
from typing import Annotated, NoReturn

import typer

from tuneexp.cli.options import DEFAULT_STORAGE, StorageOption, VerboseOption, examples
from tuneexp.cli.terminal import Terminal, terminal
from tuneexp.commands import command as command_line
from tuneexp.errors import TuneexpError, UserError, reason_of

EPILOG = examples("tuneexp ui", "tuneexp ui first", "tuneexp ui --storage /data/runs --port 5001")

HOST = "127.0.0.1"
START_LIMIT_S = 90.0
STOP_LIMIT_S = 10.0


def ui(
    name: Annotated[str | None, typer.Argument(help="Name of a sweep; without it, the newest one.")] = None,
    storage: StorageOption = DEFAULT_STORAGE,
    port: Annotated[int, typer.Option("--port", help="Port on this machine.")] = 5000,
    verbose: VerboseOption = False,
) -> None:
    """Open a sweep in the MLflow UI: its charts and its trials. It serves this machine only; Ctrl-C stops it."""
    if not 1 <= port <= 65535:
        raise UserError(f"--port is from 1 to 65535, got {port}")
    with terminal(json=False, verbose=verbose) as screen:
        from tuneexp.tracking.links import is_server
        from tuneexp.tracking.store import check_store, tracking_uri

        check_store()
        sweep = _sweep(name, storage)
        if is_server(tracking_uri(storage)):
            _show_pages(screen, sweep, storage, port, _store_views(screen, sweep))
            return
        command, environment = _command(storage, port)
        _refuse_taken_port(port, storage)
        _serve(screen, command, environment, sweep, storage, port, verbose)


def _sweep(name: str | None, storage: str) -> Path | None:
    """Return the folder of the sweep to open. UserError for an unknown name, with the nearest one."""
    from tuneexp.sweep import list_sweeps
    from tuneexp.sweep.storage.folder import stored_folder
    from tuneexp.sweep.sweep_config import read_config

    if name is None:
        known = [row["name"] for row in list_sweeps(storage) if row["state"] != "unreadable"]
        return stored_folder(known[-1], storage).path.resolve() if known else None
    folder = stored_folder(name, storage)
    read_config(folder)
    return folder.path.resolve()


def _command(storage: str, port: int) -> tuple[list[str], dict[str, str]]:
    """Return the command and environment of MLflow's server. UserError if nothing is stored."""
    from tuneexp.tracking.store import ui_command

    if not os.environ.get("MLFLOW_TRACKING_URI") and not (Path(storage).expanduser() / "mlflow.db").is_file():
        raise UserError(
            f"nothing is stored in {storage!r} yet; run a sweep first, or name its folder: tuneexp ui --storage FOLDER"
        )
    return ui_command(Path(storage).expanduser(), port)


def _refuse_taken_port(port: int, storage: str) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError as error:
            other = command_line("ui", "--port", min(port + 1, 65535), storage=storage)
            raise UserError(f"port {port} can't be used ({error.strerror}); choose another: {other}") from None


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
    for sign in (signal.SIGTERM, signal.SIGHUP):  # however we are ended, the server ends with us
        if signal.getsignal(sign) != signal.SIG_IGN:  # but `nohup` means that the terminal's end doesn't end us
            signal.signal(sign, _stop_serving)
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
    from tuneexp.tracking.delivery_process import SHORT_PATIENCE, mlflow_ids
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
    if _has_display():
        with suppress(webbrowser.Error):
            webbrowser.open(link)


def _links(sweep: Path, port: int) -> str:
    from tuneexp.tracking.links import all_sweeps_link, sweep_link

    charts, table = (sweep_link(sweep, port, charts=charts, has_view=True) for charts in (True, False))
    return (
        f"{sweep.name}: charts  {charts}\n{sweep.name}: table   {table}\n"
        f"all sweeps of its problem  {all_sweeps_link(sweep, port)}"
    )


def _has_display() -> bool:
    """Return True if a browser can open a window. Text browsers would take over the terminal."""
    if not sys.stderr.isatty():
        return False
    named = any(os.environ.get(name) for name in ("DISPLAY", "WAYLAND_DISPLAY", "BROWSER"))
    return named or sys.platform in ("darwin", "win32")


def _stop_serving(number: int, frame: FrameType | None) -> NoReturn:
    raise KeyboardInterrupt


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
