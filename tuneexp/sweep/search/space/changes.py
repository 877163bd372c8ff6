"""Changes of a search space that Optuna allows within one study: other bounds of a range."""

from __future__ import annotations

import json

from tuneexp.errors import UserError
from tuneexp.sweep.search.space.dimensions import Choice, Range, Values
from tuneexp.sweep.search.space.search_space import SearchSpace


def changed_ranges(before: SearchSpace, after: SearchSpace, remedy: str) -> list[str]:
    """Return the names of the ranges that differ in their bounds or steps.

    Args:
        before: The space of a study.
        after: Its new space.
        remedy: What to do instead, the end of an error.

    Raises:
        UserError: A change that Optuna does not allow, or by which the trials of one study would not be comparable.
    """
    mappings = before.to_mapping(), after.to_mapping()
    if any("function" in mapping for mapping in mappings):
        raise UserError(f"a define-by-run space can't be changed; {remedy}")
    for name in {**before.dimensions, **after.dimensions}:
        if name not in before.dimensions or name not in after.dimensions:
            verb = "drops" if name in before.dimensions else "adds"
            raise UserError(f"the new space {verb} {name}, and a study has the same names in all trials; {remedy}")
        old, new = before.dimensions[name], after.dimensions[name]
        if dict(old.when) != dict(new.when):
            raise UserError(f"the new space changes the condition of {name}; {remedy}")
        if (problem := _problem(old.values, new.values)) is not None:
            raise UserError(f"{name} changes {problem}; {remedy}")
    for name in {**before.constants, **after.constants}:
        values = [json.dumps(space.constants.get(name)) for space in (before, after)]
        if values[0] != values[1]:
            raise UserError(f"{name} changes from {values[0]} to {values[1]} in all trials; {remedy}")
    return [name for name, one in before.dimensions.items() if one.values != after.dimensions[name].values]


def _problem(old: Values, new: Values) -> str | None:
    """Return how the kind of values changes; None for other bounds of the same kind."""
    if isinstance(old, Range) and isinstance(new, Range):
        return None if old.kind == new.kind else f"from {old.kind} to {new.kind}"
    if isinstance(old, Choice) and isinstance(new, Choice):
        return None if old.labels() == new.labels() else "its options, which Optuna does not allow"
    return "between a range and a choice"
