"""Resource requests of trials, compared with the resources of nodes. Tune would wait forever, without a message.

A trial requests *bundles* of resources (Ray's placement groups): each must fit on one node, and all of them together on
the cluster."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence

from tuneexp.errors import UserError

Resources = Mapping[str, float]
CLUSTER = "the cluster"
_ROUNDING = 1e-6  # Ray itself counts in ten-thousandths


def refuse_unmeetable(bundles: Sequence[Resources], nodes: Sequence[Resources], where: str = CLUSTER) -> None:
    """Raise UserError with both numbers if the cluster could never run the trial. where: its name for the message."""
    problem = _problem(bundles, nodes, where)
    if problem is not None:
        gpus = ", num_gpus_per_learner" if _sum(bundles, "GPU") else ""
        larger = "add a node that is large enough" if where == CLUSTER else "run on a larger cluster (--address)"
        raise UserError(
            f"{problem}\nfewer or smaller env runners and learners take less (num_env_runners, "
            f"num_cpus_per_env_runner, num_learners{gpus}); or {larger}"
        )


def trials_that_fit(bundles: Sequence[Resources], nodes: Sequence[Resources], most: int) -> int:
    """Return the number of such trials that the nodes can run at the same time, at most `most`."""
    free = [dict(node) for node in nodes]
    return next((count for count in range(most) if not _allocate(bundles, free)), most)


def cpus_of(bundles: Iterable[Resources], trials: int = 1) -> int:
    """Return the CPUs that so many trials need together, rounded up."""
    return math.ceil(trials * sum(bundle.get("CPU", 0.0) for bundle in bundles) - _ROUNDING)


def _problem(bundles: Sequence[Resources], nodes: Sequence[Resources], where: str) -> str | None:
    for name in sorted({name for bundle in bundles for name in bundle}):
        wanted, there = _sum(bundles, name), _sum(nodes, name)
        if wanted > there + _ROUNDING:
            return f"this trial needs {_count(wanted, name)}, {where} has {there:g}"
        largest, room = _most(bundles, name), _most(nodes, name)
        if largest > room + _ROUNDING:
            return f"this trial needs {_count(largest, name)} on one node, the largest of {where} has {room:g}"
    if not _allocate(bundles, [dict(node) for node in nodes]):
        wants = ", ".join(_words(bundle) for bundle in bundles)
        return f"this trial needs {wants}, each on one node; {where} has {', '.join(_words(node) for node in nodes)}"
    return None


def _allocate(bundles: Sequence[Resources], free: list[dict[str, float]]) -> bool:
    """Subtract the bundles from the nodes' `free` resources, the largest first, each on the node with the fewest free
    GPUs that fits it. Returns False if a bundle fits no node."""
    for bundle in sorted(bundles, key=_size, reverse=True):
        node = min((node for node in free if _fits(bundle, node)), key=lambda node: node.get("GPU", 0.0), default=None)
        if node is None:
            return False
        for name, amount in bundle.items():
            node[name] = node.get(name, 0.0) - amount
    return True


def _size(bundle: Resources) -> tuple[float, float]:
    return bundle.get("GPU", 0.0), bundle.get("CPU", 0.0)


def largest(asked: Iterable[Sequence[Resources]]) -> Sequence[Resources]:
    """Return the largest request."""
    return max(asked, key=lambda bundles: (_sum(bundles, "GPU"), _sum(bundles, "CPU")))


def _fits(bundle: Resources, node: Resources) -> bool:
    return all(amount <= node.get(name, 0.0) + _ROUNDING for name, amount in bundle.items())


def _sum(parts: Iterable[Resources], name: str) -> float:
    return sum(part.get(name, 0.0) for part in parts)


def _most(parts: Iterable[Resources], name: str) -> float:
    return max((part.get(name, 0.0) for part in parts), default=0.0)


def _count(amount: float, name: str) -> str:
    plural = "s" if name in ("CPU", "GPU") and amount != 1 else ""
    return f"{amount:g} {name}{plural}"


def _words(resources: Resources) -> str:
    return " and ".join(_count(amount, name) for name, amount in resources.items() if name in ("CPU", "GPU")) or "none"


def total_words(parts: Sequence[Resources]) -> str:
    """Return a text such as `5 CPUs and 1 GPU`."""
    gpus = _sum(parts, "GPU")
    return _count(_sum(parts, "CPU"), "CPU") + (f" and {_count(gpus, 'GPU')}" if gpus else "")
