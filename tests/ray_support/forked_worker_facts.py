"""Print facts of workers of a Ray with a worker origin, as JSON. It is a process of its own, since it starts a Ray."""

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

import ray

from tests.faults.process_tree import descendants, is_alive
from tuneexp.ray_support.environment import SWEEP_SETTINGS, settings_in_environment
from tuneexp.ray_support.private_session import private_surroundings
from tuneexp.ray_support.start import start_local
from tuneexp.ray_support.worker_origin import worker_origin

MODULES = ("numpy", "json")


@ray.remote(num_cpus=0)
class Worker:
    def facts(self) -> dict[str, Any]:
        import numpy as np

        return {
            "parent": os.getppid(),
            "leads_its_group": os.getpid() == os.getpgrp(),
            "variable": os.environ.get("ONLY_HERE"),
            "folder": os.getcwd(),
            "drawn": [float(np.random.random()), ray.ObjectRef.from_random().hex()],
            "first_to_be_killed": Path("/proc/self/oom_score_adj").read_text().strip(),
        }


def _facts(**options: Any) -> dict[str, Any]:
    found: dict[str, Any] = ray.get(Worker.options(**options).remote().facts.remote(), timeout=60)
    return found


def main() -> None:
    with settings_in_environment(SWEEP_SETTINGS), private_surroundings() as temporary:
        with worker_origin(temporary.parent, MODULES) as place:
            (origin,) = descendants(os.getpid())
            start_local(temporary, cpus=2, origin=place)
            found = {"origin": origin, "forked": [_facts(), _facts()]}
            found["with_environment"] = _facts(runtime_env={"env_vars": {"ONLY_HERE": "yes"}})
            os.kill(origin, signal.SIGKILL)
            found["without_origin"] = _facts()
            ray.shutdown()
        found["left"] = is_alive(origin)
    sys.stdout.write(json.dumps(found))


if __name__ == "__main__":
    main()
