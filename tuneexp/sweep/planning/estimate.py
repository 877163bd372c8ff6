"""Time of a sweep from the costs of a few of its trials. Pure arithmetic."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tuneexp.trial.probe import Probe
    from tuneexp.trial.trial_config import TrialConfig

CONFIDENCE = 0.9
# Start and end of a sweep with Ray, its workers and MLflow (11 to 13 s with one trial of 512 steps, on two cores at
# 2.6 GHz), and a trial beyond its training (docs/scaling.md).
START_S, TRIAL_S = 11.0, 0.3
# CPU seconds of compiling the programs of one configuration that the cache does not have.
COMPILE_S = 30.0


@dataclass(frozen=True)
class Interval:
    """An interval of seconds."""

    low: float
    high: float

    def __add__(self, other: Interval) -> Interval:
        return Interval(self.low + other.low, self.high + other.high)

    def times(self, factor: float) -> Interval:
        return Interval(self.low * factor, self.high * factor)


def trial_seconds(probe: Probe, config: TrialConfig, cohorts: Sequence[Mapping[str, int]] = ()) -> Interval:
    """Return the seconds of a whole trial: training, evaluations and checkpoints.

    The spread of the parts of the probe is one standard deviation. Evaluations last between what they do now and the
    time limit of the environment: episodes of a policy that has learned may be longer.

    Args:
        probe: Costs of the trial.
        config: Its configuration.
        cohorts: Cohorts of seeds, as in `TrialConfig`; while one catches up, each of its reports has a checkpoint, too.
    """
    budget = probe.budget_env_steps
    spread = statistics.stdev(probe.chunks_s) if len(probe.chunks_s) > 1 else 0.0
    training = Interval(max(0.0, probe.step_s - spread), probe.step_s + spread).times(budget)
    whole = config.model_copy(update={"budget_env_steps": budget})
    reports = whole.reports
    per_step = (reports - 1) * probe.evaluation_s + probe.final_evaluation_s
    longest = max(probe.evaluation_steps, probe.longest_episode or 0)
    evaluations = Interval(per_step * probe.evaluation_steps, per_step * longest)
    caught_up = sum(math.ceil(one["from_env_steps"] / whole.report_period) for one in cohorts)
    saving = (reports + caught_up) * probe.save_s
    return training + evaluations + Interval(saving, saving)


def mean_of_trials(found: Sequence[Interval], trials: int | None) -> Interval:
    """Return an interval for the mean over all trials of a sweep, from some of them.

    Student's t interval of 90 % for the mean of a finite population, around the intervals of the trials themselves.

    Args:
        found: Seconds of the measured trials; at least one.
        trials: Number of trials of the sweep; None for no limit.
    """
    from scipy.stats import t

    low, high = statistics.fmean(one.low for one in found), statistics.fmean(one.high for one in found)
    known = len(found)
    if known < 2 or known == trials:
        return Interval(low, high)
    spread = statistics.stdev([(one.low + one.high) / 2 for one in found])
    half = (
        float(t.ppf((1 + CONFIDENCE) / 2, known - 1))
        * spread
        / math.sqrt(known)
        * math.sqrt(1 - known / (trials or math.inf))
    )
    return Interval(max(low - half, min(one.low for one in found)), high + half)


def sweep_seconds(trial: Interval, trials: int, at_once: int, share: float = 1.0) -> Interval:
    """Return the seconds of training of a sweep.

    Args:
        trial: Seconds of a whole trial.
        trials: Number of trials.
        at_once: Trials that run at the same time.
        share: Share of the environment steps that is trained; 1 without early stopping.

    Returns:
        From trials that fill all places to the end, to a last trial that runs alone.
    """
    at_once = min(at_once, trials)
    whole = trial.times(trials * share / at_once)
    return Interval(max(whole.low, trial.low), whole.high + trial.high * (1 - 1 / at_once))


def slowdown(probes: Sequence[Probe]) -> float | None:
    """Return wall seconds per CPU second of training, at least 1: more on a busy machine.

    None if other processes or devices do a part of the work."""
    known = [one for one in probes if one.one_process]
    if not known:
        return None
    return max(1.0, sum(one.step_s for one in known) / sum(one.cpu_s for one in known))


def program_seconds(probes: Sequence[Probe], programs: int | None, trials: int, at_once: int) -> Interval:
    """Return the seconds of building programs: from the shortest build for each, to compilation of those not seen.

    programs: combinations that need one of their own; None if they are endless."""
    distinct = trials if programs is None else min(programs, trials)
    shortest, longest = min(one.build_s for one in probes), max(one.build_s for one in probes)
    seen = len({one.programs for one in probes})
    unseen = max(0, distinct - seen) if any(one.compiled for one in probes) else 0
    compilations = math.ceil(unseen / at_once) * max(COMPILE_S * (slowdown(probes) or 1.0), longest)
    waves = math.ceil(distinct / at_once)
    return Interval(shortest * waves, longest * waves + compilations)


def overhead_seconds(probes: Sequence[Probe], trials: int, at_once: int) -> Interval:
    """Return the seconds of starting and ending a sweep, and of its trials beyond training: on a free machine, to those
    on a machine as busy as now."""
    free = START_S + TRIAL_S * trials / at_once
    return Interval(free, free * (slowdown(probes) or 1.0))
