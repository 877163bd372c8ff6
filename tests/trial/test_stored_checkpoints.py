"""Checkpoints that an earlier version wrote (format 2) continue as in that version."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest

from tuneexp.trial.from_checkpoint import trial_from_checkpoint

FOLDER = Path(__file__).parents[1] / "fixtures" / "format_2"
EXPECTED: dict[str, Any] = json.loads((FOLDER / "expected.json").read_text())


@pytest.mark.parametrize("name", EXPECTED)
def test_a_stored_checkpoint_acts_and_continues_as_the_version_that_wrote_it(name: str) -> None:
    """The last digits of floats depend on the processor."""
    several = name == "telling"
    if several:
        pytest.importorskip("pettingzoo")
    trial = trial_from_checkpoint(FOLDER / name, trust=True)
    expected = EXPECTED[name]
    for returns, wanted in zip(trial.evaluate(2, 77).tolist(), expected["evaluated"], strict=True):
        assert returns == pytest.approx(wanted, abs=1e-5)
    if not several:  # its environments can't be saved: fresh episodes start
        report = trial.advance()
        for metric, wanted in expected["next_report"].items():
            nan = isinstance(wanted, float) and math.isnan(wanted)
            assert report[metric] == pytest.approx(wanted, rel=1e-5, abs=1e-5, nan_ok=nan), metric
    state, stored = trial.state_dict(), json.loads((FOLDER / name / "state.json").read_text())
    trial.close()
    # What that version reads is still there.
    assert set(stored) - {"format_version"} <= set(state)
    assert set(stored["group"]) <= set(state["group"])
    for policy, parts in stored.get("policies", {}).items():
        assert set(parts) <= set(state["policies"][policy])
