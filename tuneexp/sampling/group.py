"""The env runner group: a local runner, or remote ones that share its environments."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np
import torch
from torch import Tensor

from tuneexp.data.sample_batch import CONTINUES, SampleBatch, concat_samples
from tuneexp.envs.episode_stats import EpisodeTracker
from tuneexp.envs.normalise import Learned, Moments, RunningNormaliser
from tuneexp.learning.rng_streams import generator
from tuneexp.sampling.env_runner import EnvRunner, Sampled
from tuneexp.sampling.phases import HeldNoise
from tuneexp.sampling.policy import Policy
from tuneexp.sampling.shards import Shard

log = logging.getLogger(__name__)

SCORE = "score"
"""What statistics of episodes count, [T, S, N]; no part of what is learned from."""


class Request(NamedTuple):
    """Request to one runner. noise: its columns [D, S, ...]; hyper: [H]; statistics: of the normaliser, of its
    seeds."""

    n_steps: int
    noise: Sequence[Tensor]
    hyper: Tensor
    statistics: Mapping[str, np.ndarray] | None


class Fragment(NamedTuple):
    """What one runner gave. replaced: it had to be started anew since the fragment before. version: of the weights it
    acted with, counted by `sync_weights`."""

    shard: Shard
    sampled: Sampled
    replaced: bool = False
    version: int = 0


class Runners(Protocol):
    """The runners behind a group."""

    restarts: int

    @property
    def shards(self) -> Sequence[Shard]: ...

    def sample(self, requests: Sequence[Request]) -> list[Fragment]:
        """One fragment from each runner, in the order of `shards`."""
        ...

    def sync_weights(self, parameters: Mapping[str, Tensor]) -> None: ...
    def use_policy(self, policy: Policy) -> None: ...
    def state_dicts(self) -> list[dict[str, Any]]: ...
    def load_state_dicts(self, states: Sequence[Mapping[str, Any]]) -> None: ...
    def start_fresh(self, times_restored: int) -> None: ...
    def close(self) -> None: ...


class LocalRunners:
    """The one runner of a trial that samples in its own process. It shares the learner's storage and the normaliser."""

    restarts = 0

    def __init__(self, runner: EnvRunner) -> None:
        self.runner = runner
        self.shards: Sequence[Shard] = [Shard(0, runner.envs.n_seeds, 0, runner.envs.n_envs)]

    def sample(self, requests: Sequence[Request]) -> list[Fragment]:
        (request,) = requests
        return [Fragment(self.shards[0], self.runner.sample(request.n_steps, request.noise))]

    def sync_weights(self, parameters: Mapping[str, Tensor]) -> None:
        self.runner.policy.set_parameters(parameters)

    def use_policy(self, policy: Policy) -> None:
        self.runner.policy = policy

    def state_dicts(self) -> list[dict[str, Any]]:
        return [self.runner.state_dict()]

    def load_state_dicts(self, states: Sequence[Mapping[str, Any]]) -> None:
        self.runner.load_state_dict(states[0])

    def start_fresh(self, times_restored: int) -> None:
        self.runner.start_fresh(times_restored)

    def close(self) -> None:
        self.runner.close()


class EnvRunnerGroup:
    """Env runners, local or remote, that sample as one. A training step gets it as `training.group`.

    The group draws the noise of all actions of a fragment and gives each runner its slice, so the number of runners
    does not change what is sampled. It holds the running statistics of observations and rewards, and those of episodes.
    `env_steps` (per seed) and `transitions` (all seeds, without reset rows) count what was sampled.

    Args:
        policy: Policy that evaluation acts with, over all seeds.
        runners: The env runners.
        seeds: Seeds of the trial.
        normaliser: Running statistics of observations and rewards; None: nothing is normalised.
        keep_raw: Fragments hold observations and rewards as the environments returned them, for a replay buffer.
        held: Draws noise that is held across fragments of one step each; None: noise ends with its fragment.
    """

    def __init__(
        self,
        policy: Policy,
        runners: Runners,
        seeds: Sequence[int],
        normaliser: RunningNormaliser | None = None,
        keep_raw: bool = False,
        held: HeldNoise | None = None,
    ) -> None:
        self._held = held
        self.policy, self.runners, self.normaliser, self._keep_raw = policy, runners, normaliser, keep_raw
        self.generators = [generator(seed, "runner") for seed in seeds]
        self.n_envs = max(shard.end_env for shard in runners.shards)
        self.episodes = EpisodeTracker(len(seeds), self.n_envs)
        self.transitions, self.env_steps, self._times_restored = 0, 0, 0

    def sample(self, n_steps: int) -> SampleBatch:
        """Collect a fragment.

        Args:
            n_steps: Steps in each environment (T).

        Returns:
            Columns [T, S, N, ...].
        """
        noise = self._drawn(n_steps)
        shares = [(shard, self.policy.noise_of(noise, shard)) for shard in self.runners.shards]
        fragments = self.runners.sample([self.request(n_steps, own, shard) for shard, own in shares])
        batch = self.taken(n_steps, fragments)
        if self._held is not None:
            self._held.follow(batch)
        return batch

    def _drawn(self, n_steps: int) -> list[Tensor]:
        """The noise of all actions of a fragment."""
        if self._held is None:
            return self.policy.draw_noise(n_steps, self.generators)
        return self._held.draw(self.policy.noise_kinds, self.n_envs, self.generators)

    def taken(self, n_steps: int, fragments: Sequence[Fragment]) -> SampleBatch:
        """The fragments as one, [T, S, N, ...], counted and learned from by the statistics."""
        batch = _joined([_marked(fragment, fragments) for fragment in fragments])
        self.count_episodes(fragments, batch)
        batch = batch.drop(SCORE)
        self.learn_statistics(fragments)
        self.env_steps += n_steps * self.n_envs
        self.transitions += int(batch["valid"].sum())
        return self.scaled(batch)

    def request(self, n_steps: int, noise: Sequence[Tensor], shard: Shard) -> Request:
        """noise: columns [D, S, ...] of the shard's seeds and environments."""
        statistics = None if self.normaliser is None else self.normaliser.state_dict(shard.seeds)
        return Request(n_steps, noise, self.policy.hyper.cpu(), statistics)

    def count_episodes(self, fragments: Sequence[Fragment], batch: SampleBatch) -> None:
        """batch: the fragments as one, so that what is counted first doesn't depend on how many there are."""
        for fragment in fragments:
            self.forget_lost_episodes(fragment)
        names = (SCORE, "terminated", "truncated", "valid")
        score, terminated, truncated, valid = (batch[name].numpy() for name in names)
        self.episodes.update(score, terminated, truncated, valid)

    def forget_lost_episodes(self, fragment: Fragment) -> None:
        if fragment.replaced:
            self.episodes.drop_open_episodes(fragment.shard.seeds, fragment.shard.envs)

    def learn_statistics(self, fragments: Sequence[Fragment]) -> None:
        if self.normaliser is not None:
            learned = [one.sampled.learned for one in fragments if one.sampled.learned is not None]
            self.normaliser.learn(_merged(learned, [one.shard for one in fragments]))

    def metrics(self) -> dict[str, float]:
        """Metrics of sampling, beside those of episodes and steps."""
        return {}

    def scaled(self, batch: SampleBatch) -> SampleBatch:
        """Its rewards by the statistics of now, where they are scaled at all."""
        if self.normaliser is None or self._keep_raw or not self.normaliser.norm_reward:
            return batch
        by_seed = self.normaliser.scale_rewards(batch["reward"].movedim(1, 0).numpy())
        return batch.with_columns({"reward": torch.from_numpy(by_seed).movedim(0, 1)})

    def sync_weights(self, parameters: Mapping[str, Tensor]) -> None:
        """Give new parameters to all runners.

        A local runner shares the storage of the learner, so nothing is copied. Remote runners pull them from Ray's
        object store.

        Args:
            parameters: Parameters by name, each [S, ...].
        """
        self.policy.set_parameters(parameters)
        self.runners.sync_weights(parameters)

    def use_policy(self, policy: Policy) -> None:
        """Act by other programs from here on. Remote runners keep to their own."""
        self.policy = policy
        self.runners.use_policy(policy)

    def state_dict(self) -> dict[str, Any]:
        return {
            "runners": self.runners.state_dicts(),
            "times_restored": self._times_restored,
            "episodes": self.episodes.state_dict(),
            "generators": [own.get_state() for own in self.generators],
            "normaliser": None if self.normaliser is None else self.normaliser.state_dict(),
            "held": None if self._held is None else self._held.state_dict(),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> bool:
        """Returns whether the environments go on where they were. Where their state could not be saved, or was saved by
        another number of runners, fresh episodes start; all else is restored."""
        for own, saved in zip(self.generators, state["generators"], strict=True):
            own.set_state(saved)
        self.episodes.load_state_dict(state["episodes"])
        if self.normaliser is not None:
            self.normaliser.load_state_dict(state["normaliser"])
        if self._held is not None and state.get("held") is not None:
            self._held.load_state_dict(state["held"])
        self._times_restored = int(state["times_restored"])
        saved = state["runners"]
        known = all(one["envs"] is not None for one in saved)
        if known and len(saved) == len(self.runners.shards):
            self.runners.load_state_dicts(saved)
            return True
        if saved:  # a trial that is only to act has left it out
            here = f"was saved by {len(saved)} runner(s), here are {len(self.runners.shards)}"
            why = here if known else "can't be saved"
            log.warning("the state of the environments %s: fresh episodes start from here", why)
        self._times_restored += 1
        self.episodes.drop_open_episodes()
        self.runners.start_fresh(self._times_restored)
        return False

    def close(self) -> None:
        self.runners.close()


def _marked(fragment: Fragment, all_of_them: Sequence[Fragment]) -> tuple[Shard, SampleBatch]:
    """With the columns `SCORE` and, where any of them needs it, `CONTINUES`."""
    batch = fragment.sampled.batch.with_columns({SCORE: fragment.sampled.score})
    if not any(one.replaced for one in all_of_them):
        return fragment.shard, batch
    continues = torch.ones(batch.sizes, dtype=torch.bool)
    continues[0] = not fragment.replaced
    return fragment.shard, batch.with_columns({CONTINUES: continues})


def _joined(parts: Sequence[tuple[Shard, SampleBatch]]) -> SampleBatch:
    """Environments side by side within each group of seeds, then the groups."""
    if len(parts) == 1:
        return parts[0][1]
    groups: dict[int, list[SampleBatch]] = {}
    for shard, batch in parts:
        groups.setdefault(shard.first_seed, []).append(batch)
    by_seeds = [concat_samples(group, axis="env") for group in groups.values()]
    return concat_samples(by_seeds, axis="seed") if len(by_seeds) > 1 else by_seeds[0]


def _merged(learned: Sequence[Learned], shards: Sequence[Shard]) -> Learned:
    """Of all environments, in their order."""
    return Learned(*(_merged_moments(kind, shards) for kind in zip(*learned, strict=True)))


def _merged_moments(moments: Sequence[Moments | None], shards: Sequence[Shard]) -> Moments | None:
    """Each [S_i, N_i, ...] of a shard -> [S, N, ...]."""
    if any(one is None for one in moments):
        return None
    fields = []
    for field in zip(*(one for one in moments if one is not None), strict=True):
        groups: dict[int, list[np.ndarray]] = {}
        for shard, part in zip(shards, field, strict=True):
            groups.setdefault(shard.first_seed, []).append(part)
        fields.append(np.concatenate([np.concatenate(parts, axis=1) for parts in groups.values()]))
    return Moments(*fields)
