"""CartPole-v1 in JAX: gymnasium's equations, episodes of at most 500 steps, a new episode at once after an end."""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp

N_OBS, N_ACTIONS, LIMIT = 4, 2, 500


class State(NamedTuple):
    obs: jax.Array  # [N, 4]: position, velocity, angle, angular velocity
    steps: jax.Array  # [N]: of the episode


class Ends(NamedTuple):
    """The result of a step; next_obs: [N, 4], the true one also at the end of an episode."""

    next_obs: jax.Array
    terminated: jax.Array
    truncated: jax.Array


def started(noise: jax.Array) -> State:
    """Start episodes. noise: [N, 4], uniform in [0, 1)."""
    return State(noise * 0.1 - 0.05, jnp.zeros(noise.shape[0], jnp.int32))


def pushed(obs: jax.Array, action: jax.Array) -> jax.Array:
    """Return the observation [N, 4] after a step of 0.02 s (Euler, as gymnasium's default)."""
    position, velocity, angle, angular = obs.T
    force = jnp.where(action == 1, 10.0, -10.0)
    sine, cosine = jnp.sin(angle), jnp.cos(angle)
    pole, total = 0.05, 1.1  # mass times half the length of the pole; mass of both
    sideways = (force + pole * angular**2 * sine) / total
    angular_acceleration = (9.8 * sine - cosine * sideways) / (0.5 * (4.0 / 3.0 - 0.1 * cosine**2 / total))
    acceleration = sideways - pole * angular_acceleration * cosine / total
    moved = (position + 0.02 * velocity, velocity + 0.02 * acceleration)
    return jnp.stack([*moved, angle + 0.02 * angular, angular + 0.02 * angular_acceleration], axis=1)


def step(state: State, action: jax.Array, noise: jax.Array) -> tuple[State, Ends]:
    """Advance all environments; the reward is always 1. noise: [N, 4], for the episodes that begin."""
    obs = pushed(state.obs, action)
    steps = state.steps + 1
    terminated = (jnp.abs(obs[:, 0]) > 2.4) | (jnp.abs(obs[:, 2]) > 12 * 2 * jnp.pi / 360)
    truncated = (steps >= LIMIT) & ~terminated
    ended = terminated | truncated
    new = started(noise)
    following = State(jnp.where(ended[:, None], new.obs, obs), jnp.where(ended, new.steps, steps))
    return following, Ends(obs, terminated, truncated)
