"""Write docs/commands.md from the commands and their options: `make api`."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import typer

from tuneexp.cli.app import app

PAGE = Path(__file__).with_name("commands.md")
HEAD = """# Command line

This page is generated from the code by `make api`. `tuneexp COMMAND --help` prints the same.

Counts can be written `1e5`, `100k` and `2.5M`, durations `5400`, `90m` and `1h30m`. Exit codes are 0 (done), 1 (the
work failed), 2 (bad input), and 130, 143 and 129 (ended by Ctrl-C, SIGTERM or a closed terminal, after the results were
saved). [Settings and hyperparameters](settings.md) has defaults and ranges."""
PANEL = "Options"


def plain(text: str) -> str:
    """Help text without the markup of rich, on one line."""
    return " ".join(re.sub(r"\[/?(?:bold|dim|cyan)\]", "", text.replace(r"\[", "[")).split())


def examples_of(command: Any) -> list[str]:
    lines = (command.epilog or "").replace(r"\[", "[").splitlines()
    return [line for line in lines if line.startswith("tuneexp ")]


def written(one: Any) -> str:
    """An argument or option as it is written, with the word for its value."""
    value = one.metavar if one.metavar is not None else one.name.upper()
    names = ", ".join([*one.opts, *one.secondary_opts]) if one.opts[0].startswith("-") else ""
    value = "" if getattr(one, "is_flag", False) else value
    return f"`{names} {value}`".replace("` ", "`").replace(" `", "`").replace("|", "\\|")


def meaning(one: Any) -> str:
    default = one.default if one.default not in (None, False, [], ()) and not callable(one.default) else None
    notes = [
        "required" if one.required else "",
        f"variable `{one.envvar}`" if one.envvar else "",
        f"default `{default}`" if default is not None else "",
    ]
    known = "; ".join(filter(None, notes))
    return (plain(one.help or "") + (f" ({known})" if known else "")).replace("|", "\\|")


def table(title: str, parameters: Sequence[Any]) -> str:
    rows = [f"| {written(one)} | {meaning(one)} |" for one in parameters]
    return "\n".join([f"| {title} | |", "|---|---|", *rows])


def usage(name: str, command: Any) -> str:
    arguments = [one for one in command.params if not one.opts[0].startswith("-")]
    words = [one.metavar or one.name.upper() for one in arguments]
    shown = [word if one.required else f"[{word}]" for word, one in zip(words, arguments, strict=True)]
    return " ".join([f"tuneexp {name}", *shown, "[OPTIONS]"])


def entry(name: str, command: Any) -> Iterator[str]:
    yield f"## {name}"
    first, _, more = (command.help or "").partition("\n\n")
    yield plain(first)
    if more:
        yield plain(more)
    yield f"```text\n{usage(name, command)}\n```"
    if lines := examples_of(command):
        yield "```sh\n" + "\n".join(lines) + "\n```"
    panels: dict[str, list[Any]] = {}
    for one in command.params:
        if one.name != "help" and not getattr(one, "hidden", False):
            is_option = one.opts[0].startswith("-")
            panel = getattr(one, "rich_help_panel", None) or (PANEL if is_option else "Arguments")
            panels.setdefault(panel, []).append(one)
    for title, parameters in panels.items():
        yield table(title, parameters)


def page() -> str:
    group: Any = typer.main.get_command(app)
    return "\n\n".join([HEAD, *(part for name, one in group.commands.items() for part in entry(name, one))]) + "\n"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
