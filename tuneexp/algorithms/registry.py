"""Registry of algorithms, by name or address: a plain dict.

The configuration class, the action spaces and the description of a built-in algorithm are available without importing
its file, which needs torch.
"""

from __future__ import annotations

import ast
import importlib
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tuneexp.addresses import file_of, is_loaded_file, load_module
from tuneexp.errors import UserError, nearest, unknown_name

if TYPE_CHECKING:
    from tuneexp.algorithms.spec import AlgorithmSpec, TrainableSpec
    from tuneexp.spaces.kinds import ActionKind

ALGORITHMS = {
    "ppo": "tuneexp.algorithms.ppo:PPO",
    "a2c": "tuneexp.algorithms.a2c:A2C",
    "impala": "tuneexp.algorithms.impala:IMPALA",
    "appo": "tuneexp.algorithms.appo:APPO",
    "dqn": "tuneexp.algorithms.dqn:DQN",
    "qrdqn": "tuneexp.algorithms.qrdqn:QRDQN",
    "sac": "tuneexp.algorithms.sac:SAC",
    "td3": "tuneexp.algorithms.td3:TD3",
    "ddpg": "tuneexp.algorithms.ddpg:DDPG",
    "tqc": "tuneexp.algorithms.tqc:TQC",
}

_ANY: tuple[ActionKind, ...] = ("discrete", "multi_discrete", "continuous")
ACTION_KINDS: dict[str, tuple[ActionKind, ...]] = {
    **dict.fromkeys(("ppo", "a2c", "impala", "appo"), _ANY),
    **dict.fromkeys(("dqn", "qrdqn"), ("discrete",)),
    **dict.fromkeys(("td3", "ddpg", "tqc"), ("continuous",)),
    "sac": ("continuous", "discrete"),
}
"""Equal to `action_kinds` of the specifications."""

HOW_TO_ADDRESS = "define it at the top level of a module or file and name it module:NAME or path/file.py:NAME"


def config_class_of(algorithm: str) -> Any:
    """Configuration class of an algorithm; only a user's own algorithm is imported for it.

    Args:
        algorithm: Name or address.

    Returns:
        The class.

    Raises:
        UserError: there is no such algorithm.
    """
    if algorithm not in ALGORITHMS:
        return load_spec(algorithm).config_class
    module, _, name = ALGORITHMS[algorithm].rpartition(":")
    package, _, stem = module.rpartition(".")
    return getattr(importlib.import_module(f"{package}.configs.{stem}"), f"{name}Config")


def first_line_of(algorithm: str) -> str:
    """First line of the docstring of an algorithm's file; empty if it has none."""
    where = ALGORITHMS.get(algorithm, algorithm).rpartition(":")[0]
    found = None if where.endswith(".py") else find_spec(where)
    path = Path(where) if found is None else Path(found.origin or "")
    text = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) if path.is_file() else None
    return (text or "").partition("\n")[0]


def check_algorithm(algorithm: str) -> None:
    """Check that `algorithm` is a built-in name or an address. Raises `UserError`."""
    if algorithm not in ALGORITHMS:
        load_spec(algorithm)


def load_algorithm(algorithm: str | AlgorithmSpec) -> AlgorithmSpec:
    """As `load_spec`, of one policy; a specification is returned as it is. Raises `UserError` for one of several."""
    from tuneexp.algorithms.spec import AlgorithmSpec

    spec = load_spec(algorithm) if isinstance(algorithm, str) else algorithm
    if not isinstance(spec, AlgorithmSpec):
        kind, name = type(spec).__name__, algorithm if isinstance(algorithm, str) else algorithm.name
        raise UserError(f"{name} is a {kind}; an algorithm of one policy is needed here, such as ppo")
    return spec


def load_spec(name: str) -> TrainableSpec:
    """Load the specification of an algorithm.

    Args:
        name: Built-in name, `module:NAME` or `path/file.py:NAME`.

    Returns:
        The specification.

    Raises:
        UserError: there is none of that name.
    """
    address = ALGORITHMS.get(name, name)
    if ":" not in address:
        raise unknown_name("algorithm", name, ALGORITHMS, see="or write module:NAME or path/file.py:NAME")
    where, attribute = address.rsplit(":", 1)
    module = load_module(address, "algorithm")
    from tuneexp.algorithms.spec import TrainableSpec  # torch, which a wrong name does without

    spec = getattr(module, attribute, None)
    if isinstance(spec, TrainableSpec):
        return spec
    known = [key for key, value in vars(module).items() if isinstance(value, TrainableSpec)]
    match = nearest(attribute, known)
    advice = f"did you mean {where}:{match}?" if match else f"it defines: {', '.join(known) or 'none'}"
    raise UserError(f"{where} has no algorithm named {attribute!r}; {advice}")


def address_of(spec: TrainableSpec) -> str:
    """Address by which another process finds a specification.

    Args:
        spec: The specification.

    Returns:
        A built-in name, `module:NAME`, or an absolute file with `:NAME`.

    Raises:
        UserError: the specification is not at the top level of a module or file.
    """
    found = [(module, key) for module in list(sys.modules.values()) if module is not None
             for key, value in list(getattr(module, "__dict__", {}).items()) if value is spec]  # fmt: skip
    # Where it is defined comes before where it was imported.
    own = {getattr(function, "__module__", "") for function in spec.functions()}
    own |= {module.__name__ for module, _ in found if module.__name__.startswith("tuneexp.")}
    found.sort(key=lambda place: (place[0].__name__ not in own, place[0].__name__))
    for module, key in found:
        address = f"{module.__name__}:{key}"
        for name, built_in in ALGORITHMS.items():
            if built_in == address:
                return name
        if is_loaded_file(module):
            path = file_of(module)
            if path is None:
                continue
            return f"{path}:{key}"
        if "." in module.__name__ or module.__name__ in sys.modules:
            return address
    raise UserError(f"the algorithm {spec.name!r} has no address; {HOW_TO_ADDRESS}")


def sendable(spec: AlgorithmSpec) -> str | AlgorithmSpec:
    """Address of a specification for another process, or the specification itself if it has none."""
    try:
        return address_of(spec)
    except UserError:
        return spec
