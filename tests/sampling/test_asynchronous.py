"""Asynchronous sampling: every step once, the policy lag, restores, and runners that die or hang."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import ray
import torch
from ray import ObjectRef

from tests.algorithms.trials import trial_of
from tests.sampling.streams import Stream, steps_of
from tuneexp.algorithms.impala import IMPALAConfig
from tuneexp.data.sample_batch import FRAGMENT_AXES, SampleBatch
from tuneexp.errors import RunnerLost, UserError
from tuneexp.sampling.asynchronous import AsynchronousGroup
from tuneexp.sampling.env_runner import Sampled
from tuneexp.sampling.env_shards import EnvShard, env_shards
from tuneexp.sampling.remote.pipeline import RequestPipeline
from tuneexp.sampling.remote.remote_runners import RemoteRunners, RunnerLimits
from tuneexp.sampling.remote.runner_actor import Reply
from tuneexp.sampling.runners import SampleRequest, ShardFragment
from tuneexp.training.training_ops import asynchronous_sample, synchronous_parallel_sample
from tuneexp.trial import Trial

SEEDS = [3, 4]


# -- the order of things, with runners that answer when they are told to


class Scripted:
    """Runners of one environment each, with two seeds. They reply in the order of `script`."""

    def __init__(self, n_runners: int, script: list[int], most: int = 2) -> None:
        self.shards = env_shards(2, n_runners, n_runners, every_seed=True)
        self.script, self.most, self.version, self.restarts = deque(script), most, 0, 0
        self.asked: list[deque[int]] = [deque() for _ in self.shards]

    def sync_weights(self, parameters: Any) -> None:
        self.version += 1

    def fill(self, up_to: int, request: Callable[[EnvShard], SampleRequest]) -> None:
        for shard, asked in zip(self.shards, self.asked, strict=True):
            while len(asked) < up_to:
                assert request(shard).noise[0].shape[1:3] == (2, 1)
                asked.append(self.version)

    def take(self) -> ShardFragment:
        index = self.script.popleft()
        version = self.asked[index].popleft()
        flags = torch.zeros(4, 2, 1, dtype=torch.bool)
        columns = {"reward": torch.full((4, 2, 1), float(index)), "valid": ~flags}
        batch = SampleBatch({**columns, "terminated": flags, "truncated": flags}, FRAGMENT_AXES)
        return ShardFragment(self.shards[index], Sampled(batch, np.ones((4, 2, 1), np.float32), None), version=version)


def group_with(scripted: Scripted) -> AsynchronousGroup:
    n_envs = len(scripted.shards)
    trial = trial_of("impala", "CartPole-v1", [0, 1], n_envs=n_envs, n_steps=4)
    group = AsynchronousGroup(
        trial.group.policy,
        scripted,
        [0, 1],
        pipeline=scripted,
        updates_per_step=10,  # type: ignore[arg-type]
    )
    group.sync_weights(trial.learner.parameters)
    return group


def test_fragments_of_any_runners_make_a_step_and_only_these_are_counted() -> None:
    group = group_with(Scripted(2, [1, 1, 0, 1]))
    first = group.sample(4)
    assert first.sizes == (4, 2, 2)
    assert first["reward"].unique().tolist() == [1.0]  # the quick runner's, twice
    assert (group.env_steps, group.transitions) == (8, 16)
    assert group.sample(4)["reward"].unique().tolist() == [0.0, 1.0]
    assert (group.env_steps, group.transitions) == (16, 32)


def test_the_lag_is_counted_in_updates_since_the_weights_were_handed_out() -> None:
    scripted = Scripted(2, [0, 1, 0, 1, 1, 1, 0, 0])
    group = group_with(scripted)
    lags = []
    for _ in range(4):
        group.sample(4)
        metrics = group.metrics()
        lags.append((metrics["update/policy_lag_mean"], metrics["update/policy_lag_max"]))
        group.sync_weights(group.policy.named_parameters)
    # The first round had the first weights; then each fragment was asked for one step before it is learned from. Runner
    # 1 gives two in the third round, the second of which had just been asked for; those of runner 0 waited meanwhile.
    assert lags == [(0.0, 0.0), (10.0, 10.0), (5.0, 10.0), (15.0, 20.0)]
    assert group.metrics() == {}


def test_no_runner_is_idle_while_the_learner_learns_unless_it_gets_one_request_at_a_time() -> None:
    for most, under_way in ((2, [2, 1]), (1, [0, 0])):
        scripted = Scripted(2, [1, 1] if most == 2 else [0, 1], most)
        group_with(scripted).sample(4)
        assert [len(asked) for asked in scripted.asked] == under_way


def test_without_remote_runners_nothing_lags() -> None:
    trial = trial_of("appo", "CartPole-v1", SEEDS, batch_size=32)
    metrics = trial.advance()
    assert (metrics["update/policy_lag_mean"], metrics["update/policy_lag_max"]) == (0.0, 0.0)


def test_the_operation_of_the_other_kind_of_group_is_refused_by_name() -> None:
    asynchronous = group_with(Scripted(2, [0, 1]))
    assert asynchronous_sample(asynchronous, 4).sizes == (4, 2, 2)
    with pytest.raises(UserError, match=r"asynchronous_sample\(training.group, 4\)"):
        synchronous_parallel_sample(asynchronous, 4)
    synchronous = trial_of("a2c", "CartPole-v1", [0]).group
    with pytest.raises(UserError, match=r"synchronous_parallel_sample\(training.group, 4\)"):
        asynchronous_sample(synchronous, 4)


@pytest.mark.parametrize(
    ("n_envs", "runners", "told"), [(8, 3, "n_envs=9, or num_env_runners=2"), (2, 4, "n_envs=4, or num_env_runners=2")]
)
def test_unequal_shares_are_refused_with_what_to_write(n_envs: int, runners: int, told: str) -> None:
    with pytest.raises(UserError, match=told):
        IMPALAConfig.parse({"n_envs": n_envs, "num_env_runners": runners}, "impala")


# -- with real runners


@pytest.fixture(scope="module")
def make(ray_cluster: None) -> Iterator[Callable[..., Trial]]:
    made: list[Trial] = []

    def make(env: Any, **changes: Any) -> Trial:
        remote = {"num_env_runners": 2, "num_cpus_per_env_runner": 0.5, "n_envs": 4, "n_steps": 5}
        made.append(trial_of("impala", env, SEEDS, **{"budget_env_steps": 20 * 12, **remote, **changes}))
        return made[-1]

    yield make
    for trial in made:
        trial.close()


def pipeline_of(trial: Trial) -> RequestPipeline:
    assert isinstance(trial.group, AsynchronousGroup)
    assert isinstance(trial.group.pipeline, RequestPipeline)
    return trial.group.pipeline


def test_every_step_is_met_once_and_none_is_left_out_also_where_a_runner_hangs(
    make: Callable[..., Trial], tmp_path: Path
) -> None:
    """It is restarted with other episodes while the others continue, up to the limit."""
    trap = tmp_path / "trap"
    trial = make(Stream, sample_timeout_s=15.0, env_kwargs={"trap": str(trap)})
    fragments = []
    for round_ in range(12):
        if round_ == 6:
            trap.touch()
        fragments.append(trial.group.sample(5))
        trial.group.sync_weights(trial.learner.parameters)
    while not trial.group.runners.restarts:
        fragments.append(trial.group.sample(5))
        time.sleep(0.2)  # the timeout is long: without a pause the others sample thousands of times
    assert all(fragment.sizes == (5, 2, 4) for fragment in fragments)
    streams = steps_of(fragments)
    assert len(streams) == 2 * 4 + 2 * 2 * trial.group.runners.restarts  # of each seed two are others each time
    assert all(steps == list(range(1, len(steps) + 1)) for steps in streams.values())
    assert trial.group.env_steps == 20 * len(fragments)
    assert trial.group.transitions == sum(map(len, streams.values()))
    # What the lost environments had begun is no episode.
    assert trial.group.episodes.summary().length_mean.tolist() == [7.0, 7.0]
    runners = trial.group.runners
    assert isinstance(runners, RemoteRunners)
    runners.limits = replace(runners.limits, max_restarts=0)
    trap.touch()
    with pytest.raises(RunnerLost, match="15 s, 1 times"):
        sample_without_end(trial)


class Restarted(RemoteRunners):
    """One runner with given generations (see `Reply`) and numbers; each reply is ready when it is requested."""

    def __init__(self, made: list[tuple[int, int]]) -> None:
        self.shards, self.limits, self.restarts = env_shards(1, 1, 1), RunnerLimits(1.0, 5.0, 3), 0
        self._generations, self._received, self._made = [10], [0], iter(made)

    def submit(self, index: int, request: SampleRequest) -> ObjectRef:
        generation, number = next(self._made)
        flags = np.zeros((1, 1, 1), bool)
        columns = dict.fromkeys(("terminated", "truncated"), flags) | {"valid": ~flags}
        return ray.put(Reply(generation, number, columns, (np.full((1, 1, 1), 100 * generation + number), None, 1)))


def one_step(shard: EnvShard) -> SampleRequest:
    return SampleRequest(1, [], torch.zeros(1), None)


@pytest.mark.parametrize("drained", [False, True])
@pytest.mark.parametrize("made", [
    [(10, 0), (10, 1), (10, 2), (10, 3)],
    [(10, 0), (11, 1), (11, 0), (11, 2)],  # restarted, and asked in another order
    [(11, 0), (11, 3), (11, 1), (11, 2)],
    [(11, 2), (11, 1), (11, 0), (11, 3)],
    [(10, 0), (10, 1), (11, 1), (11, 0)],
    [(10, 0), (11, 0), (12, 1), (12, 0)],
    [(12, 0), (11, 0), (12, 1), (12, 2)],  # restarted twice before anything was taken
    [(11, 1), (12, 1), (11, 0), (12, 0)],
])  # fmt: skip
def test_fragments_are_taken_in_the_order_in_which_a_restarted_runner_made_them(
    ray_cluster: None, made: list[tuple[int, int]], drained: bool
) -> None:
    """In another order, rows of one environment would not be consecutive, and its episodes would have other lengths."""
    runners = Restarted(made)
    pipeline = RequestPipeline(runners, most=4)
    pipeline.fill(4, one_step)
    drained_ones = pipeline.drain() if drained else []
    taken = [pipeline.take() for _ in made]
    generations = [generation for generation, _ in sorted(made)]
    assert [int(fragment.sampled.score.item()) for fragment in taken] == [
        100 * generation + n for generation, n in sorted(made)
    ]
    assert [one.replaced for one in taken] == [a != b for a, b in zip([10, *generations], generations, strict=False)]
    assert runners.restarts == len(set(generations) | {10}) - 1
    assert not drained or all(a is b for a, b in zip(drained_ones, taken, strict=True))


def test_an_error_among_fragments_in_another_order_is_reported(ray_cluster: None) -> None:
    runners = Restarted([(11, 1), (11, 0)])
    pipeline = RequestPipeline(runners, most=2)
    pipeline.fill(2, one_step)

    @ray.remote(num_cpus=0)
    def breaks() -> None:
        raise UserError("a cable came off")

    pipeline._pending[0][1].reply = breaks.remote()
    with pytest.raises(UserError, match="a cable came off"):
        pipeline.drain()


def test_a_checkpoint_leaves_a_runner_the_whole_timeout_for_its_next_request(ray_cluster: None) -> None:
    """Finished fragments that were not taken don't count towards the timeout of the next request."""
    runners = Restarted([(10, 0), (10, 1), (10, 2)])
    pipeline = RequestPipeline(runners, most=2)
    pipeline.fill(2, one_step)
    pipeline.drain()
    pipeline._deadline_s[0] = 0.0  # evaluation and learning took long
    pipeline.take()
    pipeline.fill(2, one_step)
    assert pipeline._deadline_s[0] > time.monotonic()


def sample_without_end(trial: Trial) -> None:
    while True:
        trial.group.sample(5)
        time.sleep(0.2)


def test_a_restored_trial_drops_what_was_under_way_and_counts_whole_episodes(make: Callable[..., Trial]) -> None:
    """Every episode has 6 steps, so lost or repeated steps would show."""
    trial = make("CartPole-v1", env_kwargs={"max_episode_steps": 6})
    for _ in range(3):
        trial.training_step()
    state = trial.state_dict()
    for restored in (False, True):
        if restored:
            trial.load_state_dict(state)
        assert trial.env_steps == 60
        before = trial.group.episodes.total_episodes.copy()
        for _ in range(5):
            trial.training_step()
        summary = trial.group.episodes.summary()
        assert summary.length_mean.tolist() == summary.return_mean.tolist() == [6.0, 6.0]
        assert trial.env_steps == 160
        # An episode takes 7 steps with its reset: 4 environments end 3 or 4 in 25 steps.
        new = trial.group.episodes.total_episodes - before
        assert ((new >= 12) & (new <= 16)).all()
    metrics = trial.group.metrics()
    assert 0.0 < metrics["update/policy_lag_mean"] <= metrics["update/policy_lag_max"]
