"""`tuneexp doctor`: what works on this machine, and what to do about the rest."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from functools import partial
from typing import TYPE_CHECKING, Annotated

import typer

from tuneexp.cli.options import DEFAULT_STORAGE, JsonOption, StorageOption, VerboseOption, examples
from tuneexp.cli.terminal import terminal
from tuneexp.errors import TuneexpError

if TYPE_CHECKING:
    from tuneexp.cli.diagnosis.finding import Check

EPILOG = examples("tuneexp doctor", "tuneexp doctor --storage /data/runs --ray", "tuneexp doctor --json")


def doctor(
    ray: Annotated[
        bool, typer.Option("--ray", metavar="", help="Also start Ray on this machine, which takes some seconds.")
    ] = False,
    storage: StorageOption = DEFAULT_STORAGE,
    json: JsonOption = False,
    verbose: VerboseOption = False,
) -> None:
    """Check what works here: packages, machine, compiler, GPU, Ray, storage and MLflow. Exit code 1 if one fails."""
    with terminal(json, verbose) as screen:
        from tuneexp.cli.diagnosis.finding import FAIL, finding_of

        findings = []
        for name, check in _checks(storage, ray):
            findings.append(found := finding_of(name, check))
            if not screen.json:
                advice = f"; {found.advice}" if found.advice else ""
                screen.show_text(f"{found.status:<5} {found.name}: {found.found}{advice}")
        failed = [one.name for one in findings if one.status == FAIL]
        if screen.json:
            screen.result({"ok": not failed, "checks": [asdict(one) for one in findings]})
        if failed:
            raise TuneexpError(f"sweeps can't run here: {', '.join(failed)}")


def _checks(storage: str, start_ray: bool) -> Iterator[tuple[str, Check]]:
    from tuneexp.cli.diagnosis import machine, packages, stores

    yield "python", machine.python
    yield "packages", packages.packages
    yield "extras", packages.extras
    yield "cores", machine.cores
    yield "memory", machine.memory
    yield "shared memory", machine.shared_memory
    yield "open files", machine.open_files
    yield "temporary files", machine.temporary
    yield "compiler", packages.compiler
    yield "program cache", packages.program_cache
    yield "GPU", packages.gpu
    yield "storage", partial(stores.storage, storage)
    yield "clock", partial(stores.clock, storage)
    yield "trust", stores.key
    yield "MLflow", partial(stores.mlflow, storage)
    yield "Ray", partial(packages.ray, start_ray)
