"""Warnings of Optuna that are no news to the person who starts a sweep."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def no_experimental_warnings() -> Iterator[None]:
    """Ignore Optuna's warnings that a class or an argument is experimental."""
    from optuna.exceptions import ExperimentalWarning

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        yield
