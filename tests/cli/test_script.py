"""Scripts that end with `run_script(main)` have options like those of the commands."""

from __future__ import annotations

import sys

import pytest

from tuneexp import run_script


def main(trials: int = 8, top: int | None = None, rate: float = 0.5) -> None:
    print(f"{trials!r} {top!r} {rate!r}")


@pytest.mark.parametrize(
    ("args", "code", "says"),
    [
        ([], 0, "8 None 0.5"),
        (["--trials", "1e3", "--top", "2.5k"], 0, "1000 2500 0.5"),
        (["--trials", "100_000"], 0, "100000 None"),
        (["--trials", "1.5"], 2, "'--trials': '1.5'"),
        (["--trials", "100x"], 2, "'100x'"),
    ],
)
def test_whole_numbers_of_a_script_are_written_as_for_the_commands(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], args: list[str], code: int, says: str
) -> None:
    monkeypatch.setattr(sys, "argv", ["script.py", *args])
    with pytest.raises(SystemExit) as end:
        run_script(main)
    captured = capsys.readouterr()
    assert end.value.code == code
    assert says in (captured.err if code else captured.out)
    assert len(captured.err.splitlines()) == (1 if code else 0)
