"""Settings of a sweep as JSON can hold them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tuneexp.addresses import lasting_address
from tuneexp.errors import UserError
from tuneexp.files.json_reading import plain
from tuneexp.sweep.search import choice
from tuneexp.sweep.storage.checkpoint_storage import lasting_location
from tuneexp.sweep.warm_start import lasting_names

if TYPE_CHECKING:
    from tuneexp.algorithms.spec import AlgorithmSpec


def stored_form(settings: Mapping[str, Any], storage: Path) -> dict[str, Any]:
    """Return the settings as JSON can hold them. None stands for the default."""
    given = {name: value for name, value in settings.items() if value is not None}
    apart = ("wrappers", "warm_start", *choice.KINDS)
    values = {name: plain(value, name, classes=name == "fixed") for name, value in given.items() if name not in apart}
    if "wrappers" in given:
        values["wrappers"] = _plain_wrappers(given["wrappers"])
    if given.get("warm_start"):
        values["warm_start"] = lasting_names(given["warm_start"], storage)
    for kind in choice.KINDS:
        if kind in given:
            values[kind] = plain(choice.stored_form(given[kind], kind), kind)
    if "checkpoints" in given:
        values["checkpoints"] = lasting_location(given["checkpoints"], storage)
    return values


def _plain_wrappers(wrappers: Any) -> Any:
    """Return wrappers with plain arguments. Their names may be classes."""
    if not isinstance(wrappers, list | tuple):
        return wrappers  # refused by the check of the settings
    return [
        {name: plain(arguments, f"wrappers/{name}") for name, arguments in one.items()}
        if isinstance(one, Mapping)
        else one
        for one in wrappers
    ]


def algorithm_address(algorithm: str | AlgorithmSpec) -> str:
    """Return the name or address of an algorithm, valid in any working folder."""
    from tuneexp.algorithms.registry import address_of, check_algorithm

    if not isinstance(algorithm, str):
        if not hasattr(algorithm, "functions"):
            raise UserError(f"the algorithm is a name, an address or a specification, got {algorithm!r}")
        return address_of(algorithm)
    check_algorithm(algorithm)
    return lasting_address(algorithm, "algorithm")
