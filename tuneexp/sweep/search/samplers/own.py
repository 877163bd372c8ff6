"""A user's own Optuna sampler by its address, or one of a local registry of OptunaHub."""

from __future__ import annotations

import importlib.util
import inspect
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tuneexp.addresses import checked_instance, load_class
from tuneexp.errors import UserError, reason_of, unknown_name

if TYPE_CHECKING:
    from optuna.samplers import BaseSampler

    from tuneexp.sweep.search.choice import SamplerContext

_NEEDED = "a subclass of optuna.samplers.BaseSampler"
# A registry has a folder for each kind of package: https://github.com/optuna/optunahub-registry.
_KINDS_OF_PACKAGES = ("samplers",)


def build(address: str, options: Mapping[str, Any], context: SamplerContext) -> BaseSampler:
    """Return the sampler at an address.

    Args:
        address: `module:Class` or `path/file.py:Class`. The file `REGISTRY/samplers/NAME/__init__.py` is loaded as
            package NAME of a local registry of OptunaHub.
        options: Keyword arguments of the class.
        context: Its seed is passed if the class takes `seed` and the options have none.

    Returns:
        An Optuna sampler.

    Raises:
        UserError: There is no sampler at the address, or it refuses the options.
    """
    from optuna.samplers import BaseSampler

    made = class_at(address)
    accepted = inspect.signature(made).parameters
    anything = any(parameter.kind == parameter.VAR_KEYWORD for parameter in accepted.values())
    for name in options:
        if name not in accepted and not anything:
            raise unknown_name("option", name, list(accepted), f"of {address}")
    seed = {"seed": context.seed} if "seed" in accepted and "seed" not in options else {}
    build_own = partial(made, **seed, **options)
    sampler: BaseSampler = checked_instance(build_own, "sampler", address, options, BaseSampler, _NEEDED)
    return sampler


def class_at(address: str) -> Callable[..., Any]:
    """Import the class or function at an address, as `build` does."""
    from optuna.samplers import BaseSampler

    package = _hub_package(address)
    if package is None:
        return load_class(address, "sampler", (BaseSampler,), _NEEDED)
    if importlib.util.find_spec("optunahub") is None:
        raise UserError(f"sampler {address!r} is a package of OptunaHub; write: pip install optunahub")
    return _of_hub(address, *package)


def _hub_package(address: str) -> tuple[Path, str] | None:
    """Return (registry, package) of an address in a registry of OptunaHub, else None."""
    file = Path(address.rpartition(":")[0])
    if file.name == "__init__.py" and file.parent.parent.name in _KINDS_OF_PACKAGES:
        return file.resolve().parents[2], f"{file.parent.parent.name}/{file.parent.name}"
    return None


def _of_hub(address: str, registry: Path, package: str) -> Callable[..., Any]:
    import optunahub

    name = address.rpartition(":")[2]
    if not (registry / package / "__init__.py").is_file():
        raise UserError(f"sampler {address!r}: there is no package {package} in {registry}")
    try:
        module = optunahub.load_local_module(package, registry_root=str(registry))
    except Exception as error:
        raise UserError(f"sampler {address!r} can't be imported: {reason_of(error)}") from error
    if not isinstance(found := getattr(module, name, None), type):
        raise unknown_name("sampler", name, [key for key, value in vars(module).items() if isinstance(value, type)])
    return found
