"""docs/scaling.md has the stored measurements, and its linear fits agree with them."""

from __future__ import annotations

import pytest

from benchmarks import scaling

MEASURED = scaling.load()
GROWS = [name for name in scaling.ROWS if name not in ("sweep_s", "train_s")]


def test_the_page_shows_what_is_stored() -> None:
    assert scaling.tables(MEASURED) in scaling.PAGE.read_text()


@pytest.mark.parametrize("name", GROWS)
def test_the_sweep_in_between_lies_on_the_line(name: str) -> None:
    """The sweep of 32 trials lies on the line through those of 8 and 128, so costs grow linearly."""
    middle = scaling.SIZES[1]
    assert scaling.extrapolated(MEASURED, name, middle) == pytest.approx(
        MEASURED["sweeps"][str(middle)][name], rel=0.05
    )
