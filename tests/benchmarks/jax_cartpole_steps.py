"""Program of test_jax_peer.py, for the Python that has JAX: its CartPole beside gymnasium's, and its advantages."""

from __future__ import annotations

import json

import gymnasium
import jax_ppo  # first: it sets JAX's threads
import numpy as np

# isort: split
import jax.numpy as jnp
import jax_cartpole as cartpole
from work import SETUPS

STEPS = 2_000


def largest_difference() -> tuple[float, int]:
    """Step both with the same random actions. Returns the largest difference of an observation, and the episodes."""
    env = gymnasium.make("CartPole-v1")
    rng = np.random.default_rng(0)
    obs, _ = env.reset(seed=0)
    state, worst, episodes = cartpole.State(jnp.asarray(obs)[None], jnp.zeros(1, jnp.int32)), 0.0, 0
    for _ in range(STEPS):
        action = int(rng.integers(2))
        state, ends = cartpole.step(state, jnp.asarray([action]), jnp.zeros((1, 4)))
        obs, _, terminated, truncated, _ = env.step(action)
        worst = max(worst, float(np.abs(np.asarray(ends.next_obs[0]) - obs).max()))
        assert (terminated, truncated) == (bool(ends.terminated[0]), bool(ends.truncated[0]))
        if terminated or truncated:
            episodes += 1
            obs, _ = env.reset()
            state = cartpole.State(jnp.asarray(obs)[None], jnp.zeros(1, jnp.int32))
    return worst, episodes


def truncated_at() -> int:
    """Return the step at which an episode that never falls is truncated."""
    state = cartpole.State(jnp.zeros((1, 4)), jnp.asarray([0]))
    for step in range(1, 600):
        upright = cartpole.State(jnp.zeros((1, 4)), state.steps)
        state, ends = cartpole.step(upright, jnp.asarray([1]), jnp.full((1, 4), 0.5))
        if bool(ends.truncated[0]):
            assert int(state.steps[0]) == 0
            return step
    return 0


def advantages() -> dict[str, list[list[float]]]:
    rng = np.random.default_rng(1)
    rows = (SETUPS["short"].n_steps, SETUPS["short"].n_envs)
    value, next_value = (rng.normal(size=rows).astype(np.float32) for _ in range(2))
    terminated = rng.random(rows) < 0.1
    truncated = (rng.random(rows) < 0.1) & ~terminated
    ends = cartpole.Ends(jnp.zeros((*rows, 4)), jnp.asarray(terminated), jnp.asarray(truncated))
    found = jax_ppo.advantages(SETUPS["short"], jnp.asarray(value), jnp.asarray(next_value), ends)
    columns = {"value": value, "next_value": next_value, "terminated": terminated, "truncated": truncated}
    return {name: np.asarray(column).tolist() for name, column in {**columns, "advantage": found}.items()}


if __name__ == "__main__":
    worst, episodes = largest_difference()
    print(json.dumps({"worst": worst, "episodes": episodes, "truncated_at": truncated_at(), **advantages()}))
