"""Experience source of one policy: local, remote or asynchronously sampled environments."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from tuneexp.algorithms.base_config import AlgorithmConfig
from tuneexp.algorithms.policy_spec import PolicySpec
from tuneexp.algorithms.preflight import check_action_space
from tuneexp.algorithms.spec import AlgorithmSpec
from tuneexp.envs.backend_names import TENSOR_VEC, EnvBackend
from tuneexp.envs.episode_stats import EpisodeSummary
from tuneexp.envs.seed_envs import SeedEnvs
from tuneexp.errors import UserError
from tuneexp.learning.devices import device_of
from tuneexp.learning.user_functions import name_of
from tuneexp.sampling.evaluation import Evaluation, evaluate
from tuneexp.sampling.group import EnvRunnerGroup
from tuneexp.sampling.slot_evaluation import evaluate_in_slots
from tuneexp.trial.assembly import build_envs, env_settings, facts_of
from tuneexp.trial.checkpoint_checks import check_same_networks
from tuneexp.trial.env_choice import chosen_backend
from tuneexp.trial.older_formats import explicit_model
from tuneexp.trial.policy_trainer import PolicyTrainer
from tuneexp.trial.population.members import row_configs
from tuneexp.trial.recipes import group_of
from tuneexp.trial.resource_request import make_room
from tuneexp.trial.source import Part, PolicySetup, episode_metrics
from tuneexp.trial.trial_config import TrialConfig

if TYPE_CHECKING:
    from tuneexp.envs.tensor.program import TensorProgram


class Environments:
    """Experience source of one policy with `n_envs` environments per seed.

    The training step of the policy steps the environments when it samples from the group.

    Args:
        spec: the algorithm.
        config: of the trial.
        cfg: hyperparameters.

    Attributes:
        group: env runners, set by `connect`.
    """

    group: EnvRunnerGroup
    _trainer: PolicyTrainer

    def __init__(self, spec: AlgorithmSpec, config: TrialConfig, cfg: AlgorithmConfig) -> None:
        self._spec, self._config, self._cfg = spec, config, cfg
        self._device = device_of(config.device)
        remote = bool(cfg.num_env_runners)
        self._backend = chosen_backend(config, cfg)
        self._envs = None if remote else self._built()
        self._opened: SeedEnvs | EnvRunnerGroup | None = self._envs
        self._facts = facts_of(config, cfg) if self._envs is None else self._envs.facts
        self.name = self._facts.name

    def _built(self) -> SeedEnvs:
        config = self._config.model_copy(update={"env_backend": self._backend})
        return build_envs(config, self._cfg, config.seeds, self._cfg.n_envs, device=self._device)

    @property
    def _tensor(self) -> TensorProgram | None:
        """The environment, if it is one of tensors that this process steps."""
        vec = None if self._envs is None else self._envs.tensor
        return None if vec is None else vec.program

    def setups(self) -> list[PolicySetup]:
        spec, config, facts = self._spec, self._config, self._facts
        make_room(self._cfg)
        check_action_space(spec.name, spec.action_kinds, facts.action_space, facts.name)
        budget = config.budget_env_steps
        given = (spec.name, PolicySpec(spec), spec, self._cfg, config.seeds, facts, self._device, budget)
        return [PolicySetup(*given, tensor=self._tensor, rows=row_configs(spec, config))]

    def connect(self, trainers: Mapping[str, PolicyTrainer]) -> None:
        (self._trainer,) = trainers.values()
        chosen = self._backend != self._config.env_backend
        if chosen and not self._trainer.programs.compiled and self._config.compile != "later":
            self._replace_envs("auto")  # through Python they are slower
        self._connect()

    def _connect(self) -> None:
        self._opened = self.group = group_of(self._trainer, self._envs)
        self._trainer.use_group(self.group)

    def _replace_envs(self, backend: EnvBackend) -> None:
        """Build other environments of the same id, and their programs."""
        assert self._envs is not None
        self._envs.close()
        self._backend = backend
        self._opened = self._envs = self._built()
        self._trainer.use_environment(self._tensor)

    def use_envs_of(self, state: Mapping[str, Any]) -> None:
        saved = [one["envs"] for one in state["group"]["runners"]]
        if self._config.env_backend != "auto" or self._envs is None or not saved or saved[0] is None:
            return
        of_tensors = saved[0]["backend"] == TENSOR_VEC
        if of_tensors != (self._envs.tensor is not None):
            self._replace_envs("tensor" if of_tensors else "auto")
            self._connect()

    @property
    def env_steps(self) -> int:
        return self.group.env_steps

    @property
    def transitions(self) -> int:
        return self.group.transitions

    def starting(self) -> list[tuple[str, int]]:
        return [(self._spec.name, self.env_steps)]

    def rollouts(self) -> Iterator[str]:
        before, expected = self.env_steps, self._cfg.rollout_env_steps()
        yield self._spec.name
        collected = self.env_steps - before
        if collected != expected:
            raise UserError(
                f"training_step {name_of(self._spec.training_step)} collected {collected} environment "
                f"steps per seed, {type(self._cfg).__name__}.rollout_env_steps() says {expected}\n"
                "they must be equal: budget and schedules are counted by it"
            )

    def evaluate(self, episodes: int, seed: int) -> Evaluation:
        config, normaliser = self._config, self._trainer.normaliser
        settings, max_steps = (
            {**env_settings(config), "backend": self._backend, "device": self._device},
            config.evaluation.max_steps,
        )
        rollout = self.group.policy.rollout
        if rollout is not None:
            return evaluate_in_slots(self.group.policy, rollout, episodes, seed, normaliser, max_steps)
        return evaluate(self.group.policy, config.env, settings, episodes, seed, normaliser, max_steps)

    def metrics(self, evaluation: Evaluation, parts: Sequence[Part]) -> list[dict[str, Any]]:
        episodes, of_group = self.group.episodes.summary(), self.group.metrics()
        if self._cfg.num_env_runners:
            of_group["env_runner_restarts"] = self.group.runners.restarts
        return [{**episode_metrics([episodes], part), **of_group, **_by_seed(episodes, part)} for part in parts]

    def check_compatible(self, state: Mapping[str, Any]) -> None:
        of_class = self._spec.config_class
        meant = {**state["config"]["hyperparameters"], **explicit_model(state, of_class)}
        check_same_networks(of_class.parse(meant, "the checkpoint"), self._trainer.learner, state)

    def state_dict(self) -> dict[str, Any]:
        return {**self._trainer.state_dict(), "group": self.group.state_dict()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        same_episodes = self.group.load_state_dict(state["group"])
        self.group.env_steps = int(state["env_steps"])
        self._trainer.load_state_dict(state, same_episodes)

    def close(self) -> None:
        if self._opened is not None:
            self._opened.close()


def _by_seed(episodes: EpisodeSummary, part: Part) -> dict[str, float]:
    returns = zip(part.seeds, episodes.return_mean[part.rows], strict=True)
    return {f"seed/{seed}/train_return_mean": float(value) for seed, value in returns}
