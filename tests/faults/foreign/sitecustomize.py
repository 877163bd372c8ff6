"""Test-only, on the path of one node: hides tuneexp from its Python, as in another environment on the same machine."""

from __future__ import annotations

import sys


class WithoutTuneexp:
    @staticmethod
    def find_spec(name: str, path: object = None, target: object = None) -> None:
        if name.partition(".")[0] == "tuneexp":
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)


sys.meta_path.insert(0, WithoutTuneexp)  # type: ignore[arg-type]
