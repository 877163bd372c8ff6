"""Blocks of code of README.md and docs/, and what they are: to be run, a file, an excerpt, a signature."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[2]
PAGES = {path.name: path for path in [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]}
# Languages of blocks. `console` has commands after "$ " and their output; nothing in `text` is run.
LANGUAGES = ("python", "sh", "bash", "console", "yaml", "text")
_FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_FILE = re.compile(r"# ([\w/]+\.(?:py|yaml))\b")
_SIGNATURE = re.compile(r"(?:[a-z_]+\.)*(\w+\(.*)", re.DOTALL)


class Block(NamedTuple):
    page: str
    line: int
    language: str
    text: str

    @property
    def where(self) -> str:
        return f"{self.page}:{self.line}"

    @property
    def file(self) -> str:
        """The file that the block is, or of which it is an excerpt, by its first line: `# one_line.py: ...`."""
        found = _FILE.match(self.text)
        return found[1] if found else ""

    @property
    def is_excerpt(self) -> bool:
        return self.file.startswith("tuneexp/")

    @property
    def signature(self) -> str:
        """The definition that a signature of docs/api.md stands for; empty for other blocks."""
        found = _SIGNATURE.fullmatch(self.text.rstrip())
        return f"def {found[1]}: ..." if found and self.page == "api.md" else ""


@cache
def blocks_of(page: str) -> tuple[Block, ...]:
    text = PAGES[page].read_text()
    return tuple(
        Block(page, text.count("\n", 0, found.start(2)), found[1], found[2]) for found in _FENCE.finditer(text)
    )


def commands_of(block: Block) -> Iterator[list[str]]:
    """The words of each command, without comments."""
    text = block.text.replace("\\\n", " ")
    lines = text.splitlines()
    if block.language == "console":
        lines = [line.removeprefix("$ ") for line in lines if line.startswith("$ ")]
    elif block.language == "bash":
        lines = [line.removesuffix("&") for line in lines if line.startswith("tuneexp ")]
    yield from (words for line in lines if (words := shlex.split(line, comments=True)))


def commands_in_prose(page: str) -> Iterator[list[str]]:
    """The words of each `tuneexp ...` in the text of a page."""
    text = _FENCE.sub("", PAGES[page].read_text())
    for found in re.findall(r"`(tuneexp\s[^`]+)`", text):
        yield shlex.split(found.replace("\n", " "))
