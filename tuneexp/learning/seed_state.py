"""State of a subset of a learner's seeds: taken out for another learner, and joined again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch

from tuneexp.learning.devices import stored
from tuneexp.learning.learner import Learner
from tuneexp.learning.update_log import Update


def state_of_seeds(learner: Learner, seeds: slice) -> dict[str, Any]:
    """Return copies of the `state_dict` of these seeds only, and `skipped`."""
    target = None if learner.target is None else learner.target.leaves
    return {
        "parameters": {name: stored(leaf[seeds]) for name, leaf in learner.parameters.items()},
        "target": None if target is None else {name: stored(leaf[seeds]) for name, leaf in target.items()},
        "optimizer": learner.optimizer.state_of_seeds(_chosen(learner, seeds)),
        "generators": [own.get_state() for own in learner.generators[seeds]],
        "failed": learner.failed[seeds].clone(),
        "skipped": learner.skipped[seeds].clone(),
        "n_updates": learner.n_updates,
    }


def load_state(learner: Learner, state: Mapping[str, Any]) -> None:
    """Load the state of all seeds of a learner. state: from `state_of_seeds`."""
    learner.load_state_dict(state)
    learner.skipped.copy_(state["skipped"])


def join_states(learner: Learner, states: Sequence[Mapping[str, Any]], seeds: Sequence[slice]) -> None:
    """Load the states of learners of disjoint seeds. The generators keep their state.

    A learner stops early if all its seeds are skipped. So the number of updates and the optimizer's step counter, which
    seeds share, are the largest ones: as they would be in one learner.

    Args:
        learner: of all seeds.
        states: from `state_of_seeds`, one a learner.
        seeds: of each state.
    """
    chosen = [_chosen(learner, own) for own in seeds]
    joined: dict[str, Any] = {key: torch.cat([state[key] for state in states]) for key in ("failed", "skipped")}
    for kind in ("parameters", "target"):
        names = states[0][kind]
        joined[kind] = None if names is None else {n: torch.cat([state[kind][n] for state in states]) for n in names}
    load_state(learner, {
        **joined,
        "optimizer": learner.optimizer.joined_state([state["optimizer"] for state in states], chosen),
        "generators": [own.get_state() for own in learner.generators],
        "n_updates": max(state["n_updates"] for state in states),
    })  # fmt: skip


def _chosen(learner: Learner, seeds: slice) -> torch.Tensor:
    chosen = torch.zeros_like(learner.failed)
    chosen[seeds] = True
    return chosen


def join_updates(logs: Sequence[Sequence[Update]]) -> list[Update]:
    """Join the updates that learners of disjoint seeds took in one operation.

    Args:
        logs: in the order of the seeds. One that stopped early counts as not updated in the rest.
    """
    longest = max(logs, key=len)
    joined = []
    for number, (names, _, _) in enumerate(longest):
        parts = [log[number] if number < len(log) else _not_taken(log[0]) for log in logs]
        metrics = torch.cat([_in_order(part, names) for part in parts], dim=1)
        joined.append(Update(names, metrics, torch.cat([part.proceed for part in parts])))
    return joined


def _not_taken(like: Update) -> Update:
    return Update(like.names, torch.zeros_like(like.metrics), torch.zeros_like(like.proceed))


def _in_order(update: Update, names: Sequence[str]) -> torch.Tensor:
    """Return metrics [K, S] in the order of `names`; zeros for a metric that this update lacks."""
    rows = dict(zip(update.names, update.metrics, strict=True))
    absent = torch.zeros_like(update.metrics[0])
    return torch.stack([rows.get(name, absent) for name in names])
