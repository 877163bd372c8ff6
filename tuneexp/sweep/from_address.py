"""Policy, trial and evaluation of the checkpoint at an address. Needs no Ray."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tuneexp.sweep.stored_addresses import stored_checkpoint

if TYPE_CHECKING:
    from tuneexp.sampling.loaded_policy import LoadedPolicy
    from tuneexp.trial import Trial
    from tuneexp.trial.cohorts.cohort_trial import CohortTrial


def load_policy(
    address: str | Path,
    seed: int | None = None,
    policy: str | None = None,
    storage: str | Path = "runs",
    trust: bool = False,
    moved: Mapping[str, str] | None = None,
) -> LoadedPolicy:
    """Load the policy of a checkpoint: `policy(obs)` returns an action.

    Args:
        address: Name of a sweep (its best trial) or of a training, "first/3" (trial 3 of the sweep first), path of a
            checkpoint, a URI such as s3://bucket/folder, or in MLflow runs:/RUN_ID (of a trial or a sweep),
            runs:/RUN_ID/NAME, models:/NAME@ALIAS or models:/NAME/VERSION.
        seed: Training seed; None: the one with the best last evaluation that has not diverged.
        policy: Name of the policy among several; None: the only one that is trained.
        storage: Folder that holds the sweeps, trainings and the MLflow store (or MLFLOW_TRACKING_URI).
        trust: Import the addresses that the checkpoint names, and remember them as trusted.
        moved: New addresses, files or folders of your own, by the stored ones.

    Returns:
        The policy, on the CPU.

    Raises:
        UserError: The address names no checkpoint, MLflow can't be used, the checkpoint is damaged, it names code that
            is not trusted or not there, or it has no such seed or policy.
    """
    with stored_checkpoint(address, storage) as found:
        from tuneexp.trial.loaded_policies import policy_from_checkpoint

        return policy_from_checkpoint(found.path, seed, policy, trust, moved)


def evaluate(
    address: str | Path,
    episodes: int = 20,
    seed: int = 10_000,
    storage: str | Path = "runs",
    trust: bool = False,
    moved: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """Evaluate the deterministic policies of all seeds of a checkpoint.

    Args:
        address: As of `load_policy`.
        episodes: Episodes per seed.
        seed: Seed of the environments, the same for every training seed.
        storage: As of `load_policy`.
        trust: As of `load_policy`.
        moved: As of `load_policy`.

    Returns:
        `return_mean` and `return_std` over all episodes, `return_per_seed`, `episodes` (per seed), and
        `partial_episodes`, those that were stopped after `evaluation.max_steps`.

    Raises:
        UserError: As `load_policy`.
    """
    with stored_checkpoint(address, storage) as found:
        from tuneexp.trial.from_checkpoint import evaluate_checkpoint

        return evaluate_checkpoint(found.path, episodes, seed, trust, moved)


def trial_from_checkpoint(
    address: str | Path,
    learns: bool = True,
    trust: bool = False,
    moved: Mapping[str, str] | None = None,
    storage: str | Path = "runs",
    **changes: Any,
) -> Trial | CohortTrial:
    """Load the trial of a checkpoint, ready to go on or to act.

    Args:
        address: As of `load_policy`.
        learns: False for a trial that only acts: it needs neither learner processes nor the device it was trained on.
        trust: As of `load_policy`.
        moved: As of `load_policy`.
        storage: As of `load_policy`.
        changes: Settings of the trial to change, such as a larger `budget_env_steps`.

    Returns:
        The trial; a `CohortTrial` if its seeds joined one after another.

    Raises:
        UserError: As `load_policy`.
    """
    with stored_checkpoint(address, storage) as found:
        from tuneexp.trial import from_checkpoint

        return from_checkpoint.trial_from_checkpoint(found.path, learns, trust, moved, **changes)
