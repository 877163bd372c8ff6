"""Environment steps that a scheduler leaves in the best case: the first trial is the best, and the order never changes.

The real scheduler decides, on reports of trials that are not trained."""

from __future__ import annotations

from collections.abc import Sequence

from tuneexp.sweep.search.schedulers.scheduler import PAUSE, STOP, Scheduler

MOST_TRIALS = 256  # simulated; more trials have the same share


def least_env_steps(
    scheduler: Scheduler, trials: int, report_every: int, budget: int, costs: Sequence[float] = ()
) -> int:
    """Return the environment steps per seed of all trials together, those of fewer seeds as a part of it.

    Args:
        scheduler: A new scheduler, which is used up.
        trials: Number of trials.
        report_every: Environment steps between reports.
        budget: Environment steps of a whole trial.
        costs: Cost of a step of each cohort of seeds; by default their numbers of seeds.

    Returns:
        The sum over the trials; `trials * budget` without early stopping.
    """
    simulated = min(trials, MOST_TRIALS)
    replay = _Replay(scheduler, report_every, budget, costs)
    for number in range(simulated):
        replay.promote()
        replay.run(f"{number:05d}")
    replay.promote()
    scheduler.close()
    replay.promote()
    spent = round(sum(map(replay.spent, replay.env_steps.values())), 6)  # shares that add up to a whole number
    return int(spent * trials // simulated)


class _Replay:
    """Trials one after another. The objective of a trial is minus its number."""

    def __init__(self, scheduler: Scheduler, report_every: int, budget: int, costs: Sequence[float]) -> None:
        cohorts = scheduler.cohorts()
        costs = costs or [one["seeds"] for one in cohorts]
        self._cohorts = [(one["from_env_steps"], cost) for one, cost in zip(cohorts, costs, strict=True)]
        self.scheduler, self.report_every, self.budget = scheduler, report_every, budget
        self.env_steps: dict[str, int] = {}
        self._paused: set[str] = set()

    def spent(self, env_steps: int) -> float:
        """Return the environment steps of a trial, as if all of its seeds took a part in each. They may join later."""
        if not self._cohorts:
            return env_steps
        before = max(0, env_steps - self.report_every)
        joined = sum(cost for start, cost in self._cohorts if start <= before)
        return env_steps * joined / sum(cost for _, cost in self._cohorts)

    def run(self, trial_id: str) -> None:
        """Run a trial to its end or its pause."""
        if trial_id not in self.env_steps:
            self.env_steps[trial_id] = 0
            self.scheduler.add(trial_id)
        objective = -float(trial_id)
        while self.env_steps[trial_id] < self.budget:
            now = min(self.env_steps[trial_id] + self.report_every, self.budget)
            self.env_steps[trial_id] = now
            decision = STOP if now >= self.budget else self.scheduler.report(trial_id, now, objective)
            if decision == PAUSE:
                self._paused.add(trial_id)
                return
            if decision == STOP:
                self.scheduler.end(trial_id, now, objective)
                return

    def promote(self) -> None:
        """Continue paused trials as long as one is due, and end those that never will."""
        while True:
            if self.scheduler.takeovers():
                self.scheduler.taken_over()
            for loser in [one for one in self.scheduler.losers() if one in self._paused]:
                self._paused.discard(loser)
                self.scheduler.end(loser, self.env_steps[loser], -float(loser))
            due = self.scheduler.promotion()
            if due is None or due not in self._paused:
                return
            self._paused.discard(due)
            self.scheduler.promoted(due)
            self.run(due)
