"""Write the report of one or several sweeps: the page and its tables, and log them to MLflow."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tuneexp import __version__
from tuneexp.errors import UserError, shortened
from tuneexp.files.atomic import write_atomically
from tuneexp.report.page.across_sections import across_sections
from tuneexp.report.page.confirm_sections import confirm_sections
from tuneexp.report.page.document import page_of
from tuneexp.report.page.files import write_tables
from tuneexp.report.page.parts import Section
from tuneexp.report.page.place import page_path
from tuneexp.report.page.search_sections import search_sections
from tuneexp.report.page.sections import budget_sections, trial_sections
from tuneexp.report.page.source import SweepData, read_sweep
from tuneexp.sweep.results import SweepResult
from tuneexp.tracking.report_upload import log_report

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Report:
    """A report that was written; `as_json()` is what `--json` prints.

    Attributes:
        page: Path of the page.
        tables: Folder of its tables.
        left_out: "SWEEP: SECTION: reason" for each section that can't be made.
        logged: Run ids of MLflow that have it.
    """

    page: str
    tables: str
    left_out: list[str] = field(default_factory=list)
    logged: list[str] = field(default_factory=list)

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


def write_report(results: Sequence[SweepResult], out: str | Path | None = None) -> Report:
    """Write the report of sweeps.

    Args:
        results: The sweeps, one or more.
        out: Path of the page, `.html`; by default `NAME-report.html` in the working folder. The tables are in a folder
            of the same name without the suffix.

    Returns:
        The report.

    Raises:
        UserError: A sweep has no trials yet, or the page can't be written there.
    """
    path = page_path([result.name for result in results], out)
    sweeps = [read_sweep(result) for result in results]
    groups = [(data.name if len(sweeps) > 1 else "", _sections(data)) for data in sweeps]
    if len(sweeps) > 1:
        groups.insert(0, ("Comparison", across_sections(sweeps)))
    title = f"Report of {', '.join(data.name for data in sweeps)}"
    tables = path.with_suffix("")
    try:
        write_atomically(path, page_of(title, _about(), groups).encode(errors="replace"), lasting=False)
        tables.mkdir(exist_ok=True)
        files = write_tables(sweeps, tables)
    except OSError as error:
        raise UserError(f"--out {shortened(str(path))} can't be written: {error.strerror}") from None
    left_out = [f"{name or sweeps[0].name}: {one.title}: {one.left_out}" for name, sections in groups
                for one in sections if one.left_out is not None]  # fmt: skip
    return Report(str(path), str(tables), left_out, _logged(results, path, files))


def _about() -> str:
    return f"Written at {datetime.now(UTC):%Y-%m-%d %H:%M} UTC by tuneexp {__version__}."


def _sections(data: SweepData) -> list[Section]:
    return [*trial_sections(data), *confirm_sections(data), *search_sections(data), *budget_sections(data)]


def _logged(results: Sequence[SweepResult], page: Path, tables: Sequence[Path]) -> list[str]:
    """Log the report to the run of each sweep. A store that does not answer is a warning."""
    logged = []
    for result in results:
        why = log_report(result.storage, result.name, page, tables)
        if why is None:
            logged.append(str(result.mlflow["parent_run_id"]))
        else:
            logger.warning("the report of %s is not in MLflow: %s", result.name, why)
    return logged
