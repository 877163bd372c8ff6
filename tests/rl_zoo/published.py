"""Rows of RL Zoo's files, from the PyPI package rl_zoo3 if it is installed."""

from __future__ import annotations

import functools
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tuneexp.algorithms.rl_zoo.rows import ATARI, DEFAULT, Row
from tuneexp.files.yaml_reading import load_yaml_mapping
from tuneexp.sweep.rl_zoo import FILES, row_of

VERSION = "2.9.2"
# Parts of the ids of packages with rows of their own.
OF_OTHER_PACKAGES = ("Bullet", "MiniGrid")


class Published(NamedTuple):
    file: str  # without its ending
    name: str

    @property
    def env(self) -> str:
        """Environment id of this row."""
        if self.name == DEFAULT:
            return "CliffWalking-v1" if self.file in ("dqn", "qrdqn") else "Pusher-v5"
        return "PongNoFrameskip-v4" if self.name == ATARI else self.name

    @property
    def algorithm(self) -> str:
        return FILES[self.file]

    @property
    def of_gymnasium(self) -> bool:
        return not any(package in self.name for package in OF_OTHER_PACKAGES)

    def content(self) -> dict[str, Any]:
        return loaded(self.file)[self.name]

    def read(self) -> Row:
        return row_of(loaded(self.file), Path(f"{self.file}.yml"), None, self.env, None, ("train",), trust=True)


def folder() -> Path:
    """Folder of the files. Skips the test if the package isn't installed."""
    spec = find_spec("rl_zoo3")  # which is not imported: it needs more packages
    if spec is None or spec.origin is None:
        pytest.skip(f"RL Zoo's files are not here: pip install --no-deps rl_zoo3=={VERSION}", allow_module_level=True)
    return Path(spec.origin).parent / "hyperparams"


@functools.cache
def loaded(file: str) -> dict[str, Any]:
    return load_yaml_mapping(folder() / f"{file}.yml")


def rows() -> list[Published]:
    return [Published(file, name) for file in FILES for name in loaded(file)]


def of_other_packages(settings: dict[str, Any]) -> bool:
    """True if a row names wrappers by address, which are in packages that are not installed."""
    names = [name for one in settings.get("wrappers", []) for name in ([one] if isinstance(one, str) else one)]
    return any(":" in name for name in names)
