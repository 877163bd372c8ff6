"""Facts that hold for every tensor environment."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from gymnasium import Space
from gymnasium.spaces import Box, Dict
from numpy.typing import NDArray
from torch import Tensor
from torch.fx.experimental.proxy_tensor import make_fx
from torch.utils._pytree import tree_flatten, tree_map, tree_unflatten

from tuneexp.envs.env_factory import resolve
from tuneexp.envs.env_rng import env_seeds
from tuneexp.envs.seed_envs import SeedEnvs
from tuneexp.envs.tensor.checking import check_program
from tuneexp.envs.tensor.noise_streams import NoiseStreams
from tuneexp.envs.tensor.program import Outcome, Running, TensorProgram, advance, start
from tuneexp.testing.subject import differences, first_of, require

SEEDS, N_ENVS = (0, 3), 3
STEPS, MOST_STEPS = 40, 1000
# Rounding may depend on the number of environments and on the order of operations.
TOLERANCE = 1e-4
OTHER = 1.01  # factor of numbers, small enough to stay sensible


@dataclass(frozen=True)
class TensorEnvSubject:
    """A tensor environment under test: its address or id, and its arguments."""

    env: str
    env_kwargs: Mapping[str, Any]

    def program(self) -> TensorProgram:
        return resolve(self.env, self.env_kwargs, backend="tensor").make_tensor()

    def envs(self, seeds: tuple[int, ...] = SEEDS) -> SeedEnvs:
        return SeedEnvs(self.env, seeds, N_ENVS, self.env_kwargs, backend="tensor")


class _Play:
    """Open episodes of a program, with noise and random actions."""

    def __init__(self, subject: TensorEnvSubject) -> None:
        self.program, self.random = subject.program(), np.random.default_rng(0)
        env, lead = self.program.env, (len(SEEDS), N_ENVS)
        noises = {**env.reset_noise, **env.step_noise}
        self._streams = NoiseStreams(noises, lead, lambda restored: env_seeds(SEEDS, range(N_ENVS)))
        self.running, self.obs = self.program.start(self.noise())

    def noise(self) -> dict[str, Tensor]:
        return {name: torch.from_numpy(drawn) for name, drawn in self._streams.next().items()}

    def action(self) -> Tensor:
        return torch.from_numpy(random_actions(self.program.env.action_space, (len(SEEDS), N_ENVS), self.random))

    def steps(self, number: int) -> Iterator[tuple[Running, Tensor, dict[str, Tensor], Outcome]]:
        """Yield the inputs of each step, and its result."""
        for _ in range(number):
            before, action, noise = self.running, self.action(), self.noise()
            self.running, outcome = self.program.advance(before, action, noise)
            yield before, action, noise, outcome


def random_actions(space: Space[Any], lead: tuple[int, ...], random: np.random.Generator) -> NDArray[Any]:
    """Return random actions [*lead, ...] of a space; of a Box within its bounds."""
    shape = (*lead, *(space.shape or ()))
    if isinstance(space, Box):
        return np.clip(random.normal(size=shape), space.low, space.high).astype(space.dtype)
    first: Any = getattr(space, "start", 0)
    many: Any = space.n if hasattr(space, "n") else space.nvec  # type: ignore[attr-defined]
    return np.asarray(first + random.integers(0, many, shape), space.dtype)


def shapes_types_and_devices_are_right(subject: TensorEnvSubject) -> None:
    """Of state, observation, reward and terminated, on tensors without values."""
    check_program(subject.program())


def observations_are_in_its_space(subject: TensorEnvSubject) -> None:
    """At the start and after random actions; a reward is a finite number."""
    play = _Play(subject)
    space = play.program.env.observation_space
    _require_inside(space, play.obs, "reset")
    for _, _, _, outcome in play.steps(STEPS):
        _require_inside(space, outcome.next_obs, "step")
        require(torch.isfinite(outcome.reward).all(), f"a reward is not finite: {outcome.reward.flatten().tolist()}")


def _require_inside(space: Space[Any], obs: Any, function: str) -> None:
    for index in np.ndindex(len(SEEDS), N_ENVS):
        one = tree_map(lambda leaf, at=index: leaf[at].numpy(), obs)
        inside = space.contains(one if isinstance(space, Dict | Box) else int(one))
        require(inside, f"{function} gave an observation outside of {space}: {one}")


def the_same_inputs_give_the_same_result(subject: TensorEnvSubject) -> None:
    """It has no random numbers and no memory of its own, and it leaves its inputs as they are."""
    play = _Play(subject)
    for before, action, noise, outcome in play.steps(STEPS):
        inputs = _tree(before, action, noise, play.program.params)
        copies = tree_map(Tensor.clone, inputs)
        again = play.program.advance(before, action, noise)[1]
        found = differences(_leaves(outcome), _leaves(again))
        require(not found, f"the same state, action and noise gave another result: {first_of(found)}")
        found = differences(_leaves(copies), _leaves(inputs))
        require(not found, "step or reset changed an input in place; return new tensors")


def an_environment_does_not_depend_on_the_others(subject: TensorEnvSubject) -> None:
    """A row alone, without leading axes, gives what it gives among others."""
    play = _Play(subject)
    for before, action, noise, outcome in play.steps(STEPS):
        _, alone = play.program.advance(*_row(_tree(before, action, noise)))
        _require_close(_row(outcome), alone, "an environment alone gives another result than among others")


def it_is_one_graph_for_all_numbers(subject: TensorEnvSubject) -> None:
    """Traced once, it gives what it gives when called, also with other values of params."""
    play = _Play(subject)
    env, params, limit = play.program.env, play.program.params, play.program.limit
    before, action, noise, _ = next(play.steps(1))
    inputs, form = tree_flatten((before, action, noise, params, limit))

    def whole(*flat: Tensor) -> list[Tensor]:
        running, chosen, drawn, numbers, most = tree_unflatten(list(flat), form)
        return _leaves((advance(env, running, chosen, drawn, numbers, most), start(env, drawn, numbers)))

    graph = make_fx(whole, tracing_mode="fake")(*inputs)
    others = {name: value * OTHER if value.is_floating_point() else value for name, value in params.items()}
    for numbers in (params, others):
        for running, chosen, drawn, _ in play.steps(STEPS // 4):
            flat = tree_flatten((running, chosen, drawn, numbers, limit))[0]
            _require_close(whole(*flat), graph(*flat), "the traced program gives another result than the functions")


def a_saved_state_continues_exactly(subject: TensorEnvSubject) -> None:
    """Environments that are restored from a checkpoint take the same steps, bit by bit."""
    random = np.random.default_rng(1)
    with closing(subject.envs()) as envs, closing(subject.envs()) as again:
        envs.reset()
        lead = (envs.n_seeds, envs.n_envs)
        for _ in range(STEPS):
            envs.step(random_actions(envs.action_space, lead, random))
        saved = envs.get_state()
        assert saved is not None
        again.set_state(saved)
        for _ in range(STEPS):
            action = random_actions(envs.action_space, lead, random)
            found = differences(list(envs.step(action)), list(again.step(action)))
            require(not found, f"a restored environment takes other steps: {first_of(found)}")


def a_seed_alone_is_that_seed_among_others(subject: TensorEnvSubject) -> None:
    random = np.random.default_rng(2)
    with closing(subject.envs()) as both, closing(subject.envs(SEEDS[1:])) as alone:
        require(np.array_equal(both.reset()[1:], alone.reset()), "a seed alone starts other episodes")
        for _ in range(STEPS):
            action = random_actions(both.action_space, (2, N_ENVS), random)
            among, single = both.step(action), alone.step(action[1:])
            close = np.allclose(among.next_obs[1:], single.next_obs, TOLERANCE, TOLERANCE)
            require(close, "a seed alone gives other observations than among others")


def episodes_end(subject: TensorEnvSubject) -> None:
    """Otherwise an evaluation takes `evaluation.max_steps` steps."""
    play = _Play(subject)
    if int(play.program.limit) <= MOST_STEPS:
        return
    ended = any(bool(outcome.terminated.any()) for *_, outcome in play.steps(MOST_STEPS))
    require(ended, f"no episode has ended in {MOST_STEPS} random steps, and max_episode_steps is not set")


FACTS: list[Callable[[TensorEnvSubject], None]] = [
    shapes_types_and_devices_are_right,
    observations_are_in_its_space,
    the_same_inputs_give_the_same_result,
    an_environment_does_not_depend_on_the_others,
    it_is_one_graph_for_all_numbers,
    a_saved_state_continues_exactly,
    a_seed_alone_is_that_seed_among_others,
    episodes_end,
]


def _tree(*parts: Any) -> tuple[Any, ...]:
    return parts


def _row(tree: Any) -> Any:
    """Return one environment of a tree of tensors [S, N, ...]."""
    return tree_map(lambda leaf: leaf[0, 1], tree)


def _leaves(tree: Any) -> list[Tensor]:
    return list(tree_flatten(tree)[0])


def _require_close(expected: Any, got: Any, broken: str) -> None:
    for one, other in zip(_leaves(expected), _leaves(got), strict=True):
        close = torch.allclose(one.double(), other.double(), TOLERANCE, TOLERANCE, equal_nan=True)
        require(close, f"{broken}: {other.flatten()[:6].tolist()}, not {one.flatten()[:6].tolist()}")
