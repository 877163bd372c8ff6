"""`tuneexp report`: a page of HTML about stored sweeps, also while they run."""

from __future__ import annotations

from typing import Annotated

import typer

from tuneexp.cli import completion
from tuneexp.cli.options import DEFAULT_STORAGE, JsonOption, StorageOption, VerboseOption, examples
from tuneexp.cli.terminal import terminal

EPILOG = examples("tuneexp report first", "tuneexp report first second --out compared.html")


def report(
    names: Annotated[
        list[str],
        typer.Argument(
            metavar="NAME [OTHER ...]",
            help="Name of a sweep, or its folder; others to compare it with.",
            autocompletion=completion.sweeps,
        ),
    ],
    out: Annotated[
        str | None,
        typer.Option(
            "--out", metavar="FILE.html", help="File of the page; by default NAME-report.html in the working folder."
        ),
    ] = None,
    storage: StorageOption = DEFAULT_STORAGE,
    json: JsonOption = False,
    verbose: VerboseOption = False,
) -> None:
    """Write a page of HTML about a sweep, which needs no network, and its tables as Parquet and CSV."""
    with terminal(json, verbose) as screen:
        from tuneexp.report.page.place import page_path
        from tuneexp.sweep import load_sweep

        results = [load_sweep(name, storage) for name in dict.fromkeys(names)]
        page_path([result.name for result in results], out)  # before the slow imports
        from tuneexp.report.page.writing import write_report

        found = write_report(results, out)
        if screen.json:
            screen.result(found.as_json())
            return
        for line in found.left_out:
            screen.note(f"left out    {line}")
        for result in results:
            if result.state in ("running", "interrupted"):
                screen.note(f"note        sweep {result.name} is {result.state}: the report shows its present state")
        screen.show_text(f"report      {found.page}\ntables      {found.tables}")
        if found.logged:
            screen.note("mlflow      logged to the run of the sweep")
