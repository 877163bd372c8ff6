"""tuneexp: tune reinforcement-learning algorithms; several seeds in every trial."""

from __future__ import annotations

import importlib
from typing import Any

__version__ = "0.1.0"

# Loaded on first use: `import tuneexp` itself stays free of torch, Ray and MLflow.
_LAZY = {
    "A2C": "tuneexp.algorithms.a2c",
    "APPO": "tuneexp.algorithms.appo",
    "AlgorithmSpec": "tuneexp.algorithms.spec",
    "DDPG": "tuneexp.algorithms.ddpg",
    "DQN": "tuneexp.algorithms.dqn",
    "IMPALA": "tuneexp.algorithms.impala",
    "MultiAgentBatch": "tuneexp.data.multi_agent_batch",
    "MultiAgentSpec": "tuneexp.algorithms.multi_agent",
    "PPO": "tuneexp.algorithms.ppo",
    "PolicySpec": "tuneexp.algorithms.multi_agent",
    "QRDQN": "tuneexp.algorithms.qrdqn",
    "SAC": "tuneexp.algorithms.sac",
    "SampleBatch": "tuneexp.data.sample_batch",
    "SearchSpace": "tuneexp.sweep.search.space",
    "Sweep": "tuneexp.sweep",
    "TD3": "tuneexp.algorithms.td3",
    "TQC": "tuneexp.algorithms.tqc",
    "TuneexpError": "tuneexp.errors",
    "UserError": "tuneexp.errors",
    "concat_samples": "tuneexp.data.sample_batch",
    "pretty_print": "tuneexp.report.pretty",
    "rl_zoo_row": "tuneexp.sweep.rl_zoo",
    "run_script": "tuneexp.cli.script",
    "watch": "tuneexp.cli.script",
}

__all__ = ["__version__", *_LAZY]


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module 'tuneexp' has no attribute {name!r}")
    return getattr(importlib.import_module(_LAZY[name]), name)


def __dir__() -> list[str]:
    return __all__
