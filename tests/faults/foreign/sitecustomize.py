"""On the path of a node: its Python has no tuneexp, as that of another environment on the same machine."""

from __future__ import annotations

import sys


class WithoutTuneexp:
    @staticmethod
    def find_spec(name: str, path: object = None, target: object = None) -> None:
        if name.partition(".")[0] == "tuneexp":
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)


sys.meta_path.insert(0, WithoutTuneexp)  # type: ignore[arg-type]
