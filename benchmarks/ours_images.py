"""`python -m benchmarks.ours_images`: one gradient step of DQN on images for all seeds, in milliseconds.

The loss is mapped over seeds by `vmap` or called seed by seed, and run eagerly or compiled. All four programs are built
as in training."""

from __future__ import annotations

import time
from dataclasses import replace

from benchmarks.clock import hand_over, one_thread, peak_rss_mb

one_thread()

import numpy as np
import torch
from gymnasium.spaces import Box, Discrete

from tuneexp.algorithms.dqn import DQN
from tuneexp.learning.compile.program import Program, compile_graphs, trace, traced_eager
from tuneexp.learning.learner import Learner

SEEDS, ROWS, ACTIONS, FRAMES = 4, 32, 6, (4, 84, 84)
CALLS, ROUNDS = 10, 5


def learner() -> Learner:
    """Return a DQN with the Nature CNN for Atari images."""
    images, actions = Box(0, 255, FRAMES, np.uint8), Discrete(ACTIONS)
    cfg = DQN.config_class.parse({"model": {"hidden_sizes": [512], "cnn": "nature"}}, "dqn")
    return Learner(
        lambda view: DQN.build_model(images, actions, view), DQN.loss_fn, DQN.optimizer_fn, cfg, range(SEEDS),
        target=DQN.target,
    )  # fmt: skip


def minibatch() -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    lead = (SEEDS, ROWS)

    def images() -> torch.Tensor:
        return torch.randint(256, (*lead, *FRAMES), generator=generator, dtype=torch.uint8)

    return {
        "obs": images(),
        "action": torch.randint(ACTIONS, lead, generator=generator),
        "reward": torch.rand(lead, generator=generator),
        "next_obs": images(),
        "discount": torch.full(lead, 0.99),
    }


def main() -> None:
    torch.set_num_threads(1)
    own, batch = learner(), minibatch()
    inputs = own.step_inputs(list(batch.values()))
    programs: dict[str, Program] = {}
    for form, in_turn in (("vmap", False), ("loop", True)):
        graph = trace(replace(own.gradient_step(list(batch)), in_turn=in_turn), inputs)
        programs[f"{form}_eager"] = traced_eager(graph)
        (programs[f"{form}_compiled"],) = compile_graphs([graph], [inputs])
    taken: dict[str, list[float]] = {name: [] for name in programs}
    # In turns, so that a drift of the machine's speed affects all four.
    for _ in range(ROUNDS):
        for name, program in programs.items():
            program.run(inputs)
            started = time.perf_counter()
            for _ in range(CALLS):
                program.run(inputs)
            taken[name].append((time.perf_counter() - started) * 1000 / CALLS)
    medians = {name: float(np.median(times)) for name, times in taken.items()}
    hand_over({"ms": medians, "seeds": SEEDS, "rows": ROWS, "peak_rss_mb": peak_rss_mb()})


if __name__ == "__main__":
    main()
