"""Preflight check of each cluster node: files, checkpoint storage, algorithm and environment of a trial.

A task on the node reads a file that the driver wrote where checkpoints will lie, writes one that the driver reads, and
loads the algorithm and the environment."""

from __future__ import annotations

import logging
import sys
import time
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import ray
from ray.exceptions import GetTimeoutError, RayError, TaskUnschedulableError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

import tuneexp
from tuneexp.errors import UserError
from tuneexp.sweep.cluster.resources import Resources
from tuneexp.sweep.storage.checkpoint_storage import CheckpointStorage

log = logging.getLogger(__name__)

# A node may have to load torch from a slow disk first.
ANSWER_LIMIT_S = 120.0


@dataclass(frozen=True)
class Node:
    node_id: str
    name: str  # host and address, for messages
    resources: Resources


def alive_nodes() -> list[Node]:
    """Return the nodes that can run a trial: alive, with at least a part of a CPU."""
    found = [
        Node(node["NodeID"], f"{node['NodeManagerHostname']} ({node['NodeManagerAddress']})", node["Resources"])
        for node in ray.nodes()
        if node["Alive"]
    ]
    return [node for node in found if node.resources.get("CPU", 0.0) > 0]


def may_grow() -> bool:
    """Return True if the cluster has an autoscaler."""
    return ray._private.state.state.get_max_resources_from_cluster_config() is not None


def check_nodes(
    nodes: Sequence[Node], store: CheckpointStorage, trial: Mapping[str, Any], limit_s: float = ANSWER_LIMIT_S
) -> list[Node]:
    """Run the preflight check on all nodes. Raises UserError with the node that fails and the reason.

    The driver's own node is checked, too, unless this process started Ray: its Ray may run another Python.
    Returns the nodes without those that have left the cluster."""
    if not nodes or ray._private.worker._global_node.is_head():
        return list(nodes)
    mark = f".seen-{uuid.uuid4().hex[:12]}"
    store.make()
    store.write(mark, mark.encode())
    try:
        complaints, gone = _problems_by_node(nodes, store, mark, dict(trial), limit_s)
    finally:
        store.remove(mark)
        for node in nodes:
            store.remove(_answer(mark, node.node_id))
    if complaints:
        more = f" (and {len(complaints) - 1} more nodes)" if len(complaints) > 1 else ""
        raise UserError(f"node {complaints[0][0].name}{more}: {complaints[0][1]}")
    return [node for node in nodes if node not in gone]


def _problems_by_node(
    nodes: Sequence[Node], store: CheckpointStorage, mark: str, trial: dict[str, Any], limit_s: float
) -> tuple[list[tuple[Node, str]], list[Node]]:
    """Return the complaints by node, and the nodes that have left the cluster."""
    look = ray.remote(num_cpus=0, max_retries=0)(complaint)
    here = NodeAffinitySchedulingStrategy
    refs = {
        node.node_id: look.options(scheduling_strategy=here(node.node_id, soft=False)).remote(
            store, mark, node.node_id, trial, tuneexp.__version__
        )
        for node in nodes
    }
    deadline = time.monotonic() + limit_s
    found, gone = [], []
    for node in nodes:
        try:
            said = _problem_in(refs[node.node_id], max(0.0, deadline - time.monotonic()), limit_s)
        except TaskUnschedulableError:
            log.warning("node %s has left the cluster", node.name)
            gone.append(node)
            continue
        said = said or _unseen_by_driver(store, mark, node)
        if said is not None:
            found.append((node, said))
    return found, gone


def _problem_in(answer: Any, wait_s: float, limit_s: float) -> str | None:
    """Return the complaint in an answer, or None. Raises `TaskUnschedulableError` if the node has left the cluster."""
    try:
        said: str | None = ray.get(answer, timeout=wait_s)
        return said
    except GetTimeoutError:
        ray.cancel(answer, force=True)
        return f"timed out after {limit_s:.0f} s; remove it from the cluster, or look at its logs"
    except TaskUnschedulableError:
        raise
    except (RayError, ImportError) as error:
        lines = str(error).strip().splitlines()
        reason = lines[-1][:200] if lines else type(error).__name__
        if "No module named 'tuneexp" in reason:
            return f"its Ray runs in a Python without tuneexp; start Ray there with {sys.executable}"
        return f"it can't run a task of tuneexp {tuneexp.__version__}: {reason}"


def _unseen_by_driver(store: CheckpointStorage, mark: str, node: Node) -> str | None:
    try:
        store.read(_answer(mark, node.node_id))
    except OSError:
        return f"its files in {store.storage} are not visible on this machine; {_SHARED}"
    return None


def _answer(mark: str, node_id: str) -> str:
    return f"{mark}-{node_id[:12]}"


_SHARED = "write --storage with a folder that all nodes share, or --checkpoints s3://... with an object store"


def complaint(store: CheckpointStorage, mark: str, node_id: str, trial: dict[str, Any], version: str) -> str | None:
    """Return the reason that no trial could run on this node, in one line, or None. Runs on the node."""
    if tuneexp.__version__ != version:
        return f"it has tuneexp {tuneexp.__version__}, this machine {version}; install the same on all nodes"
    try:
        if store.read(mark) != mark.encode():
            raise FileNotFoundError
        store.write(_answer(mark, node_id), b"")
    except OSError as error:
        reason = f" ({error.strerror})" if error.strerror else ""
        return f"it has no access to {store.storage}, the folder of checkpoints{reason}; {_SHARED}"
    try:
        _load(trial)
    except UserError as error:
        return f"{str(error).splitlines()[0]}; every node needs the same files and packages under the same paths"
    except Exception as error:
        return " ".join(f"{type(error).__name__}: {error}".split())[:300]
    return None


def _load(trial: dict[str, Any]) -> None:
    from tuneexp.addresses import changed_sources, load_address
    from tuneexp.algorithms.registry import load_spec
    from tuneexp.envs.env_factory import describe_env
    from tuneexp.envs.registration import register_again
    from tuneexp.trial.trial_config import TrialConfig

    config = TrialConfig.parse(trial, "the trial")
    load_spec(config.algorithm)
    if changed := changed_sources(config.sources):
        raise UserError(f"the source of {changed[0]} differs from that of this machine")
    register_again(config.env, config.env_registration)
    describe_env(config.env, config.env_kwargs, config.wrappers, config.env_backend)
    if isinstance(model := config.hyperparameters.get("model"), str):
        load_address(model, "model")
