"""Policies of checkpoints, without learners and training environments."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from tuneexp.algorithms.base_config import AlgorithmConfig
from tuneexp.algorithms.multi_agent import MultiAgentSpec
from tuneexp.algorithms.spec import AlgorithmSpec, TrainableSpec
from tuneexp.envs.env_factory import own_spaces, resolve
from tuneexp.envs.multi_agent.multi_agent_factory import Spaces, resolve_multi_agent
from tuneexp.envs.observations import ObsReader
from tuneexp.envs.registration import register_again
from tuneexp.envs.seed_envs import EnvFacts
from tuneexp.errors import CheckpointError, UserError, unknown_name
from tuneexp.learning.rng_streams import policy_seed
from tuneexp.learning.seed_networks import SeedNetworks
from tuneexp.sampling.loaded_policy import LoadedPolicy, PolicyFacts, PolicyParts
from tuneexp.sampling.policy import Policy
from tuneexp.spaces.zero_based import zero_based
from tuneexp.trial import assembly
from tuneexp.trial.cohorts.states import stacked
from tuneexp.trial.first_weights import one_seed, take_weights
from tuneexp.trial.policy_trainer import END_OF_SCHEDULES
from tuneexp.trial.programs import acting_program
from tuneexp.trial.stored_trial import StoredTrial, checkpoint_named, read_trial
from tuneexp.trial.trial_config import TrialConfig

log = logging.getLogger(__name__)

NOT_NEEDED = ("experience", "optimizer", "target", "runners", "fragment")


class _Part(NamedTuple):
    """One policy of a checkpoint.

    Args:
        name: among several policies; None: it is the only one.
        spec: its algorithm.
        cfg: its configuration.
        spaces: as the environment declares them.
        state: of its trainer.
        statistics: of its observations and rewards, all seeds; None: nothing is normalised.
        clock: progress and environment steps that schedules are at.
        make_env: builds its environment.
    """

    name: str | None
    spec: AlgorithmSpec
    cfg: AlgorithmConfig
    spaces: Spaces
    state: Mapping[str, Any]
    statistics: Mapping[str, Any] | None
    clock: tuple[float, int]
    make_env: Any


def policy_from_checkpoint(
    folder: str | Path,
    seed: int | None = None,
    policy: str | None = None,
    trust: bool = False,
    moved: Mapping[str, str] | None = None,
) -> LoadedPolicy:
    """Load the policy of one seed of a checkpoint. Arguments as of `load_policy`.

    Raises:
        UserError: As `load_policy`.
    """
    stored = _stacked(read_trial(folder, trust, moved, leave_out=NOT_NEEDED))
    register_again(stored.config.env, stored.config.env_registration)
    with checkpoint_named(folder):
        try:
            part = _part(stored, policy)
            index = _index_of(stored, seed, part.state["learner"]["failed"].tolist())
            return LoadedPolicy(_facts(stored, part, index), _parts(stored, part, index))
        except (LookupError, TypeError, ValueError, AttributeError, RuntimeError) as error:
            raise CheckpointError(f"the checkpoint is damaged: {type(error).__name__}: {error}") from error


def _stacked(stored: StoredTrial) -> StoredTrial:
    """Return the trial with the policies of all cohorts of seeds in one stack."""
    with checkpoint_named(stored.folder):
        try:
            state = stacked(stored.state)
        except (LookupError, TypeError, ValueError, AttributeError, RuntimeError) as error:
            raise CheckpointError(f"the checkpoint is damaged: {type(error).__name__}: {error}") from error
    config = stored.config.model_copy(update={"seeds": list(state["config"]["seeds"]), "cohorts": []})
    return stored._replace(state=state, config=config)


def _part(stored: StoredTrial, policy: str | None) -> _Part:
    if isinstance(stored.spec, MultiAgentSpec):
        return _part_of_several(stored, stored.spec, policy)
    if policy is not None:
        raise UserError(f"policy={policy!r}: the checkpoint holds one policy; leave out policy")
    config, state = stored.config, stored.state
    assert isinstance(stored.spec, AlgorithmSpec)
    cfg = stored.spec.config_class.parse(config.hyperparameters, stored.spec.name)
    given = (config.env, config.env_kwargs, config.wrappers)
    factory = resolve(*given, backend=config.env_backend)

    env_steps = int(state["env_steps"])
    clock = min(1.0, env_steps / config.budget_env_steps), env_steps
    statistics = state["group"]["normaliser"]
    spaces = own_spaces(factory, config.env_backend)
    return _Part(None, stored.spec, cfg, spaces, state, statistics, clock, env_maker(config, stored.spec))


def _part_of_several(stored: StoredTrial, spec: MultiAgentSpec, policy: str | None) -> _Part:
    config, state = stored.config, stored.state
    name = _chosen(policy, state["policies"], spec)
    cfg = spec.config_class.parse(config.hyperparameters, spec.name)
    factory = resolve_multi_agent(config.env, **assembly.env_settings(config))
    agents = factory.agents()
    assignment = spec.assignment(list(agents), cfg.n_envs)
    seats = [agent for of in assignment for agent, own in of.items() if own == name]
    if not seats:
        raise UserError(f"policy {name!r} has no agent in {factory.name} ({', '.join(agents)})")
    own_cfg = spec.config_of(name, cfg, len(seats), f"policy {name}")
    steps = int(state["env_steps"])
    clock = min(1.0, steps / config.budget_env_steps), steps // cfg.n_envs * own_cfg.n_envs
    if not spec.policies[name].trained:
        clock = 1.0, END_OF_SCHEDULES

    statistics, make_env = state["group"]["policies"][name]["normaliser"], env_maker(config, spec)
    return _Part(
        name, spec.spec_of(name), own_cfg, agents[seats[0]], state["policies"][name], statistics, clock, make_env
    )


def env_maker(config: TrialConfig, spec: TrainableSpec) -> Callable[..., Any]:
    """Return a function that builds one environment of a trial as in evaluation. Its arguments are added to those of
    the trial."""

    def make_env(**changes: Any) -> Any:
        kwargs = {**config.env_kwargs, **changes}
        if isinstance(spec, MultiAgentSpec):
            return resolve_multi_agent(config.env, **{**assembly.env_settings(config), "env_kwargs": kwargs}).make()
        if config.env_backend == "envpool":
            raise UserError(f"{config.env} is of EnvPool, which has no single environments; make it with envpool.make")
        return resolve(config.env, kwargs, config.wrappers, training=False).make()

    return make_env


def _chosen(policy: str | None, stored: Collection[str], spec: MultiAgentSpec) -> str:
    if policy is None:
        trained = [name for name in stored if spec.policies[name].trained]
        if len(trained) != 1:
            raise UserError(f"the checkpoint holds several policies; write policy={' or '.join(map(repr, stored))}")
        return trained[0]
    if policy not in stored:
        raise unknown_name("policy", policy, stored, see=f"of {spec.name}, those with networks")
    return policy


def _index_of(stored: StoredTrial, seed: int | None, failed: list[bool]) -> int:
    """Return the index of a seed; None: the one with the best last evaluation that has not diverged."""
    seeds, history = list(stored.config.seeds), stored.state["objective"]["history"]
    if seed is None:
        last = np.array(history[-1] if history else np.zeros(len(seeds)), np.float64)
        index = int(np.argmax(np.where(np.array(failed) | np.isnan(last), -np.inf, last)))
    elif seed in seeds:
        index = seeds.index(seed)
    else:
        raise UserError(f"seed={seed}: the checkpoint has the seeds {', '.join(map(str, seeds))}")
    if failed[index]:
        log.warning("seed %d of %s diverged: its networks may be useless", seeds[index], stored.folder)
    return index


def _facts(stored: StoredTrial, part: _Part, index: int) -> PolicyFacts:
    config, history = stored.config, stored.state["objective"]["history"]
    return PolicyFacts(
        algorithm=config.algorithm,
        env=str(config.env),
        seed=config.seeds[index],
        seeds=list(config.seeds),
        env_steps=int(stored.state["env_steps"]),
        hyperparameters=dict(config.hyperparameters),
        returns=dict(zip(config.seeds, history[-1], strict=True)) if history else {},
        policy=part.name,
    )


def _parts(stored: StoredTrial, part: _Part, index: int) -> PolicyParts:
    seed = stored.config.seeds[index]
    exact = part.cfg.normalize_observation
    reader = ObsReader(part.spaces[0], exact)
    facts = EnvFacts(str(stored.config.env), reader.space, zero_based(part.spaces[1]), reader.shape, reader.dtype, True)
    seeds = [seed if part.name is None else policy_seed(seed, part.name)]
    networks = SeedNetworks(assembly.model_builder(part.spec, facts), part.cfg, seeds)
    take_weights(networks, one_seed(part.state["learner"]["parameters"], index), "its network")
    networks.hyper.set_clock(*part.clock)
    normaliser = assembly.normaliser_of(facts, part.cfg, 1)
    if normaliser is not None and part.statistics is not None:
        normaliser.load_state_dict(one_seed(part.statistics, index))
    shapes = assembly.shapes_of(part.spec, part.cfg, networks, facts, {})
    act, program = acting_program(networks, part.spec.act_fn, shapes, "off")

    def build(n_envs: int) -> Policy:
        return assembly.build_policy(networks, act, program, replace(shapes, n_envs=n_envs), None)

    mask = getattr(part.cfg, "action_mask", None)
    return PolicyParts(build, part.spaces, normaliser, mask, part.make_env)
