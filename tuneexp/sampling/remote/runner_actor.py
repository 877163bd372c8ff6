"""Env runner in a Ray actor."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import ray
import torch
from ray import ObjectRef

from tuneexp.learning.arithmetic import set_up_arithmetic
from tuneexp.ray_support.exit_causes import log_exit_codes
from tuneexp.ray_support.serialization import unpickled
from tuneexp.ray_support.sigterm import restore_default_sigterm
from tuneexp.sampling.env_runner import EnvRunner
from tuneexp.sampling.env_shards import EnvShard
from tuneexp.sampling.runners import SampleRequest


class Reply(NamedTuple):
    """Fragment as it is sent to the driver.

    Args:
        generation: of the actor; it grows with each restart.
        number: fragments that the same generation made before.
        columns: columns of the fragment as arrays.
        rest: score, moments and the version of the weights.
    """

    generation: int
    number: int
    columns: dict[str, np.ndarray]
    rest: tuple[Any, ...]


class RunnerActor:
    """`EnvRunner` in a process of its own, built at its first use."""

    def __init__(self, recipe: bytes, shard: EnvShard) -> None:
        log_exit_codes()
        restore_default_sigterm()
        self._recipe, self._shard, self._version, self._made = recipe, shard, -1, 0
        self._built: EnvRunner | None = None
        self._generation = time.time_ns()

    def start(self) -> int:
        """Build the runner and return the generation of this actor."""
        self._runner()
        return self._generation

    def _runner(self, known: int | None = None) -> EnvRunner:
        """Return the runner.

        Args:
            known: the last generation that the caller received a reply from. If this is another one, the environments
                were lost, and new episodes start, of another random sequence than in any other generation.
        """
        if self._built is None:
            torch.set_num_threads(1)
            set_up_arithmetic()
            self._built = built = unpickled(self._recipe)()
            if known is not None and known != self._generation:
                built.start_fresh(self._generation)
        return self._built

    def sample(self, request: SampleRequest, weights: Sequence[ObjectRef], version: int, known: int | None) -> Reply:
        """Collect a fragment.

        Args:
            request: steps, noise and statistics.
            weights: reference in a list, so that Ray does not fetch it: it is fetched only if `version` is new here.
            version: of the weights.
            known: as of `_runner`.
        """
        runner = self._runner(known)
        if version != self._version:
            new = ray.get(weights[0])
            for name, own in runner.policy.named_parameters.items():
                own.copy_(torch.from_numpy(new[name][self._shard.seeds]))
            self._version = version
        request = request_of_tensors(request)
        runner.policy.hyper.copy_(request.hyper)
        if runner.normaliser is not None and request.statistics is not None:
            runner.normaliser.load_state_dict(request.statistics)
        batch, score, learned = runner.sample(request.n_steps, request.noise)
        self._made += 1
        return Reply(self._generation, self._made - 1, batch.numpy(), (score, learned, version))

    def state_dict(self, known: int | None) -> dict[str, Any]:
        """Return the state of the runner, without its environments if they were lost since the generation `known`."""
        state = self._runner(known).state_dict()
        return state if known in (None, self._generation) else {**state, "envs": None}

    def load_state_dict(self, state: Mapping[str, Any]) -> int:
        self._runner().load_state_dict(state)
        return self._generation

    def start_fresh(self, times_restored: int) -> int:
        self._runner().start_fresh(times_restored)
        return self._generation

    def close(self) -> None:
        if self._built is not None:
            self._built.close()


def request_of_arrays(request: SampleRequest) -> SampleRequest:
    """Return the request with arrays: Ray sends them in a fraction of a tensor's time."""
    noise = [column.numpy() for column in request.noise]
    return request._replace(noise=noise, hyper=request.hyper.cpu().numpy())  # type: ignore[arg-type]


def request_of_tensors(request: SampleRequest) -> SampleRequest:
    """Return the request with tensors: the inverse of `request_of_arrays`."""
    noise = [torch.from_numpy(column) for column in request.noise]
    return request._replace(noise=noise, hyper=torch.from_numpy(request.hyper))
