"""Learners as Ray actors. Those that divide rows communicate by `torch.distributed`."""

from __future__ import annotations

import logging
import os
import socket
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

import numpy as np
import ray
import torch
from ray import ObjectRef
from ray.exceptions import GetTimeoutError, RayActorError, RayTaskError
from torch import Tensor, distributed
from torch.utils._pytree import tree_map

from tuneexp.errors import LearnerLost, UserError
from tuneexp.learning.arithmetic import set_up_arithmetic
from tuneexp.learning.kept_memory import keep_freed_memory
from tuneexp.learning.learner import Learner
from tuneexp.ray_support.environment import CPUS_PER_LEARNER
from tuneexp.ray_support.exit_causes import death_of, log_exit_codes
from tuneexp.ray_support.placement import in_bundle
from tuneexp.ray_support.serialization import pickled, unpickled
from tuneexp.ray_support.sigterm import restore_default_sigterm
from tuneexp.training.epochs import Epochs
from tuneexp.training.learner_group import Outcome, Task, perform
from tuneexp.training.learner_shards import LearnerShard, LearnerSharding

log = logging.getLogger(__name__)

# For imports and for compiling programs that are not in the cache.
START_TIMEOUT_S = 300.0
# Timeout of an all-reduce.
COLLECTIVE_TIMEOUT_S = 600.0
# After a failure, time to wait for the errors of the other learners, of which one has the cause.
GRACE_S = 5.0
MAX_RESTARTS = 3
_LOOPBACK = "lo0" if sys.platform == "darwin" else "lo"
INSTEAD = (
    "define it at the top level of a module or file and name it module:NAME or path/file.py:NAME, or write "
    "num_learners=0"
)

BuildLearner = Callable[[LearnerShard], tuple[Learner, bool]]
"""Called in the learner's process. Returns its learner with programs, and True if they are compiled."""


class LearnerActor:
    """Learner in a process of its own. It keeps only its programs from one operation to the next."""

    def __init__(self, build: bytes, shard: LearnerShard) -> None:
        log_exit_codes()
        restore_default_sigterm()
        self._build, self._shard = build, shard
        self._learner: Learner | None = None

    def rendezvous(self) -> tuple[str, int]:
        """Open the store of the first learner and return its address. It is open at once, so no other process can take
        the port."""
        host = ray.util.get_node_ip_address()
        # By default the store listens on all interfaces. It closes the socket that it is given.
        listening = socket.create_server((host, 0), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
        self._store = distributed.TCPStore(
            host,
            listening.getsockname()[1],
            self._shard.n_learners,
            is_master=True,
            wait_for_workers=False,
            master_listen_fd=listening.detach(),
        )
        return host, self._store.port

    def start(self, rendezvous: tuple[str, int] | None) -> bool:
        """Build the learner. Returns True if its programs are compiled.

        Args:
            rendezvous: host and port of the first learner's store; None: learners do not communicate.
        """
        torch.set_num_threads(1)
        set_up_arithmetic()
        keep_freed_memory()
        if rendezvous is not None:
            self._join(*rendezvous)
        self._learner, compiled = unpickled(self._build)(self._shard)
        return compiled

    def _join(self, host: str, port: int) -> None:
        shard, limit = self._shard, timedelta(seconds=COLLECTIVE_TIMEOUT_S)
        if host in ("127.0.0.1", "::1"):  # otherwise they listen at the address of the host's name
            for backend in ("GLOO", "NCCL"):
                os.environ.setdefault(f"{backend}_SOCKET_IFNAME", _LOOPBACK)
        if shard.rank:
            self._store = distributed.TCPStore(host, port, shard.n_learners, is_master=False, timeout=limit)
        backend = "nccl" if ray.get_gpu_ids() else "gloo"
        distributed.init_process_group(
            backend, store=self._store, rank=shard.rank, world_size=shard.n_learners, timeout=limit
        )

    def learn(
        self, clock: tuple[float, int], state: Mapping[str, Any], columns: Mapping[str, Any], rest: Mapping[str, Any]
    ) -> Outcome:
        """Perform a `Task`, whose parts come as arrays. clock: progress and environment steps."""
        assert self._learner is not None, "start comes before learn"
        epochs = Epochs(columns=_tensors(columns), **_tensors(rest))
        outcome = perform(self._learner, Task(_tensors(state), *clock, epochs))
        return replace(outcome, state=_arrays(outcome.state))


class RemoteLearners:
    """Learner processes of one trial.

    Args:
        build: builds a learner in its process.
        sharding: division of the work.
        n_gpus: GPUs of each learner.
        first_bundle: index of the first learner's bundle in the placement group of the trial.

    Raises:
        UserError: `build` can't be pickled, or the cluster has too few resources.
        LearnerLost: learners died more than `MAX_RESTARTS` times.
    """

    def __init__(self, build: BuildLearner, sharding: LearnerSharding, n_gpus: float, first_bundle: int) -> None:
        self._sharding, self._n_gpus, self._first_bundle, self.restarts = sharding, n_gpus, first_bundle, 0
        self._actors: list[Any] = []
        self._build = pickled(build, "the algorithm", INSTEAD)
        self._start()

    def _start(self) -> None:
        actor, takes = ray.remote(LearnerActor), {"CPU": CPUS_PER_LEARNER, "GPU": self._n_gpus}
        self._actors = [
            actor.options(
                num_cpus=takes["CPU"], num_gpus=takes["GPU"], **in_bundle(self._first_bundle + shard.rank, takes)
            ).remote(self._build, shard)
            for shard in self._sharding.shards
        ]
        try:
            several = self._sharding.by_rows and len(self._actors) > 1
            address = ray.get(self._actors[0].rendezvous.remote(), timeout=START_TIMEOUT_S) if several else None
            started = [actor.start.remote(address) for actor in self._actors]
            self.compiled = all(ray.get(started, timeout=START_TIMEOUT_S))
        except GetTimeoutError:
            self.close()
            kind = LearnerLost if self.restarts else UserError  # after a restart the resources are known to suffice
            raise kind(
                f"{len(self._sharding.shards)} learners did not start within {START_TIMEOUT_S:.0f} s: the cluster has "
                "too few free resources, or the nodes can't reach each other; write a smaller num_learners"
            ) from None
        except RayTaskError as error:
            self.close()
            raise _cause(error) from error
        except BaseException:
            self.close()
            raise

    def run(self, tasks: Sequence[Task]) -> list[Outcome]:
        while True:
            try:
                return self._run_once(tasks)
            except RayActorError as error:
                if self.restarts == MAX_RESTARTS:
                    raise LearnerLost(f"learners died more than {MAX_RESTARTS} times: {death_of(error)}") from error
                log.warning("a learner died; all learners restart and repeat the operation")
                self.restarts += 1
                self.close()
                self._start()

    def _run_once(self, tasks: Sequence[Task]) -> list[Outcome]:
        # Data of several learners is put into the object store once.
        stored: dict[int, ObjectRef] = {}

        def reference(shared: Mapping[str, Any]) -> ObjectRef:
            if id(shared) not in stored:
                stored[id(shared)] = ray.put(_arrays(shared))
            return stored[id(shared)]

        refs = []
        for actor, task in zip(self._actors, tasks, strict=True):
            epochs, clock = task.epochs, (task.progress, task.env_steps)
            rest = _arrays({"enough": epochs.enough, "rows": list(epochs.rows), "of_update": epochs.of_update})
            refs.append(actor.learn.remote(clock, reference(task.state), reference(epochs.columns), rest))
        outcomes = _collected(refs)
        return [replace(outcome, state=_tensors(outcome.state)) for outcome in outcomes]

    def close(self) -> None:
        for actor in self._actors:
            ray.kill(actor)
        self._actors = []


def _collected(refs: Sequence[ObjectRef]) -> list[Outcome]:
    """Return the results. Raises RayActorError if a learner died, else the error that a learner raised."""
    pending = list(refs)
    while pending:
        (ready, *_), pending = ray.wait(pending, num_returns=1, fetch_local=False)
        if _error(ready) is not None:
            ended = [ready, *ray.wait(pending, num_returns=len(pending), timeout=GRACE_S)[0]] if pending else [ready]
            errors = [error for ref in ended if (error := _error(ref)) is not None]
            died = [error for error in errors if isinstance(error, RayActorError)]
            raise died[0] if died else _cause(errors[0])
    return ray.get(list(refs))


def _error(ref: ObjectRef) -> Exception | None:
    try:
        ray.get(ref)
    except (RayActorError, RayTaskError) as error:
        return error
    return None


def _cause(error: Exception) -> Exception:
    cause = getattr(error, "cause", None)
    return cause if isinstance(cause, Exception) else error


def _arrays(tree: Any) -> Any:
    """Convert tensors to arrays, which the object store shares among readers without copies."""
    return tree_map(lambda value: value.cpu().numpy() if isinstance(value, Tensor) else value, tree)


def _tensors(tree: Any) -> Any:
    """Convert arrays, which are read-only in the object store, to tensors."""
    return tree_map(lambda value: torch.from_numpy(value) if isinstance(value, np.ndarray) else value, tree)
