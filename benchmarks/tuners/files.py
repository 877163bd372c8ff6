"""Reading of CSV and Parquet files into columns. Errors are one line."""

from __future__ import annotations

import csv
import gzip
import io
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from tuneexp.errors import UserError

DELIMITERS = ",;\t"


class Columns(NamedTuple):
    """Columns of a file by name, in its order, and the metadata of a Parquet file."""

    values: dict[str, list[Any]]
    metadata: dict[bytes, bytes]


def read_columns(path: Path) -> Columns:
    """Read a table.

    Args:
        path: ends with .csv, .csv.gz or .parquet.

    Returns:
        Its columns. Empty cells of a CSV file are None, numbers are int or float, true and false are bool.

    Raises:
        UserError: the file is missing, damaged, empty, or of another kind.
    """
    if not path.is_file():
        raise UserError(f"{path}: no such file")
    kinds = {".parquet": _parquet, ".csv": _csv, ".gz": _csv}
    if path.suffix.lower() not in kinds or (path.suffix == ".gz" and Path(path.stem).suffix.lower() != ".csv"):
        raise UserError(f"{path}: write the table as .csv, .csv.gz or .parquet")
    columns = kinds[path.suffix.lower()](path)
    if not next(iter(columns.values.values()), []):
        raise UserError(f"{path}: the table has no rows")
    return columns


def _parquet(path: Path) -> Columns:
    try:
        table = pq.read_table(path)
    except (pa.ArrowException, OSError, ValueError) as error:
        raise UserError(f"{path}: no Parquet file: {str(error).splitlines()[0]}") from None
    _refuse_doubled(path, table.column_names)
    return Columns(table.to_pydict(), dict(table.schema.metadata or {}))


def _csv(path: Path) -> Columns:
    data = path.read_bytes()
    try:
        text = (gzip.decompress(data) if path.suffix.lower() == ".gz" else data).decode("utf-8-sig")
    except (OSError, EOFError, zlib.error) as error:
        raise UserError(f"{path}: damaged gzip file: {error}") from None
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: no UTF-8 text at byte {error.start}") from None
    first = text.partition("\n")[0]
    reader = csv.reader(io.StringIO(text), delimiter=max(DELIMITERS, key=first.count))
    header, *rows = [[cell.strip() for cell in line] for line in reader if line] or [[]]
    _refuse_doubled(path, header)
    for number, row in enumerate(rows, 1):
        if len(row) != len(header):
            raise UserError(f"{path}: row {number} has {len(row)} cells, and the header has {len(header)}")
    return Columns({name: _converted([row[at] for row in rows]) for at, name in enumerate(header)}, {})


def _refuse_doubled(path: Path, names: Sequence[str]) -> None:
    if doubled := next((name for name in names if names.count(name) > 1), None):
        raise UserError(f"{path}: two columns are named {doubled!r}")


def _converted(cells: list[str]) -> list[Any]:
    """Return a column of numbers or truth values if all of its cells can be read as such, else the texts."""
    for kind in (int, float, _truth_value):
        try:
            return [None if cell == "" else kind(cell) for cell in cells]
        except ValueError:
            continue
    return [cell or None for cell in cells]


def _truth_value(cell: str) -> bool:
    if cell.lower() not in ("true", "false"):
        raise ValueError(cell)
    return cell.lower() == "true"
