"""The outbox file under a kill, a full disk, and two readers."""

from __future__ import annotations

import os
import pickle
import resource
import subprocess
import sys
import textwrap
import time
from pathlib import Path
from statistics import median

import pytest

from tuneexp.tracking.outbox import Outbox, Position, load_position, save_position


def test_records_come_back_in_order_and_in_portions(tmp_path: Path) -> None:
    outbox = Outbox(tmp_path)
    for number in range(5):
        outbox.append({"kind": "counted", "number": number})
    first, offset = outbox.read(limit=2)
    rest, end = outbox.read(offset)
    assert [record["number"] for record in first + rest] == [0, 1, 2, 3, 4]
    assert end == outbox.size()
    assert outbox.read(end) == ([], end)


def test_a_torn_last_line_is_left_alone_until_the_next_writer_ends_it(tmp_path: Path) -> None:
    outbox = Outbox(tmp_path)
    outbox.append({"kind": "counted", "number": 1})
    outbox.close()
    with outbox.path.open("ab") as handle:
        handle.write(b'{"kind":"coun')
    whole, offset = Outbox(tmp_path).read()
    assert [record["number"] for record in whole] == [1]
    successor = Outbox(tmp_path)
    successor.append({"kind": "counted", "number": 2})
    later, _ = successor.read(offset)
    assert [record["number"] for record in later] == [2]


def test_a_whole_record_whose_newline_was_torn_off_is_kept(tmp_path: Path) -> None:
    outbox = Outbox(tmp_path)
    outbox.append({"kind": "counted", "number": 1})
    outbox.close()
    os.truncate(outbox.path, outbox.size() - 1)
    assert Outbox(tmp_path).read()[0] == []
    Outbox(tmp_path).append({"kind": "counted", "number": 2})
    assert [record["number"] for record in Outbox(tmp_path).read()[0]] == [1, 2]


def test_every_whole_line_survives_a_sigkill_of_the_writer(tmp_path: Path) -> None:
    script = textwrap.dedent(
        f"""
        from tuneexp.tracking.outbox import Outbox
        outbox, number = Outbox({str(tmp_path)!r}), 0
        while True:
            outbox.append({{"kind": "counted", "number": number, "text": "x" * 5000}})
            number += 1
            print(number, flush=True)
        """
    )
    writer = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
    assert writer.stdout is not None
    told = 0
    while told < 200:
        told = int(writer.stdout.readline())
    writer.kill()
    told = int(([str(told), *writer.stdout.read().split()])[-1])
    writer.wait()
    Outbox(tmp_path).append({"kind": "counted", "number": -1})
    numbers = [record["number"] for record in Outbox(tmp_path).read()[0]]
    assert numbers[:-1] == list(range(len(numbers) - 1))
    assert len(numbers) - 1 >= told
    assert numbers[-1] == -1


def test_what_a_full_disk_refused_goes_out_with_the_next_record(tmp_path: Path) -> None:
    outbox = Outbox(tmp_path)
    outbox.append({"kind": "counted", "number": 0})
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    # The kernel refuses to let files grow beyond this: like a full disk, in the middle of a line.
    resource.setrlimit(resource.RLIMIT_FSIZE, (outbox.size() + 10, hard))
    try:
        outbox.append({"kind": "counted", "number": 1})
        outbox.append({"kind": "counted", "number": 2})
        assert [record["number"] for record in outbox.read()[0]] == [0]
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    outbox.append({"kind": "counted", "number": 3})
    assert [record["number"] for record in outbox.read()[0]] == [0, 1, 2, 3]


def test_a_report_costs_well_under_a_millisecond(tmp_path: Path) -> None:
    outbox = Outbox(tmp_path)
    record = {"kind": "reported", "metrics": {f"metric/{number}": number / 3 for number in range(40)}}
    outbox.append(record)
    spent_s = []
    for _ in range(500):
        start = time.process_time()
        outbox.append(record)
        spent_s.append(time.process_time() - start)
    assert median(spent_s) < 0.001  # the mean has the pauses that other processes cause


def test_nan_is_refused_instead_of_written_as_something_that_is_no_json(tmp_path: Path) -> None:
    with pytest.raises(ValueError):
        Outbox(tmp_path).append({"kind": "reported", "value": float("nan")})


def test_the_position_is_replaced_whole(tmp_path: Path) -> None:
    assert load_position(tmp_path) == Position()
    Outbox(tmp_path).append({"kind": "counted"})
    position = Position(store="sqlite:///x", offset=7, run_ids={"1.0": "abc"})
    save_position(tmp_path, position)
    assert load_position(tmp_path) == position
    (tmp_path / "outbox" / "delivered.json").write_text('{"offset": 7')
    assert load_position(tmp_path) == Position()


def test_an_open_outbox_can_be_pickled(tmp_path: Path) -> None:
    outbox = Outbox(tmp_path)
    outbox.append({"kind": "counted", "number": 1})
    copy = pickle.loads(pickle.dumps(outbox))
    copy.append({"kind": "counted", "number": 2})
    assert [record["number"] for record in outbox.read()[0]] == [1, 2]
