"""Env runner group: one local env runner, or several remote ones, that sample as one."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor

from tuneexp.data.sample_batch import CONTINUES, FRAGMENT_AXES, SampleBatch, concat_samples
from tuneexp.envs.episode_stats import EpisodeTracker
from tuneexp.envs.normalise import Learned, Moments, RunningNormaliser
from tuneexp.learning.rng_streams import generator
from tuneexp.sampling.env_shards import EnvShard
from tuneexp.sampling.episodic_train_freq import HeldNoise
from tuneexp.sampling.policy import Policy
from tuneexp.sampling.runners import Runners, SampleRequest, ShardFragment

log = logging.getLogger(__name__)
Part = TypeVar("Part")


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
        self.n_envs = max(shard.envs.stop for shard in runners.shards)
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
        pairs = [(shard, self.policy.noise_of(noise, shard)) for shard in self.runners.shards]
        fragments = self.runners.sample([self.request(n_steps, own, shard) for shard, own in pairs])
        batch = self._merged(n_steps, fragments)
        if self._held is not None:
            self._held.follow(batch)
        return batch

    def _drawn(self, n_steps: int) -> list[Tensor]:
        """Draw the noise of all actions of a fragment."""
        if self._held is None:
            return self.policy.draw_noise(n_steps, self.generators)
        return self._held.draw(self.policy.noise_kinds, self.n_envs, self.generators)

    def _merged(self, n_steps: int, fragments: Sequence[ShardFragment]) -> SampleBatch:
        """Join fragments into one, [T, S, N, ...]. Count its steps and episodes, and update the running statistics."""
        batch = _joined([_marked(one, fragments) for one in fragments], fragments, concat_samples)
        self.count_episodes(fragments, batch)
        self.learn_statistics(fragments)
        self.env_steps += n_steps * self.n_envs
        self.transitions += int(np.count_nonzero(batch["valid"].numpy()))
        return batch if self._keep_raw else with_scaled_rewards(batch, self.normaliser)

    def request(self, n_steps: int, noise: Sequence[Tensor], shard: EnvShard) -> SampleRequest:
        """Return the request for a shard. noise: columns [D, S, ...] of its seeds and environments."""
        statistics = None if self.normaliser is None else self.normaliser.state_dict(shard.seeds)
        return SampleRequest(n_steps, noise, self.policy.hyper[shard.seeds].cpu(), statistics)

    def count_episodes(self, fragments: Sequence[ShardFragment], batch: SampleBatch) -> None:
        """Count episodes. batch: the joined fragments: the order of counting is the same for any number of runners."""
        for fragment in fragments:
            self.forget_lost_episodes(fragment)
        terminated, truncated, valid = (batch[name].numpy() for name in ("terminated", "truncated", "valid"))
        score = _joined([one.sampled.score for one in fragments], fragments, partial(_concatenated, axes=FRAGMENT_AXES))
        self.episodes.update(score, terminated, truncated, valid)

    def forget_lost_episodes(self, fragment: ShardFragment) -> None:
        if fragment.replaced:
            self.episodes.drop_open_episodes(fragment.shard.seeds, fragment.shard.envs)

    def learn_statistics(self, fragments: Sequence[ShardFragment]) -> None:
        if self.normaliser is not None:
            learned = [one.sampled.learned for one in fragments if one.sampled.learned is not None]
            kinds = zip(*learned, strict=True)
            self.normaliser.learn(Learned(*(_joined_moments(kind, fragments) for kind in kinds)))

    def metrics(self) -> dict[str, float]:
        """Return metrics of sampling, beside those of episodes and steps."""
        return {}

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
        """Replace the policy of the local runner and of evaluation. Remote runners keep their programs."""
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
        """Restore the state.

        New episodes start if the state of the environments was not saved, or is of another number of runners.

        Returns:
            True if the environments continue their episodes.
        """
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
        # Empty in a trial that only evaluates; a copy of another trial starts new episodes anyway.
        if saved and not state.get("branched"):
            other = f"is of {len(saved)} env runner(s), this trial has {len(self.runners.shards)}"
            why = other if known else "can't be saved"
            log.warning("the state of the environments %s: new episodes start", why)
        self._times_restored += 1
        self.episodes.drop_open_episodes()
        self.runners.start_fresh(self._times_restored)
        return False

    def close(self) -> None:
        self.runners.close()


def with_scaled_rewards(batch: SampleBatch, normaliser: RunningNormaliser | None) -> SampleBatch:
    """Scale the rewards of a fragment [T, S, N, ...] by the present running statistics, if rewards are normalised."""
    if normaliser is None or not normaliser.norm_reward:
        return batch
    by_seed = normaliser.scale_rewards(batch["reward"].movedim(1, 0).numpy())
    return batch.with_columns({"reward": torch.from_numpy(by_seed).movedim(0, 1)})


def _marked(fragment: ShardFragment, all_of_them: Sequence[ShardFragment]) -> SampleBatch:
    """Return the batch of a fragment, with the column `CONTINUES` if any of the runners was restarted."""
    batch = fragment.sampled.batch
    if not any(one.replaced for one in all_of_them):
        return batch
    continues = torch.ones(batch.sizes, dtype=torch.bool)
    continues[0] = not fragment.replaced
    return batch.with_columns({CONTINUES: continues})


def _joined(
    parts: Sequence[Part], fragments: Sequence[ShardFragment], concatenate: Callable[[Sequence[Part], str], Part]
) -> Part:
    """Join one part per fragment along "env" within each group of seeds, then along "seed"."""
    groups: dict[int, list[Part]] = {}
    for part, fragment in zip(parts, fragments, strict=True):
        groups.setdefault(fragment.shard.seeds.start, []).append(part)
    by_seeds = [group[0] if len(group) == 1 else concatenate(group, "env") for group in groups.values()]
    return by_seeds[0] if len(by_seeds) == 1 else concatenate(by_seeds, "seed")


def _joined_moments(moments: Sequence[Moments | None], fragments: Sequence[ShardFragment]) -> Moments | None:
    """Join the moments [S_i, N_i, ...] of fragments to [S, N, ...]; None if the kind is not normalised."""
    known = [one for one in moments if one is not None]
    if not known:
        return None
    concatenated = partial(_concatenated, axes=FRAGMENT_AXES[1:])
    return Moments(*(_joined(field, fragments, concatenated) for field in zip(*known, strict=True)))


def _concatenated(arrays: Sequence[np.ndarray], axis: str, axes: Sequence[str]) -> np.ndarray:
    return np.concatenate(arrays, axis=axes.index(axis))
