"""`tuneexp init`: a folder with a small experiment that runs."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path
from typing import Annotated

import typer

from tuneexp.cli.options import JsonOption, VerboseOption, examples
from tuneexp.cli.terminal import terminal
from tuneexp.errors import UserError, shortened

EPILOG = examples("tuneexp init parking", "tuneexp init .")

FILES = ("README.md", "experiment.yaml", "my_ppo.py", "parking.py")


def init(
    folder: Annotated[
        Path, typer.Argument(metavar="FOLDER", help="Folder to write; it is made, or is empty. '.' is the present one.")
    ],
    json: JsonOption = False,
    verbose: VerboseOption = False,
) -> None:
    """Write a small experiment that runs: settings, an environment and a loss to change."""
    with terminal(json, verbose) as screen:
        from tuneexp.commands import command
        from tuneexp.security.trust import addresses_in, remember
        from tuneexp.sweep.experiment.reading import read_experiment

        _write(folder)
        experiment = folder / "experiment.yaml"
        remember(addresses_in(read_experiment(experiment).settings))
        if screen.json:
            screen.result({"folder": str(folder), "files": list(FILES)})
            return
        screen.show_text(
            f"wrote       {', '.join(FILES)} in {folder}\nrun it      {command('sweep', experiment, '--name', 'first')}"
        )


def _write(folder: Path) -> None:
    """Write the files. UserError for a folder that holds anything, or can't be written."""
    try:
        if folder.is_dir() and any(folder.iterdir()):
            raise UserError(f"{shortened(str(folder))} is not empty; name a new folder")
        folder.mkdir(parents=True, exist_ok=True)
        for name in FILES:
            (folder / name).write_bytes(files("tuneexp.cli").joinpath("starter", name).read_bytes())
    except (OSError, ValueError) as error:  # ValueError: a name with a null character
        reason = getattr(error, "strerror", None) or error
        raise UserError(f"{shortened(str(folder))} can't be written ({reason}); name another folder") from None
