"""Self-play in tic-tac-toe: PPO plays against a frozen copy of itself. A few minutes on two cores.

The copy gets the newest weights every 5,000 steps. Evaluation is against an opponent that moves at random.

python experiments/self_play.py
python experiments/self_play.py --trials 1 --seeds 4 --env-steps 100000
tuneexp train experiments/self_play.py:SELF_PLAY pettingzoo.classic.tictactoe_v3 --env-steps 60000 --seeds 3
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from tuneexp import MultiAgentSpec, PolicySpec, Sweep, run_script, trial_from_checkpoint, watch

PPO = {
    "n_steps": 64,
    "batch_size": 128,
    "n_epochs": 4,
    "learning_rate": 3e-3,
    "gamma": 0.95,
    "ent_coef": 0.1,  # a deterministic opponent is a poor opponent to learn from
    "action_mask": "action_mask",  # the entry of an observation that marks free squares
    "model": {"hidden_sizes": [64, 64]},
}


def taking_turns(agent: str, index: int) -> str:
    """Map agents to policies: the learner moves first in environments with an even index, else second."""
    moves_first = agent == "player_1"
    return "learner" if moves_first == (index % 2 == 0) else "opponent"


def at_random(obs: Mapping[str, Any], rng: np.random.Generator) -> int:
    return int(rng.choice(np.flatnonzero(obs["action_mask"])))


SELF_PLAY = MultiAgentSpec(
    "self_play",
    {"learner": PolicySpec("ppo", PPO), "opponent": PolicySpec.copy_of("learner", every_env_steps=5_000)},
    policy_mapping=taking_turns,
    evaluated_against={"opponent": at_random},  # against itself its strength would not change
)

SPACE = {"learner": {"learning_rate": {"loguniform": [1e-3, 1e-2]}, "ent_coef": {"loguniform": [3e-2, 2e-1]}}}


def win_rate(checkpoint: str, games: int = 200) -> dict[str, float]:
    """Shares of won, drawn and lost games of a checkpoint against the random opponent, over all seeds."""
    trial = trial_from_checkpoint(checkpoint, compile="off")
    returns = trial.evaluate(games, seed=20_000)  # 1 for a win, 0 for a draw, -1 for a loss
    trial.close()
    return {
        "won": float((returns > 0).mean()),
        "drawn": float((returns == 0).mean()),
        "lost": float((returns < 0).mean()),
    }


def main(trials: int = 2, seeds: int = 4, env_steps: int = 60_000, name: str = "", storage: str = "runs") -> None:
    """Tune PPO in self-play. --env-steps is the budget of each seed of a trial; a step is one move of one player."""
    sweep = Sweep(
        algorithm=SELF_PLAY,
        env="pettingzoo.classic.tictactoe_v3",
        space=SPACE,
        trials=trials,
        seeds=seeds,
        budget_env_steps=env_steps,
        name=name or None,  # None: a new one is made
        storage=storage,
    )
    result = watch(sweep)
    if result.best is not None and result.best.checkpoint:
        rates = win_rate(result.best.checkpoint)
        print("against a random player:", ", ".join(f"{share:.0%} {how}" for how, share in rates.items()))


if __name__ == "__main__":
    run_script(main)
