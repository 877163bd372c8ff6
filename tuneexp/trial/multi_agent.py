"""A trial of several policies in the same environments; everything else is as in a trial of one."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch

from tuneexp.algorithms.multi_agent import MultiAgentSpec
from tuneexp.algorithms.multi_agent_config import MultiAgentConfig, policy_config
from tuneexp.envs.episode_stats import mean_of_known
from tuneexp.envs.multi_agent.envs import MultiAgentEnvs
from tuneexp.envs.multi_agent.sources import resolve_multi_agent
from tuneexp.errors import UserError, unknown_name
from tuneexp.execution.joint_evaluation import Returns, evaluate_jointly
from tuneexp.execution.multi_agent import JointRunner
from tuneexp.learning.compile.build import CompileMode
from tuneexp.trial.compatible import check_same_networks, check_same_run
from tuneexp.trial.participant import Participant
from tuneexp.trial.runners import env_settings
from tuneexp.trial.trial import Trial
from tuneexp.trial_config import TrialConfig


class MultiAgentTrial(Trial):
    """Policies may have rollouts of different lengths: environments are stepped by the greatest common divisor of them,
    and each policy learns whenever its own is complete. `participants`: of all policies that aren't scripted."""

    spec: MultiAgentSpec  # type: ignore[assignment]
    cfg: MultiAgentConfig  # type: ignore[assignment]
    group: JointRunner  # type: ignore[assignment]

    def __init__(self, spec: MultiAgentSpec, config: TrialConfig) -> None:
        super().__init__(spec, config)  # type: ignore[arg-type]  # what differs for several policies is overridden

    def _open(self) -> None:
        spec, config = self.spec, self.config
        if config.device.startswith("cuda"):
            raise UserError(f"{spec.name}: several policies learn on the CPU; leave out device={config.device}")
        self._source = resolve_multi_agent(config.env, **env_settings(config))
        self._agents = self._source.agents()
        self.env_name = self._source.name
        self._judged = self._objective_policies()
        self._check_judged(config.evaluation.episodes, "evaluation episodes")
        self._check_judged(config.evaluation.final_episodes, "evaluation final_episodes")
        assignment = self._assignment(self.cfg.n_envs)
        envs = MultiAgentEnvs(
            self._source, self._agents, assignment, list(spec.policies), config.seeds, spec.scripts, self._normalised()
        )
        try:
            self.participants = {
                name: self._participant(name, envs) for name in spec.policies if name not in spec.scripts
            }
            self.trained = {name: self.participants[name] for name in spec.trained}
            self._renew_copies(0)
            self.group = JointRunner(envs, {name: one.runner for name, one in self.participants.items()})
        except BaseException:
            envs.close()
            raise
        self._unit = math.gcd(*(one.rollout_steps for one in self.trained.values()))

    def _assignment(self, n_envs: int) -> list[dict[str, str]]:
        return self.spec.assignment(list(self._agents), n_envs)

    def _normalised(self) -> set[str]:
        """Policies whose observations are."""
        groups = {name: getattr(self.cfg, of.copies or name, None) for name, of in self.spec.policies.items()}
        return {name for name, group in groups.items() if getattr(group, "normalize_observation", False)}

    def _participant(self, name: str, envs: MultiAgentEnvs) -> Participant:
        policy = self.spec.policies[name]
        spaces, spec = envs.spaces[name], self.spec.spec_of(name)
        cfg = policy_config(spec, getattr(self.cfg, policy.copies or name), spaces.n_envs, f"policy {name}")
        return Participant(name, policy, spec, cfg, self.config, spaces)

    def _objective_policies(self) -> list[str]:
        named = self.cfg.objective_policy or self.spec.objective_policy
        if named is None:
            return self.spec.trained
        if named not in self.spec.policies:
            raise unknown_name("policy", named, self.spec.policies, see=f"objective_policy of {self.spec.name}")
        return [named]

    @property
    def done(self) -> bool:
        return self.env_steps >= self.config.budget_env_steps or bool(self._failed().all())

    @property
    def compiled(self) -> bool:
        return all(one.programs.compiled for one in self.participants.values())

    def _failed(self) -> np.ndarray:
        """[S]: seeds of which some policy diverged."""
        return torch.stack([one.learner.failed for one in self.trained.values()]).any(0).numpy()

    def _training_step(self) -> None:
        before = self.env_steps
        for one in self.trained.values():
            if one.at_rollout_start:
                one.start_rollout(self.progress, before // self.cfg.n_envs)
        batch = self.group.sample(self._unit)
        for name, fragment in batch.items():
            self.trained[name].learn(fragment)
        self.env_steps += batch.env_steps
        self._renew_copies(before)

    def _renew_copies(self, before: int) -> None:
        """Copies that were due since `before`, and all at first."""
        for one in self.participants.values():
            source, every = one.policy_spec.copies, one.policy_spec.copy_every_env_steps
            if source is not None and (not self.env_steps or self.env_steps // every > before // every):
                one.copy_from(self.participants[source])

    def _evaluate(self) -> np.ndarray:
        plan = self.config.evaluation
        self._returns = self.evaluate_policies(plan.final_episodes if self.done else plan.episodes, plan.seed)
        return np.asarray(np.nanmean(self._judge(self._returns), axis=1))

    def evaluate(self, episodes: int, seed: int) -> np.ndarray:
        """Returns of the policies that count for the objective, their mean, [S, episodes]; NaN in an episode in which
        none of them has an agent."""
        self._check_judged(episodes, "number of episodes")
        return self._judge(self.evaluate_policies(episodes, seed))

    def _judge(self, returns: Returns) -> np.ndarray:
        known = np.stack([returns[name] for name in self._judged])
        here = (~np.isnan(known)).sum(axis=0)
        return np.where(here, np.nansum(known, axis=0) / np.maximum(here, 1), np.nan)

    def evaluate_policies(self, episodes: int, seed: int) -> Returns:
        """Policy -> returns of its agents in environments of their own, [S, episodes]; all act deterministically, and
        those that `evaluated_against` names by their scripts. NaN in an environment where a policy has no agent."""
        assignment, seeds = self._assignment(episodes), self.config.seeds
        present = [name for name in self.spec.policies if name in _policies_in(assignment)]
        scripts = {name: script for name, script in self.spec.evaluation_scripts.items() if name in present}
        runners = {name: self.participants[name].runner for name in present if name not in scripts}
        envs = MultiAgentEnvs(
            self._source, self._agents, assignment, present, [seed] * len(seeds), scripts, self._normalised()
        )
        try:
            returns, partial = evaluate_jointly(runners, envs, self.config.evaluation.max_steps)
            self.partial_episodes = int(partial.sum())
        finally:
            envs.close()
        nowhere = np.full((len(seeds), episodes), np.nan)
        return {name: returns.get(name, nowhere) for name in self.spec.policies}

    def _check_judged(self, episodes: int, what: str) -> None:
        """A mapping may go by the index of the environment, and an evaluation has as many as it has episodes."""
        if not _policies_in(self._assignment(episodes)).intersection(self._judged):
            raise UserError(
                f"{' and '.join(self._judged)}, whose returns are the objective, have no agent in the first "
                f"{episodes} environment(s) by the policy mapping\nwrite a larger {what}, or another objective_policy"
            )

    def _metrics(self, returns: np.ndarray, env_steps_per_s: float) -> dict[str, Any]:
        failed = self._failed()
        alive = ~failed if not failed.all() else np.ones_like(failed)
        metrics = self._standing(returns, failed, env_steps_per_s)
        episodes = {name: tracker.summary() for name, tracker in self.group.episodes.items()}
        judged = [episodes[name] for name in self._judged]
        metrics["train/return_mean"] = mean_of_known(np.stack([of.return_mean[alive] for of in judged]))
        metrics["train/episode_length_mean"] = mean_of_known(np.stack([of.length_mean[alive] for of in judged]))
        metrics["train/episodes"] = int(sum(of.new_episodes.sum() for of in judged))
        metrics["update/updates"] = sum(one.learner.n_updates for one in self.trained.values())
        for name, of in episodes.items():
            metrics |= {
                f"policy/{name}/return_mean": mean_of_known(self._returns[name][alive]),
                f"policy/{name}/train_return_mean": mean_of_known(of.return_mean[alive]),
                f"policy/{name}/episode_length_mean": mean_of_known(of.length_mean[alive]),
            }
            for index, seed in enumerate(self.config.seeds):
                metrics[f"seed/{seed}/policy/{name}/return_mean"] = mean_of_known(self._returns[name][index])
        for name, one in self.trained.items():
            own = {"learning_rate": one.learner.learning_rate, "updates": int(one.learner.n_updates)}
            own |= {key: mean_of_known(values.numpy()[alive]) for key, values in one.learner.log.summary().items()}
            metrics |= {f"policy/{name}/update/{key}": value for key, value in own.items()}
        return metrics

    def state_dict(self) -> dict[str, Any]:
        return {
            **self._identity(),
            "policies": {name: one.state_dict() for name, one in self.participants.items()},
            "group": self.group.state_dict(),
            "objective": self.objective.state_dict(),
        }

    def _check_compatible(self, state: Mapping[str, Any]) -> None:
        check_same_run(self, state)
        saved = self.spec.config_class.parse(state["config"]["hyperparameters"], "the checkpoint")
        for name, one in self.participants.items():
            group = getattr(saved, one.policy_spec.copies or name)
            lanes = one.spaces.n_envs * saved.n_envs // self.cfg.n_envs
            cfg = policy_config(one.spec, group, lanes, f"the checkpoint's policy {name}")
            check_same_networks(cfg, one.learner, state["policies"][name]["learner"]["parameters"])

    def _load_parts(self, state: Mapping[str, Any]) -> None:
        same_episodes = state["group"]["envs"] is not None
        for name, one in self.participants.items():
            one.load_state_dict(state["policies"][name], same_episodes)
        self.group.load_state_dict(state["group"])
        env_steps = int(state["env_steps"])
        for one in self.trained.values():
            # A rollout under way was started at an earlier time, whose schedules it keeps.
            begun = env_steps - one.runner.fragment_steps * self.cfg.n_envs
            one.learner.set_clock(
                min(1.0, begun / self.config.budget_env_steps), begun // self.cfg.n_envs * one.cfg.n_envs
            )

    def _build_programs(self, mode: CompileMode) -> None:
        for one in self.participants.values():
            one.build_programs(mode)


def _policies_in(assignment: Sequence[Mapping[str, str]]) -> set[str]:
    return {policy for of in assignment for policy in of.values()}
