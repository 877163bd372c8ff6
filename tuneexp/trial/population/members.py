"""Members of a population as rows of one stack: member m has the rows m * S to (m + 1) * S, one for each of S seeds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from torch import Tensor

from tuneexp.algorithms.base_config import AlgorithmConfig
from tuneexp.algorithms.spec import TrainableSpec
from tuneexp.errors import UserError
from tuneexp.learning.learner import Learner
from tuneexp.trial.population.row_configs import ONE_CONFIG, RowConfigs
from tuneexp.trial.trial_config import MemberConfig, TrialConfig


def stacked(config: TrialConfig) -> TrialConfig:
    """Return the configuration of the stack: the seeds of each member, one member after the other."""
    first = config.members[0]
    return config.model_copy(
        update={"seeds": config.seeds * len(config.members), "hyperparameters": first.hyperparameters}
    )


def row_configs(spec: TrainableSpec, config: TrialConfig) -> RowConfigs:
    """Return the configuration of each row of a stack. config: from `stacked`, or of a trial that is no population."""
    if not config.members:
        return ONE_CONFIG
    of_members = [config_of(spec, one) for one in config.members]
    return RowConfigs(by_row(of_members, len(config.seeds) // len(config.members)), config.own_numbers)


def config_of(spec: TrainableSpec, member: MemberConfig) -> Any:
    """Return the parsed hyperparameters of a member."""
    return spec.config_class.parse(member.hyperparameters, f"trial {member.trial_number}")


def by_row(of_members: Sequence[AlgorithmConfig], n_seeds: int) -> list[AlgorithmConfig]:
    """Repeat the configuration of each member for its seeds."""
    return [cfg for cfg in of_members for _ in range(n_seeds)]


def refuse_scaled_gamma(cfg: AlgorithmConfig, own: Sequence[str]) -> None:
    """Raise `UserError` if members differ in the discount that rewards are scaled by."""
    if cfg.normalize_reward and "gamma" in own:
        raise UserError(
            "a stacked population has one gamma with normalize_reward=true, which scales rewards by discounted "
            "returns; fix gamma, write normalize_reward=false, or population=workers"
        )


def state_of_rows(state: Mapping[str, Any], learner: Learner, chosen: Tensor) -> dict[str, Any]:
    """Return the state of some rows of a trial of one policy, as a trial of these rows alone has it.

    Environments and replay buffers are left out: a trial that continues from it starts new episodes.

    Args:
        state: from `Trial.state_dict`.
        learner: of the trial.
        chosen: [S] bool, the rows.
    """
    own, group, rows = state["learner"], state["group"], chosen.nonzero()[:, 0].tolist()
    target = own["target"]
    return {
        **state,
        "learner": {
            **own,
            "parameters": {name: leaf[rows] for name, leaf in own["parameters"].items()},
            "target": None if target is None else {name: leaf[rows] for name, leaf in target.items()},
            "optimizer": learner.optimizer.state_of_seeds(chosen),
            "generators": [own["generators"][row] for row in rows],
            "failed": own["failed"][rows],
        },
        "group": {
            **group,
            "runners": [],
            "held": None,
            "episodes": {name: _of_rows(value, rows, len(chosen)) for name, value in group["episodes"].items()},
            "generators": [group["generators"][row] for row in rows],
            "normaliser": group["normaliser"] and {name: one[rows] for name, one in group["normaliser"].items()},
        },
        "experience": None,
    }


def _of_rows(values: np.ndarray, rows: Sequence[int], n_rows: int) -> np.ndarray:
    """Return the values of some rows. values: [S, ...], or [S * N] of the environments of all rows."""
    by_row = values.reshape(n_rows, -1)[rows]
    return by_row.reshape(-1, *values.shape[1:])
