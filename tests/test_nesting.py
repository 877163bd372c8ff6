"""Nested mappings and flat names."""

from __future__ import annotations

from typing import Any

import pytest

from tuneexp.errors import UserError
from tuneexp.nesting import ABSENT, flat, flat_of_dotted, leaves, merged, nested, value_at

TREE = {"gamma": 0.9, "model": {"activation": "relu", "own": {}}}
FLAT = {"gamma": 0.9, "model/activation": "relu", "model/own": {}}


def test_flat_and_nested_are_inverse_and_keep_empty_groups() -> None:
    assert flat(TREE) == FLAT
    assert nested(FLAT) == TREE


def test_a_dot_in_a_key_is_nesting_where_people_write_keys() -> None:
    assert flat_of_dotted({"model.activation": "relu", "a": {"b.c": 1}}) == {"model/activation": "relu", "a/b/c": 1}
    assert flat({"model.activation": "relu"}) == {"model.activation": "relu"}


def test_a_skipped_name_leaves_out_its_whole_group() -> None:
    assert dict(leaves(TREE, skip=("model",))) == {"gamma": 0.9}
    assert dict(leaves(TREE, skip=("model/activation",))) == {"gamma": 0.9, "model/own": {}}


@pytest.mark.parametrize("values", [{"a": 1, "a/b": 2}, {"a/b": 2, "a": 1}])
def test_a_name_that_is_a_value_and_a_group_is_refused(values: dict[str, Any]) -> None:
    with pytest.raises(UserError, match="keep one"):
        nested(values)


def test_changes_are_merged_group_by_group_and_leave_their_sources_alone() -> None:
    assert merged(TREE, {"model": {"activation": "tanh"}}) == {"gamma": 0.9, "model": {"activation": "tanh", "own": {}}}
    assert TREE["model"] == {"activation": "relu", "own": {}}
    assert merged({"a": {"b": 1}}, {"a": 2}) == {"a": 2}


def test_a_value_is_found_by_its_flat_name() -> None:
    assert value_at(TREE, "model/activation") == "relu"
    assert value_at(TREE, "model/shared") is ABSENT
    assert value_at(TREE, "gamma/x") is ABSENT
