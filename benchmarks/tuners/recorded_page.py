"""A part of docs/tuners.md that is replayed on the recordings: its command, its stored results and its tables."""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.tuners.__main__ import RECORDED, complete_recordings
from benchmarks.tuners.curve_table import CurveTable
from benchmarks.tuners.reading import read_table
from benchmarks.tuners.storing import PAGE, write_page

Rows = Sequence[Mapping[str, Any]]


class RecordedPage(NamedTuple):
    """A part of the page.

    Args:
        module: name of the command.
        description: of the command.
        repetitions: searches by default.
        replay: returns the rows of a recording; it gets the number of searches and of processes, too.
        markdown: returns the tables of the rows.
        stored: file of the rows.
        begin: mark of the page before the tables.
    """

    module: str
    description: str | None
    repetitions: int
    replay: Callable[[CurveTable, int, int], Rows]
    markdown: Callable[[Rows], list[str]]
    stored: Path
    begin: str

    def main(self, arguments: Sequence[str] | None = None) -> None:
        parser = argparse.ArgumentParser(
            prog=f"python -m benchmarks.tuners.{self.module}", description=self.description
        )
        parser.add_argument("--repetitions", type=int, default=self.repetitions, help="searches of each recording")
        parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="processes")
        parser.add_argument("--stored", action="store_true", help="replay nothing; write the tables of stored results")
        asked = parser.parse_args(arguments)
        if not asked.stored:
            tables = [read_table(path, None, False) for path in complete_recordings(RECORDED)]
            rows = [row for table in tables for row in self.replay(table, asked.repetitions, asked.jobs)]
            self.stored.write_text(json.dumps(rows, indent=1) + "\n")
        print(write_page(PAGE, self.markdown(json.loads(self.stored.read_text())), self.begin))
