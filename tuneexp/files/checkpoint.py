"""Checkpoints: a folder with tensors in safetensors and everything else in one JSON file.

Nothing is unpickled. Writes are atomic: a folder is written under a temporary name and renamed. torch is imported only
to read or write tensors, so that a path that is no checkpoint is refused without it.
"""

from __future__ import annotations

import ctypes
import json
import math
import os
import shutil
import tempfile
from collections.abc import Collection, Mapping
from enum import Enum
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Any

import numpy as np
from safetensors import SafetensorError, safe_open

from tuneexp.errors import CheckpointError
from tuneexp.files.json_reading import parse_json, plain
from tuneexp.files.remote_folders import local_copy

if TYPE_CHECKING:
    from torch import Tensor

FORMAT_VERSION, OLDEST_VERSION = 2, 2
STATE_FILE = "state.json"
TENSOR_FILE = "tensors.safetensors"
TUNES_PICKLE = "_dict_checkpoint.pkl"

Tree = dict[str, Any]


def write(folder: str | Path, tree: Mapping[str, Any]) -> Path:
    """Write a checkpoint atomically.

    Args:
        folder: Path of the new checkpoint.
        tree: Dicts, lists, numbers, texts, tensors and arrays.

    Returns:
        The absolute path.

    Raises:
        OSError: It can't be written, for example because the disk is full.
    """
    target = Path(folder)
    target.parent.mkdir(parents=True, exist_ok=True)
    tensors: dict[str, Tensor] = {}
    state = {"format_version": FORMAT_VERSION, **_without_tensors(tree, "", tensors)}
    unfinished = Path(tempfile.mkdtemp(prefix=f".{target.name}-", dir=target.parent))
    try:
        _save_tensors(tensors, unfinished / TENSOR_FILE)
        (unfinished / STATE_FILE).write_text(json.dumps(state))
        _put_in_place(unfinished, target)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
    return target


def _save_tensors(tensors: Mapping[str, Tensor], path: Path) -> None:
    from safetensors.torch import save_file

    try:
        save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, path)
    except SafetensorError as error:
        if "I/O error" not in str(error):
            raise
        raise OSError(str(error)) from error  # a full disk: the caller may retry


def _put_in_place(unfinished: Path, target: Path) -> None:
    mask = os.umask(0)
    os.umask(mask)
    unfinished.chmod(0o777 & ~mask)  # a temporary folder is private, a checkpoint has the usual mode
    if not target.exists() or not any(target.iterdir()):
        os.replace(unfinished, target)
    elif not _exchange(unfinished, target):
        # Two renames: after a kill in between, the old checkpoint is complete under another name.
        old = Path(tempfile.mkdtemp(prefix=f".{target.name}-old-", dir=target.parent))
        os.replace(target, old / "was")
        os.replace(unfinished, target)
        shutil.rmtree(old)


def _exchange(one: Path, other: Path) -> bool:
    """Swap two folders atomically (renameat2 of Linux). Returns False if that is not supported."""
    at_cwd, exchange = -100, 2
    try:
        renameat2 = ctypes.CDLL(None, use_errno=True).renameat2
    except (AttributeError, OSError):
        return False
    return bool(renameat2(at_cwd, os.fsencode(one), at_cwd, os.fsencode(other), exchange) == 0)


def read_header(folder: str | Path) -> Tree:
    """Read and check the JSON part of a checkpoint.

    Args:
        folder: A path, or the URI of a checkpoint in an object store.

    Returns:
        The tree without tensors.

    Raises:
        CheckpointError: It is no checkpoint, is damaged, or has another format.
    """
    with local_copy(folder) as here:
        return _read_header(here, folder)


def _read_header(here: Path, folder: str | Path) -> Tree:
    path = here / STATE_FILE
    try:
        state = parse_json(path.read_bytes())
    except (FileNotFoundError, NotADirectoryError):
        raise CheckpointError(f"{folder} is no checkpoint: it holds no {STATE_FILE}") from None
    except (ValueError, OSError) as error:
        raise CheckpointError(f"the checkpoint {folder} is damaged: {STATE_FILE} can't be read ({error})") from None
    version = state.get("format_version") if isinstance(state, dict) else None
    if not isinstance(version, int):
        raise CheckpointError(f"the checkpoint {folder} is damaged: {STATE_FILE} names no format version")
    if version > FORMAT_VERSION:
        raise CheckpointError(
            f"the checkpoint {folder} has format {version}; this tuneexp reads up to {FORMAT_VERSION}: "
            "install the tuneexp that wrote it, or a newer one"
        )
    if version < OLDEST_VERSION:
        raise CheckpointError(
            f"the checkpoint {folder} has format {version}; this tuneexp reads from {OLDEST_VERSION} on: load it with "
            "the tuneexp that wrote it"
        )
    return state


def refuse_pickled(stored: Any) -> None:
    """Raise `CheckpointError` for a folder with a file that Ray Tune would unpickle. tuneexp writes none.

    stored: Tune's `Checkpoint`."""
    from pyarrow.fs import FileType

    if stored.filesystem.get_file_info(f"{stored.path.rstrip('/')}/{TUNES_PICKLE}").type != FileType.NotFound:
        raise CheckpointError(
            f"the checkpoint {stored.path} holds {TUNES_PICKLE}, which no tuneexp writes and which could run any code; "
            "it was not loaded"
        )


def read(folder: str | Path, leave_out: Collection[str] = ()) -> Tree:
    """Read a checkpoint with its tensors.

    Args:
        folder: A path or a URI.
        leave_out: Keys, such as "experience", whose values are None, at any depth. Their tensors are not read.

    Returns:
        The tree, with torch tensors.

    Raises:
        CheckpointError: As `read_header`.
    """
    with local_copy(folder) as here:
        return _read(here, folder, leave_out)


def _read(here: Path, folder: str | Path, leave_out: Collection[str]) -> Tree:
    state = _read_header(here, folder)
    try:
        with safe_open(here / TENSOR_FILE, "pt") as file:
            wanted = [name for name in file.keys() if not set(name.split("/")).intersection(leave_out)]  # noqa: SIM118
            tensors = {name: file.get_tensor(name) for name in wanted}
    except (SafetensorError, OSError, LookupError, TypeError, ValueError) as error:
        raise CheckpointError(f"the checkpoint {folder} is damaged: {TENSOR_FILE}: {error}") from None
    try:
        return _with_tensors(_without(state, leave_out), tensors)
    except KeyError as missing:
        raise CheckpointError(f"the checkpoint {folder} is damaged: no tensor {missing}") from None
    except (AttributeError, TypeError, ValueError) as error:
        raise CheckpointError(f"the checkpoint {folder} is damaged: {error}") from None


def is_whole(folder: str | Path) -> bool:
    """Return True if a checkpoint is complete: its files can be read and have the right lengths. Loads no tensor."""
    try:
        read_header(folder)
        with safe_open(Path(folder) / TENSOR_FILE, "pt"):
            return True
    except (CheckpointError, SafetensorError, OSError):
        return False


def _without_tensors(node: Any, path: str, tensors: dict[str, Tensor]) -> Any:
    import torch

    if isinstance(node, torch.Tensor):
        tensors[path] = node.detach().clone()
        return {"$tensor": path}
    if isinstance(node, np.ndarray):
        tensors[path] = torch.from_numpy(np.array(node))
        return {"$array": path}
    if isinstance(node, Mapping):
        return {str(key): _without_tensors(value, f"{path}/{key}" if path else str(key), tensors)
                for key, value in node.items()}  # fmt: skip
    if isinstance(node, list | tuple):
        return [_without_tensors(value, f"{path}/{index}", tensors) for index, value in enumerate(node)]
    if isinstance(node, np.generic | Enum | PurePath):
        node = plain(node, path)
    if isinstance(node, float) and not math.isfinite(node):
        return {"$float": repr(node)}  # JSON has no NaN and no infinity
    return plain(node, path)


def _without(node: Any, leave_out: Collection[str]) -> Any:
    if isinstance(node, list):
        return [_without(value, leave_out) for value in node]
    if not isinstance(node, dict):
        return node
    return {key: None if key in leave_out else _without(value, leave_out) for key, value in node.items()}


def _with_tensors(node: Any, tensors: Mapping[str, Tensor]) -> Any:
    if isinstance(node, list):
        return [_with_tensors(value, tensors) for value in node]
    if not isinstance(node, dict):
        return node
    if "$tensor" in node:
        return tensors[node["$tensor"]]
    if "$array" in node:
        return tensors[node["$array"]].numpy()
    if "$float" in node:
        return float(node["$float"])
    return {key: _with_tensors(value, tensors) for key, value in node.items()}
