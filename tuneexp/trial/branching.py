"""State of a trial as another trial continues it: a copy that trains on with random numbers of its own."""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch


def branch_of(state: Mapping[str, Any], trial_number: int | None) -> int | None:
    """Return the number of the branch that begins with a checkpoint of another trial; None for one of its own.

    It depends on the trial and on the environment steps only: a trial that is restored again begins the same branch.

    Args:
        state: From `Trial.state_dict`.
        trial_number: Number of the trial that continues; None outside of a sweep.
    """
    of_other = state.get("config", {}).get("trial_number")
    if trial_number is None or of_other is None or of_other == trial_number:
        return None
    return branch_at(trial_number, int(state["env_steps"]))


def branch_at(trial_number: int, env_steps: int) -> int:
    """Return the number of the branch that begins when a trial continues from another one at `env_steps` per seed."""
    return int(np.random.SeedSequence((trial_number, env_steps)).generate_state(1)[0] >> 1)


def branched(state: Mapping[str, Any], seeds: Sequence[int], trial_number: int | None) -> Mapping[str, Any]:
    """Return the state of another trial with other random generators, and without open episodes.

    Otherwise a copy with the same hyperparameters would repeat its donor. A state of the trial's own is unchanged.

    Args:
        state: From `Trial.state_dict`.
        seeds: Seeds of the trial.
        trial_number: Number of the trial that continues; None outside of a sweep.
    """
    branch = branch_of(state, trial_number)
    if branch is None:
        return state
    other = _other_generators(state, seeds, branch, "")
    group = {**other["group"], "times_restored": branch, "branched": True}
    if "runners" in group:
        group["runners"] = [{**runner, "envs": None} for runner in group["runners"]]
    else:
        group["envs"] = None
    return {**other, "group": group}


def _other_generators(state: Mapping[str, Any], seeds: Sequence[int], branch: int, path: str) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in state.items():
        if name == "generators":
            found[name] = [generator_state(seed, branch, path) for seed in seeds]
        elif isinstance(value, Mapping) and name not in ("config", "envs", "parameters", "optimizer", "experience"):
            found[name] = _other_generators(value, seeds, branch, f"{path}/{name}")
        else:
            found[name] = value
    return found


def generator_state(seed: int, branch: int, path: str) -> torch.Tensor:
    """Return the state of the generator at `path` of a state, for a seed and a branch."""
    entropy = (seed, branch, zlib.crc32(path.encode()))
    return torch.Generator().manual_seed(int(np.random.SeedSequence(entropy).generate_state(1)[0])).get_state()
