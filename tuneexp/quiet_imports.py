"""Imports without irrelevant warnings of libraries."""

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
