"""Env runners as Ray actors: restarted where they die or hang, within a bound, while the trial goes on."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import ray
import torch
from ray import ObjectRef
from ray.exceptions import GetTimeoutError, RayActorError, RayTaskError
from torch import Tensor

from tuneexp.data.sample_batch import FRAGMENT_AXES, SampleBatch
from tuneexp.errors import RunnerLost, UserError
from tuneexp.learning.denormals import flush_denormals
from tuneexp.ray_support.exit_causes import death_of, tell_exits
from tuneexp.ray_support.placement import in_bundle
from tuneexp.ray_support.serialization import pickled, unpickled
from tuneexp.ray_support.sigterm import die_of_sigterm
from tuneexp.sampling.env_runner import EnvRunner, Sampled
from tuneexp.sampling.group import Fragment, Request
from tuneexp.sampling.policy import Policy
from tuneexp.sampling.shards import Shard

log = logging.getLogger(__name__)

# Importing torch, building environments, and compiling what the cache doesn't hold yet.
START_LIMIT_S = 300.0
CLOSE_LIMIT_S = 5.0
INSTEAD = "name it by its id, module:Class or path/file.py:Class, or write num_env_runners=0"


class Reply(NamedTuple):
    """A fragment on its way. life: of the actor that made it; it grows from each to the next. place: how many that life
    had made before."""

    life: int
    place: int
    columns: dict[str, np.ndarray]
    rest: tuple[Any, ...]


class RunnerActor:
    """An `EnvRunner` in a process of its own, built when it is first asked for something."""

    def __init__(self, recipe: bytes, shard: Shard) -> None:
        tell_exits()
        die_of_sigterm()
        self._recipe, self._shard, self._version, self._made = recipe, shard, -1, 0
        self._built: EnvRunner | None = None
        self._life = time.time_ns()

    def start(self) -> int:
        """Returns which life this is."""
        self._runner()
        return self._life

    def _runner(self, known: int | None = None) -> EnvRunner:
        """known: the life that the caller has heard from. Where it was another, the environments were lost with it, and
        episodes start that no other life has met."""
        if self._built is None:
            torch.set_num_threads(1)
            flush_denormals()
            self._built = built = unpickled(self._recipe)()
            if known is not None and known != self._life:
                built.start_fresh(self._life)
        return self._built

    def sample(self, request: Request, weights: Sequence[ObjectRef], version: int, known: int | None) -> Reply:
        """weights: in a list, so that they are fetched only where they are new here."""
        runner = self._runner(known)
        if version != self._version:
            new = ray.get(weights[0])
            for name, own in runner.policy.named_parameters.items():
                own.copy_(torch.from_numpy(new[name][self._shard.seeds]))
            self._version = version
        request = _of_tensors(request)
        runner.policy.hyper.copy_(request.hyper)
        if runner.normaliser is not None and request.statistics is not None:
            runner.normaliser.load_state_dict(request.statistics)
        batch, score, learned = runner.sample(request.n_steps, request.noise)
        self._made += 1
        return Reply(self._life, self._made - 1, batch.numpy(), (score, learned, version))

    def state_dict(self, known: int | None) -> dict[str, Any]:
        """Without the environments where they are not those of the life that the caller has heard from."""
        state = self._runner(known).state_dict()
        return state if known in (None, self._life) else {**state, "envs": None}

    def load_state_dict(self, state: Mapping[str, Any]) -> int:
        self._runner().load_state_dict(state)
        return self._life

    def start_fresh(self, times_restored: int) -> int:
        self._runner().start_fresh(times_restored)
        return self._life

    def close(self) -> None:
        if self._built is not None:
            self._built.close()


@dataclass(frozen=True)
class RunnerLimits:
    """n_cpus: of each runner. timeout_s: that a fragment may take. max_restarts: of each runner."""

    n_cpus: float
    timeout_s: float
    max_restarts: int


class RemoteRunners:
    """`recipes`: for each shard a callable that builds its runner, there.

    Ray itself restarts an actor that dies and asks it again what it was asked; here it is only counted. One that says
    nothing for `timeout_s` is ended, which comes to the same. Raises `UserError` for what can't be sent to another
    process or has no room in the cluster, and `RunnerLost` where a runner dies more often than `max_restarts`."""

    def __init__(
        self, recipes: Sequence[Callable[[], EnvRunner]], shards: Sequence[Shard], limits: RunnerLimits
    ) -> None:
        self.shards: Sequence[Shard] = list(shards)
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
        self._received = [0 for _ in self.shards]  # of the life of each: fragments
        try:
            self._lives: list[int] = self._started()
        except BaseException:
            self.close()
            raise

    def _started(self) -> list[int]:
        refs = [one.start.remote() for one in self._actors]
        _, silent = ray.wait(refs, num_returns=len(refs), timeout=START_LIMIT_S, fetch_local=False)
        if silent:
            raise UserError(
                f"{len(silent)} of {len(refs)} env runners didn't start within {START_LIMIT_S:.0f} s: no room for them "
                f"beside what runs in the cluster, at {self.limits.n_cpus:g} CPUs each; write a smaller "
                "num_env_runners or num_cpus_per_env_runner (or the environment never comes back from its reset)"
            )
        return [self.reply(ref) for ref in refs]

    @property
    def version(self) -> int:
        """Of the newest weights, counted by `sync_weights`."""
        return self._version

    def sync_weights(self, parameters: Mapping[str, Tensor]) -> None:
        """Into the object store once; each runner pulls them with its next request."""
        self._weights = ray.put({name: leaf.detach().cpu().numpy() for name, leaf in parameters.items()})
        self._version += 1

    def sample(self, requests: Sequence[Request]) -> list[Fragment]:
        refs = [self.submit(index, request) for index, request in enumerate(requests)]
        return [self.fragment(index, reply) for index, reply in enumerate(self._collect(refs))]

    def submit(self, index: int, request: Request) -> ObjectRef:
        """Ask runner `index`; returns at once. It acts with the weights of the newest `sync_weights`."""
        assert self._weights is not None, "sync_weights comes before sample"
        actor = self._actors[index]
        return actor.sample.remote(_of_arrays(request), [self._weights], self._version, self._lives[index])

    def fragment(self, index: int, reply: Reply) -> Fragment:
        """What runner `index` replied."""
        replaced = reply.life != self._lives[index]
        self.restarts += replaced
        self._received[index] = max(reply.place + 1, 0 if replaced else self._received[index])
        self._lives[index] = reply.life
        columns = {name: torch.from_numpy(column) for name, column in reply.columns.items()}
        score, learned, version = reply.rest
        sampled = Sampled(SampleBatch(columns, FRAGMENT_AXES), score, learned)
        return Fragment(self.shards[index], sampled, replaced, version)

    def missing_before(self, index: int, reply: Reply) -> int | None:
        """How many runner `index` made in the same life before this one that `fragment` hasn't been given. None: the
        reply is the next one of the life that is known."""
        known = reply.life == self._lives[index]
        missing = max(0, reply.place - (self._received[index] if known else 0))
        return None if known and not missing else missing

    def use_policy(self, policy: Policy) -> None:
        """Those of other processes keep to the programs that they were built with."""

    def state_dicts(self) -> list[dict[str, Any]]:
        pairs = zip(self._actors, self._lives, strict=True)
        return self._collect([actor.state_dict.remote(life) for actor, life in pairs])

    def load_state_dicts(self, states: Sequence[Mapping[str, Any]]) -> None:
        pairs = zip(self._actors, states, strict=True)
        self._begin([actor.load_state_dict.remote(state) for actor, state in pairs])

    def start_fresh(self, times_restored: int) -> None:
        self._begin([actor.start_fresh.remote(times_restored) for actor in self._actors])

    def _begin(self, lives: Sequence[ObjectRef]) -> None:
        """From a given state, in whichever lives the runners are now."""
        known, self._lives = self._lives, self._collect(lives)
        pairs = zip(self._received, known, self._lives, strict=True)
        self._received = [n if life == before else 0 for n, before, life in pairs]

    def _collect(self, refs: Sequence[ObjectRef]) -> list[Any]:
        """What the runners reply, in the order of the actors."""
        patience_s = self.limits.timeout_s
        for _ in range(self.limits.max_restarts + 1):
            try:
                return list(ray.get(list(refs), timeout=patience_s))
            except GetTimeoutError:
                _, silent = ray.wait(list(refs), num_returns=len(refs), timeout=0, fetch_local=False)
            except (RayTaskError, RayActorError):
                ended, _ = ray.wait(list(refs), num_returns=len(refs), timeout=0, fetch_local=False)
                for ref in ended:
                    self.reply(ref)  # one of them raises what it means
                raise
            for ref in silent:
                self.end_hung(list(refs).index(ref))
            patience_s = self.limits.timeout_s + START_LIMIT_S
        raise self.silent_too_often()

    def silent_too_often(self) -> RunnerLost:
        return RunnerLost(
            f"an env runner said nothing for {self.limits.timeout_s:g} s, {self.limits.max_restarts + 1} times; "
            "write a larger sample_timeout_s, or find out where the environment hangs"
        )

    def end_hung(self, index: int) -> None:
        """Ray starts it anew and asks it again."""
        log.warning("env runner %d said nothing for %g s and is started anew", index, self.limits.timeout_s)
        self._hung += 1
        ray.kill(self._actors[index], no_restart=False)

    def reply(self, ref: ObjectRef) -> Any:
        """What an answered request says; raises what the runner raised."""
        try:
            return ray.get(ref)
        except RayTaskError as error:
            raise (error.cause if isinstance(error.cause, Exception) else error) from error
        except RayActorError as error:
            hung = f"{self._hung} times one said nothing for {self.limits.timeout_s:g} s (sample_timeout_s); "
            raise RunnerLost(
                f"an env runner died more than {self.limits.max_restarts} times (max_env_runner_restarts): "
                f"{hung if self._hung else ''}{death_of(error)}"
            ) from error

    def close(self) -> None:
        try:
            ray.get([actor.close.remote() for actor in self._actors], timeout=CLOSE_LIMIT_S)
        except (GetTimeoutError, RayActorError, RayTaskError):
            pass  # it is ended in any case
        for actor in self._actors:
            ray.kill(actor)


def _of_arrays(request: Request) -> Request:
    """On the way: an array is sent in a fraction of a tensor's time."""
    noise = [column.numpy() for column in request.noise]
    return request._replace(noise=noise, hyper=request.hyper.cpu().numpy())  # type: ignore[arg-type]


def _of_tensors(request: Request) -> Request:
    noise = [torch.from_numpy(column) for column in request.noise]
    return request._replace(noise=noise, hyper=torch.from_numpy(request.hyper))
