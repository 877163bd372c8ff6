"""Loading and evaluation of the trial of a checkpoint."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from tuneexp.trial import Trial
from tuneexp.trial.cohorts.cohort_trial import CohortTrial, build_trial
from tuneexp.trial.cohorts.states import COHORTS
from tuneexp.trial.stored_trial import checkpoint_named, read_trial


def trial_from_checkpoint(
    folder: str | Path, learns: bool = True, trust: bool = False, moved: Mapping[str, str] | None = None, **changes: Any
) -> Trial | CohortTrial:
    """Load the trial of a checkpoint. folder: path or URI; the rest as of `tuneexp.trial_from_checkpoint`."""
    folder, state, config, spec = read_trial(folder, trust, moved, changes)
    if not learns:
        alone = {name: 0 for name in ("num_learners", "num_env_runners") if name in spec.config_class.model_fields}
        here = {"compile": "off", "device": "cpu", "hyperparameters": {**config.hyperparameters, **alone}}
        config, state = config.model_copy(update=here), _without_runners(state)
    with checkpoint_named(folder):
        trial = build_trial(spec, config)
    try:
        with checkpoint_named(folder):
            trial.load_state_dict(state)
    except Exception:
        trial.close()
        raise
    return trial


def _without_runners(state: dict[str, Any]) -> dict[str, Any]:
    """Remove the state of the training environments: evaluation uses separate ones."""
    if COHORTS in state:
        state = {**state, COHORTS: [{**one, "trial": _without_runners(one["trial"])} for one in state[COHORTS]]}
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
