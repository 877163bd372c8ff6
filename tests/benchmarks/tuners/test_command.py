"""`python -m benchmarks.tuners --table FILE`."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest

from benchmarks.tuners import storing
from benchmarks.tuners.__main__ import main
from tests.benchmarks.tuners.synthetic import write_csv

ROWS = [
    f"{10 ** -(1 + number / 5):.6f},{number % 3},{seed},{number},{number * 2}"
    for number in range(20)
    for seed in (0, 1)
]
LINES = ["lr,layers,seed,100,200", *ROWS]
FEW = ["--samplers", "random", "--schedulers", "fifo", "asha", "--repetitions", "2", "--jobs", "1", "--stagnation", "4"]


def test_a_table_of_a_user_is_compared_and_stored(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write_csv(tmp_path / "mine.csv", LINES)
    main(["--table", str(path), "--out", str(tmp_path / "out"), *FEW])
    assert "random + asha" in capsys.readouterr().out
    written = json.loads((tmp_path / "out.json").read_text())
    (stored,) = written["tables"]
    assert [row["stagnation"] for row in written["summary"]["stagnation"]] == [None, 4]
    assert stored["table"]["configurations"] == 20
    assert stored["table"]["drawn_seeds"] == 2
    assert list(stored["methods"][0]["beats_random"]) == ["16"]
    with (tmp_path / "out.csv").open() as file:
        assert {row["measure"] for row in csv.DictReader(file)} == {"regret", "regret_by_time", "beats_random"}


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--seeds", "3"], "--seeds 3 is more than the 2"),
        (["--space", "absent.yaml"], "absent.yaml"),
        (["--samplers", "tpee"], "tpe"),
        (["--schedulers", '{"name": "fifo", "reduction_factor": 4}'], "asha"),
        (["--schedulers", '{"reduction_factor": 4}'], "has no name"),
    ],
)
def test_a_wrong_option_is_one_line(options: list[str], words: str, tmp_path: Path) -> None:
    path = write_csv(tmp_path / "mine.csv", LINES)
    with pytest.raises(SystemExit, match=words) as refused:
        main(["--table", str(path), *FEW, *options])
    assert "\n" not in str(refused.value)


def test_the_page_keeps_what_is_around_its_tables(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(f"before\n{storing.BEGIN}\nold\n{storing.END}\nafter\n")
    for _ in range(2):
        storing.write_page(page, ["one", "two"])
    assert page.read_text() == f"before\n{storing.BEGIN}\n\none\n\ntwo\n\n{storing.END}\nafter\n"
