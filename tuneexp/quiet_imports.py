"""Imports and calls of libraries without their irrelevant warnings."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def quiet_imports() -> Iterator[None]:
    """Hide the advice of tqdm and Ray to install ipywidgets, which a notebook shows while Ray is imported.

    A log level that was set stays."""
    logger = logging.getLogger("ray.widgets.util")
    if logger.level == logging.NOTSET:
        logger.setLevel(logging.WARNING)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="IProgress not found")
        yield


@contextmanager
def only_errors(name: str) -> Iterator[None]:
    """Let the logger of a library, and those below it, log errors only."""
    log = logging.getLogger(name)
    before = log.level
    log.setLevel(logging.ERROR)
    try:
        yield
    finally:
        log.setLevel(before)
