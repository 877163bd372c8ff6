"""Learners as Ray actors; those that split rows are joined by `torch.distributed`."""

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
from tuneexp.learning.denormals import flush_denormals
from tuneexp.learning.learner import Learner
from tuneexp.ray_support.environment import CPUS_PER_LEARNER
from tuneexp.ray_support.exit_causes import death_of, tell_exits
from tuneexp.ray_support.placement import in_bundle
from tuneexp.ray_support.serialization import pickled, unpickled
from tuneexp.ray_support.sigterm import die_of_sigterm
from tuneexp.training.epochs import Epochs
from tuneexp.training.learner_group import Outcome, Task, perform
from tuneexp.training.shares import Plan, Share

log = logging.getLogger(__name__)

# Importing torch, and compiling what the cache doesn't hold yet.
START_LIMIT_S = 300.0
# A learner that says nothing for so long while the others wait for its gradient is taken for dead.
SILENCE_LIMIT_S = 600.0
# Where one learner dies, the others fail a moment later or before: what each says is waited for.
GRACE_S = 5.0
MOST_RESTARTS = 3
_LOOPBACK = "lo0" if sys.platform == "darwin" else "lo"
INSTEAD = (
    "define it at the top level of a module or file and name it module:NAME or path/file.py:NAME, or write "
    "num_learners=0"
)

BuildLearner = Callable[[Share], tuple[Learner, bool]]
"""In the learner's process: its learner, with programs, and whether they are compiled."""


class LearnerActor:
    """A learner in a process of its own. It keeps its programs from one operation to the next, and nothing else."""

    def __init__(self, build: bytes, share: Share) -> None:
        tell_exits()
        die_of_sigterm()
        self._build, self._share = build, share
        self._learner: Learner | None = None

    def meeting_point(self) -> tuple[str, int]:
        """Of the first learner: where the others find it. The store is open before anybody asks, so no port is lost."""
        host = ray.util.get_node_ip_address()
        # Left to itself, the store listens on all interfaces. It closes the socket that it is given.
        listening = socket.create_server((host, 0), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
        self._store = distributed.TCPStore(
            host,
            listening.getsockname()[1],
            self._share.n_learners,
            is_master=True,
            wait_for_workers=False,
            master_listen_fd=listening.detach(),
        )
        return host, self._store.port

    def start(self, meeting_point: tuple[str, int] | None) -> bool:
        """Returns whether its programs are compiled. meeting_point: None where learners needn't meet."""
        torch.set_num_threads(1)
        flush_denormals()
        if meeting_point is not None:
            self._join(*meeting_point)
        self._learner, compiled = unpickled(self._build)(self._share)
        return compiled

    def _join(self, host: str, port: int) -> None:
        share, limit = self._share, timedelta(seconds=SILENCE_LIMIT_S)
        if host in ("127.0.0.1", "::1"):  # else they listen where the host's name points to
            for backend in ("GLOO", "NCCL"):
                os.environ.setdefault(f"{backend}_SOCKET_IFNAME", _LOOPBACK)
        if share.rank:
            self._store = distributed.TCPStore(host, port, share.n_learners, is_master=False, timeout=limit)
        backend = "nccl" if ray.get_gpu_ids() else "gloo"
        distributed.init_process_group(
            backend, store=self._store, rank=share.rank, world_size=share.n_learners, timeout=limit
        )

    def learn(
        self, clock: tuple[float, int], state: Mapping[str, Any], columns: Mapping[str, Any], rest: Mapping[str, Any]
    ) -> Outcome:
        assert self._learner is not None, "start comes before learn"
        epochs = Epochs(columns=_tensors(columns), **_tensors(rest))
        outcome = perform(self._learner, Task(_tensors(state), *clock, epochs))
        return replace(outcome, state=_arrays(outcome.state))


class RemoteLearners:
    """`build` is called in each process. Raises `UserError` for what can't be sent there or has no room in the cluster,
    and `LearnerLost` where learners die more than `MOST_RESTARTS` times."""

    def __init__(self, build: BuildLearner, plan: Plan, n_gpus: float, first_bundle: int) -> None:
        """first_bundle: of those that Tune reserves, which is the first learner's."""
        self._plan, self._n_gpus, self._first_bundle, self.restarts = plan, n_gpus, first_bundle, 0
        self._actors: list[Any] = []
        self._build = pickled(build, "the algorithm", INSTEAD)
        self._start()

    def _start(self) -> None:
        actor, takes = ray.remote(LearnerActor), {"CPU": CPUS_PER_LEARNER, "GPU": self._n_gpus}
        self._actors = [
            actor.options(
                num_cpus=takes["CPU"], num_gpus=takes["GPU"], **in_bundle(self._first_bundle + share.rank, takes)
            ).remote(self._build, share)
            for share in self._plan.shares
        ]
        try:
            meet = self._plan.by_rows and len(self._actors) > 1
            point = ray.get(self._actors[0].meeting_point.remote(), timeout=START_LIMIT_S) if meet else None
            started = [actor.start.remote(point) for actor in self._actors]
            self.compiled = all(ray.get(started, timeout=START_LIMIT_S))
        except GetTimeoutError:
            self.close()
            kind = LearnerLost if self.restarts else UserError  # there was room for them at first
            raise kind(
                f"{len(self._plan.shares)} learners didn't start within {START_LIMIT_S:.0f} s: no room for them in the "
                "cluster, or a node that the first one can't reach; write a smaller num_learners"
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
                if self.restarts == MOST_RESTARTS:
                    raise LearnerLost(f"learners died more than {MOST_RESTARTS} times: {death_of(error)}") from error
                log.warning("a learner died; all are started anew and repeat what they were doing")
                self.restarts += 1
                self.close()
                self._start()

    def _run_once(self, tasks: Sequence[Task]) -> list[Outcome]:
        # What several learners need goes into the object store once.
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
    """Raises RayActorError where a learner died, else what a learner raised."""
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
    """Tensors as arrays, which the object store holds without a copy for each reader."""
    return tree_map(lambda value: value.cpu().numpy() if isinstance(value, Tensor) else value, tree)


def _tensors(tree: Any) -> Any:
    """The way back; what comes from the object store is read only."""
    return tree_map(lambda value: torch.from_numpy(value) if isinstance(value, np.ndarray) else value, tree)
