"""Imports without irrelevant warnings."""

from __future__ import annotations

import logging
import warnings

from tuneexp.quiet_imports import quiet_imports


def test_a_notebook_without_ipywidgets_shows_no_remarks_while_ray_is_imported() -> None:
    with quiet_imports(), warnings.catch_warnings(record=True) as told:
        warnings.warn("IProgress not found. Please update jupyter and ipywidgets.", stacklevel=1)
        warnings.warn("something else", stacklevel=1)
    assert [str(warning.message) for warning in told] == ["something else"]
    assert logging.getLogger("ray.widgets.util").level == logging.WARNING
