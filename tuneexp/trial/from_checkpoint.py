"""Loading and evaluation of the trial of a checkpoint."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from tuneexp.addresses import changed_sources
from tuneexp.algorithms.registry import load_spec
from tuneexp.errors import UserError
from tuneexp.files import checkpoint
from tuneexp.security.trust import (
    addresses_in,
    moved_options,
    require_files,
    require_trusted,
    with_moved,
)
from tuneexp.trial import Trial
from tuneexp.trial.older_formats import explicit_model
from tuneexp.trial.trial_config import TrialConfig

log = logging.getLogger(__name__)


@contextmanager
def checkpoint_named(folder: str | Path) -> Iterator[None]:
    """Add the folder of the checkpoint to errors about its content."""
    try:
        yield
    except UserError as error:
        raise checkpoint.CheckpointError(f"{folder}: {error}") from error


def report_changed_source(config: TrialConfig) -> None:
    """Log a warning for each source file that has changed since the start."""
    for address in changed_sources(config.sources):
        log.warning("the source of %s has changed since this was started", address)


def trial_from_checkpoint(
    folder: str | Path, learns: bool = True, trust: bool = False, moved: Mapping[str, str] | None = None, **changes: Any
) -> Trial:
    """Load the trial of a checkpoint, ready to go on or to act.

    Args:
        folder: Checkpoint folder.
        learns: False for a trial that only acts: it needs neither learner processes nor the device it was trained on.
        trust: Import the addresses that the checkpoint names, and remember them as trusted.
        moved: New addresses, files or folders of your own, by the stored ones.
        changes: Settings of the trial to change, such as a larger `budget_env_steps`.

    Raises:
        UserError: The checkpoint is damaged, or names an address that is not trusted.
    """
    state = checkpoint.read(folder)
    if not isinstance(state.get("config"), dict):
        raise checkpoint.CheckpointError(f"the checkpoint {folder} is damaged: it holds no configuration")
    state = with_moved(state, moved or {}, f"the checkpoint {folder}")
    config = TrialConfig.parse({**state["config"], **changes}, f"the checkpoint {folder}")
    if not config.algorithm:
        raise UserError(f"the checkpoint {folder} is of an algorithm without an address; build it from its own spec")
    again = ("evaluate", folder, *moved_options(moved or {}))
    require_trusted(addresses_in(config.model_dump()), f"the checkpoint {folder}", again, trust)
    require_files(addresses_in(config.model_dump()), f"the checkpoint {folder}")
    report_changed_source(config)
    spec = load_spec(config.algorithm)
    with checkpoint_named(folder):
        meant = explicit_model(state, spec.config_class)
    config = config.model_copy(update={"hyperparameters": {**config.hyperparameters, **meant}})
    if not learns:
        alone = {name: 0 for name in ("num_learners", "num_env_runners") if name in spec.config_class.model_fields}
        here = {"compile": "off", "device": "cpu", "hyperparameters": {**config.hyperparameters, **alone}}
        config, state = config.model_copy(update=here), _without_runners(state)
    with checkpoint_named(folder):
        trial = Trial(spec, config)
    try:
        with checkpoint_named(folder):
            trial.load_state_dict(state)
    except Exception:
        trial.close()
        raise
    return trial


def _without_runners(state: dict[str, Any]) -> dict[str, Any]:
    """Remove the state of the training environments: evaluation uses separate ones."""
    group = state.get("group")
    return {**state, "group": {**group, "runners": []}} if isinstance(group, dict) and "runners" in group else state


def evaluate_checkpoint(
    folder: str | Path, episodes: int = 20, seed: int = 10_000, trust: bool = False,
    moved: Mapping[str, str] | None = None,
) -> dict[str, Any]:  # fmt: skip
    """Evaluate every seed of a checkpoint.

    Args:
        folder: checkpoint folder.
        episodes: episodes per seed.
        seed: seed of the environments.
        trust: as of `trial_from_checkpoint`.
        moved: as of `trial_from_checkpoint`.

    Returns:
        Mean and standard deviation of the returns over all episodes, mean per seed, and the number of episodes that
        were stopped after `evaluation.max_steps`.
    """
    trial = trial_from_checkpoint(folder, learns=False, trust=trust, moved=moved)
    returns = trial.evaluate(episodes, seed)
    trial.close()
    return {
        "episodes": episodes,
        "return_mean": float(np.nanmean(returns)),  # NaN in episodes without an agent of the objective
        "return_std": float(np.nanstd(returns)),
        "return_per_seed": np.nanmean(returns, axis=1).tolist(),
        "partial_episodes": trial.partial_episodes,
    }
