"""docs/algorithms.md names every algorithm with its actions, options and an existing search space."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tuneexp.algorithms.registry import ALGORITHMS, load_spec
from tuneexp.algorithms.rl_zoo import RL_ZOO_KEYS

DOCS = Path(__file__).parents[1] / "docs"
PAGE = (DOCS / "algorithms.md").read_text()
ROWS = {row[0].strip("` "): row for line in PAGE.splitlines() if len(row := line.strip("| ").split(" | ")) == 6}


def test_the_table_has_every_algorithm() -> None:
    assert set(ALGORITHMS) <= set(ROWS)


@pytest.mark.parametrize("name", ALGORITHMS)
def test_a_row_is_true(name: str) -> None:
    spec, (_, actions, _, switches, _, space) = load_spec(name), ROWS[name]
    assert {kind.replace("-", "_") for kind in actions.split(", ")} == set(spec.action_kinds)
    fields = spec.config_class.model_fields
    for switch in re.findall(r"`([\w/=]+)`", switches):
        top = switch.split("=")[0].split("/")[0]
        assert top in fields or top in ALGORITHMS | dict.fromkeys(["lstm", "gru"]), switch
        assert top not in RL_ZOO_KEYS or top in fields
    (linked,) = re.findall(r"\]\(([^)]+)\)", space)
    assert (DOCS / linked).is_file()
    assert Path(linked).stem == name
