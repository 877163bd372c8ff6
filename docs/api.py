"""Write docs/api.md from the public names (`tuneexp.PUBLIC`), their signatures and their docstrings: `make api`."""

from __future__ import annotations

import importlib
import inspect
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import tuneexp

PAGE = Path(__file__).with_name("api.md")
HEAD = """# API

Names that users import. Modules that are not listed here may change without notice. This page is generated from the
docstrings by `make api`.

Shapes: T time, S seeds, N environments, B rows of a minibatch, L steps of a sequence, A actions; `...` are any leading
axes.
"""
# Methods that users call, of classes that have others.
METHODS = {
    "AlgorithmSpec": ("build",),
    "EnvRunnerGroup": ("sample", "sync_weights", "metrics"),
    "LoadedPolicy": ("__call__", "reset", "module", "make_env"),
    "MultiAgentSpec": ("build",),
    "Noise": (),
    "PolicySpec": ("scripted", "copy_of"),
    "SearchSpace": ("of",),
    "Sweep": ("from_file", "dry_run", "run"),
    "SweepPlan": (),
    "SquashedGaussian": ("sample", "sample_and_log_prob", "mode", "log_prob"),
}
SECTIONS = ("Args", "Attributes", "Returns", "Raises", "Example")
WIDTH = 100


def sections_of(docstring: str) -> dict[str, str]:
    """The sections of a docstring in Google's style; its text before them is under the empty name."""
    parts = re.split(rf"^({'|'.join(SECTIONS)}):\n", inspect.cleandoc(docstring), flags=re.MULTILINE)
    found = {"": parts[0].strip()}
    for name, text in zip(parts[1::2], parts[2::2], strict=True):
        body, _, after = inspect.cleandoc("\n" + text).partition("\n\n\n")
        found[name] = f"{body}{after}".rstrip()
    return found


def entries_of(section: str) -> dict[str, str]:
    """Entries `name: text` of a section; `a, b: text` are two. Continuation lines are indented."""
    entries: dict[str, str] = {}
    for entry in filter(None, re.split(r"\n(?=\S)", section)):
        names, _, text = entry.partition(":")
        entries |= {name.strip().lstrip("*"): " ".join(text.split()) for name in names.split(",")}
    return entries


def parameters_of(thing: Any) -> list[str]:
    """Names of the arguments that a caller of `thing` gives; none where it is no function and no class."""
    if is_config(thing) or is_exception(thing) or getattr(thing, "_is_protocol", False) or not callable(thing):
        return []
    return [name for name in inspect.signature(thing).parameters if name not in ("self", "cls")]


def is_config(thing: Any) -> bool:
    return inspect.isclass(thing) and hasattr(thing, "model_fields")


def is_exception(thing: Any) -> bool:
    return inspect.isclass(thing) and issubclass(thing, BaseException)


def annotation_of(annotation: Any) -> str:
    return annotation if isinstance(annotation, str) else inspect.formatannotation(annotation)


def parameter_of(one: inspect.Parameter) -> str:
    """One argument as it is written in a signature; a function by its name."""
    star = {one.VAR_POSITIONAL: "*", one.VAR_KEYWORD: "**"}.get(one.kind, "")
    text = star + one.name
    typed = one.annotation is not one.empty
    if typed:
        text += f": {annotation_of(one.annotation)}"
    if one.default is one.empty:
        return text
    default = one.default.__name__ if inspect.isfunction(one.default) else repr(one.default)
    default = "{}" if default == "<factory>" else default
    return f"{text} = {default}" if typed else f"{text}={default}"


def signature_of(name: str, thing: Any) -> str:
    """On one line where it fits, else an argument a line."""
    signature = inspect.signature(thing)
    shown: list[str] = []
    for one in signature.parameters.values():
        if one.name in ("self", "cls"):
            continue
        if one.kind is one.KEYWORD_ONLY and not any(text.startswith("*") for text in shown):
            shown.append("*")
        shown.append(parameter_of(one))
    result = signature.return_annotation
    end = "" if inspect.isclass(thing) or result is signature.empty else f" -> {annotation_of(result)}"
    line = f"{name}({', '.join(shown)}){end}"
    return line if len(line) <= WIDTH else f"{name}(\n" + "".join(f"    {one},\n" for one in shown) + f"){end}"


def text_of(docstring: str) -> Iterator[str]:
    sections = sections_of(docstring)
    yield sections.pop("")
    for name, body in sections.items():
        if name == "Example":
            yield f"```python\n{body}\n```"
        elif name == "Returns":
            yield f"**Returns:** {' '.join(body.split())}"
        else:
            items = [f"- `{entry}`: {text}" for entry, text in entries_of(body).items()]
            yield f"**{name}:**\n\n" + "\n".join(items)


def methods_of(thing: type) -> dict[str, Any]:
    """Documented public methods and properties by name, inherited ones too; of `METHODS` where the class is in it."""
    fields = getattr(thing, "__dataclass_fields__", {})
    found: dict[str, Any] = {}
    for base in thing.__mro__:
        if not base.__module__.startswith("tuneexp."):
            continue
        for name, member in vars(base).items():
            function = getattr(member, "__func__", getattr(member, "fget", getattr(member, "func", member)))
            if (
                (name == "__call__" or not name.startswith("_"))
                and name not in fields
                and inspect.isfunction(function)
                and function.__doc__
            ):
                found.setdefault(name, member)
    listed = METHODS.get(thing.__name__, found)
    return {name: found[name] for name in listed}


def method_entry(owner: str, name: str, member: Any) -> Iterator[str]:
    function = getattr(member, "__func__", getattr(member, "fget", getattr(member, "func", member)))
    called = function is member or hasattr(member, "__func__")
    yield f"#### `{owner}.{name}`"
    if called:
        yield f"```python\n{signature_of(name, function)}\n```"
    yield from text_of(function.__doc__)


def fields_of(config: Any) -> Iterator[str]:
    """Hyperparameters that the class adds to those of its bases, or changes: a row of a table each."""
    inherited = {name: field for base in config.__bases__ for name, field in getattr(base, "model_fields", {}).items()}
    own = {
        name: field
        for name, field in config.model_fields.items()
        if name not in inherited or repr(inherited[name]) != repr(field)
    }
    for name, field in own.items():
        default = f"`{name}/...`" if is_config(type(field.default)) else f"`{field.default!r}`"
        yield f"| `{name}` | {default} | {field.description} |"


def algorithm_text(spec: Any) -> str:
    """Docstring of the file that defines an algorithm."""
    return inspect.cleandoc(sys.modules[spec.loss_fn.__module__].__doc__ or "")


def entry(package: str, name: str, thing: Any) -> Iterator[str]:
    yield f"### `{name}`"
    if is_config(thing):
        bases = [base.__name__ for base in thing.__bases__ if is_config(base)]
        yield inspect.cleandoc(thing.__doc__ or "")
        if rows := list(fields_of(thing)):
            yield f"Hyperparameters beside those of `{bases[0]}`:"
            yield "\n".join(["| hyperparameter | default | meaning |\n|---|---|---|", *rows])
        return
    if callable(thing) and not is_exception(thing) and not getattr(thing, "_is_protocol", False):
        yield f"```python\n{signature_of(f'{package}.{name}', thing)}\n```"
    if callable(thing):
        yield from text_of(thing.__doc__ or "")
    else:  # an algorithm
        yield algorithm_text(thing)
        yield f"Loss: `{thing.loss_fn.__name__}`. Hyperparameters: `{thing.config_class.__name__}`."
    if inspect.isclass(thing) and not is_exception(thing):
        for method, member in methods_of(thing).items():
            yield from method_entry(name, method, member)


def public() -> Iterator[tuple[str, str, Any]]:
    """Package, name and value of everything that is public."""
    for package in tuneexp.PUBLIC:
        for name in tuneexp.names_of(package):
            yield package, name, getattr(importlib.import_module(package), name)


def page() -> str:
    parts, seen = [HEAD.strip()], ""
    for package, name, thing in public():
        if package != seen:
            seen = package
            parts += [f"## {package}", inspect.cleandoc(importlib.import_module(package).__doc__ or "")]
        parts += entry(package, name, thing)
    return "\n\n".join(parts) + "\n"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
