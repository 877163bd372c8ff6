"""One run of a sweep, new or resumed: start Ray, check the capacity, write the owner marker, run the trials."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from tuneexp.processes import uncollected_imports
from tuneexp.sweep.cluster.capacity import ray_session_for, resolved_on_cluster
from tuneexp.sweep.compiling_ahead import compiling_ahead
from tuneexp.sweep.events import Watcher
from tuneexp.sweep.results import SweepResult
from tuneexp.sweep.search.space import SearchSpace
from tuneexp.sweep.storage.checkpoint_storage import checkpoint_storage_of
from tuneexp.sweep.storage.folder import SweepFolder
from tuneexp.sweep.storage.owner_marker import claim
from tuneexp.sweep.sweep_config import SweepConfig

if TYPE_CHECKING:
    from ray.tune import Callback

# Longest progress that a kill can lose. A snapshot holds all trials, about 40 kB each after ten reports
# (docs/scaling.md), so large sweeps take it less often.
SNAPSHOT_PERIOD_S, SNAPSHOT_S_PER_TRIAL = 0.5, 0.005
MANY_TRIALS = 200  # of a sweep whose number of trials has no limit


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
    """Start Ray or connect to it, and run the rest of the sweep. The caller holds the folder's lock.

    Args:
        config: Configuration from `resolved_here`.
        folder: Folder of the sweep.
        space: Validated search space.
        callbacks: Tune callbacks of the user.
        on_event: Function that is called with each event.
        verbose: Show the log lines of Ray.
        before_trials: Function that writes files of the sweep, called after the capacity check.
        failed: Retry failed trials.

    Returns:
        The result.

    Raises:
        UserError: The cluster can't be reached or can't run a trial. Nothing was written.
        SweepInterrupted: A signal ended the sweep.
    """
    with (
        ray_session_for(config, space, snapshot_period_s(config), verbose) as ray,
        compiling_ahead(config, space),
    ):
        with uncollected_imports():
            from tuneexp.sweep.lifecycle import run_to_the_end  # Ray starts meanwhile

            resolved = resolved_on_cluster(config, folder, space, ray)
        before_trials()
        claim(config, folder, checkpoint_storage_of(folder, config.checkpoints))
        return run_to_the_end(resolved, folder, space, callbacks, on_event, ray, failed)


def snapshot_period_s(config: SweepConfig) -> float:
    """Seconds between two snapshots: longer for large sweeps."""
    return max(SNAPSHOT_PERIOD_S, (config.trials or MANY_TRIALS) * SNAPSHOT_S_PER_TRIAL)
