"""Pipeline of sample requests: remote env runners sample while the learner learns."""

from __future__ import annotations

import itertools
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import ray
from ray import ObjectRef

from tuneexp.sampling.env_shards import EnvShard
from tuneexp.sampling.remote.remote_runners import START_TIMEOUT_S, RemoteRunners
from tuneexp.sampling.runners import SampleRequest, ShardFragment

# Least time of a wait, so that replies that have arrived are found.
POLL_S = 0.05
# Time for a finished reply to arrive.
DELIVERY_TIMEOUT_S = 5.0


@dataclass
class _Pending:
    """Pending request.

    Args:
        number: counted over all runners, in the order of submission.
        reply: future of the fragment.
        fragment: the received fragment that was not taken yet; None before.
    """

    number: int
    reply: ObjectRef
    fragment: ShardFragment | None = None


class RequestPipeline:
    """Queue of up to `most` requests per runner, which a runner processes in order.

    Finished fragments count until they are taken. That bounds the policy lag. Ray restarts a runner that dies and
    repeats its requests. A runner that misses the timeout is killed, and then restarted in the same way.

    Args:
        runners: env runners.
        most: maximum number of requests per runner.

    Raises:
        RunnerLost: a runner died or timed out too often.
    """

    def __init__(self, runners: RemoteRunners, most: int) -> None:
        self.most = most
        self._runners, self._numbers = runners, itertools.count()
        self._pending: list[deque[_Pending]] = [deque() for _ in runners.shards]
        self._deadline_s = [0.0 for _ in runners.shards]  # of the oldest request of each
        self._hung = [0 for _ in runners.shards]

    @property
    def version(self) -> int:
        """Number of the weights that a new request is processed with."""
        return self._runners.version

    def fill(self, up_to: int, request: Callable[[EnvShard], SampleRequest]) -> None:
        """Submit requests until each runner has `up_to` of them.

        Args:
            up_to: requests per runner.
            request: builds the request for a shard.
        """
        for index, pending in enumerate(self._pending):
            while len(pending) < up_to:
                if all(one.fragment is not None for one in pending):
                    self._expect(index)  # the runner is idle, so it starts with this request now
                reply = self._runners.submit(index, request(self._runners.shards[index]))
                pending.append(_Pending(next(self._numbers), reply))

    def take(self) -> ShardFragment:
        """Return the finished fragment that was requested first. Waits until there is one."""
        index = self._oldest([pending[0] if pending else None for pending in self._pending])
        fragment = self._received(index, self._pending[index][0])
        self._pending[index].popleft()
        return fragment

    def drain(self) -> Sequence[ShardFragment]:
        """Wait for all pending requests. Returns their fragments in the order of submission; `take` returns them again.

        Raises:
            RunnerLost: a runner died or timed out too often.
        """
        while True:
            open_ones = [next((one for one in pending if one.fragment is None), None) for pending in self._pending]
            if not any(open_ones):
                break
            index = self._oldest(open_ones)
            one = open_ones[index]
            assert one is not None
            one.fragment = self._received(index, one)
        kept = sorted((one for pending in self._pending for one in pending), key=lambda one: one.number)
        return [one.fragment for one in kept if one.fragment is not None]

    def clear(self) -> None:
        """Wait for all pending requests and drop their fragments."""
        self.drain()
        for pending in self._pending:
            pending.clear()

    def _received(self, index: int, one: _Pending) -> ShardFragment:
        """Return the fragment of the first request that was not received."""
        if one.fragment is not None:
            return one.fragment
        self._expect(index)  # the runner starts with its next request now at the latest
        missing = self._runners.missing_before(index, self._runners.reply(one.reply))
        if missing is not None:
            self._put_in_order(index, missing)
        return self._runners.fragment(index, self._runners.reply(one.reply))

    def _put_in_order(self, index: int, missing: int) -> None:
        """Assign the fragments of a restarted runner to its requests in the order in which it made them.

        Ray may repeat requests in another order. In the runner's order, its environments continue from one fragment to
        the next.

        Args:
            index: of the runner.
            missing: earlier fragments that have not arrived.
        """
        waiting = [one for one in self._pending[index] if one.fragment is None]
        replies = [one.reply for one in waiting]
        ray.wait(replies, num_returns=min(missing + 1, len(replies)), timeout=DELIVERY_TIMEOUT_S)
        made, others = ray.wait(replies, num_returns=len(replies), timeout=0)
        made.sort(key=lambda ref: self._runners.reply(ref)[:2])  # generation, number
        for one, reply in zip(waiting, made + others, strict=True):
            one.reply = reply

    def _oldest(self, waited_for: Sequence[_Pending | None]) -> int:
        """Return the runner whose finished request was submitted first. Waits until one is finished.

        Fast runners would starve slow ones if the first arrival were taken instead.

        Args:
            waited_for: one request of each runner, or None.
        """
        pairs = ((index, one) for index, one in enumerate(waited_for) if one is not None)
        by_age = sorted(pairs, key=lambda pair: pair[1].number)
        for index, one in by_age:
            if one.fragment is not None:
                return index
        replies = [one.reply for _, one in by_age]
        while True:
            left_s = min(self._deadline_s[index] for index, _ in by_age) - time.monotonic()
            ray.wait(replies, num_returns=1, timeout=max(POLL_S, left_s), fetch_local=False)
            answered = set(ray.wait(replies, num_returns=len(replies), timeout=0, fetch_local=False)[0])
            for index, one in by_age:
                if one.reply not in answered and time.monotonic() > self._deadline_s[index]:
                    self._kill_hung(index)
            for index, one in by_age:
                if one.reply in answered:
                    return index

    def _expect(self, index: int, start_s: float = 0.0) -> None:
        self._deadline_s[index] = time.monotonic() + self._runners.limits.timeout_s + start_s

    def _kill_hung(self, index: int) -> None:
        self._hung[index] += 1
        if self._hung[index] > self._runners.limits.max_restarts:
            raise self._runners.too_many_timeouts()
        self._runners.kill_hung(index)
        self._expect(index, START_TIMEOUT_S)
