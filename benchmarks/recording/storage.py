"""The Parquet file of a recorded task. It is replaced atomically after each configuration."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.recording.tasks import CONFIGURATIONS, SEEDS, RecordedTask
from benchmarks.recording.training import Curves
from tuneexp.files.atomic import write_atomically

SETTINGS = b"recording"  # key of the task in the metadata of the file


def is_complete(path: Path) -> bool:
    """Return True if a file has all configurations of its task, with all seeds."""
    return int(pq.read_metadata(path).num_rows) >= CONFIGURATIONS * len(SEEDS)


class Recording:
    """The configurations of a task that are recorded so far.

    Args:
        folder: of the file, `NAME.parquet`.
        task: what is recorded.

    Raises:
        SystemExit: the file is a recording of other settings.
    """

    def __init__(self, folder: Path, task: RecordedTask) -> None:
        self.path, self.task = folder / f"{task.name}.parquet", task
        self._names = list(task.space)
        self._settings = json.loads(json.dumps(asdict(task)))
        self._frame: pd.DataFrame | None = None
        if self.path.exists():
            stored = pq.read_table(self.path)
            if json.loads((stored.schema.metadata or {}).get(SETTINGS, b"null")) != self._settings:
                raise SystemExit(f"{self.path} is a recording of other settings; move it away to record {task.name}")
            self._frame = stored.to_pandas()

    def __len__(self) -> int:
        return len(self._recorded())

    def has(self, point: Mapping[str, Any]) -> bool:
        """Return True if the configuration is recorded."""
        return tuple(point[name] for name in self._names) in self._recorded()

    def add(self, point: Mapping[str, Any], curves: Curves) -> None:
        """Append the rows of a configuration, one for each seed, and replace the file."""
        seconds = {"cpu_s": round(curves.cpu_s, 3), "wall_s": round(curves.wall_s, 3)}
        rows = pd.DataFrame(
            {**{name: point[name] for name in self._names}, "seed": seed}
            | {str(step): np.float32(value) for step, value in zip(self.task.evaluated_at, returns, strict=True)}
            | seconds
            for seed, returns in zip(self.task.seeds, curves.returns, strict=True)
        )
        self._frame = rows if self._frame is None else pd.concat([self._frame, rows], ignore_index=True)
        self._write()

    def _recorded(self) -> set[tuple[Any, ...]]:
        return set() if self._frame is None else set(self._frame[self._names].itertuples(index=False, name=None))

    def _write(self) -> None:
        table = pa.Table.from_pandas(self._frame, preserve_index=False)
        table = table.replace_schema_metadata({SETTINGS: json.dumps(self._settings)})
        sink = pa.BufferOutputStream()
        pq.write_table(table, sink, compression="zstd")
        self.path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(self.path, sink.getvalue().to_pybytes())
