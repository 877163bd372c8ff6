"""docs/ppo.md agrees with the code: its excerpts are in the files that it names, its columns are those of a rollout."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "ppo.md").read_text()
BLOCKS = re.findall(r"```python\n# (tuneexp/\S+\.py)\n(.*?)```", PAGE, re.DOTALL)
LEFT_OUT = re.compile(r"^# \.\.\.\n", re.MULTILINE)


def missing_part(code: str, source: str) -> str:
    """The first part of `code`, between lines `# ...`, that is not in `source`; empty if all are, in this order.

    A part may be indented in the source."""
    for part in LEFT_OUT.split(code):
        lines = [f"(?P=indent){re.escape(line)}" if line else "" for line in part.splitlines()]
        lines[0] = lines[0].replace("(?P=indent)", "^(?P<indent> *)", 1)
        found = re.search("\n".join(lines) + "$", source, re.MULTILINE)
        if found is None:
            return part
        source = source[found.end() :]
    return ""


def test_every_block_of_python_names_its_file() -> None:
    assert PAGE.count("```python") == len(BLOCKS) >= 8


@pytest.mark.parametrize("number", range(len(BLOCKS)), ids=[f"{path}-{n}" for n, (path, _) in enumerate(BLOCKS)])
def test_a_block_is_in_the_file_that_it_names(number: int) -> None:
    path, code = BLOCKS[number]
    missing = missing_part(code, (ROOT / path).read_text())
    assert not missing, f"{path} no longer has this; copy it to docs/ppo.md again:\n{missing}"


def test_a_changed_line_and_another_order_are_found() -> None:
    source = "a = 1\n    b = 2\n    c = 3\n"
    assert not missing_part("a = 1\n# ...\nb = 2\nc = 3\n", source)
    assert missing_part("b = 2\n    c = 3\n", source)
    assert missing_part("a = 1\n# ...\nc = 4\n", source) == "c = 4\n"
    assert missing_part("c = 3\n# ...\na = 1\n", source) == "a = 1\n"


def columns_of_the_page() -> dict[str, str]:
    """Column -> shape in the page's table of the fragment."""
    table = PAGE.partition("| column of the fragment |")[2].partition("\n\n")[0]
    return dict(re.findall(r"^\| `(\w+)` \| `(\[.*?\])` \|", table, re.MULTILINE))


def test_columns_and_shapes_are_those_of_a_rollout() -> None:
    from tuneexp import PPO, postprocess

    sizes: dict[str, Any] = {"seeds": [0, 1, 2], "n_steps": 4, "n_envs": 5}
    algo = PPO.build("CartPole-v1", budget_env_steps=60, batch_size=10, compile="off", **sizes)
    training = algo.trial.trainer.training
    fragment = training.group.sample(4)
    shapes = columns_of_the_page()
    assert set(fragment) == set(shapes)
    for name, column in fragment.items():
        assert column.shape[:3] == (4, 3, 5)
        assert (column.dim() > 3) <= shapes[name].endswith("...]"), name
    columns = postprocess(training.postprocess_fn, training.learner, fragment, training.view)
    copied = {"obs", "action", "log_prob", "valid"}
    assert set(columns) == copied | {"value", "advantage", "value_target"}
    assert {column.shape[:2] for column in columns.to_rows().values()} == {(3, 20)}
