"""Comparison of the configurations of a confirmation. Pure functions of their scores."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from tuneexp.statistics.aggregates import aggregate
from tuneexp.statistics.comparison import difference, paired_difference, probability_of_improvement
from tuneexp.statistics.intervals import Estimate, estimate, few_values
from tuneexp.statistics.selection import winner_of
from tuneexp.sweep.confirming.candidates import DEFAULTS, trial_of
from tuneexp.sweep.confirming.scores import SeedScores

AGGREGATE = "iqm"  # interquartile mean over seeds
BETTER, WORSE, EQUAL, OPEN = "better", "worse", "equal", "open"


@dataclass(frozen=True)
class TuningScore:
    """Score of a configuration in the sweep that suggested it.

    Attributes:
        objective: Objective of the trial.
        aggregate: Aggregate over seeds of that objective, as in `statistics.aggregate`.
        per_seed: Scores of its seeds; empty if the reports are lost.
    """

    objective: float
    aggregate: str
    per_seed: tuple[float, ...] = ()


@dataclass(frozen=True)
class Confirmed:
    """Result of one configuration.

    Attributes:
        name: "trial 3", "defaults" or "random search".
        trial_number: Number of the trial of the sweep; None for the others.
        config: Hyperparameters, nested.
        schedule: Changes of them while it trains, each with `env_steps` per seed and `values`; of members of a
            population.
        outcome: Outcome of its training; None before its end.
        reason: Reason of the outcome, if there is one.
        scores: Seed -> score. A seed that diverged has the worst evaluation of all configurations.
        diverged: Seeds that diverged.
        score: Interquartile mean over seeds with a 95 % interval; None without scores.
        values: The distinct scores with their numbers of seeds if there are at most two, else None.
        tuning: Objective in the sweep; None for the defaults.
        overstated: Tuning score minus the score on unseen seeds, both by the aggregate of the sweep, with an interval.
        over_defaults: Difference to the defaults, paired by seed, with an interval.
        beats_defaults: Probability that it has a higher score than the defaults on a seed.
        wall_s: Seconds of its training.
    """

    name: str
    trial_number: int | None
    config: dict[str, Any]
    schedule: list[dict[str, Any]] = field(default_factory=list)
    outcome: str | None = None
    reason: str | None = None
    scores: dict[int, float] = field(default_factory=dict)
    diverged: list[int] = field(default_factory=list)
    score: Estimate | None = None
    values: list[tuple[float, int]] | None = None
    tuning: float | None = None
    overstated: Estimate | None = None
    over_defaults: Estimate | None = None
    beats_defaults: Estimate | None = None
    wall_s: float = 0.0

    @property
    def counts(self) -> str | None:
        """The numbers of seeds of at most two distinct scores, "500 on 8 of 10, 20 on 2 of 10"; None for others."""
        if self.values is None:
            return None
        return ", ".join(f"{value:.6g} on {count} of {len(self.scores)}" for value, count in self.values)


@dataclass(frozen=True)
class Winner:
    """The best of the confirmed configurations of the sweep.

    Attributes:
        name: Its name.
        score: Interquartile mean over the unseen seeds.
        corrected: The same without the advantage of having been chosen by these seeds, with an interval.
        chosen: Share of bootstrap samples of the seeds in which it is the best.
        over_defaults: Its difference to the defaults, corrected in the same way; None without defaults.
        verdict: "better" or "worse" than the defaults if that interval lies above or below 0, "equal" if all scores
            are equal, else "open".
    """

    name: str
    score: float
    corrected: Estimate
    chosen: float
    over_defaults: Estimate | None
    verdict: str


def confirmed(
    name: str,
    config: Mapping[str, Any],
    found: SeedScores | None,
    tuning: TuningScore | None,
    defaults: SeedScores | None,
    **facts: Any,
) -> Confirmed:
    """Return the result of a configuration.

    Args:
        name: Its name.
        config: Its hyperparameters.
        found: Scores of its seeds; None if its training failed.
        tuning: Its score in the sweep.
        defaults: Scores of the defaults on the same seeds.
        facts: `schedule`, `outcome`, `reason` and `wall_s`.
    """
    said = None if tuning is None else tuning.objective
    base = {"name": name, "trial_number": trial_of(name), "config": dict(config), "tuning": said, **facts}
    if found is None:
        return Confirmed(**base)
    scores = list(found.scores.values())
    compared: dict[str, Any] = {}
    if defaults is not None and name != DEFAULTS:
        theirs = [defaults.scores[seed] for seed in found.scores]
        compared["over_defaults"] = paired_difference(scores, theirs, AGGREGATE)
        compared["beats_defaults"] = probability_of_improvement(scores, theirs, paired=True)
    return Confirmed(
        **base,
        scores=found.scores,
        diverged=found.diverged,
        score=estimate(scores, AGGREGATE),
        values=few_values(scores),
        overstated=None if tuning is None else overstatement(tuning, scores),
        **compared,
    )


def overstatement(tuning: TuningScore, scores: Sequence[float]) -> Estimate:
    """Return how much higher the score in tuning was than the score on unseen seeds, with an interval.

    Both are aggregated as in the sweep. The seeds of both are resampled; without those of the sweep its score is taken
    as exact."""
    if len(tuning.per_seed) > 1:
        found = difference(tuning.per_seed, scores, tuning.aggregate)
        shift = tuning.objective - aggregate(tuning.per_seed, tuning.aggregate)  # 0, unless seeds had diverged
        return Estimate(found.value + shift, found.low + shift, found.high + shift)
    here = estimate(scores, tuning.aggregate)
    return Estimate(tuning.objective - here.value, tuning.objective - here.high, tuning.objective - here.low)


def winner(found: Sequence[Confirmed]) -> Winner | None:
    """Return the winner among the configurations of the sweep; None if none of them has scores."""
    tuned = [one for one in found if one.trial_number is not None and one.scores]
    if not tuned:
        return None
    best = winner_of([list(one.scores.values()) for one in tuned], AGGREGATE)
    chosen = tuned[best.row]
    shift = best.corrected.value - best.score
    over = None if chosen.over_defaults is None else Estimate(*(value + shift for value in chosen.over_defaults))
    return Winner(chosen.name, best.score, best.corrected, best.chosen[best.row], over, _verdict(chosen, found, over))


def _verdict(chosen: Confirmed, found: Sequence[Confirmed], over: Estimate | None) -> str:
    defaults = next((one for one in found if one.name == DEFAULTS), None)
    if over is None or defaults is None:
        return OPEN
    if chosen.scores == defaults.scores:
        return EQUAL
    return BETTER if over.low > 0 else WORSE if over.high < 0 else OPEN


def as_json(value: Any) -> Any:
    """Return a result as plain JSON: estimates as `value`, `low` and `high`, numbers that are not finite as None."""
    if isinstance(value, Estimate):
        return {name: as_json(part) for name, part in value._asdict().items()}
    if isinstance(value, Mapping):
        return {str(name): as_json(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [as_json(one) for one in value]
    if isinstance(value, Confirmed | Winner):
        names = asdict(value)
        return {name: as_json(getattr(value, name)) for name in names}
    return None if isinstance(value, float) and not math.isfinite(value) else value
