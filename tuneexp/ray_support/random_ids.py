"""Random ids of workers that are forked.

Ray's generator of random ids is seeded at its first use, and forks inherit its state: two workers would draw the same
ids. The first use of each worker is an object that it stores at its start. A worker that stores one with the id of
another, at the same moment, is ended by Ray (`Seal() called on an object without a reference to it`)."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace


@contextmanager
def generator_unused() -> Iterator[None]:
    """Import modules that declare remote classes, as `ray.tune` does, without using the generator.

    These classes get ids from the operating system. tests/ray_support/test_worker_origin.py fails if Ray draws
    others."""
    from ray import ActorClassID, actor

    drawn = SimpleNamespace(from_random=lambda: ActorClassID(os.urandom(ActorClassID.size())))
    actor.ActorClassID = drawn
    try:
        yield
    finally:
        actor.ActorClassID = ActorClassID
