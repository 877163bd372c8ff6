"""Family tree of a population: who continued from whom, and with which hyperparameters."""

from __future__ import annotations

from collections.abc import Sequence

from tuneexp.nesting import flat
from tuneexp.report.tables import Rows
from tuneexp.sweep.storage.records import TrialRecord


def takeover_rows(trials: Sequence[TrialRecord]) -> Rows:
    """Return a row for each time that a member of a population continued from another one, in their order.

    Args:
        trials: Trials of a sweep.

    Returns:
        Rows `env_steps` (per seed), `number` (of the member), `donor` (number of the other), and for each
        hyperparameter that moved `before/NAME`, `donor/NAME` (of the donor at that time) and `after/NAME`.
    """
    entries = [(entry["env_steps"], trial.trial_number, entry) for trial in trials for entry in trial.takeovers]
    now = {trial.trial_number: _first_values(trial) for trial in trials}
    rows: Rows = []
    for env_steps, number, entry in sorted(entries, key=lambda one: one[:2]):
        held = now.get(entry["donor"], {})
        rows.append({
            "env_steps": env_steps,
            "number": number,
            "donor": entry["donor"],
            **{f"before/{name}": value for name, value in entry["before"].items()},
            **{f"donor/{name}": held[name] for name in entry["after"] if name in held},
            **{f"after/{name}": value for name, value in entry["after"].items()},
        })  # fmt: skip
        now[number] = {**now[number], **entry["after"]}
    return rows


def _first_values(trial: TrialRecord) -> dict[str, object]:
    return {**flat(trial.config), **(trial.takeovers[0]["before"] if trial.takeovers else {})}
