"""Addresses of Python objects in stored files: `module:NAME` or `path/file.py:NAME`."""

from __future__ import annotations

import hashlib
import importlib
import importlib.machinery
import importlib.util
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

from tuneexp.errors import UserError, nearest, reason_of, shortened

_FILE_MODULE = "tuneexp_file_"
# Modules and files that are being imported, the innermost last.
_importing: list[str] = []


def is_address(text: str) -> bool:
    """Return True for the form `module:NAME` or `path/file.py:NAME`."""
    where, colon, name = text.rpartition(":")
    return bool(colon and where) and name.isidentifier()


def is_module_name(text: str) -> bool:
    return all(part.isidentifier() for part in text.split("."))


def is_own_address(address: str) -> bool:
    """Return True for an address in this package."""
    where = address.rpartition(":")[0]
    return where.startswith("tuneexp.") and is_module_name(where)


def load_address(address: str, kind: str) -> Any:
    """Import and return the object at `address`.

    Args:
        address: `module:NAME` or `path/file.py:NAME`.
        kind: Noun for messages ("search space").

    Returns:
        The object.

    Raises:
        UserError: It is no address, or nothing can be imported there.
    """
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


def load_class(address: str, kind: str, bases: tuple[type, ...], needed: str) -> Callable[..., Any]:
    """Import a class or a factory function.

    Functions of this package are refused: a stored file could name any of them.

    Args:
        address: `module:NAME` or `path/file.py:NAME`.
        kind: Noun for messages ("environment").
        bases: A class must be a subclass of one of these.
        needed: The accepted classes, for the message.

    Returns:
        The class, or the user's function that returns an instance.

    Raises:
        UserError: The address names something else.
    """
    found = load_address(address, kind)
    fits = issubclass(found, bases) if isinstance(found, type) else callable(found) and not is_own_address(address)
    if not fits:
        what = f"the class {found.__qualname__}" if isinstance(found, type) else f"a {type(found).__name__}"
        raise UserError(f"{kind} {address!r} is {what}; name {needed}, or a function of your own that gives one")
    return found


def checked_instance(
    build: Callable[[], Any], kind: str, address: str, options: Mapping[str, Any], base: type, needed: str
) -> Any:
    """Build an object from what `load_class` found.

    Args:
        build: Builds the object with the user's code.
        kind: Noun for messages.
        address: Its address, for messages.
        options: The user's options, for messages.
        base: The object must be an instance of it.
        needed: The accepted classes, for the message.

    Raises:
        UserError: The user's code raises an error, or gives something else.
    """
    try:
        found = build()
    except UserError:
        raise
    except Exception as error:
        raise UserError(f"{kind} {address!r} can't be built with {dict(options)}: {reason_of(error)}") from error
    if not isinstance(found, base):
        raise UserError(f"{kind} {address!r} gave {shortened(found)}; name {needed}")
    return found


def load_module(address: str, kind: str) -> ModuleType:
    """Import the module or file of an address. UserError if it can't be imported."""
    where = address.rpartition(":")[0]
    return _load_file(Path(where), address, kind) if where.endswith(".py") else import_named(where, address, kind)


def address_of(found: Any, kind: str) -> str:
    """Return the address of a function or class. UserError for a lambda or a local: other processes can't import it."""
    if not callable(found):
        raise UserError(f"{kind} {found!r} is no name, address (path/file.py:NAME), class or function")
    name, module = getattr(found, "__qualname__", ""), sys.modules.get(getattr(found, "__module__", None) or "")
    if module is None or not name.isidentifier() or vars(module).get(name) is not found:
        what = "class" if isinstance(found, type) else "function"
        raise UserError(
            f"{kind} {name or found!r} has no address (it is a lambda or a local), so it can't be stored and resumed\n"
            f"write it as a {what} at the top level of a file and pass it, or path/file.py:NAME"
        )
    path = file_of(module)
    # A module in a package can be imported by name from anywhere, a single file only by its path.
    if path is None or ("." in module.__name__ and not is_loaded_file(module)):
        return f"{module.__name__}:{name}"
    return f"{path}:{name}"


def lasting_address(named: str | Callable[..., Any], kind: str) -> str:
    """Return an address that is valid in any working folder: files have absolute paths.

    UserError for an object without an address."""
    if not isinstance(named, str):
        return address_of(named, kind)
    where, colon, name = named.rpartition(":")
    if where.endswith(".py"):
        return f"{Path(where).resolve()}{colon}{name}" if Path(where).is_file() else named
    # A module that is a file in the working folder can be imported from there only.
    file = _origin_of(where) if is_address(named) and where.isidentifier() else None
    return f"{file}:{name}" if file is not None and file.parent == Path.cwd() and file.suffix == ".py" else named


def relocated(tree: Any, moved: Mapping[str, str]) -> Any:
    """Replace moved addresses in a tree of dicts, lists and texts.

    Idempotent, also if the new folder is inside the old one.

    Args:
        tree: Plain data.
        moved: Old file, folder or address -> new one.

    Returns:
        The changed tree.
    """
    if isinstance(tree, dict):
        return {relocated(key, moved): relocated(value, moved) for key, value in tree.items()}
    if isinstance(tree, list):
        return [relocated(value, moved) for value in tree]
    if isinstance(tree, str):
        for old, new in moved.items():
            if _is_in(tree, old) and not (_is_in(new, old) and _is_in(tree, new)):
                tree = new + tree[len(old) :]
    return tree


def _is_in(text: str, outer: str) -> bool:
    """Return True if `text` is `outer`, a file, folder or address, or is in it."""
    return text == outer or text.startswith((f"{outer}:", f"{outer.rstrip('/')}/"))


def resolved_address(address: str) -> str:
    """Return an address with its absolute file, so that files of the same name differ. Imports nothing."""
    where, colon, name = address.rpartition(":")
    if where.endswith(".py"):
        return f"{Path(where).resolve()}{colon}{name}"
    return f"{address} in {_origin_of((where or address).partition('.')[0])}"


def code_hash(address: str) -> str | None:
    """Return the hash of the file of an address, without its imports. None if there is no such file."""
    where = address.rpartition(":")[0] or address
    try:
        path = Path(where) if where.endswith(".py") else file_of(import_named(where, address, "address"))
        return hashlib.sha256(path.read_bytes()).hexdigest()[:16] if path else None
    except (OSError, UserError):
        return None


def changed_sources(sources: Mapping[str, str]) -> list[str]:
    """Return the addresses whose files have other hashes now."""
    return [address for address, since in sources.items() if code_hash(address) != since]


def _origin_of(module: str) -> Path | None:
    """Return the file of a top-level module, or the folder of a namespace package."""
    if (loaded := sys.modules.get(module)) is not None and (file := file_of(loaded)) is not None:
        return file
    spec = importlib.util.find_spec(module) or importlib.machinery.PathFinder.find_spec(module, [str(Path.cwd())])
    paths = [spec.origin if spec.has_location else None, *(spec.submodule_search_locations or ())] if spec else []
    return next((Path(path).resolve() for path in paths if path), None)


def is_loaded_file(module: ModuleType) -> bool:
    """Return True if other processes can import the module only by its path: a script, or a file loaded by address."""
    return module.__name__ == "__main__" or module.__name__.startswith(_FILE_MODULE)


def file_of(module: ModuleType) -> Path | None:
    file = getattr(module, "__file__", None)
    return Path(file).resolve() if file else None


def search_working_folder() -> None:
    """Append the working folder to the module search path. Last, so that it can't shadow other modules."""
    if (here := str(Path.cwd())) not in sys.path and "" not in sys.path:
        sys.path.append(here)


def import_named(name: str, address: str, kind: str) -> ModuleType:
    """Import a module from the search path or the working folder. UserError if that fails."""
    search_working_folder()
    try:
        with _noted(name):
            return importlib.import_module(name)
    except BaseException as error:
        raise _not_imported(error, address, kind, name) from error


def _load_file(path: Path, address: str, kind: str) -> ModuleType:
    if not path.is_file():
        raise UserError(f"{kind} {address!r}: there is no file {path}")
    resolved = path.resolve()
    main = sys.modules.get("__main__")
    if main is not None and file_of(main) == resolved:
        return main  # the running script: an import would run it a second time
    # One module per path, so that its classes keep their identity.
    name = f"{_FILE_MODULE}{path.stem}_{hashlib.sha256(str(resolved).encode()).hexdigest()[:12]}"
    if name in sys.modules:
        return sys.modules[name]
    spec = importlib.util.spec_from_file_location(name, resolved)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        with _noted(str(path)):
            spec.loader.exec_module(module)
    except BaseException as error:
        del sys.modules[name]
        raise _not_imported(error, address, kind, str(path)) from error
    return module


@contextmanager
def _noted(where: str) -> Iterator[None]:
    _importing.append(where)
    try:
        yield
    finally:
        _importing.pop()


def refuse_while_importing(what: str) -> None:
    """Raise UserError if a file starts `what` ("a sweep") while it is being imported."""
    if _importing:
        raise UserError(
            f"{_importing[-1]} starts {what} while it is imported; put that under `if __name__ == '__main__':`"
        )


def _not_imported(error: BaseException, address: str, kind: str, where: str) -> UserError:
    if isinstance(error, SystemExit):
        return UserError(
            f"{kind} {address!r}: {where} ended the program while it was imported (sys.exit, or argparse); put what it "
            "runs as a script under `if __name__ == '__main__':`"
        )
    reason = str(error) if isinstance(error, UserError) else reason_of(error)
    return UserError(f"{kind} {address!r}: {where} can't be imported: {reason}")
