"""Requests that remote runners work on while the learner learns."""

from __future__ import annotations

import itertools
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import ray
from ray import ObjectRef

from tuneexp.sampling.group import Fragment, Request
from tuneexp.sampling.remote.runner_actors import START_LIMIT_S, RemoteRunners
from tuneexp.sampling.shards import Shard

# To hear of a reply that has come by now.
SHORT_S = 0.05
# That a reply may take from a runner that has made it.
ARRIVAL_S = 5.0


@dataclass
class _Asked:
    """number: in the order of asking. fragment: once it was received, and waits to be taken."""

    number: int
    reply: ObjectRef
    fragment: Fragment | None = None


class RequestPipeline:
    """Up to `most` requests for each runner, which answers one after the other.

    What is answered and not yet taken counts too: a runner gets no further ahead of the learner than that. A runner
    that dies is restarted by Ray and asked again; one that says nothing for as long as a fragment may take is ended,
    which comes to the same. Raises what `RemoteRunners` raises."""

    def __init__(self, runners: RemoteRunners, most: int) -> None:
        self.most = most
        self._runners, self._numbers = runners, itertools.count()
        self._asked: list[deque[_Asked]] = [deque() for _ in runners.shards]
        self._deadline_s = [0.0 for _ in runners.shards]  # of the oldest request of each
        self._hung = [0 for _ in runners.shards]

    @property
    def version(self) -> int:
        """Of the weights that a request of now is answered with."""
        return self._runners.version

    def fill(self, up_to: int, request: Callable[[Shard], Request]) -> None:
        """Ask every runner that has fewer requests than that."""
        for index, asked in enumerate(self._asked):
            while len(asked) < up_to:
                if all(one.fragment is not None for one in asked):
                    self._expect(index)  # nothing is waited for, so this one begins now
                reply = self._runners.submit(index, request(self._runners.shards[index]))
                asked.append(_Asked(next(self._numbers), reply))

    def take(self) -> Fragment:
        """The fragment that was asked for first, of those that are there; waits for one."""
        index = self._oldest([asked[0] if asked else None for asked in self._asked])
        fragment = self._received(index, self._asked[index][0])
        self._asked[index].popleft()
        return fragment

    def drain(self) -> Sequence[Fragment]:
        """Waits for all that was asked for, which stays to be taken. In the order of asking."""
        while True:
            open_ones = [next((one for one in asked if one.fragment is None), None) for asked in self._asked]
            if not any(open_ones):
                break
            index = self._oldest(open_ones)
            one = open_ones[index]
            assert one is not None
            one.fragment = self._received(index, one)
        kept = sorted((one for asked in self._asked for one in asked), key=lambda one: one.number)
        return [one.fragment for one in kept if one.fragment is not None]

    def clear(self) -> None:
        """Forget all that was asked for, once it is over."""
        self.drain()
        for asked in self._asked:
            asked.clear()

    def _received(self, index: int, one: _Asked) -> Fragment:
        """one: the first that wasn't received."""
        if one.fragment is not None:
            return one.fragment
        self._expect(index)  # the next one, if there is one, begins now at the latest
        missing = self._runners.missing_before(index, self._runners.reply(one.reply))
        if missing is not None:
            self._put_in_order(index, missing)
        return self._runners.fragment(index, self._runners.reply(one.reply))

    def _put_in_order(self, index: int, missing: int) -> None:
        """Ray may ask a runner that it restarted in another order than it was asked in: what the runner made first is
        the answer to the first, so that its environments go on from fragment to fragment. missing: of them are on
        their way."""
        waiting = [one for one in self._asked[index] if one.fragment is None]
        replies = [one.reply for one in waiting]
        ray.wait(replies, num_returns=min(missing + 1, len(replies)), timeout=ARRIVAL_S)
        made, others = ray.wait(replies, num_returns=len(replies), timeout=0)
        made.sort(key=lambda ref: self._runners.reply(ref)[:2])  # life, place
        for one, reply in zip(waiting, made + others, strict=True):
            one.reply = reply

    def _oldest(self, waited_for: Sequence[_Asked | None]) -> int:
        """waited_for: one request of each runner, or None. The runner whose request is the first of those that are
        answered; not the quickest runner's, or a slow one would be left waiting."""
        pairs = ((index, one) for index, one in enumerate(waited_for) if one is not None)
        by_age = sorted(pairs, key=lambda pair: pair[1].number)
        for index, one in by_age:
            if one.fragment is not None:
                return index
        replies = [one.reply for _, one in by_age]
        while True:
            left_s = min(self._deadline_s[index] for index, _ in by_age) - time.monotonic()
            ray.wait(replies, num_returns=1, timeout=max(SHORT_S, left_s), fetch_local=False)
            answered = set(ray.wait(replies, num_returns=len(replies), timeout=0, fetch_local=False)[0])
            for index, one in by_age:
                if one.reply not in answered and time.monotonic() > self._deadline_s[index]:
                    self._end_hung(index)
            for index, one in by_age:
                if one.reply in answered:
                    return index

    def _expect(self, index: int, start_s: float = 0.0) -> None:
        self._deadline_s[index] = time.monotonic() + self._runners.limits.timeout_s + start_s

    def _end_hung(self, index: int) -> None:
        self._hung[index] += 1
        if self._hung[index] > self._runners.limits.max_restarts:
            raise self._runners.silent_too_often()
        self._runners.end_hung(index)
        self._expect(index, START_LIMIT_S)
