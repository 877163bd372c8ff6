"""One run of a sweep: Ray, the capacity, the owner marker, then the trials. For a new sweep and for a resume."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from tuneexp.sweep.cluster.capacity import ray_session_for, resolved_on_cluster
from tuneexp.sweep.events import Watcher
from tuneexp.sweep.results import SweepResult
from tuneexp.sweep.search.space import SearchSpace
from tuneexp.sweep.storage.checkpoint_storage import checkpoint_storage_of
from tuneexp.sweep.storage.folder import SweepFolder
from tuneexp.sweep.storage.owner_marker import claim
from tuneexp.sweep.sweep_config import SweepConfig

if TYPE_CHECKING:
    from ray.tune import Callback

# What a kill can take back. A snapshot holds all trials, about 40 kB each after ten reports (docs/scaling.md), so large
# sweeps take it less often.
SNAPSHOT_PERIOD_S, SNAPSHOT_S_PER_TRIAL = 0.5, 0.005


def run_in_ray(
    config: SweepConfig,
    folder: SweepFolder,
    space: SearchSpace,
    callbacks: Sequence[Callback],
    on_event: Watcher | None,
    verbose: bool,
    before_trials: Callable[[], None],
    failed: bool = False,
) -> SweepResult:
    """Start Ray or connect to it, and run what is left of the sweep. The caller holds the folder's lock.

    Args:
        config: as `resolved_here` gives it.
        folder: of the sweep.
        space: validated.
        callbacks: Tune callbacks of the user's own.
        on_event: called with each event.
        verbose: show the log lines of Ray.
        before_trials: writes files of the sweep, once the cluster is known to have room for a trial.
        failed: trials that had failed are trained again.

    Raises:
        UserError: where the cluster can't be reached or can't run a trial. Then nothing was written.
        SweepInterrupted: after a signal.
    """
    with ray_session_for(config, space, snapshot_period_s(config), verbose) as ray:
        from tuneexp.sweep.lifecycle import run_to_the_end  # Ray starts meanwhile

        resolved = resolved_on_cluster(config, folder, space, ray)
        before_trials()
        claim(config, folder, checkpoint_storage_of(folder, config.checkpoints))
        return run_to_the_end(resolved, folder, space, callbacks, on_event, ray, failed)


def snapshot_period_s(config: SweepConfig) -> float:
    """Seconds between two snapshots: longer for large sweeps."""
    return max(SNAPSHOT_PERIOD_S, config.trials * SNAPSHOT_S_PER_TRIAL)
