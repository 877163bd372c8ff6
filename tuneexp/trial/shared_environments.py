"""Experience source of several policies, whose agents act in the same environments."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tuneexp.algorithms.multi_agent import MultiAgentSpec
from tuneexp.algorithms.multi_agent_config import MultiAgentConfig
from tuneexp.algorithms.preflight import check_action_space
from tuneexp.envs.episode_stats import EpisodeSummary, mean_of_known
from tuneexp.envs.multi_agent.envs import MultiAgentEnvs
from tuneexp.envs.multi_agent.multi_agent_factory import resolve_multi_agent
from tuneexp.errors import UserError, unknown_name
from tuneexp.learning.devices import CPU
from tuneexp.learning.rng_streams import policy_seed
from tuneexp.sampling.evaluation import Evaluation
from tuneexp.sampling.joint_evaluation import Returns, evaluate_jointly
from tuneexp.sampling.joint_sampling import JointRunner
from tuneexp.sampling.seat_fragment import SeatFragment
from tuneexp.sampling.seat_runner import SeatRunner
from tuneexp.trial.assembly import env_settings
from tuneexp.trial.checkpoint_checks import check_same_networks
from tuneexp.trial.policy_trainer import PolicyTrainer
from tuneexp.trial.source import Part, PolicySetup, episode_metrics
from tuneexp.trial.trial_config import TrialConfig


class SharedEnvironments:
    """Experience source of several policies in the same `n_envs` environments per seed.

    Policies may have rollouts of different lengths. The environments are stepped by the greatest common divisor of the
    lengths, and each policy learns when its own rollout is complete. The clock counts steps of the environments. The
    rollout, `learning_starts` and target updates of a policy count the steps of its seats.

    Args:
        spec: the policies and their mapping from agents.
        config: of the trial.
        cfg: hyperparameters of all policies.

    Attributes:
        runner: steps the environments, set by `connect`. It has the group of each policy that is not scripted.
    """

    runner: JointRunner

    def __init__(self, spec: MultiAgentSpec, config: TrialConfig, cfg: MultiAgentConfig) -> None:
        if config.device.startswith("cuda"):
            raise UserError(f"{spec.name}: several policies learn on the CPU; leave out device={config.device}")
        self._spec, self._config, self._cfg = spec, config, cfg
        self._factory = resolve_multi_agent(config.env, **env_settings(config))
        self._agents = self._factory.agents()
        self.name = self._factory.name
        self._judged = self._objective_policies()
        self._check_judged(config.evaluation.episodes, "evaluation episodes")
        self._check_judged(config.evaluation.final_episodes, "evaluation final_episodes")
        assignment = self._assignment(cfg.n_envs)
        self._envs = self._build_envs(assignment, list(spec.policies), config.seeds, spec.scripts)

    def _build_envs(
        self, assignment: list[dict[str, str]], policies: list[str], seeds: Sequence[int], scripts: Mapping[str, Any]
    ) -> MultiAgentEnvs:
        groups = {name: getattr(self._cfg, of.copies or name, None) for name, of in self._spec.policies.items()}
        exact = {name for name, group in groups.items() if getattr(group, "normalize_observation", False)}
        return MultiAgentEnvs(self._factory, self._agents, assignment, policies, seeds, scripts, exact)

    def _assignment(self, n_envs: int) -> list[dict[str, str]]:
        return self._spec.assignment(list(self._agents), n_envs)

    def _objective_policies(self) -> list[str]:
        named = self._cfg.objective_policy or self._spec.objective_policy
        if named is None:
            return self._spec.trained
        if named not in self._spec.policies:
            raise unknown_name("policy", named, self._spec.policies, see=f"objective_policy of {self._spec.name}")
        return [named]

    def _check_judged(self, episodes: int, what: str) -> None:
        """Check that a policy of the objective has an agent.

        The mapping may depend on the index of the environment, and an evaluation has one environment per episode."""
        if not _policies_in(self._assignment(episodes)).intersection(self._judged):
            raise UserError(
                f"the policy mapping has no agent for {' and '.join(self._judged)}, the policy of the objective, "
                f"in the first {episodes} environment(s)\nwrite a larger {what}, or another objective_policy"
            )

    def setups(self) -> list[PolicySetup]:
        return [self._setup(name) for name in self._spec.policies if name not in self._spec.scripts]

    def _setup(self, name: str) -> PolicySetup:
        policy, spec, spaces = self._spec.policies[name], self._spec.spec_of(name), self._envs.spaces[name]
        facts = spaces.facts
        cfg = self._spec.config_of(name, self._cfg, spaces.n_envs, f"policy {name}")
        if spec.asynchronous:
            raise UserError(
                f"policy {name!r}: {spec.name} samples asynchronously, which several policies can't; write ppo or dqn"
            )
        if getattr(cfg, "use_sde", False):
            # A fragment of all policies may be a part of one policy's rollout, so noise can't be held for a rollout.
            raise UserError(f"policy {name!r}: use_sde is for trials of one policy; write use_sde=false")
        check_action_space(spec.name, spec.action_kinds, facts.action_space, f"policy {name!r} in {self.name}")
        seeds = [policy_seed(seed, name) for seed in self._config.seeds]
        return PolicySetup(name, policy, spec, cfg, seeds, facts, CPU, prefix=f"policy/{name}/")

    def connect(self, trainers: Mapping[str, PolicyTrainer]) -> None:
        self._trainers, groups = trainers, {name: self._group(one) for name, one in trainers.items()}
        for name, one in trainers.items():
            one.use_group(groups[name])
        self.runner = JointRunner(self._envs, groups)
        self._unit = math.gcd(*(of.fragment.n_steps for of in groups.values() if of.fragment is not None))

    def _group(self, one: PolicyTrainer) -> SeatRunner:
        setup, spaces = one.setup, self._envs.spaces[one.setup.name]
        fragment = SeatFragment(_rollout_steps(setup), *spaces.lead) if one.trained else None
        keep_raw, gamma = one.shapes.keep_raw, setup.cfg.gamma
        return SeatRunner(spaces, one.new_policy(), setup.seeds, one.normaliser, keep_raw, gamma, fragment)

    @property
    def env_steps(self) -> int:
        return self.runner.env_steps

    @property
    def transitions(self) -> int:
        return self.runner.transitions

    def starting(self) -> Iterator[tuple[str, int]]:
        steps = self.env_steps // self._cfg.n_envs
        for name, group in self.runner.runners.items():
            if group.fragment is not None and not group.fragment.steps:
                yield name, steps * self._trainers[name].cfg.n_envs

    def rollouts(self) -> Iterator[str]:
        for name, fragment in self.runner.sample(self._unit).items():
            group = self.runner.runners[name]
            group.offer(fragment)
            yield name
            group.require_sampled(self._trainers[name].spec.training_step)

    def evaluate(self, episodes: int, seed: int) -> Evaluation:
        """Evaluate the deterministic policies. Those named in `evaluated_against` act by their scripts."""
        self._check_judged(episodes, "number of episodes")
        assignment, spec, n_seeds = self._assignment(episodes), self._spec, len(self._config.seeds)
        present = [name for name in spec.policies if name in _policies_in(assignment)]
        scripts = {name: script for name, script in spec.evaluation_scripts.items() if name in present}
        runners = {name: self.runner.runners[name] for name in present if name not in scripts}
        with closing(self._build_envs(assignment, present, [seed] * n_seeds, scripts)) as envs:
            returns, partial, steps = evaluate_jointly(runners, envs, self._config.evaluation.max_steps)
        nowhere = np.full((n_seeds, episodes), np.nan)
        of_all = {name: returns.get(name, nowhere) for name in spec.policies}
        return Evaluation(self._judge(of_all), partial, of_all, steps)

    def _judge(self, returns: Returns) -> NDArray[np.float64]:
        """Return the mean over the policies of the objective, [S, E]."""
        known = np.stack([returns[name] for name in self._judged])
        here = (~np.isnan(known)).sum(axis=0)
        return np.where(here, np.nansum(known, axis=0) / np.maximum(here, 1), np.nan)

    def metrics(self, evaluation: Evaluation, parts: Sequence[Part]) -> list[dict[str, Any]]:
        episodes = {name: tracker.summary() for name, tracker in self.runner.episodes.items()}
        return [self._metrics_of(part, evaluation, episodes) for part in parts]

    def _metrics_of(self, part: Part, evaluation: Evaluation, episodes: Mapping[str, EpisodeSummary]) -> dict[str, Any]:
        metrics, alive = episode_metrics([episodes[name] for name in self._judged], part), part.alive
        for name, of in episodes.items():
            returns = evaluation.by_policy[name]
            metrics |= {
                f"policy/{name}/return_mean": mean_of_known(returns[alive]),
                f"policy/{name}/train_return_mean": mean_of_known(of.return_mean[alive]),
                f"policy/{name}/episode_length_mean": mean_of_known(of.length_mean[alive]),
            }
            for seed, own in zip(part.seeds, returns[part.rows], strict=True):
                metrics[f"seed/{seed}/policy/{name}/return_mean"] = mean_of_known(own)
        return metrics

    def check_compatible(self, state: Mapping[str, Any]) -> None:
        saved = self._spec.config_class.parse(state["config"]["hyperparameters"], "the checkpoint")
        for name, one in self._trainers.items():
            n_envs = one.cfg.n_envs * saved.n_envs // self._cfg.n_envs
            cfg = self._spec.config_of(name, saved, n_envs, f"the checkpoint's policy {name}")
            check_same_networks(cfg, one.learner, state["policies"][name])

    def use_envs_of(self, state: Mapping[str, Any]) -> None:
        """Do nothing: environments of several agents are of one kind."""

    def state_dict(self) -> dict[str, Any]:
        policies = {name: one.state_dict() for name, one in self._trainers.items()}
        return {"policies": policies, "group": self.runner.state_dict()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        same_episodes = self.runner.load_state_dict(state["group"])
        self.runner.env_steps = env_steps = int(state["env_steps"])
        n_envs, budget = self._cfg.n_envs, self._config.budget_env_steps
        for name, one in self._trainers.items():
            one.load_state_dict(state["policies"][name], same_episodes)
            if (fragment := self.runner.runners[name].fragment) is not None:
                # A rollout that is not complete keeps the schedules of its start.
                begun = env_steps - fragment.steps * n_envs
                one.learner.set_clock(min(1.0, begun / budget), begun // n_envs * one.cfg.n_envs)

    def close(self) -> None:
        self._envs.close()


def _rollout_steps(setup: PolicySetup) -> int:
    """Return the steps of each environment in one rollout. UserError if it is no multiple of the number of seats."""
    rows, n_envs = setup.cfg.rollout_env_steps(), setup.cfg.n_envs
    steps, rest = divmod(rows, n_envs)
    if rest or not steps:
        raise UserError(
            f"policy {setup.name!r}: {type(setup.cfg).__name__}.rollout_env_steps() is {rows}, "
            f"no multiple of n_envs={n_envs}; every seat takes the same number of steps"
        )
    return steps


def _policies_in(assignment: Sequence[Mapping[str, str]]) -> set[str]:
    return {policy for of in assignment for policy in of.values()}
