"""Training of each algorithm with five seeds, one process per task. The result of each task is stored at once."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from typing import Any

from benchmarks import machine
from benchmarks.learning_tasks import SEEDS, TASKS, Task
from benchmarks.running import RESULTS, ours

KEPT = RESULTS / "learning"
LIMIT_S = 6 * 3600.0


def asked_of(task: Task, env_steps: int) -> dict[str, Any]:
    """Return the settings that a stored measurement belongs to. A task with other settings is measured again."""
    whole = {**asdict(task), "env_steps": env_steps, "seeds": SEEDS}
    del whole["note"]
    plain: dict[str, Any] = json.loads(json.dumps(whole))
    return plain


def stored(task: Task) -> dict[str, Any] | None:
    """Return the stored measurement of the task with its present settings, or None."""
    path = KEPT / f"{task.name}.json"
    measured = json.loads(path.read_text()) if path.exists() else None
    return measured if measured is not None and measured["task"] == asked_of(task, task.env_steps) else None


def measure(
    names: Sequence[str], jobs: int = 2, again: bool = False, env_steps: int | None = None,
    say: Callable[[str], None] = print,
) -> None:  # fmt: skip
    """Train the named tasks (none named: all), `jobs` in parallel. Stored tasks are skipped, unless `again`.

    env_steps: a smaller budget, to test a task: its measurement is printed and not stored."""
    if unknown := set(names) - set(TASKS):
        raise SystemExit(f"no task {', '.join(sorted(unknown))}; there are {', '.join(TASKS)}")
    wanted = [TASKS[name] for name in names or TASKS]
    due = [task for task in wanted if again or env_steps or stored(task) is None]
    about = machine.describe_here()
    say(f"{len(due)} of {len(wanted)} tasks to train, {jobs} side by side; the others are measured already")
    with ThreadPoolExecutor(jobs) as pool:
        for line in pool.map(lambda task: _one(task, about, env_steps), due):
            say(line)


def _one(task: Task, about: dict[str, Any], env_steps: int | None) -> str:
    budget = min(env_steps or task.env_steps, task.env_steps)
    try:
        measured = ours("benchmarks.learning_one", task.name, str(budget), limit_s=LIMIT_S)
    except RuntimeError as error:  # the other tasks continue
        return f"{task.name} FAILED: {error}"
    if budget == task.env_steps:
        KEPT.mkdir(parents=True, exist_ok=True)
        entry = {"machine": about, "task": asked_of(task, budget), **measured}
        (KEPT / f"{task.name}.json").write_text(json.dumps(entry, indent=1, sort_keys=True) + "\n")
    scores = ", ".join(f"{score:.1f}" for score in measured["return_per_seed"])
    return f"{task.name}: {scores} in {measured['env_steps']:,} steps, {measured['wall_s']:.0f} s"
