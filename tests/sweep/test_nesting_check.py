"""A script without a `__main__` guard: a sweep that starts during its import is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from tuneexp.algorithms.registry import load_spec
from tuneexp.errors import UserError

SCRIPT = """
from dataclasses import replace
from tuneexp import PPO, Sweep
MyPPO = replace(PPO, name="mine")
"""
STARTS = {
    "Sweep": "Sweep('ppo', 'CartPole-v1', {'gamma': {'uniform': [0.9, 0.99]}}, name='nested', trials=1).run()",
    "resume": "from tuneexp.sweep import resume\nresume('nested')",
    "build": "MyPPO.build(env='CartPole-v1').train()",
}


@pytest.mark.parametrize("what", STARTS)
def test_a_file_that_starts_something_while_it_is_imported_is_answered_with_the_guard(
    what: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "script.py").write_text(SCRIPT + STARTS[what])
    with pytest.raises(UserError, match="__name__ == '__main__'"):
        load_spec("script.py:MyPPO")
    assert not (tmp_path / "runs").exists()
    (tmp_path / "guarded.py").write_text(SCRIPT + f"if __name__ == '__main__':\n    {STARTS[what].splitlines()[-1]}")
    assert load_spec("guarded.py:MyPPO").name == "mine"


def start_a_sweep() -> str:
    from tuneexp import Sweep

    try:
        Sweep("ppo", "CartPole-v1", {"gamma": {"uniform": [0.9, 0.99]}}, name="nested", trials=1)
    except UserError as error:
        return str(error)
    return "started"


def test_a_sweep_in_a_worker_of_ray_is_refused(ray_cluster: None) -> None:
    import ray

    assert "__name__ == '__main__'" in ray.get(ray.remote(num_cpus=0)(start_a_sweep).remote(), timeout=60)
