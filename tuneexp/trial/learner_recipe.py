"""Learner processes of a trial, and the recipe that builds a learner in another process."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from torch import Tensor

from tuneexp.algorithms.base_config import AlgorithmConfig
from tuneexp.algorithms.registry import load_algorithm, sendable
from tuneexp.algorithms.spec import AlgorithmSpec
from tuneexp.envs.seed_envs import EnvFacts
from tuneexp.learning.compile.build import CompileMode, Workload
from tuneexp.learning.devices import device_of
from tuneexp.learning.learner import Learner
from tuneexp.training.learner_group import LearnerGroup
from tuneexp.training.learner_shards import LearnerShard, shard_learning
from tuneexp.trial.assembly import build_learner
from tuneexp.trial.eager_start import first_mode
from tuneexp.trial.programs import learner_programs
from tuneexp.trial.shapes import TrialShapes
from tuneexp.trial.trial_config import TrialConfig


def learner_group(
    spec: AlgorithmSpec, config: TrialConfig, cfg: AlgorithmConfig, facts: EnvFacts, shapes: TrialShapes,
    columns: Mapping[str, Tensor], workload: Workload,
) -> LearnerGroup | None:  # fmt: skip
    """Start the learner processes of a policy. Returns None with `num_learners=0`.

    Args:
        spec: the algorithm.
        config: of the trial.
        cfg: hyperparameters.
        facts: of the environment.
        shapes: of the trial.
        columns: one row of each training column.
        workload: of the trial's programs.

    Raises:
        UserError: the work can't be divided, or the cluster has too few resources.
    """
    if not cfg.num_learners:
        return None
    from tuneexp.training.remote.learner_actors import RemoteLearners  # Ray is imported only if it is used

    sharding = shard_learning(len(config.seeds), shapes.minibatch_rows, cfg.num_learners, cfg.num_gpus_per_learner)
    recipe = LearnerRecipe(
        sendable(spec), config.hyperparameters, tuple(config.seeds), facts, shapes,
        {name: row.cpu() for name, row in columns.items()}, first_mode(config), workload, sharding.by_rows,
        "cuda" if cfg.num_gpus_per_learner else "cpu",
    )  # fmt: skip
    return LearnerGroup(sharding, RemoteLearners(recipe, sharding, cfg.num_gpus_per_learner, 1 + cfg.num_env_runners))


@dataclass(frozen=True)
class LearnerRecipe:
    """Function that builds a learner in another process. `shapes` and `workload` are of the whole trial."""

    algorithm: str | AlgorithmSpec
    hyperparameters: Mapping[str, Any]
    seeds: tuple[int, ...]
    facts: EnvFacts
    shapes: TrialShapes
    columns: Mapping[str, Tensor]
    compile: CompileMode
    workload: Workload
    by_rows: bool
    device: str

    def __call__(self, shard: LearnerShard) -> tuple[Learner, bool]:
        spec = load_algorithm(self.algorithm)
        cfg = spec.config_class.parse(self.hyperparameters, spec.name)
        device = device_of(self.device)
        learner = build_learner(spec, cfg, self.seeds[shard.seeds], self.facts, device)
        columns = {name: row.to(device) for name, row in self.columns.items()}
        shapes = replace(self.shapes, minibatch_rows=shard.n_rows)
        workload = replace(self.workload, n_seeds=len(learner.seeds), acts=0)
        steps = learner_programs(learner, shapes, columns, self.compile, workload, self.by_rows)
        learner.use_programs(steps)
        return learner, all(program.compiled for _, program in steps.values())
