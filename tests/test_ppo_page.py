"""docs/ppo.md agrees with the code: its columns are those of a rollout. tests/pages compares its excerpts."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "ppo.md").read_text()


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
