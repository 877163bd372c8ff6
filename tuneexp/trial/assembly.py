"""Construction of environments, learners, policies and replay buffers, in the trial's process and in others."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from tuneexp.algorithms.base_config import AlgorithmConfig
from tuneexp.algorithms.configs.off_policy import OffPolicyConfig
from tuneexp.algorithms.spec import AlgorithmSpec
from tuneexp.data.frames import FrameStore
from tuneexp.data.prioritized import PrioritizedReplay
from tuneexp.data.replay import Entry, ReplayBuffer
from tuneexp.envs.normalise import RunningNormaliser
from tuneexp.envs.seed_envs import EnvFacts, SeedEnvs
from tuneexp.learning.act import Act
from tuneexp.learning.compile.program import Program
from tuneexp.learning.devices import CPU
from tuneexp.learning.hyper import CfgView
from tuneexp.learning.learner import Learner
from tuneexp.learning.noise import checked_noise
from tuneexp.learning.seed_networks import SeedNetworks
from tuneexp.learning.user_functions import wrap_errors
from tuneexp.rl.noise import Noise
from tuneexp.sampling.episodic_train_freq import EpisodicTrainFreq
from tuneexp.sampling.policy import Policy
from tuneexp.sampling.rollout import Rollout
from tuneexp.training.experience import Experience
from tuneexp.trial.population.row_configs import ONE_CONFIG, RowConfigs
from tuneexp.trial.shapes import TrialShapes
from tuneexp.trial.trial_config import TrialConfig

log = logging.getLogger(__name__)


def env_settings(config: TrialConfig) -> dict[str, Any]:
    """Return the settings of `SeedEnvs` for training and evaluation."""
    return {"env_kwargs": config.env_kwargs, "backend": config.env_backend, "wrappers": config.wrappers}


def build_envs(
    config: TrialConfig,
    cfg: AlgorithmConfig,
    seeds: Sequence[int],
    n_envs: int,
    first_env: int = 0,
    device: torch.device = CPU,
) -> SeedEnvs:
    """Build training environments.

    Args:
        config: of the trial.
        cfg: hyperparameters.
        seeds: of the environments.
        n_envs: environments per seed.
        first_env: index within the trial of the first environment of each seed.
        device: of tensor environments.
    """
    settings = {"exact": cfg.normalize_observation, "device": device, **env_settings(config)}
    distinct = not config.members  # members of a population have the same seeds
    return SeedEnvs(config.env, seeds, n_envs, first_env=first_env, distinct_seeds=distinct, **settings)


def facts_of(config: TrialConfig, cfg: AlgorithmConfig) -> EnvFacts:
    """Return the facts of an environment, from one that is built and closed."""
    with closing(build_envs(config, cfg, config.seeds[:1], 1)) as envs:
        return envs.facts


def model_builder(spec: AlgorithmSpec, facts: EnvFacts) -> Callable[[CfgView], nn.Module]:
    """Return a function that builds the networks of one seed."""

    def model(view: CfgView) -> nn.Module:
        with wrap_errors("build_model", spec.build_model):
            return spec.build_model(facts.observation_space, facts.action_space, view)

    return model


def build_learner(
    spec: AlgorithmSpec, cfg: AlgorithmConfig, seeds: Sequence[int], facts: EnvFacts, device: torch.device,
    rows: RowConfigs = ONE_CONFIG,
) -> Learner:  # fmt: skip
    """Build a learner. rows: configurations of the seeds, if they differ."""
    return Learner(
        model_builder(spec, facts),
        spec.loss_fn,
        spec.optimizer_fn,
        cfg,
        seeds,
        spec.update_period,
        spec.target,
        lambda model, view: spec.loss_noise(model, facts.action_space, view),
        device,
        *rows,
    )


def build_policy(
    networks: SeedNetworks, act: Act, program: Program, shapes: TrialShapes, clock: tuple[int, int] | None,
    rollout: Rollout | None = None,
) -> Policy:  # fmt: skip
    """Build a policy.

    Args:
        networks: parameters and configuration.
        act: acting function.
        program: built from `act`.
        shapes: of the policy's environments.
        clock: environments per seed and budget in environment steps; None: schedules are constant within a rollout.
        rollout: acts in tensor environments and steps them.
    """
    hyper = networks.hyper
    return Policy(
        act, program, hyper.tensor, networks.parameters, dict(shapes.act_noise), shapes.n_envs, shapes.state_size,
        None if clock is None else hyper.clock_step(*clock), rollout,
    )  # fmt: skip


def normaliser_of(facts: EnvFacts, cfg: AlgorithmConfig, n_seeds: int) -> RunningNormaliser | None:
    if not (cfg.normalize_observation or cfg.normalize_reward):
        return None
    return RunningNormaliser(
        n_seeds, facts.observation_space, cfg.normalize_observation, cfg.normalize_reward, cfg.clip_obs, cfg.clip_reward
    )


def shapes_of(
    spec: AlgorithmSpec, cfg: AlgorithmConfig, networks: SeedNetworks, facts: EnvFacts, loss_noise: Mapping[str, Noise]
) -> TrialShapes:
    """Return the shapes of a policy. loss_noise: columns of the loss's noise, none for networks that only act."""
    dtype = torch.from_numpy(np.zeros((), facts.obs_dtype)).dtype
    return TrialShapes(
        n_envs=cfg.n_envs,
        obs_shape=facts.obs_shape,
        obs_dtype=dtype,
        seen_dtype=torch.float32 if cfg.normalize_observation else dtype,
        act_noise=tuple(
            checked_noise(
                "act_noise", spec.act_noise(networks.model, facts.action_space, networks.hyper.view())
            ).items()
        ),
        loss_noise=tuple(loss_noise.items()),
        minibatch_rows=cfg.minibatch_rows(),
        sequence_length=cfg.sequence_steps(),
        state_size=getattr(networks.model, "state_size", 0),
        keep_raw=isinstance(cfg, OffPolicyConfig),
        weighted=isinstance(cfg, OffPolicyConfig) and cfg.prioritized,
        spaces=(facts.observation_space, facts.action_space),
        frame_stack=facts.frame_stack,
    )


def build_experience(
    learner: Learner, shapes: TrialShapes, columns: Mapping[str, Tensor], normaliser: RunningNormaliser | None
) -> Experience | None:
    """Build the replay buffer of an off-policy algorithm, else None. columns: one row of each training column."""
    cfg, n_seeds = learner.cfg, len(learner.seeds)
    if not isinstance(cfg, OffPolicyConfig):
        return None
    entries = {name: Entry(tuple(row.shape), row.dtype) for name, row in columns.items()}
    frames = _frames(cfg, shapes, n_seeds)
    if cfg.prioritized:
        buffer: ReplayBuffer = PrioritizedReplay(entries, n_seeds, cfg.buffer_size, frames, alpha=cfg.prioritized_alpha)
    else:
        buffer = ReplayBuffer(entries, n_seeds, cfg.buffer_size, frames)
    log.info("the replay buffer takes %.2f GB when it is full", buffer.bytes_needed / 1e9)
    row_bytes = sum(row.numel() * row.element_size() for row in columns.values())
    episodes = cfg.train_freq_episodes()
    phases = None if episodes is None else EpisodicTrainFreq(n_seeds, episodes)
    return Experience(
        buffer, row_bytes, cfg.learning_starts, cfg.n_step, normaliser, cfg.save_replay_buffer, learner.device, phases
    )


def _frames(cfg: OffPolicyConfig, shapes: TrialShapes, n_seeds: int) -> FrameStore | None:
    """Return a store of single frames if observations are stacks of images, else None."""
    shape, stack = shapes.obs_shape, shapes.frame_stack
    if shapes.obs_dtype != torch.uint8 or len(shape) < 3 or stack is None or stack < 2 or shape[0] != stack:
        return None
    return FrameStore(shape, shapes.obs_dtype, n_seeds, shapes.n_envs, cfg.buffer_size)
