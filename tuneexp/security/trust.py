"""The user's list of trusted addresses: code that stored files may run.

Loading a checkpoint or a sweep imports the addresses in it. Before that, each must belong to tuneexp or to gymnasium's
registry, or be on the list, `~/.config/tuneexp/trusted.json`. An address that the user passes to a command or to Python
is added to the list. Only the user's own process checks the list; workers do not."""

from __future__ import annotations

import json
import logging
import os
import stat
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from tuneexp.addresses import code_hash, is_module_name, is_own_address, relocated, resolved_address
from tuneexp.commands import command
from tuneexp.errors import UserError
from tuneexp.files.atomic import write_atomically
from tuneexp.files.locks import locked

log = logging.getLogger(__name__)

FORMAT_VERSION = 1
CLUSTER = "Ray cluster"
# Environments of Shimmy: they import any module that their arguments name.
_ADAPTERS = {"GymV21Environment-v0", "GymV26Environment-v0"}


class Named(NamedTuple):
    """An address in a stored file. kind: for messages ("environment")."""

    kind: str
    address: str


def config_folder() -> Path:
    """`$XDG_CONFIG_HOME/tuneexp`, or `~/.config/tuneexp`."""
    home = os.environ.get("XDG_CONFIG_HOME")
    return (Path(home) if home and Path(home).is_absolute() else Path.home() / ".config") / "tuneexp"


def list_file() -> Path:
    return config_folder() / "trusted.json"


def everything_is_trusted() -> bool:
    """Return True for `TUNEEXP_TRUST=1`, which is for disposable containers."""
    return os.environ.get("TUNEEXP_TRUST") == "1"


def require_trusted(named: Iterable[Named], stored_in: str, again: Iterable[object], trust: bool = False) -> None:
    """Check that all addresses are trusted. Imports none of them.

    Args:
        named: Addresses in a stored file.
        stored_in: The file, for messages ("the checkpoint runs/...").
        again: Words of the command to repeat with --trust.
        trust: Add the addresses to the list.

    Raises:
        UserError: The list of addresses that are not trusted.
    """
    unknown = [] if everything_is_trusted() else _not_on_the_list(named)
    if unknown and trust:
        _add(unknown)
    elif unknown:
        listed = "\n".join(f"  {kind} {address!r}" for kind, address in unknown)
        raise UserError(
            f"{stored_in} would run code that is not on your list of trusted addresses:\n{listed}\n"
            f"if you know it, write: {command(*again, '--trust')} (in Python: trust=True)"
        )


def remember(named: Iterable[Named]) -> None:
    """Add addresses to the list. If it can't be written, a warning is logged."""
    try:
        if unknown := _not_on_the_list(named):
            _add(unknown)
    except (UserError, OSError) as error:
        log.warning("%s can't be written: %s; loading this later needs --trust", list_file(), error)


def moved_options(moved: Mapping[str, str]) -> list[str]:
    """Return the options `--moved OLD=NEW` as words of a command line."""
    return [word for old, new in moved.items() for word in ("--moved", f"{old}={new}")]


def lasting_moves(moved: Mapping[str, str], config: Mapping[str, Any]) -> dict[str, str]:
    """Return `moved` with absolute new paths, and old ones as in `config`."""
    return {_as_stored(old, config): _lasting(new) for old, new in moved.items()}


def _lasting(new: str) -> str:
    return str(Path(new).resolve()) if Path(new.rpartition(":")[0] or new).exists() else new


def _as_stored(old: str, config: Mapping[str, Any]) -> str:
    """Return `old`, or its absolute path if only that is in the configuration."""
    absolute, known = str(Path(old).resolve()), config.get("moved") or {}
    return next((one for one in (old, absolute) if one in known or relocated(config, {one: ""}) != config), old)


def with_moved(state: dict[str, Any], moved: Mapping[str, str], stored_in: str) -> dict[str, Any]:
    """Replace moved addresses in a stored state. The new ones become trusted, since the user named them.

    Args:
        state: Mapping with the configuration under "config".
        moved: Old file, folder or address -> new one.
        stored_in: The file, for messages.

    Returns:
        The changed state.

    Raises:
        UserError: An old address is not in the configuration.
    """
    config = state["config"]
    places = lasting_moves(moved, config)
    known = config.get("moved") or {}
    for old, new in places.items():
        if relocated(config, {old: new}) == config and known.get(old) != new:  # a repeated option is no error
            named = ", ".join(one.address for one in addresses_in(config)) or "none"
            raise UserError(f"{stored_in} has no address in {old}; it has: {named}")
    changed: dict[str, Any] = relocated(state, places)
    changed["config"]["moved"] = {**known, **places}
    remember(set(addresses_in(changed["config"])) - set(addresses_in(config)))
    return changed


def require_files(named: Iterable[Named], stored_in: str) -> None:
    """Raise UserError with the option --moved if the file of a stored address is missing."""
    for kind, address in named:
        where = address.rpartition(":")[0]
        if kind != CLUSTER and where.endswith(".py") and not Path(where).is_file():
            raise UserError(
                f"{stored_in} names the {kind} {address!r}, and there is no file {where}\n"
                f"if it has moved, add: --moved {where}=NEW (in Python: moved={{{where!r}: NEW}})"
            )


def addresses_in(config: Mapping[str, Any]) -> list[Named]:
    """Return the addresses that loading a `TrialConfig` or `SweepConfig`, as a mapping, imports."""
    space = config.get("space") or {}
    registration = config.get("env_registration") or {}
    found = [
        ("algorithm", config.get("algorithm")),
        ("environment", config.get("env")),
        ("environment", registration.get("entry_point")),
        ("environment", registration.get("vector_entry_point")),
        *(("wrapper", name) for wrapper in config.get("wrappers") or () for name in _names_in(wrapper)),
        *(("model", model) for key in ("hyperparameters", "fixed", "space") for model in _models_in(config.get(key))),
        ("search space", space.get("function")),
        *((kind, _name_of(config.get(kind))) for kind in ("scheduler", "searcher")),
        (CLUSTER, config.get("address")),
    ]
    named = [Named(kind, text) for kind, text in found if isinstance(text, str)]
    return [one for one in named if _runs_code(one, config)]


def sources_of(config: Mapping[str, Any]) -> dict[str, str]:
    """Return address -> code hash for all code outside of tuneexp that a configuration imports. Imports it."""
    hashes = {address: code_hash(address) for kind, address in addresses_in(config) if kind != CLUSTER}
    return {address: found for address, found in hashes.items() if found is not None}


def _name_of(choice: Any) -> Any:
    return choice.get("name") if isinstance(choice, Mapping) else choice


def _names_in(wrapper: Any) -> list[Any]:
    return list(wrapper) if isinstance(wrapper, Mapping) else [wrapper]


def _models_in(values: Any, of_model: bool = False) -> list[str]:
    """Return the addresses in fields `model`, also in groups of policies and in choices of a search space."""
    if isinstance(values, str):
        return [values] if of_model and ":" in values else []
    if isinstance(values, Mapping):
        return [
            model
            for key, value in values.items()
            for model in _models_in(value, of_model or str(key).rpartition("/")[2] == "model")
        ]
    return [model for value in values for model in _models_in(value, of_model)] if isinstance(values, list) else []


def _runs_code(named: Named, config: Mapping[str, Any]) -> bool:
    """Return False for a name that is only looked up in tuneexp or gymnasium, or does not exist."""
    kind, text = named
    if kind == CLUSTER:
        return text not in ("auto", "local")
    if ":" in text:
        return not is_own_address(text)
    if kind != "environment" or config.get("env_backend") == "envpool":
        return False
    from gymnasium import registry

    # A PettingZoo environment is a module, which is imported. Other names are only looked up.
    return text in _ADAPTERS or (text not in registry and is_module_name(text))


def _not_on_the_list(named: Iterable[Named]) -> list[Named]:
    wanted = list(dict.fromkeys(named))
    known = _read() if wanted else set()
    return [one for one in wanted if _entry(one) not in known]


def _entry(named: Named) -> str:
    return f"{CLUSTER} {named.address}" if named.kind == CLUSTER else resolved_address(named.address)


def _read() -> set[str]:
    path = list_file()
    try:
        if path.stat().st_mode & (stat.S_IWGRP | stat.S_IWOTH):
            raise UserError(f"other users can write {path}; check its content, then write: chmod 600 {path}")
        values = json.loads(path.read_bytes())
        known = values["addresses"]
        if values["format_version"] > FORMAT_VERSION or not all(isinstance(entry, str) for entry in known):
            raise ValueError("unknown format")
    except FileNotFoundError:
        return set()
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise UserError(f"{path} can't be read ({error}); repair it or delete it") from None
    return set(known)


def _add(named: Iterable[Named]) -> None:
    path = list_file()
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with locked(path.with_name(f".{path.name}.lock")):
        entries = sorted(_read() | {_entry(one) for one in named})
        text = json.dumps({"format_version": FORMAT_VERSION, "addresses": entries}, indent=2) + "\n"
        write_atomically(path, text.encode(), private=True)
