"""Three sweeps in one process: two with a local Ray, then one on a running cluster."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

from tests.process_sockets import listening_addresses
from tuneexp.sweep import Sweep
from tuneexp.sweep.cluster import capacity

SPACE = {"learning_rate": {"loguniform": [1e-4, 1e-2]}}
FIXED = {"n_envs": 2, "n_steps": 32, "batch_size": 64, "n_epochs": 1, "num_cpus_per_env_runner": 0.5}


def run(name: str, storage: str, fixed: dict[str, Any], address: str | None = None) -> dict[str, Any]:
    seen: set[tuple[str, str]] = set()
    common = {"trials": 1, "seeds": 1, "budget_env_steps": 128, "compile": "off", "evaluation": {"final_episodes": 1}}
    sweep = Sweep(name=name, storage=storage, space=SPACE, fixed={**FIXED, **fixed}, address=address, **common)
    result = sweep.run(lambda event: seen.update(listening_addresses(os.getpid())))
    return {
        "outcomes": [trial.outcome for trial in result.trials],
        "listening": sorted(seen),
        "left": sorted(name for name in os.environ if name.startswith("RAY_AUTH")),
    }


if __name__ == "__main__":
    capacity.cores = lambda: 4  # also where the machine has fewer
    storage = sys.argv[1]
    several = {"num_env_runners": 2, "num_learners": 2}
    found = [run("several", storage, several), run("plain", storage, {}), run("cluster", storage, {}, "auto")]
    Path(sys.argv[2]).write_text(json.dumps(found))
