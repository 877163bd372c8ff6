"""Updates after whole episodes, compared with updates after as many steps: five seeds, one process per task.

python -m benchmarks.episodes sac_episodes       # one of TASKS; prints the returns and their curve as JSON
"""

from __future__ import annotations

import json
import sys
from typing import Any

from benchmarks.learning_one import train
from benchmarks.learning_tasks import TASKS as PUBLISHED
from benchmarks.learning_tasks import Task

# An episode of Pendulum always has 200 steps, one of CartPole up to 500.
_PHASES: dict[str, Any] = {"episodes": [1, "episode"], "steps": 200}
_BUDGETS = {"sac_Pendulum-v1": 10_000, "dqn_CartPole-v1": 50_000}


def _task(published: str, name: str, train_freq: Any) -> Task:
    """Return the published task with one gradient step for each environment step."""
    task = PUBLISHED[published]
    changed = {**task.hyperparameters, "train_freq": train_freq, "gradient_steps": -1}
    return Task(name, task.algorithm, task.env, _BUDGETS[published], changed)


TASKS = {
    task.name: task
    for published in _BUDGETS
    for phase, train_freq in _PHASES.items()
    for task in [_task(published, f"{published.partition('_')[0]}_{phase}", train_freq)]
}

if __name__ == "__main__":
    chosen = TASKS[sys.argv[1]]
    print(json.dumps({"task": chosen.name, **train(chosen, chosen.env_steps)}))
