"""Execution of takeovers under Tune: a paused trial continues from the checkpoint of another one."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from tuneexp.nesting import flat, nested
from tuneexp.sweep.search.schedulers.scheduler import Takeover

# Called with the trial and the entry of the takeover in its configuration.
Listener = Callable[[Any, Mapping[str, Any]], None]


def take_over(
    controller: Any, due: Sequence[Takeover], paused: Mapping[str, Any], listeners: Sequence[Listener]
) -> bool:
    """Execute takeovers once all of their trials are paused.

    The trial keeps its number, its run and its folder. Its configuration gets the new values, and an entry with
    `env_steps`, `donor` (its number), `before` and `after` (values that moved). All of it is in Tune's next snapshot.

    Args:
        controller: Tune's controller.
        due: The takeovers.
        paused: Paused trials by id.
        listeners: Called for each takeover.

    Returns:
        True if they were executed.
    """
    if not all(one.trial_id in paused and one.donor in paused for one in due):
        return False
    # Read all first: a donor may be replaced itself, and its checkpoint of now is what others take.
    saved = {one.trial_id: paused[one.donor].latest_checkpoint_result for one in due}
    for one in due:
        trial, donor = paused[one.trial_id], paused[one.donor]
        _continue_from(trial, saved[one.trial_id])
        entry = _with_values(trial, donor.config["trial_number"], saved[one.trial_id].metrics["env_steps"], one.values)
        # Tune marks trials with an actor only: without this the next snapshot would hold the trial as it was.
        getattr(controller, "_tune_controller", controller)._mark_trial_to_checkpoint(trial)
        for listener in listeners:
            listener(trial, entry)
    return True


def _continue_from(trial: Any, saved: Any) -> None:
    taken = copy.copy(saved)
    identity = {name: value for name, value in trial.last_result.items() if name in _IDENTITY}
    taken.metrics = {**saved.metrics, **identity}
    manager = trial.run_metadata.checkpoint_manager
    manager._latest_checkpoint_result = taken
    trial.run_metadata.checkpoint_manager = manager  # Tune's cached JSON of it is dropped at an assignment only


# Of a result: Tune makes the result of a restored checkpoint that of the trial.
_IDENTITY = ("trial_id", "experiment_tag", "config")


def _with_values(trial: Any, donor: int, env_steps: int, values: Mapping[str, Any]) -> dict[str, Any]:
    config = trial.config
    own = flat(config.get("hyperparameters", {}))
    before = {name: own[name] for name in values if name in own}
    entry = {"env_steps": int(env_steps), "donor": donor, "before": before, "after": dict(values)}
    takeovers = [*config.get("takeovers", []), entry]
    trial.set_config({**config, "hyperparameters": nested({**own, **values}), "takeovers": takeovers})
    return entry
