"""Tables of a user: accepted forms, and errors of one line."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from benchmarks.tuners.reading import read_table
from tests.benchmarks.tuners.synthetic import write_csv
from tuneexp.errors import UserError
from tuneexp.sweep.search.space import SearchSpace

GOOD = [
    "learning_rate,layers,activation,seed,1000,2000",
    "0.0001,2,tanh,0,10,20",
    "0.0001,2,tanh,1,12,24",
    "0.01,3,relu,0,5,6",
    "0.01,3,relu,1,5,8",
    "0.01,3,relu,2,5,10",
]


def changed(line: int, text: str) -> list[str]:
    return [*GOOD[:line], text, *GOOD[line + 1 :]]


def test_a_csv_file_has_configurations_with_the_curves_of_their_seeds(tmp_path: Path) -> None:
    table = read_table(write_csv(tmp_path / "mine.csv", GOOD))
    assert table.name == "mine"
    assert table.rows[1] == {"learning_rate": 0.01, "layers": 3, "activation": "relu"}
    assert [curves.tolist() for curves in table.returns] == [[[10, 20], [12, 24]], [[5, 6], [5, 8], [5, 10]]]
    assert table.env_steps.tolist() == [1000, 2000]
    assert table.scores.tolist() == [22.0, 8.0]
    assert table.fewest_seeds == 2
    assert table.seconds is None


def test_gzip_and_parquet_hold_the_same_table(tmp_path: Path) -> None:
    plain = read_table(write_csv(tmp_path / "t.csv", GOOD))
    (tmp_path / "t.csv.gz").write_bytes(gzip.compress("\n".join(GOOD).encode()))
    pd.read_csv(tmp_path / "t.csv").to_parquet(tmp_path / "t.parquet")
    for name in ("t.csv.gz", "t.parquet"):
        other = read_table(tmp_path / name)
        assert other.rows == plain.rows
        assert other.dimensions == plain.dimensions
        assert all(np.array_equal(a, b) for a, b in zip(other.returns, plain.returns, strict=True))


def test_scales_follow_the_values(tmp_path: Path) -> None:
    lines = ["rate,gamma,width,share,double,seed,100", "1e-5,0.9,16,0.1,true,0,1", "0.1,0.999,512,0.9,false,0,2"]
    table = read_table(write_csv(tmp_path / "t.csv", lines))
    assert {d.name: d.values.spell() for d in table.dimensions} == {
        "rate": {"loguniform": [1e-5, 0.1]},
        "gamma": {"complement_loguniform": [0.9, 0.999]},
        "width": {"logint": [16, 512]},
        "share": {"uniform": [0.1, 0.9]},
        "double": {"choice": [True, False]},
    }


def test_a_given_space_replaces_the_inferred_scales(tmp_path: Path) -> None:
    space = SearchSpace.from_mapping({
        "learning_rate": {"uniform": [0.0, 1.0]}, "layers": {"choice": [1, 2, 3]},
        "activation": {"choice": ["relu", "tanh"]},
    })  # fmt: skip
    path = write_csv(tmp_path / "t.csv", GOOD)
    assert [d.values.spell() for d in read_table(path, space).dimensions] == [
        d.spell() for d in space.dimensions.values()
    ]
    narrow = SearchSpace.from_mapping({"learning_rate": {"uniform": [0.0, 0.001]}, "layers": {"int": [1, 3]},
                                       "activation": {"choice": ["relu", "tanh"]}})  # fmt: skip
    with pytest.raises(UserError, match="is outside of"):
        read_table(path, narrow)


def test_evaluations_may_have_a_text_before_their_steps_and_any_order(tmp_path: Path) -> None:
    lines = ["lr,seed,return_2e3,return_1k,return_0", "0.1,0,2,1,0", "0.2,0,4,3,0"]
    table = read_table(write_csv(tmp_path / "t.csv", lines))
    assert table.env_steps.tolist() == [1000, 2000]
    assert table.returns[1].tolist() == [[3, 4]]
    assert any("0 environment steps" in note for note in table.notes)


def test_the_index_of_a_frame_is_no_hyperparameter(tmp_path: Path) -> None:
    write_csv(tmp_path / "t.csv", GOOD)
    frame = pd.read_csv(tmp_path / "t.csv").iloc[::-1]
    frame.to_csv(tmp_path / "indexed.csv")
    frame.to_parquet(tmp_path / "indexed.parquet", index=True)
    for name in ("indexed.csv", "indexed.parquet"):
        table = read_table(tmp_path / name)
        assert [dimension.name for dimension in table.dimensions] == ["learning_rate", "layers", "activation"]
        assert table.env_steps.tolist() == [1000, 2000]


def test_durations_and_losses(tmp_path: Path) -> None:
    lines = ["lr,seed,100,200,seconds", "0.1,0,2,1,10", "0.1,1,2,1,20", "0.2,0,4,3,5"]
    table = read_table(write_csv(tmp_path / "t.csv", lines), minimize=True)
    assert table.seconds is not None
    assert table.seconds.tolist() == [15, 5]
    assert table.scores.tolist() == [-1, -3]


def test_constant_columns_and_row_numbers_are_left_out_with_a_note(tmp_path: Path) -> None:
    rows = [f"{number},ppo,{0.001 * (number % 50 + 1):.4f},{number // 50},1,2" for number in range(100)]
    table = read_table(write_csv(tmp_path / "t.csv", ["id,algorithm,lr,seed,10,20", *rows]))
    assert [dimension.name for dimension in table.dimensions] == ["lr"]
    assert len(table.rows) == 50
    assert len(table.notes) == 2


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        (["lr,1000", "0.1,5"], "no column 'seed'"),
        (["lr,Seed,1000", "0.1,0,5"], "rename 'Seed'"),
        (["seed,1000", "0,5"], "no hyperparameters"),
        (["lr,seed", "0.1,0"], "no evaluations"),
        (["lr,seed,score,last", "0.1,0,1,2"], "no evaluations"),
        (["lr,seed,0", "0.1,0,1"], "no evaluations"),
        (["lr,seed,1000,batch", "0.1,0,1,2"], "'batch' after 'seed'"),
        (["lr,seed,1000,1e3", "0.1,0,1,2"], "two evaluations at 1000"),
        (["lr,seed,1000,1000", "0.1,0,1,2"], "two columns are named '1000'"),
        (changed(2, "0.0001,2,tanh,1,,24"), "row 2, seed 1: the evaluation at 1000 is missing"),
        (changed(2, "0.0001,2,tanh,1,nan,24"), "row 2, seed 1: the evaluation at 1000 is missing"),
        (changed(2, "0.0001,2,tanh,1,12,"), "ends at 1000 of 2000"),
        (changed(2, "0.0001,2,tanh,1,12"), "row 2 has 5 cells"),
        (changed(2, "0.0001,2,tanh,1,12,24,36"), "row 2 has 7 cells"),
        (changed(2, "0.0001,2,tanh,1,12,good"), "no finite number: 'good'"),
        (changed(2, "0.0001,2,tanh,1,12,inf"), "no finite number: inf"),
        (changed(2, "0.0001,2,tanh,0,12,24"), "row 2: seed 0 .* is there twice"),
        (changed(2, "0.0001,,tanh,1,12,24"), "row 2: 'layers' is empty"),
        (["lr,seed,1000", "0.1,0,1", "0.1,1,2"], "no hyperparameter varies"),
        (["lr,seed,1000,cpu_s", "0.1,0,1,0", "0.2,0,1,3"], "duration"),
        (["lr,seed,1000"], "no rows"),
        ([""], "no rows"),
        (["id,seed,10", *(f"run{number},0,1" for number in range(40))], "40 different texts"),
    ],
)
def test_a_bad_table_is_refused_in_one_line(lines: list[str], words: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=words) as refused:
        read_table(write_csv(tmp_path / "bad.csv", lines))
    assert "\n" not in str(refused.value)
    assert "bad.csv" in str(refused.value)


@pytest.mark.parametrize(
    ("name", "data", "words"),
    [
        ("t.json", b"{}", "write the table as"),
        ("t.gz", b"", "write the table as"),
        ("t.csv.gz", b"plain text", "damaged gzip"),
        ("t.csv.gz", gzip.compress(b"lr,seed,1\n" * 99)[:20], "damaged gzip"),
        ("t.parquet", b"no parquet", "no Parquet file"),
        ("t.csv", b"lr,seed,1\n\xff,0,1", "no UTF-8 text"),
    ],
)
def test_a_damaged_file_is_refused_in_one_line(name: str, data: bytes, words: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(data)
    with pytest.raises(UserError, match=words) as refused:
        read_table(tmp_path / name)
    assert "\n" not in str(refused.value)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no such file"):
        read_table(tmp_path / "absent.csv")
