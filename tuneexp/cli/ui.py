"""`tuneexp ui`: the MLflow UI on the right store, reachable from this machine only."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
from pathlib import Path
from types import FrameType
from typing import Annotated, NoReturn

import typer

from tuneexp.cli.options import DEFAULT_STORAGE, StorageOption, VerboseOption, examples
from tuneexp.cli.terminal import Terminal, terminal
from tuneexp.commands import command as command_line
from tuneexp.errors import TuneexpError, UserError

EPILOG = examples("tuneexp ui", "tuneexp ui --storage /data/runs --port 5001")

HOST = "127.0.0.1"
START_LIMIT_S = 90.0
STOP_LIMIT_S = 10.0


def ui(
    storage: StorageOption = DEFAULT_STORAGE,
    port: Annotated[int, typer.Option("--port", help="Port on this machine.")] = 5000,
    verbose: VerboseOption = False,
) -> None:
    """Open the MLflow UI on what the sweeps stored. Only this machine can reach it; Ctrl-C ends it."""
    if not 1 <= port <= 65535:
        raise UserError(f"--port is from 1 to 65535, got {port}")
    with terminal(json=False, verbose=verbose) as screen:
        command, environment = _command(storage, port)
        _refuse_taken_port(port, storage)
        _serve(screen, command, environment, port, verbose)


def _command(storage: str, port: int) -> tuple[list[str], dict[str, str]]:
    """How MLflow's server is started on this store. UserError where nothing was stored, or a server has it."""
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


def _serve(screen: Terminal, command: list[str], environment: dict[str, str], port: int, verbose: bool) -> None:
    output = None if verbose else subprocess.DEVNULL
    for sign in (signal.SIGTERM, signal.SIGHUP):  # however we are ended, the server ends with us
        if signal.getsignal(sign) != signal.SIG_IGN:  # but `nohup` means that the terminal's end doesn't end us
            signal.signal(sign, _stop_serving)
    # A session of its own: Ctrl-C reaches us alone, and then the whole group is ended in order.
    server = subprocess.Popen(command, stdout=output, stderr=output, env=environment, start_new_session=True)
    try:
        screen.note("starting the MLflow UI")
        _wait_until_up(server, port)
        screen.note(f"MLflow UI on http://{HOST}:{port} (Ctrl-C ends it)")
        server.wait()
        raise TuneexpError(f"the MLflow UI ended by itself with code {server.returncode}; see why with: tuneexp ui -v")
    except KeyboardInterrupt:
        screen.note("stopped")
    finally:
        _stop(server)


def _stop_serving(number: int, frame: FrameType | None) -> NoReturn:
    raise KeyboardInterrupt


def _wait_until_up(server: subprocess.Popen[bytes], port: int) -> None:
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # whatever http_proxy is
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
