"""The mark that says whose checkpoints lie in a place outside of the storage: two sweeps may have the same name."""

from __future__ import annotations

from tuneexp.commands import command
from tuneexp.errors import UserError
from tuneexp.sweep import snapshot
from tuneexp.sweep.config import SweepConfig
from tuneexp.sweep.folder import SweepFolder
from tuneexp.sweep.place import Place

MARK = ".tuneexp-sweep"


def identity_of(config: SweepConfig) -> str:
    """Tells a sweep from all others, whatever its folder is called and wherever it is moved."""
    return f"{config.created_at_s:.6f}"


def refuse_foreign(config: SweepConfig, folder: SweepFolder, place: Place) -> None:
    """UserError where the place holds what is not the sweep's, or lacks what the sweep has stored there.

    Sweeps of earlier versions have no mark: their place is known by their checkpoints."""
    if place.is_folder(folder.path):
        return
    mark = read_mark(place)
    if mark is not None and mark != identity_of(config):
        raise UserError(
            f"{place.path} belongs to another sweep {config.name!r}, of another --storage; choose another --name or "
            f"--checkpoints\n(if that sweep is not needed any more, delete {place.path})"
        )
    if mark is None and not folder.exists() and any(not name.startswith(".") for name in place.names("*")):
        raise UserError(f"{place.path} holds something else than this sweep; choose another --name or --checkpoints")
    if mark is None and _lacks_all_checkpoints(folder, place):
        raise UserError(
            f"{place.path} holds none of the checkpoints of sweep {config.name!r}; is it mounted?\nif they have moved: "
            f"{command('resume', config.name, '--checkpoints', 'PLACE', storage=folder.storage)}"
        )


def set_mark(config: SweepConfig, folder: SweepFolder, place: Place) -> None:
    """Claim the place for the sweep, once `refuse_foreign` has let it pass. UserError where another was faster."""
    if not place.is_folder(folder.path) and read_mark(place) is None:
        place.make()
        place.write(MARK, identity_of(config).encode())
        refuse_foreign(config, folder, place)


def read_mark(place: Place) -> str | None:
    """The identity of the sweep that owns the place; None where there is no mark."""
    return place.read(MARK).decode(errors="replace").strip() if place.names(MARK) else None


def _lacks_all_checkpoints(folder: SweepFolder, place: Place) -> bool:
    named = [record["checkpoint"] for record in snapshot.read_records(folder) if record["checkpoint"]]
    return bool(named) and not any(place.names("*", checkpoint) for checkpoint in named)
