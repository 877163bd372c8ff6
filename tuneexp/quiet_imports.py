"""Imports without remarks of libraries that a person can do nothing with."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def quiet_imports() -> Iterator[None]:
    """In a notebook without ipywidgets, tqdm and Ray ask for them while Ray is imported; a level that is set stays."""
    logger = logging.getLogger("ray.widgets.util")
    if logger.level == logging.NOTSET:
        logger.setLevel(logging.WARNING)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="IProgress not found")
        yield
