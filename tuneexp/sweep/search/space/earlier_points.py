"""Trials of an earlier sweep as suggestions of a search space."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from tuneexp.config import without_suffixes
from tuneexp.nesting import ABSENT, flat, nested, value_at
from tuneexp.sweep.search.space.binding import written_over
from tuneexp.sweep.search.space.dimensions import Values
from tuneexp.sweep.search.space.search_space import SearchSpace
from tuneexp.sweep.search.space.space_parser import Dimension
from tuneexp.sweep.search.space.walk import InfeasiblePoint


def params_of(space: SearchSpace, hyperparameters: Mapping[str, Any]) -> dict[str, Any]:
    """Return the Optuna parameters for which `space` suggests the same configuration.

    Args:
        space: A validated search space, of ranges and choices.
        hyperparameters: Those of a trial, nested. Others have their defaults.

    Raises:
        InfeasiblePoint: The space can't suggest it; the text names a hyperparameter.
    """
    binding = space._binding
    assert binding is not None
    try:
        whole = binding.config_class.model_validate(without_suffixes(dict(hyperparameters)))
    except ValidationError as error:
        raise InfeasiblePoint(f"another version: {error.errors()[0]['loc']}") from None
    values = whole.model_dump(mode="json")
    params: dict[str, Any] = {}

    def pick(dimension: Dimension, offered: Values) -> Any:
        value = value_at(values, dimension.name)
        if value is ABSENT or not offered.contains(value):
            raise InfeasiblePoint(f"{dimension.name}={value}")
        params.update(offered.recorded(dimension.name, value))
        return value

    searched = space.walk(pick)
    same = binding.config_class.model_validate(nested(written_over(space._background(), searched)))
    if same != whole:
        raise InfeasiblePoint(_first_difference(flat(values), flat(same.model_dump(mode="json"))))
    return params


def _first_difference(earlier: Mapping[str, Any], now: Mapping[str, Any]) -> str:
    name = next((name for name in earlier if earlier[name] != now.get(name)), "")
    return f"{name}={earlier.get(name)}, here {now.get(name)}"
