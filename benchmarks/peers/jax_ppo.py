"""PPO as one program of JAX, as PureJaxRL writes it: `jax_ppo.py SETUP ENV_STEPS SEEDS` prints the measurement.

Environments, rollouts and updates of a tenth of the budget are one call; the seeds are an axis (`vmap`). Its numbers
are those of the other libraries: orthogonal initialisation, Adam with epsilon 1e-5, advantages normalised per
minibatch, and the value of the last observation where an episode is truncated."""

from __future__ import annotations

import os
import sys
from functools import partial
from typing import Any, NamedTuple

from clock import Tenths, hand_over, one_core
from work import EVALUATION_EPISODES, FINAL_EPISODES, REPORTS, SETUPS, Setup

one_core()
os.environ["JAX_PLATFORMS"] = "cpu"
os.environ["XLA_FLAGS"] = "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"

import jax
import jax.numpy as jnp
import jax_cartpole as cartpole
import optax

Network = list[tuple[jax.Array, jax.Array]]


class Carry(NamedTuple):
    """Everything that goes from a rollout to the next."""

    networks: dict[str, Network]
    optimizer: Any
    envs: cartpole.State
    key: jax.Array


class Rows(NamedTuple):
    """Rows of a rollout [T, N], or of a minibatch [B]."""

    obs: jax.Array
    action: jax.Array
    log_prob: jax.Array
    advantage: jax.Array
    target: jax.Array


def network(key: jax.Array, sizes: list[int], last_gain: float) -> Network:
    gains = [2**0.5] * (len(sizes) - 2) + [last_gain]
    keys = jax.random.split(key, len(gains))
    layers = zip(keys, sizes[:-1], sizes[1:], gains)
    return [(jax.nn.initializers.orthogonal(gain)(k, (n, m)), jnp.zeros(m)) for k, n, m, gain in layers]


def applied(layers: Network, rows: jax.Array) -> jax.Array:
    *hidden, (weight, bias) = layers
    for inner_weight, inner_bias in hidden:
        rows = jnp.tanh(rows @ inner_weight + inner_bias)
    return rows @ weight + bias


def log_prob_of(logits: jax.Array, action: jax.Array) -> jax.Array:
    return jnp.take_along_axis(jax.nn.log_softmax(logits), action[..., None], axis=-1)[..., 0]


def optimizer_of(setup: Setup) -> optax.GradientTransformation:
    return optax.chain(
        optax.clip_by_global_norm(setup.max_grad_norm), optax.adam(setup.learning_rate, eps=1e-5)
    )  # fmt: skip


def built(setup: Setup, seed: jax.Array) -> Carry:
    actor_key, critic_key, start_key, key = jax.random.split(jax.random.key(seed), 4)
    sizes = [cartpole.N_OBS, setup.hidden, setup.hidden]
    networks = {
        "actor": network(actor_key, [*sizes, cartpole.N_ACTIONS], 0.01),
        "critic": network(critic_key, [*sizes, 1], 1.0),
    }
    envs = cartpole.started(jax.random.uniform(start_key, (setup.n_envs, cartpole.N_OBS)))
    return Carry(networks, optimizer_of(setup).init(networks), envs, key)


def advantages(setup: Setup, value: jax.Array, next_value: jax.Array, ends: cartpole.Ends) -> jax.Array:
    """Return the generalised advantage estimates [T, N]; rewards are 1."""
    delta = 1.0 + setup.gamma * next_value * ~ends.terminated - value
    factor = setup.gamma * setup.gae_lambda * ~(ends.terminated | ends.truncated)

    def back(following: jax.Array, at: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array]:
        here = at[0] + at[1] * following
        return here, here

    return jax.lax.scan(back, jnp.zeros(setup.n_envs), (delta, factor), reverse=True, unroll=8)[1]


def rolled_out(setup: Setup, carry: Carry) -> tuple[cartpole.State, Rows]:
    """Act for T steps. The noise of all steps is drawn at once, and all values are computed at once."""
    action_key, reset_key = jax.random.split(carry.key)
    size = (setup.n_steps, setup.n_envs)
    gumbel = jax.random.gumbel(action_key, (*size, cartpole.N_ACTIONS))
    starts = jax.random.uniform(reset_key, (*size, cartpole.N_OBS))

    def act(envs: cartpole.State, noise: tuple[jax.Array, jax.Array]) -> tuple[cartpole.State, Any]:
        action = (applied(carry.networks["actor"], envs.obs) + noise[0]).argmax(-1)
        following, ends = cartpole.step(envs, action, noise[1])
        return following, (envs.obs, action, ends)

    envs, (obs, action, ends) = jax.lax.scan(act, carry.envs, (gumbel, starts))
    value, next_value = (applied(carry.networks["critic"], seen)[..., 0] for seen in (obs, ends.next_obs))
    log_prob = log_prob_of(applied(carry.networks["actor"], obs), action)
    advantage = advantages(setup, value, next_value, ends)
    return envs, Rows(obs, action, log_prob, advantage, advantage + value)


def loss_of(setup: Setup, networks: dict[str, Network], batch: Rows) -> jax.Array:
    logits = applied(networks["actor"], batch.obs)
    ratio = jnp.exp(log_prob_of(logits, batch.action) - batch.log_prob)
    advantage = (batch.advantage - batch.advantage.mean()) / (batch.advantage.std(ddof=1) + 1e-8)
    clipped = jnp.clip(ratio, 1 - setup.clip_range, 1 + setup.clip_range)
    policy_loss = -jnp.minimum(advantage * ratio, advantage * clipped).mean()
    value_loss = jnp.square(applied(networks["critic"], batch.obs)[..., 0] - batch.target).mean()
    entropy = -(jax.nn.softmax(logits) * jax.nn.log_softmax(logits)).sum(-1).mean()
    return policy_loss + setup.vf_coef * value_loss - setup.ent_coef * entropy


def updated(setup: Setup, networks: Any, optimizer: Any, rows: Rows, key: jax.Array) -> tuple[Any, Any]:
    """Return the networks and the state of the optimizer after all epochs over the rows of a rollout."""
    flat = jax.tree.map(lambda column: column.reshape(-1, *column.shape[2:]), rows)
    n_rows = setup.n_steps * setup.n_envs
    transform = optimizer_of(setup)

    def minibatch(state: tuple[Any, Any], chosen: jax.Array) -> tuple[tuple[Any, Any], None]:
        batch = jax.tree.map(lambda column: column[chosen], flat)
        gradient = jax.grad(partial(loss_of, setup))(state[0], batch)
        change, following = transform.update(gradient, state[1])
        return (optax.apply_updates(state[0], change), following), None

    def epoch(state: tuple[Any, Any], key: jax.Array) -> tuple[tuple[Any, Any], None]:
        order = jax.random.permutation(key, n_rows).reshape(-1, setup.batch_size)
        return jax.lax.scan(minibatch, state, order)[0], None

    return jax.lax.scan(epoch, (networks, optimizer), jax.random.split(key, setup.n_epochs))[0]


def tenth(setup: Setup, rollouts: int, carry: Carry) -> Carry:
    def step(carry: Carry, _: None) -> tuple[Carry, None]:
        rollout_key, update_key, key = jax.random.split(carry.key, 3)
        envs, rows = rolled_out(setup, carry._replace(key=rollout_key))
        networks, optimizer = updated(setup, carry.networks, carry.optimizer, rows, update_key)
        return Carry(networks, optimizer, envs, key), None

    return jax.lax.scan(step, carry, length=rollouts)[0]


def score(episodes: int, networks: dict[str, Network], key: jax.Array) -> jax.Array:
    """Return the mean return of episodes of the deterministic policy."""

    def goes_on(state: tuple[cartpole.State, jax.Array, jax.Array]) -> jax.Array:
        return state[1].any()

    def act(state: tuple[cartpole.State, jax.Array, jax.Array]) -> tuple[cartpole.State, jax.Array, jax.Array]:
        envs, running, returns = state
        action = applied(networks["actor"], envs.obs).argmax(-1)
        following, ends = cartpole.step(envs, action, envs.obs)
        return following, running & ~(ends.terminated | ends.truncated), returns + running

    envs = cartpole.started(jax.random.uniform(key, (episodes, cartpole.N_OBS)))
    return jax.lax.while_loop(goes_on, act, (envs, jnp.ones(episodes, bool), jnp.zeros(episodes)))[2].mean()


def trained(setup: Setup, env_steps: int, n_seeds: int) -> dict[str, Any]:
    rollouts = env_steps // REPORTS // (setup.n_steps * setup.n_envs)
    advance = jax.jit(jax.vmap(partial(tenth, setup, rollouts)), donate_argnums=0)
    evaluators = {n: jax.jit(jax.vmap(partial(score, n))) for n in (EVALUATION_EPISODES, FINAL_EPISODES)}
    keys = jax.random.split(jax.random.key(10_000), n_seeds)
    clock = Tenths(lambda episodes, carry: evaluators[episodes](carry.networks, keys).block_until_ready())
    carry = jax.jit(jax.vmap(partial(built, setup)))(jnp.arange(n_seeds))
    for number in range(REPORTS):
        carry = jax.block_until_ready(advance(carry))
        returns = clock.evaluate(EVALUATION_EPISODES if number + 1 < REPORTS else FINAL_EPISODES, carry)
        if number == 0:
            clock.evaluate(FINAL_EPISODES, carry)  # compiled with everything else that is done once
            clock.end_first()
    steps = (REPORTS - 1) * rollouts * setup.n_steps * setup.n_envs * n_seeds
    return {**clock.measurement(steps, float(returns.mean())), "returns": [float(one) for one in returns]}


if __name__ == "__main__":
    hand_over(trained(SETUPS[sys.argv[1]], int(sys.argv[2]), int(sys.argv[3])))
