"""TensorBoard's event files: written by tensorboardX, which Ray Tune requires. Only their reader is TensorBoard.

An event file holds each report as one event, whose step is the number of environment steps per seed. The first event
after its header is a session start: TensorBoard then drops points of earlier files of the folder from that step on.
"""

from __future__ import annotations

import importlib.util
import itertools
import json
import os
import shlex
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tuneexp.files.atomic import remove
from tuneexp.tracking.outcome import COMPLETED, PRUNED

FOLDER = "tensorboard"
INSTALL = "  (TensorBoard is an extra: pip install tensorboard)"
_PATTERN = "events.out.tfevents.*"
_HPARAMS, _NUMBER = "hparams", itertools.count()


class EventFile:
    """One event file in the folder of a trial. Raises OSError on a full disk.

    Args:
        folder: Folder of the trial, which is made.
        from_step: First step that the file may hold.
        hyperparameters: Of the trial, for TensorBoard's table of hyperparameters."""

    def __init__(self, folder: Path, from_step: int, hyperparameters: Mapping[str, Any]) -> None:
        from tensorboardX.event_file_writer import EventsWriter
        from tensorboardX.proto.event_pb2 import SessionLog

        folder.mkdir(parents=True, exist_ok=True)
        # TensorBoard reads the files of a folder in the order of their names, which begin with the second.
        self._writer = EventsWriter(str(folder / "events"), f".{os.getpid()}.{next(_NUMBER):06d}")
        self._write(time.time(), from_step, session_log=SessionLog(status=SessionLog.START))
        self._write(time.time(), from_step, summary=_session_start(hyperparameters, folder.name))

    def report(self, at_s: float, step: int, metrics: Mapping[str, float]) -> None:
        """Write the metrics of a report."""
        from tensorboardX.proto.summary_pb2 import Summary

        values = [Summary.Value(tag=name, simple_value=value) for name, value in metrics.items()]
        self._write(at_s, step, summary=Summary(value=values))

    def end(self, at_s: float, step: int, outcome: str) -> None:
        """Write the outcome of the trial."""
        self._write(at_s, step, summary=_session_end(at_s, outcome))

    def flush(self) -> None:
        self._writer.flush()

    def close(self) -> None:
        self._writer.close()

    def _write(self, at_s: float, step: int, **what: Any) -> None:
        from tensorboardX.proto.event_pb2 import Event

        self._writer.write_event(Event(wall_time=at_s, step=step, **what))


def how_to_open(folder: str) -> str:
    """Return the command that opens logs in TensorBoard, and what is to be installed before it."""
    missing = importlib.util.find_spec("tensorboard") is None
    return f"{shlex.join(['tensorboard', '--logdir', folder])}{INSTALL if missing else ''}"


def remove_event_files(folder: Path) -> None:
    """Remove the event files of a trial, and its folder unless it holds other files."""
    for file in folder.glob(_PATTERN):
        remove(file)
    if folder.is_dir() and not any(folder.iterdir()):
        folder.rmdir()


def _session_start(hyperparameters: Mapping[str, Any], name: str) -> Any:
    from tensorboardX.proto.plugin_hparams_pb2 import SessionStartInfo

    info = SessionStartInfo(group_name=name, start_time_secs=time.time())
    for key, value in hyperparameters.items():
        if isinstance(value, bool):
            info.hparams[key].bool_value = value
        elif isinstance(value, int | float):
            info.hparams[key].number_value = value
        else:
            info.hparams[key].string_value = value if isinstance(value, str) else json.dumps(value)
    return _hparams_summary("session_start_info", info)


def _session_end(at_s: float, outcome: str) -> Any:
    from tensorboardX.proto.api_pb2 import Status
    from tensorboardX.proto.plugin_hparams_pb2 import SessionEndInfo

    status = "STATUS_SUCCESS" if outcome in (COMPLETED, PRUNED) else "STATUS_FAILURE"
    return _hparams_summary("session_end_info", SessionEndInfo(status=Status.Value(status), end_time_secs=at_s))


def _hparams_summary(kind: str, info: Any) -> Any:
    from tensorboardX.proto.plugin_hparams_pb2 import HParamsPluginData
    from tensorboardX.proto.summary_pb2 import Summary, SummaryMetadata

    content = HParamsPluginData(version=0, **{kind: info}).SerializeToString()
    plugin = SummaryMetadata.PluginData(plugin_name=_HPARAMS, content=content)
    return Summary(value=[Summary.Value(tag=f"_{_HPARAMS}_/{kind}", metadata=SummaryMetadata(plugin_data=plugin))])
