"""Files of a comparison: JSON, CSV, and the results on docs/tuners.md."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.running import ROOT
from benchmarks.tuners.printing import csv_rows
from tuneexp.files.atomic import write_atomically

PAGE, STAGNATION_PAGE = ROOT / "docs" / "tuners.md", ROOT / "docs" / "tuning.md"
BEGIN, END = "<!-- written by make tune-bench -->", "<!-- end -->"


def write(name: Path, compared: Sequence[Mapping[str, Any]], summary: Mapping[str, Any]) -> None:
    """Write NAME.json and NAME.csv.

    Args:
        name: path without its suffix.
        compared: reports of the tables, the rows of the CSV file.
        summary: means over the tables.
    """
    text = io.StringIO()
    rows = [row for one in compared for row in csv_rows(one)]
    writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    name.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(name.with_name(f"{name.name}.csv"), text.getvalue().encode())
    write_atomically(
        name.with_name(f"{name.name}.json"),
        (json.dumps({"summary": summary, "tables": list(compared)}, indent=1) + "\n").encode(),
    )


def write_page(page: Path, tables: Sequence[str], begin: str = BEGIN) -> Path:
    """Write tables between the marks of a page, the first of which is `begin`."""
    before, _, rest = page.read_text().partition(begin)
    after = rest.partition(END)[2]
    page.write_text("\n\n".join([f"{before}{begin}", *tables, f"{END}{after}"]))
    return page
