"""Settings of a sweep that is extended: more trials, more time, another goal, a wider or narrower search space."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from tuneexp.commands import command
from tuneexp.errors import UserError
from tuneexp.sweep.search.choice import parts
from tuneexp.sweep.search.space import SearchSpace
from tuneexp.sweep.search.space.changes import changed_ranges
from tuneexp.sweep.search.stopping_rules import SAMPLER, STAGNATION, TIME_BUDGET, TRIALS, UNTIL, SearchState, reason
from tuneexp.sweep.sweep_config import SweepConfig, stop_rules, without_idle_trials

NONE = "none"  # removes a rule
_REMEDIES = {
    TRIALS: "add --trials N: N more trials",
    TIME_BUDGET: "add --time-budget, such as 1h more",
    UNTIL: "add --until with a better objective, or --until none",
    STAGNATION: "add --stagnation with a larger number, or --stagnation none",
}
# These draw each range anew. Others keep the ranges of their first trials, or draw changed ones at random.
_FOLLOW_CHANGES = ("random", "tpe")


@dataclass(frozen=True)
class Extension:
    """Additions to a sweep; None leaves a setting as it is.

    Attributes:
        trials: Number of trials more.
        time_budget_s: Seconds more.
        until: The new objective to reach, or "none".
        stagnation: The new number of trials, or "none".
        space: The new search space, in any form that `SearchSpace.of` reads.
    """

    trials: int | None = None
    time_budget_s: float | None = None
    until: float | str | None = None
    stagnation: int | str | None = None
    space: Any = None


def extended(config: SweepConfig, search: SearchState, ended_by: str | None, asked: Extension) -> SweepConfig:
    """Return the configuration of a sweep that is extended.

    Args:
        config: The stored configuration.
        search: State of its search in the snapshot.
        ended_by: How it has ended; None for one that was interrupted.
        asked: What to add.

    Returns:
        The new configuration.

    Raises:
        UserError: Nothing is asked for, the sweep would end at once, or its sampler can't follow the new space.
    """
    if asked == Extension():
        raise UserError("write what to add, such as --trials 8 for eight more trials (or --time-budget 1h)")
    changes: dict[str, Any] = {}
    if asked.trials is not None:
        whole = config.trials is not None and ended_by in (None, TRIALS)
        changes[TRIALS] = ((config.trials if whole else search.tally.suggested) or 0) + asked.trials
    if asked.time_budget_s is not None and not 0 < asked.time_budget_s < math.inf:
        raise UserError(f"time_budget_s is the time to add, such as 1h, got {asked.time_budget_s}")
    if asked.time_budget_s is not None:
        changes[TIME_BUDGET] = max(config.time_budget_s or 0.0, search.tally.elapsed_s) + asked.time_budget_s
    for name in (UNTIL, STAGNATION):
        if (value := getattr(asked, name)) is not None:
            changes[name] = None if value == NONE else value
    if asked.space is not None:
        changes["space"] = _new_space(config, asked.space).to_mapping()
    longer = SweepConfig.parse({**config.flat("json"), **changes}, f"sweep {config.name!r}")
    if (rule := search.ended_under(stop_rules(longer))) is not None and rule != SAMPLER:
        raise UserError(f"sweep {config.name!r} would end at once: {reason(rule, longer)}; {_REMEDIES[rule]}")
    if all(getattr(longer, name) is None for name in (TRIALS, TIME_BUDGET, UNTIL, STAGNATION)):
        raise UserError("no rule would end the sweep; add --trials N, or a time budget")
    return longer.model_copy(update={"replaced": _replaced(config, longer, changes)})


def _replaced(config: SweepConfig, longer: SweepConfig, changes: Iterable[str]) -> dict[str, list[Any]]:
    """Return the values that settings had before all extensions; `sweep --resume` with them continues the sweep."""
    before, after = config.flat("json"), longer.flat("json")
    changed = [name for name in changes if before[name] != after[name]]
    return {**config.replaced, **{name: [*config.replaced.get(name, []), before[name]] for name in changed}}


def within_combinations(config: SweepConfig, space: SearchSpace, search: SearchState) -> SweepConfig:
    """Return the configuration with no more trials than there are combinations. UserError if none is left."""
    longer, suggested = without_idle_trials(config, space), search.tally.suggested or 0
    if longer.trials is not None and longer.trials <= suggested:
        raise UserError(
            f"{parts(config.searcher)[0]} has suggested all {suggested} combinations of the search space; for a larger "
            f"one start another sweep: {command('sweep', '--space', 'FILE')} ..."
        )
    return longer


def _new_space(config: SweepConfig, asked: Any) -> SearchSpace:
    before, after = SearchSpace.of(config.space), SearchSpace.of(asked)
    again = f"start another sweep with it, which may learn from this one: {_warm_started(config)}"
    changed = changed_ranges(before, after, again)
    name, options = parts(config.searcher)
    follows = name in _FOLLOW_CHANGES and not options.get("group")
    if changed and not follows and ":" not in name:
        with_group = " with the option group" if options.get("group") else ""
        raise UserError(f"{name}{with_group} can't follow a changed range ({', '.join(changed)}); {again}")
    return after


def _warm_started(config: SweepConfig) -> str:
    return command("sweep", config.trial.algorithm, config.trial.env, "--space", "FILE", "--warm-start", config.name)


def from_text(option: str, text: str | None, parse: Any) -> Any:
    """Return the value of an option that may be "none". UserError for a text that `parse` refuses."""
    if text is None or text == NONE:
        return text
    try:
        return parse(text)
    except ValueError:
        raise UserError(f"{option} {text!r} is no number; write a number, or none to remove this rule") from None
