"""Two policies that learn to communicate, each with a PPO of its own. A minute or two on two cores.

A speaker observes the target, one of three marks, and chooses one of three words. A listener observes the word and
chooses a mark. The hyperparameters of the speaker are tuned, those of the listener are fixed.

python experiments/multi_agent_ppo.py
tuneexp train experiments/multi_agent_ppo.py:TELLING_PPO experiments/multi_agent_ppo.py:Telling --env-steps 30000 \
    --set speaker/learning_rate=0.003
tuneexp sweep --algorithm experiments/multi_agent_ppo.py:TELLING_PPO --env experiments/multi_agent_ppo.py:Telling \
    --space experiments/multi_agent_ppo.py:SPACE --trials 4 --env-steps 30000 --name telling
"""

from __future__ import annotations

from typing import Any

import numpy as np
from gymnasium.spaces import Box, Discrete
from pettingzoo import AECEnv

from tuneexp import MultiAgentSpec, PolicySpec, Sweep, run_script, watch

MARKS, ROUNDS = 3, 10


class Telling(AECEnv[str, Any, int]):
    """Ten rounds of one word and one choice. Both agents get a reward of 1 for a round with the right choice.

    The speaker gets it in its next turn: rewards between two turns of an agent belong to the first of them."""

    metadata = {"name": "telling"}

    def __init__(self) -> None:
        self.possible_agents = ["speaker", "listener"]

    def observation_space(self, agent: str) -> Box:
        return Box(0.0, 1.0, (MARKS,), np.float32)

    def action_space(self, agent: str) -> Discrete:
        return Discrete(MARKS)

    def reset(self, seed: int | None = None, options: Any = None) -> None:
        self.random = np.random.default_rng(seed)
        self.agents, self.agent_selection = list(self.possible_agents), "speaker"
        self.rewards, self._cumulative_rewards = (dict.fromkeys(self.agents, 0.0) for _ in range(2))
        self.terminations, self.truncations = (dict.fromkeys(self.agents, False) for _ in range(2))
        self.infos: dict[str, dict[str, Any]] = {agent: {} for agent in self.agents}
        self.meant, self.word, self.round = int(self.random.integers(MARKS)), 0, 0

    def observe(self, agent: str) -> Any:
        return np.eye(MARKS, dtype=np.float32)[self.meant if agent == "speaker" else self.word]

    def step(self, action: Any) -> None:
        agent = self.agent_selection
        if self.terminations[agent] or self.truncations[agent]:
            self._was_dead_step(action)
            return
        self._cumulative_rewards[agent] = 0.0
        self._clear_rewards()
        if agent == "speaker":
            self.word, self.agent_selection = int(action), "listener"
        else:
            self.rewards = dict.fromkeys(self.agents, float(action == self.meant))
            self.meant, self.round, self.agent_selection = int(self.random.integers(MARKS)), self.round + 1, "speaker"
            if self.round == ROUNDS:
                self.terminations = dict.fromkeys(self.agents, True)
        self._accumulate_rewards()


# Rounds are independent of each other, so the discount factor is near 0.
OWN = {"n_steps": 64, "batch_size": 128, "learning_rate": 3e-3, "gamma": 0.01, "model": {"hidden_sizes": [32]}}
POLICIES = {"speaker": PolicySpec("ppo", {**OWN, "ent_coef": 0.02}), "listener": PolicySpec("ppo", OWN)}

TELLING_PPO = MultiAgentSpec("telling_ppo", POLICIES, policy_mapping="per_agent")

# Only hyperparameters of the speaker are searched.
SPACE = {"speaker": {"learning_rate": {"loguniform": [1e-3, 1e-2]}, "ent_coef": {"loguniform": [1e-3, 1e-1]}}}


def main(trials: int = 4, seeds: int = 4, env_steps: int = 30_000, name: str = "", storage: str = "runs") -> None:
    """Tune the speaker's PPO. --env-steps is the budget of each seed of a trial; a step is the action of one agent."""
    sweep = Sweep(
        algorithm=TELLING_PPO,
        env=Telling,
        space=SPACE,
        trials=trials,
        seeds=seeds,
        budget_env_steps=env_steps,
        name=name or None,  # None: a new one is made
        storage=storage,
    )
    watch(sweep)


if __name__ == "__main__":
    run_script(main)
