"""Env runners and learner processes of a policy, and the recipes that build them in other processes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from torch import Tensor

from tuneexp.algorithms.configs.off_policy import OffPolicyConfig
from tuneexp.algorithms.registry import load_algorithm, sendable
from tuneexp.algorithms.spec import AlgorithmSpec
from tuneexp.envs.registration import register_again
from tuneexp.envs.seed_envs import EnvFacts, SeedEnvs
from tuneexp.learning.compile.build import CompileMode
from tuneexp.learning.compile.workload import Workload
from tuneexp.learning.devices import device_of
from tuneexp.learning.learner import Learner
from tuneexp.learning.seed_networks import SeedNetworks
from tuneexp.sampling.asynchronous import AsynchronousGroup
from tuneexp.sampling.env_runner import EnvRunner
from tuneexp.sampling.env_shards import EnvShard, env_shards
from tuneexp.sampling.episodic_train_freq import HeldNoise
from tuneexp.sampling.group import EnvRunnerGroup
from tuneexp.sampling.runners import LocalRunners, Runners
from tuneexp.training.learner_group import LearnerGroup
from tuneexp.training.learner_shards import LearnerShard, shard_learning
from tuneexp.trial import assembly
from tuneexp.trial.eager_start import first_mode
from tuneexp.trial.programs import acting_program, learner_programs
from tuneexp.trial.shapes import TrialShapes
from tuneexp.trial.trial_config import TrialConfig
from tuneexp.trial.workload import workload_of

if TYPE_CHECKING:
    from tuneexp.sampling.remote.pipeline import RequestPipeline
    from tuneexp.trial.policy_trainer import PolicyTrainer


def group_of(trainer: PolicyTrainer, envs: SeedEnvs | None) -> EnvRunnerGroup:
    """Return the env runner group of a policy, an `AsynchronousGroup` for an asynchronous algorithm.

    Args:
        trainer: of the policy.
        envs: environments of the local env runner; None: remote env runners are started.

    Raises:
        UserError: the cluster has too few resources for the env runners.
    """
    cfg, seeds, normaliser, keep_raw = trainer.cfg, trainer.setup.seeds, trainer.normaliser, trainer.shapes.keep_raw
    policy = trainer.new_policy()
    if envs is None:
        runners, pipeline = _remote_runners(trainer)
    else:
        runners, pipeline = LocalRunners(EnvRunner(envs, policy, normaliser, keep_raw, cfg.gamma)), None
    given = (policy, runners, seeds, normaliser, keep_raw)
    if trainer.spec.asynchronous:
        return AsynchronousGroup(*given, pipeline=pipeline, updates_per_step=cfg.updates_per_rollout())
    episodes = cfg.train_freq_episodes() if isinstance(cfg, OffPolicyConfig) else None
    return EnvRunnerGroup(*given, None if episodes is None else HeldNoise(len(seeds), episodes))


def _remote_runners(trainer: PolicyTrainer) -> tuple[Runners, RequestPipeline | None]:
    """Start remote env runners, with a pipeline of their requests for an asynchronous algorithm."""
    from tuneexp.sampling.remote.pipeline import RequestPipeline  # Ray is imported only if it is used
    from tuneexp.sampling.remote.remote_runners import RemoteRunners, RunnerLimits

    spec, config, cfg, compiled = trainer.spec, trainer.config, trainer.cfg, trainer.programs.compiled
    algorithm, apart = sendable(spec), trainer.setup.facts.apart
    shards = env_shards(len(config.seeds), cfg.n_envs, cfg.num_env_runners, spec.asynchronous, apart)
    recipes = [RunnerRecipe(algorithm, config, trainer.shapes, shard, compiled) for shard in shards]
    limits = RunnerLimits(cfg.num_cpus_per_env_runner, cfg.sample_timeout_s, cfg.max_env_runner_restarts)
    runners = RemoteRunners(recipes, shards, limits)
    most = getattr(cfg, "max_requests_in_flight_per_env_runner", 2)
    return runners, RequestPipeline(runners, most) if spec.asynchronous else None


@dataclass(frozen=True)
class RunnerRecipe:
    """Function that builds an env runner in another process.

    Args:
        algorithm: the specification or its address.
        config: of the trial.
        shapes: of the whole trial.
        shard: seeds and environments of the runner.
        compiled: the trial's own programs are compiled.
    """

    algorithm: str | AlgorithmSpec
    config: TrialConfig
    shapes: TrialShapes
    shard: EnvShard
    compiled: bool

    def __call__(self) -> EnvRunner:
        spec, shard, seeds = load_algorithm(self.algorithm), self.shard, self.config.seeds[self.shard.seeds]
        cfg = spec.config_class.parse(self.config.hyperparameters, spec.name)
        register_again(self.config.env, self.config.env_registration)
        envs = assembly.build_envs(self.config, cfg, seeds, shard.n_envs, shard.envs.start)
        networks = SeedNetworks(assembly.model_builder(spec, envs.facts), cfg, seeds)
        shapes = replace(self.shapes, n_envs=shard.n_envs)
        mode = first_mode(self.config) if self.compiled else "off"
        act, program = acting_program(networks, spec.act_fn, shapes, mode)
        policy = assembly.build_policy(networks, act, program, shapes, (cfg.n_envs, self.config.budget_env_steps))
        return EnvRunner(envs, policy, assembly.normaliser_of(envs.facts, cfg, len(seeds)), shapes.keep_raw, cfg.gamma)


def learner_group(trainer: PolicyTrainer) -> LearnerGroup | None:
    """Start the learner processes of a policy. Returns None with `num_learners=0`.

    Raises:
        UserError: the work can't be divided, or the cluster has too few resources.
    """
    cfg, config, shapes = trainer.cfg, trainer.config, trainer.shapes
    if not cfg.num_learners:
        return None
    from tuneexp.training.remote.learner_actors import RemoteLearners  # Ray is imported only if it is used

    sharding = shard_learning(len(config.seeds), shapes.minibatch_rows, cfg.num_learners, cfg.num_gpus_per_learner)
    recipe = LearnerRecipe(
        sendable(trainer.spec), config.hyperparameters, tuple(config.seeds), trainer.setup.facts, shapes,
        {name: row.cpu() for name, row in trainer.programs.columns.items()}, first_mode(config),
        workload_of(cfg, config), sharding.by_rows, "cuda" if cfg.num_gpus_per_learner else "cpu",
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
        learner = assembly.build_learner(spec, cfg, self.seeds[shard.seeds], self.facts, device)
        columns = {name: row.to(device) for name, row in self.columns.items()}
        shapes = replace(self.shapes, minibatch_rows=shard.n_rows)
        workload = replace(self.workload, n_seeds=len(learner.seeds), acts=0)
        steps = learner_programs(learner, shapes, columns, self.compile, workload, self.by_rows)
        learner.use_programs(steps)
        return learner, all(program.compiled for _, program in steps.values())
