"""Specification of an algorithm: its functions (networks, acting, loss, postprocessing, optimizer) and its options."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from tuneexp.algorithms.base_config import AlgorithmConfig
from tuneexp.algorithms.spec_validation import check_spec
from tuneexp.learning.algorithm_functions import (
    ActFn,
    BuildModel,
    LossFn,
    NoiseFn,
    OptimizerFn,
    PostprocessFn,
    no_noise,
)
from tuneexp.learning.hyper import CfgView
from tuneexp.learning.target import TargetUpdate
from tuneexp.quiet_imports import quiet_imports
from tuneexp.rl.distributions import action_head
from tuneexp.rl.noise import Noise
from tuneexp.spaces.kinds import ActionKind
from tuneexp.training.training_ops import TrainingStep, on_policy_step

if TYPE_CHECKING:
    from tuneexp.trial.trainable import AlgorithmTrainable

__all__ = ["AlgorithmSpec", "replace"]


def action_noise(model: Any, action_space: Any, cfg: CfgView) -> dict[str, Noise]:
    """Noise for sampling an action; with gSDE (`exploration_shape`) exploration weights kept for `sde_sample_freq`
    steps.
    """
    weights = getattr(model, "exploration_shape", None)
    if weights is not None:
        return {"action": Noise("normal", weights, every=cfg.sde_sample_freq or -1)}
    kind, shape = action_head(action_space).noise
    return {"action": Noise(kind, tuple(shape))}


class TrainableSpec:
    """Base class of specifications: name, configuration class, address, and `build`."""

    name: str
    config_class: Any
    default_space: Any = None

    def functions(self) -> tuple[Any, ...]:
        """Functions of the algorithm, whose module is likely to define the specification, too."""
        return ()

    def build(self, env: Any, seeds: int | Sequence[int] = (0,), **settings: Any) -> AlgorithmTrainable:
        """Build a Trainable that runs without Tune: `.train()`, `.save(folder)`, `.restore(path)`.

        Args:
            env: Environment id, address or callable.
            seeds: Number of seeds N (0 to N-1), or a list of seeds.
            settings: Hyperparameters (`learning_rate=1e-3`) and settings of the trial (`budget_env_steps=100_000`,
                `report_every_env_steps=...`, `compile="off"`).

        Returns:
            The Trainable.

        Raises:
            UserError: an unknown or invalid setting.
        """
        with quiet_imports():
            from tuneexp.trial.trainable import build_trainable  # the one import upwards, at the point of use

        return build_trainable(self, env=env, seeds=seeds, settings=settings)


@dataclass(frozen=True)
class AlgorithmSpec(TrainableSpec):
    """An algorithm: functions and data. Customise it with `replace(PPO, name="my_ppo", loss_fn=my_loss)`.

    The new specification is known by its address, `module:NAME` or `path/file.py:NAME`, and accepted wherever the name
    of a built-in algorithm is. docs/customising.md shows how each function is called.

    Attributes:
        name: Name in messages and names of sweeps.
        config_class: Subclass of `AlgorithmConfig` with the hyperparameters.
        build_model: `(observation_space, action_space, cfg) -> nn.Module`, the networks of one seed.
        act_fn: `(nets, obs, state, noise, cfg, explore) -> (action, columns, state)`; one seed, obs [N, ...].
        loss_fn: `(nets, batch, cfg) -> (loss, metrics)`; one seed, columns [B, ...].
        postprocess_fn: `(nets, fragment, cfg) -> columns`; all seeds, [T, S, N, ...], without gradients.
        optimizer_fn: `(named_parameters, cfg) -> torch.optim.Optimizer`, which must act elementwise.
        training_step: One round of sample, learn and sync.
        action_kinds: Supported action spaces: "discrete", "multi_discrete", "continuous".
        act_noise: `(model, action_space, cfg) -> {name: Noise}`, the random inputs of `act_fn`.
        loss_noise: The same of `loss_fn`.
        update_period: Part of the loss -> number of updates between two of its updates, or name of a hyperparameter.
        target: Update of the target networks; None: there are none.
        asynchronous: Env runners sample while the learner learns. Each has every seed and a part of its environments.
            The training step calls `asynchronous_sample`, as `asynchronous_step` does.
        default_space: Search space of a sweep that names none: a YAML file, a mapping, a function, an address, or the
            name of a built-in algorithm. Copied by `replace`; None: a sweep must name one.

    Raises:
        UserError: an attribute of the wrong kind, such as a function with other arguments.
    """

    name: str
    config_class: type[AlgorithmConfig]
    build_model: BuildModel
    act_fn: ActFn
    loss_fn: LossFn
    postprocess_fn: PostprocessFn
    optimizer_fn: OptimizerFn
    training_step: TrainingStep = on_policy_step
    action_kinds: tuple[ActionKind, ...] = ("discrete", "multi_discrete", "continuous")
    act_noise: NoiseFn = action_noise
    loss_noise: NoiseFn = no_noise
    update_period: Mapping[str, int | str] = field(default_factory=dict)
    target: TargetUpdate | None = None
    asynchronous: bool = False
    default_space: Any = None

    def __post_init__(self) -> None:
        check_spec(self)

    def functions(self) -> tuple[Any, ...]:
        return self.loss_fn, self.postprocess_fn, self.act_fn
