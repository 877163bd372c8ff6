"""Addresses: how something of the user's own is named in what is stored, `module:NAME` or `path/file.py:NAME`."""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

from tuneexp.errors import UserError, nearest

_FILE_MODULE = "tuneexp_file_"


def is_address(text: str) -> bool:
    """`module:NAME` or `path/file.py:NAME`."""
    where, colon, name = text.rpartition(":")
    return bool(colon and where) and name.isidentifier()


def load_address(address: str, kind: str) -> Any:
    """What `address` names. `kind` is for messages ("search space"). UserError where there is nothing."""
    if not is_address(address):
        raise UserError(f"{kind} {address!r} is no address; write module:NAME or path/file.py:NAME")
    where, _, name = address.rpartition(":")
    module = load_module(address, kind)
    try:
        return getattr(module, name)
    except AttributeError:
        match = nearest(name, [known for known in vars(module) if not known.startswith("_")])
        advice = f"; did you mean {where}:{match}?" if match else ""
        raise UserError(f"{kind} {address!r}: {where} has no {name!r}{advice}") from None


def load_module(address: str, kind: str) -> ModuleType:
    """The module, or the file loaded as one, in which an address lies. UserError where it can't be loaded."""
    where = address.rpartition(":")[0]
    return _load_file(Path(where), address, kind) if where.endswith(".py") else _import(where, address, kind)


def address_of(found: Any, kind: str) -> str:
    """The address of a function or class. UserError for a lambda or a local, which no other process could find."""
    name, module = getattr(found, "__qualname__", ""), sys.modules.get(getattr(found, "__module__", None) or "")
    if module is None or not name.isidentifier() or vars(module).get(name) is not found:
        what = "class" if isinstance(found, type) else "function"
        raise UserError(
            f"{kind} {name or found!r} has no address (it is a lambda or a local), so it can't be stored and resumed\n"
            f"write it as a {what} at the top level of a file and pass it, or path/file.py:NAME"
        )
    path = file_of(module)
    # A module inside a package is found by its name from anywhere, a lone file only through its path.
    if path is None or ("." in module.__name__ and not is_loaded_file(module)):
        return f"{module.__name__}:{name}"
    return f"{path}:{name}"


def lasting_address(named: str | type, kind: str) -> str:
    """The address of a class, or an address that another folder's process understands, too: files by absolute path.
    UserError where there is none."""
    if isinstance(named, type):
        return address_of(named, kind)
    where, colon, name = named.rpartition(":")
    return f"{Path(where).resolve()}{colon}{name}" if where.endswith(".py") and Path(where).is_file() else named


def is_loaded_file(module: ModuleType) -> bool:
    """Whether other processes find the module only by its path: the running script, or a file loaded by address."""
    return module.__name__ == "__main__" or module.__name__.startswith(_FILE_MODULE)


def file_of(module: ModuleType) -> Path | None:
    file = getattr(module, "__file__", None)
    return Path(file).resolve() if file else None


def search_working_folder() -> None:
    """Make modules of the working folder importable. At the end of the path, where they can't replace others."""
    if (here := str(Path.cwd())) not in sys.path and "" not in sys.path:
        sys.path.append(here)


def _import(name: str, address: str, kind: str) -> ModuleType:
    search_working_folder()
    try:
        return importlib.import_module(name)
    except Exception as error:
        raise UserError(f"{kind} {address!r}: can't import {name!r}: {_reason(error)}") from error


def _load_file(path: Path, address: str, kind: str) -> ModuleType:
    if not path.is_file():
        raise UserError(f"{kind} {address!r}: there is no file {path}")
    resolved = path.resolve()
    main = sys.modules.get("__main__")
    if main is not None and file_of(main) == resolved:
        return main  # the running script: importing it again would run it again
    # One module per path: what it defines keeps its identity.
    name = f"{_FILE_MODULE}{path.stem}_{hashlib.sha256(str(resolved).encode()).hexdigest()[:12]}"
    if name in sys.modules:
        return sys.modules[name]
    spec = importlib.util.spec_from_file_location(name, resolved)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        del sys.modules[name]
        raise UserError(f"{kind} {address!r}: {path} can't be imported: {_reason(error)}") from error
    return module


def _reason(error: BaseException) -> str:
    if isinstance(error, UserError):
        return str(error)
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
