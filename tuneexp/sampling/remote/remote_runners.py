"""Env runners as Ray actors. Runners that die or hang are restarted, up to a limit."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import ray
import torch
from ray import ObjectRef
from ray.exceptions import GetTimeoutError, RayActorError, RayTaskError
from torch import Tensor

from tuneexp.data.sample_batch import FRAGMENT_AXES, SampleBatch
from tuneexp.errors import RunnerLost, UserError
from tuneexp.ray_support.exit_causes import death_of
from tuneexp.ray_support.placement import in_bundle
from tuneexp.ray_support.serialization import pickled
from tuneexp.sampling.env_runner import EnvRunner, Sampled
from tuneexp.sampling.env_shards import EnvShard
from tuneexp.sampling.policy import Policy
from tuneexp.sampling.remote.runner_actor import Reply, RunnerActor, request_of_arrays
from tuneexp.sampling.runners import SampleRequest, ShardFragment

log = logging.getLogger(__name__)

# For imports, building environments, and compiling programs that are not in the cache.
START_TIMEOUT_S = 300.0
CLOSE_TIMEOUT_S = 5.0
INSTEAD = "name it by its id, module:Class or path/file.py:Class, or write num_env_runners=0"


@dataclass(frozen=True)
class RunnerLimits:
    """Resources and limits of each runner.

    Args:
        n_cpus: CPUs.
        timeout_s: time for one fragment.
        max_restarts: restarts before the trial fails.
    """

    n_cpus: float
    timeout_s: float
    max_restarts: int


class RemoteRunners:
    """Env runners as Ray actors.

    Ray restarts an actor that dies and repeats its requests. A runner that misses the timeout is killed; Ray restarts
    it. Restarts are counted here.

    Args:
        recipes: for each shard, a callable that builds its runner in the actor's process.
        shards: one per runner.
        limits: resources and limits.

    Raises:
        UserError: a recipe can't be pickled, or the cluster has too few resources.
        RunnerLost: a runner died or timed out more than `max_restarts` times.
    """

    def __init__(
        self, recipes: Sequence[Callable[[], EnvRunner]], shards: Sequence[EnvShard], limits: RunnerLimits
    ) -> None:
        self.shards: Sequence[EnvShard] = list(shards)
        self.limits, self.restarts, self._hung = limits, 0, 0
        sent = [pickled(recipe, "the environment", INSTEAD) for recipe in recipes]
        actor = ray.remote(RunnerActor)
        settings = {"num_cpus": limits.n_cpus, "max_restarts": limits.max_restarts, "max_task_retries": -1}
        self._actors = [
            actor.options(**settings, **in_bundle(1 + index, {"CPU": limits.n_cpus})).remote(recipe, shard)
            for index, (recipe, shard) in enumerate(zip(sent, self.shards, strict=True))
        ]
        self._weights: ObjectRef | None = None
        self._version = 0
        self._received = [0 for _ in self.shards]  # fragments of the present generation of each runner
        try:
            self._generations: list[int] = self._started()
        except BaseException:
            self.close()
            raise

    def _started(self) -> list[int]:
        refs = [one.start.remote() for one in self._actors]
        _, missing = ray.wait(refs, num_returns=len(refs), timeout=START_TIMEOUT_S, fetch_local=False)
        if missing:
            raise UserError(
                f"{len(missing)} of {len(refs)} env runners did not start within {START_TIMEOUT_S:.0f} s: the cluster "
                f"has too few free CPUs ({self.limits.n_cpus:g} each), or the environment hangs in reset; write a "
                "smaller num_env_runners or num_cpus_per_env_runner"
            )
        return [self.reply(ref) for ref in refs]

    @property
    def version(self) -> int:
        """Number of the newest weights, counted by `sync_weights`."""
        return self._version

    def sync_weights(self, parameters: Mapping[str, Tensor]) -> None:
        """Put parameters into the object store. Each runner pulls them with its next request."""
        self._weights = ray.put({name: leaf.detach().cpu().numpy() for name, leaf in parameters.items()})
        self._version += 1

    def sample(self, requests: Sequence[SampleRequest]) -> list[ShardFragment]:
        refs = [self.submit(index, request) for index, request in enumerate(requests)]
        return [self.fragment(index, reply) for index, reply in enumerate(self._collect(refs))]

    def submit(self, index: int, request: SampleRequest) -> ObjectRef:
        """Send a request to runner `index` and return its future. It acts with the newest weights of `sync_weights`."""
        assert self._weights is not None, "sync_weights comes before sample"
        actor = self._actors[index]
        return actor.sample.remote(request_of_arrays(request), [self._weights], self._version, self._generations[index])

    def fragment(self, index: int, reply: Reply) -> ShardFragment:
        """Return the fragment in a reply of runner `index`, and count a restart of the runner."""
        replaced = reply.generation != self._generations[index]
        self.restarts += replaced
        self._received[index] = max(reply.number + 1, 0 if replaced else self._received[index])
        self._generations[index] = reply.generation
        columns = {name: torch.from_numpy(column) for name, column in reply.columns.items()}
        score, learned, version = reply.rest
        sampled = Sampled(SampleBatch(columns, FRAGMENT_AXES), score, learned)
        return ShardFragment(self.shards[index], sampled, replaced, version)

    def missing_before(self, index: int, reply: Reply) -> int | None:
        """Return the number of earlier fragments of the same generation that were not received.

        None: the reply is the next one of the known generation."""
        known = reply.generation == self._generations[index]
        missing = max(0, reply.number - (self._received[index] if known else 0))
        return None if known and not missing else missing

    def use_policy(self, policy: Policy) -> None:
        """Do nothing: remote runners keep the programs that they were built with."""

    def state_dicts(self) -> list[dict[str, Any]]:
        pairs = zip(self._actors, self._generations, strict=True)
        return self._collect([actor.state_dict.remote(generation) for actor, generation in pairs])

    def load_state_dicts(self, states: Sequence[Mapping[str, Any]]) -> None:
        pairs = zip(self._actors, states, strict=True)
        self._begin([actor.load_state_dict.remote(state) for actor, state in pairs])

    def start_fresh(self, times_restored: int) -> None:
        self._begin([actor.start_fresh.remote(times_restored) for actor in self._actors])

    def _begin(self, generations: Sequence[ObjectRef]) -> None:
        """Continue from a given state, in the present generations of the runners."""
        known, self._generations = self._generations, self._collect(generations)
        pairs = zip(self._received, known, self._generations, strict=True)
        self._received = [n if generation == before else 0 for n, before, generation in pairs]

    def _collect(self, refs: Sequence[ObjectRef]) -> list[Any]:
        """Return the replies of the runners, in their order. Kill those that miss the timeout."""
        timeout_s = self.limits.timeout_s
        for _ in range(self.limits.max_restarts + 1):
            try:
                return list(ray.get(list(refs), timeout=timeout_s))
            except GetTimeoutError:
                _, hung = ray.wait(list(refs), num_returns=len(refs), timeout=0, fetch_local=False)
            except (RayTaskError, RayActorError):
                ended, _ = ray.wait(list(refs), num_returns=len(refs), timeout=0, fetch_local=False)
                for ref in ended:
                    self.reply(ref)  # one of them raises an error with the cause
                raise
            for ref in hung:
                self.kill_hung(list(refs).index(ref))
            timeout_s = self.limits.timeout_s + START_TIMEOUT_S
        raise self.too_many_timeouts()

    def too_many_timeouts(self) -> RunnerLost:
        return RunnerLost(
            f"an env runner timed out after {self.limits.timeout_s:g} s, {self.limits.max_restarts + 1} times; "
            "write a larger sample_timeout_s, or find out where the environment hangs"
        )

    def kill_hung(self, index: int) -> None:
        """Kill a runner that missed the timeout. Ray restarts it and repeats its requests."""
        log.warning("env runner %d timed out after %g s; it is restarted", index, self.limits.timeout_s)
        self._hung += 1
        ray.kill(self._actors[index], no_restart=False)

    def reply(self, ref: ObjectRef) -> Any:
        """Return the result of a finished request.

        Raises:
            RunnerLost: the runner died more than `max_restarts` times.
            Exception: the error that the runner raised.
        """
        try:
            return ray.get(ref)
        except RayTaskError as error:
            raise (error.cause if isinstance(error.cause, Exception) else error) from error
        except RayActorError as error:
            hung = f"{self._hung} timeouts of {self.limits.timeout_s:g} s (sample_timeout_s); "
            raise RunnerLost(
                f"an env runner died more than {self.limits.max_restarts} times (max_env_runner_restarts): "
                f"{hung if self._hung else ''}{death_of(error)}"
            ) from error

    def close(self) -> None:
        try:
            ray.get([actor.close.remote() for actor in self._actors], timeout=CLOSE_TIMEOUT_S)
        except (GetTimeoutError, RayActorError, RayTaskError):
            pass  # the actors are killed in any case
        for actor in self._actors:
            ray.kill(actor)
