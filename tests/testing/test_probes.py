"""The probe environments have their documented returns."""

from __future__ import annotations

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

from tuneexp.envs.seed_envs import SeedEnvs
from tuneexp.testing.probes import PROBES, CutShort, Probe


@pytest.mark.parametrize("probe", PROBES, ids=lambda probe: probe.__name__)
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_a_probe_is_a_well_formed_environment(probe: type[Probe], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(CutShort, "cut_share", 0.0)  # gymnasium takes a cut after one step for a mistake
    check_env(probe(), skip_render_check=True)
    assert isinstance(probe().action_space, gymnasium.spaces.Box) == probe.__name__.endswith("Continuous")
    envs = SeedEnvs(f"tuneexp.testing.probes:{probe.__name__}", [0, 1], 3)
    assert envs.reset().shape == (2, 3, len(probe.contexts[0]))
    envs.close()


def discounted(probe: type[Probe], context: int, best: bool) -> float:
    """Discounted return of an episode from a context, with the best or the worst actions.

    A truncated episode counts the return that would have followed."""
    env = probe()
    env.reset(seed=0)
    env._context = context
    total, factor, done = 0.0, 1.0, False
    while not done:
        actions = [np.array([a], np.float32) for a in (-0.8, 0.8, 0.0)] if probe.continuous else range(probe.n_actions)
        rewards = [env._reward(action) for action in actions] if probe.solved_return is not None else [0.0]
        chosen = list(actions)[int(np.argmax(rewards) if best else np.argmin(rewards))]
        _, reward, done, cut, _ = env.step(chosen)
        total, factor = total + factor * reward, factor * probe.GAMMA
        if cut:
            return total + factor * discounted(probe, env._context, best)
    return total


@pytest.mark.parametrize("probe", PROBES, ids=lambda probe: probe.__name__)
def test_the_values_of_a_probe_are_the_best_returns(probe: type[Probe]) -> None:
    for context, value in enumerate(probe.values):
        assert discounted(probe, context, best=True) == pytest.approx(value)
        if probe.solved_return is not None:
            assert discounted(probe, context, best=False) < probe.solved_return


def test_a_cut_is_a_truncation_on_the_way_to_the_true_next_observation() -> None:
    env = CutShort()
    env.reset(seed=0)
    cuts = 0
    for _ in range(100):
        env._context = 0
        observation, reward, terminated, truncated, _ = env.step(0)
        cuts += truncated
        assert tuple(observation) == CutShort.contexts[1]
        assert (reward, terminated) == (0.0, False)
    assert 60 < cuts < 90
