"""Lineage of a member of a population: the hyperparameters that its present state was trained with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Segment:
    """Part of a lineage.

    Attributes:
        env_steps: Environment steps per seed at its start.
        member: Number of the member that trained it.
        values: Hyperparameters that move, flat.
    """

    env_steps: int
    member: int
    values: Mapping[str, Any]


def lineage(
    takeovers: Mapping[int, Sequence[Mapping[str, Any]]], values: Mapping[int, Mapping[str, Any]], winner: int
) -> list[Segment]:
    """Return the lineage of a member, from step 0.

    At each takeover a member continued with the state of its donor, so what came before is the donor's lineage.

    Args:
        takeovers: Number of a member -> its takeovers in their order: `env_steps`, `donor`, `before` and `after`.
        values: Number of a member -> its present hyperparameters, flat.
        winner: Number of the member.

    Returns:
        Segments in increasing order of their environment steps.
    """
    moving = {name for one in takeovers.values() for entry in one for name in entry["after"]}
    found: list[Segment] = []
    member, end = winner, None
    while True:
        before_end = [one for one in takeovers.get(member, ()) if end is None or one["env_steps"] < end]
        known = before_end[-1]["after"] if before_end else _initial(takeovers.get(member, ()), values[member])
        held = {name: known[name] for name in sorted(moving) if name in known}
        found.append(Segment(int(before_end[-1]["env_steps"]) if before_end else 0, member, held))
        if not before_end:
            return found[::-1]
        member, end = before_end[-1]["donor"], before_end[-1]["env_steps"]


def _initial(takeovers: Sequence[Mapping[str, Any]], values: Mapping[str, Any]) -> Mapping[str, Any]:
    return {**values, **takeovers[0]["before"]} if takeovers else values
