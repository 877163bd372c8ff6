"""Files of a comparison: JSON, CSV, and the results on docs/tuners.md."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.running import ROOT
from benchmarks.tuners.printing import csv_rows, markdown
from tuneexp.files.atomic import write_atomically

PAGE = ROOT / "docs" / "tuners.md"
BEGIN, END = "<!-- written by make tune-bench -->", "<!-- end -->"


def write(name: Path, compared: Sequence[Mapping[str, Any]]) -> None:
    """Write NAME.json and NAME.csv."""
    text = io.StringIO()
    rows = [row for one in compared for row in csv_rows(one)]
    writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    name.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(name.with_name(f"{name.name}.csv"), text.getvalue().encode())
    write_atomically(name.with_name(f"{name.name}.json"), (json.dumps(list(compared), indent=1) + "\n").encode())


def write_page(compared: Sequence[Mapping[str, Any]], page: Path = PAGE) -> Path:
    """Write the tables between the marks of the page."""
    before, _, rest = page.read_text().partition(BEGIN)
    after = rest.partition(END)[2]
    tables = "\n\n".join(markdown(one) for one in compared)
    page.write_text(f"{before}{BEGIN}\n{tables}\n{END}{after}")
    return page
