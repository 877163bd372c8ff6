"""The command that retrains a sweep's best configuration builds the same environments."""

from __future__ import annotations

from pathlib import Path

from tuneexp.cli.parsing import environment_settings
from tuneexp.cli.show import _environment_options
from tuneexp.sweep import Sweep


def test_backend_and_wrappers_are_read_back_from_the_printed_options(tmp_path: Path) -> None:
    wrappers = ["FlattenObservation", {"FrameStackObservation": {"stack_size": 2, "padding_type": "zero"}}]
    space = {"learning_rate": {"loguniform": [1e-4, 1e-2]}}
    sweep = Sweep(space=space, name="s", storage=tmp_path, env_backend="sync", wrappers=wrappers)
    words = _environment_options(sweep.config)
    options = list(zip(words[::2], words[1::2], strict=True))
    given = {name: [value for option, value in options if option == name] for name in ("--env-backend", "--wrapper")}
    assert len(options) == 3
    assert environment_settings(given["--env-backend"][0], given["--wrapper"]) == {
        "env_backend": "sync",
        "wrappers": wrappers,
    }
