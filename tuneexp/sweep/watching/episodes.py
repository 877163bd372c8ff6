"""Episodes of policies, one moment after each step."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from tuneexp.envs.env_faults import raised
from tuneexp.envs.env_rng import env_seed
from tuneexp.errors import TuneexpError
from tuneexp.trial.players import Players


@dataclass
class Moment:
    """State of an episode after a step, or at its start.

    Attributes:
        episode: Number of the episode, from 1.
        step: Number of steps that were taken.
        scores: Sum of rewards by agent; "" is the only agent.
        over: True if the episode has ended.
    """

    episode: int
    step: int = 0
    scores: dict[str, float] = field(default_factory=dict)
    over: bool = False

    @property
    def score(self) -> float:
        """Score of the only agent, or the mean over agents."""
        return float(np.mean(list(self.scores.values()))) if self.scores else 0.0

    def __str__(self) -> str:
        named = [f"{agent} {value:.6g}".strip() for agent, value in self.scores.items()]
        shown = ", ".join(named) if len(named) <= 4 else f"{self.score:.6g} (mean of {len(named)} agents)"
        return f"episode {self.episode}   step {self.step}   score {shown or 0}"


def played(env: Any, players: Players, episodes: int, seed: int, max_steps: int) -> Iterator[Moment]:
    """Play episodes, those of an evaluation with the same seed.

    Args:
        env: A gymnasium or PettingZoo environment.
        players: Policies of its agents.
        episodes: Number of episodes.
        seed: Seed of the environment.
        max_steps: Steps after which an episode is stopped.

    Raises:
        TuneexpError: The environment failed.
    """
    play = _turns if hasattr(env, "agent_iter") else _together if hasattr(env, "possible_agents") else _alone
    for index in range(episodes):
        moment = Moment(index + 1)
        first = env_seed(seed, index)
        if play is not _alone:  # as the drivers of several agents draw it
            first = int(np.random.default_rng(first).integers(2**31))
        players.start(index)
        try:
            for _ in play(env, players.by_agent, first, moment):
                moment.over = moment.over or moment.step >= max_steps
                yield moment
                if moment.over:
                    break
        except TuneexpError:
            raise
        except Exception as error:
            raise raised(players.env, f"episode {index + 1}", "step", error) from error


_Acts = Mapping[str, Callable[[Any], Any]]


def _alone(env: Any, acts: _Acts, seed: int, moment: Moment) -> Iterator[None]:
    (act,) = acts.values()
    obs, _ = env.reset(seed=seed)
    moment.scores[""] = 0.0
    yield
    while True:
        obs, reward, terminated, truncated, _ = env.step(act(obs))
        moment.step += 1
        moment.scores[""] += float(reward)
        moment.over = bool(terminated or truncated)
        yield


def _together(env: Any, acts: _Acts, seed: int, moment: Moment) -> Iterator[None]:
    """Parallel API of PettingZoo."""
    obs, _ = env.reset(seed=seed)
    moment.scores.update(dict.fromkeys(env.agents, 0.0))
    yield
    while env.agents:
        obs, rewards, _, _, _ = env.step({agent: acts[agent](obs[agent]) for agent in env.agents})
        moment.step += 1
        for agent, reward in rewards.items():
            moment.scores[agent] = moment.scores.get(agent, 0.0) + float(reward)
        moment.over = not env.agents
        yield


def _turns(env: Any, acts: _Acts, seed: int, moment: Moment) -> Iterator[None]:
    """AEC API of PettingZoo: a step is one action of one agent."""
    env.reset(seed=seed)
    moment.scores.update(dict.fromkeys(env.agents, 0.0))
    yield
    for agent in env.agent_iter():
        obs, reward, terminated, truncated, _ = env.last()
        moment.scores[agent] += float(reward)
        if terminated or truncated:
            env.step(None)
        else:
            env.step(acts[agent](obs))
            moment.step += 1
        moment.over = not env.agents
        yield
