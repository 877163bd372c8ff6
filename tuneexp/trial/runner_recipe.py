"""Env runner group of a policy, and the recipe that builds an env runner in another process."""

from __future__ import annotations

from dataclasses import dataclass, replace

from tuneexp.algorithms.configs.off_policy import OffPolicyConfig
from tuneexp.algorithms.registry import load_algorithm, sendable
from tuneexp.algorithms.spec import AlgorithmSpec
from tuneexp.envs.registration import register_again
from tuneexp.learning.seed_networks import SeedNetworks
from tuneexp.sampling.asynchronous import AsynchronousGroup, Pipeline
from tuneexp.sampling.env_runner import EnvRunner
from tuneexp.sampling.env_shards import EnvShard, env_shards
from tuneexp.sampling.episodic_train_freq import HeldNoise
from tuneexp.sampling.group import EnvRunnerGroup
from tuneexp.sampling.policy import Policy
from tuneexp.sampling.runners import Runners
from tuneexp.trial.assembly import build_envs, build_policy, model_builder, normaliser_of
from tuneexp.trial.eager_start import first_mode
from tuneexp.trial.policy_trainer import PolicyTrainer
from tuneexp.trial.programs import acting_program
from tuneexp.trial.shapes import TrialShapes
from tuneexp.trial.trial_config import TrialConfig


def group_of(trainer: PolicyTrainer, policy: Policy, runners: Runners) -> EnvRunnerGroup:
    """Return the env runner group of a policy, an `AsynchronousGroup` for an asynchronous algorithm."""
    cfg, seeds, normaliser, keep_raw = trainer.cfg, trainer.setup.seeds, trainer.normaliser, trainer.shapes.keep_raw
    if not trainer.spec.asynchronous:
        episodes = cfg.train_freq_episodes() if isinstance(cfg, OffPolicyConfig) else None
        held = None if episodes is None else HeldNoise(len(seeds), episodes)
        return EnvRunnerGroup(policy, runners, seeds, normaliser, keep_raw, held)
    pipeline: Pipeline | None = None
    if cfg.num_env_runners:
        from tuneexp.sampling.remote.pipeline import RequestPipeline  # Ray is imported only if it is used
        from tuneexp.sampling.remote.remote_runners import RemoteRunners

        assert isinstance(runners, RemoteRunners)
        pipeline = RequestPipeline(runners, getattr(cfg, "max_requests_in_flight_per_env_runner", 2))
    updates = cfg.updates_per_rollout()
    return AsynchronousGroup(policy, runners, seeds, normaliser, keep_raw, pipeline=pipeline, updates_per_step=updates)


def remote_runners(trainer: PolicyTrainer) -> Runners:
    """Start the remote env runners of a policy. Raises `UserError` if the cluster has too few resources."""
    from tuneexp.sampling.remote.remote_runners import RemoteRunners, RunnerLimits

    spec, config, cfg, compiled = trainer.spec, trainer.config, trainer.cfg, trainer.programs.compiled
    algorithm, apart = sendable(spec), trainer.setup.facts.apart
    shards = env_shards(len(config.seeds), cfg.n_envs, cfg.num_env_runners, spec.asynchronous, apart)
    recipes = [RunnerRecipe(algorithm, config, trainer.shapes, shard, compiled) for shard in shards]
    limits = RunnerLimits(cfg.num_cpus_per_env_runner, cfg.sample_timeout_s, cfg.max_env_runner_restarts)
    return RemoteRunners(recipes, shards, limits)


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
        envs = build_envs(self.config, cfg, seeds, shard.n_envs, shard.envs.start)
        networks = SeedNetworks(model_builder(spec, envs.facts), cfg, seeds)
        shapes = replace(self.shapes, n_envs=shard.n_envs)
        mode = first_mode(self.config) if self.compiled else "off"
        act, program = acting_program(networks, spec.act_fn, shapes, mode)
        policy = build_policy(networks, act, program, shapes, (cfg.n_envs, self.config.budget_env_steps))
        return EnvRunner(envs, policy, normaliser_of(envs.facts, cfg, len(seeds)), shapes.keep_raw, cfg.gamma)
