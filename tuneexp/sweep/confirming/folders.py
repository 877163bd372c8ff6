"""Folders of the confirmations of a sweep, inside of its own: `confirm`, `confirm-2`, ..., and `random-search`.

A confirmation is a sweep over a list of configurations, with the files of any sweep, and its request beside them."""

from __future__ import annotations

import re

from tuneexp.errors import StorageFault
from tuneexp.files.atomic import sync, write_json
from tuneexp.files.json_reading import read_json
from tuneexp.files.retries import advice_for
from tuneexp.sweep.confirming.request import ConfirmRequest
from tuneexp.sweep.results import how_it_ended
from tuneexp.sweep.storage.folder import SweepFolder
from tuneexp.sweep.sweep_config import read_config

_NAME = re.compile(r"confirm(?:-(\d+))?")
_REQUEST = "request.json"
BEST_FILE = "best.yaml"
CHECKLIST_FILE = "checklist.md"


def confirmations(sweep: SweepFolder) -> list[SweepFolder]:
    """Return the confirmations of a sweep, the newest last."""
    found = {
        int(match[1] or 1): SweepFolder(path.parent)
        for path in sweep.path.glob(f"confirm*/{_REQUEST}")
        if (match := _NAME.fullmatch(path.parent.name))
    }
    return [found[number] for number in sorted(found)]


def new_confirmation(sweep: SweepFolder, request: ConfirmRequest) -> SweepFolder:
    """Create the folder of a new confirmation, with its request. StorageFault if it can't be written."""
    numbers = [int(match[1] or 1) for path in sweep.path.glob("confirm*") if (match := _NAME.fullmatch(path.name))]
    number = max(numbers, default=0) + 1
    folder = SweepFolder(sweep.path / ("confirm" if number == 1 else f"confirm-{number}"))
    try:
        folder.path.mkdir()
        write_json(folder.path / _REQUEST, request.model_dump(mode="json"))
        sync(sweep.path)
    except OSError as error:
        raise StorageFault(f"{folder.path} can't be written: {error.strerror}\n{advice_for(error)}") from error
    return folder


def is_confirmation(folder: SweepFolder) -> bool:
    """Return True for the folder of a confirmation."""
    return (folder.path / _REQUEST).is_file()


def request_of(confirmation: SweepFolder) -> ConfirmRequest:
    """Return the request of a confirmation. UserError if its file is damaged."""
    path = confirmation.path / _REQUEST
    return ConfirmRequest.parse(read_json(path), str(path))


def has_ended(folder: SweepFolder) -> bool:
    """Return True if a sweep exists and nothing of it is left to do. Its study file is written last."""
    return folder.exists() and folder.study_file.exists() and how_it_ended(read_config(folder), folder) is not None


def unfinished(sweep: SweepFolder) -> SweepFolder | None:
    """Return the first confirmation of a sweep that has not ended."""
    return next((one for one in confirmations(sweep) if not has_ended(one)), None)


def random_search_of(sweep: SweepFolder) -> SweepFolder:
    """Return the folder of the random search with which confirmations of a sweep compare it."""
    return SweepFolder(sweep.path / "random-search")
