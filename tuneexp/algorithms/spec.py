"""Specification of an algorithm: its functions (networks, acting, loss, postprocessing, optimizer) and its options."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from tuneexp.algorithms.config import AlgorithmConfig
from tuneexp.algorithms.spec_validation import check_spec
from tuneexp.execution.quiet import quiet_imports
from tuneexp.execution.training_ops import TrainingStep, on_policy_step
from tuneexp.learning.hyper import CfgView
from tuneexp.learning.interfaces import ActFn, BuildModel, LossFn, NoiseFn, OptimizerFn, PostprocessFn, no_noise
from tuneexp.learning.noise import Noise
from tuneexp.learning.target import TargetUpdate
from tuneexp.rl.distributions import action_head
from tuneexp.spaces.kinds import ActionKind

if TYPE_CHECKING:
    from tuneexp.trainable import AlgorithmTrainable

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
            from tuneexp.trainable import build_trainable  # the one import upwards, at the point of use

        return build_trainable(self, env=env, seeds=seeds, settings=settings)


@dataclass(frozen=True)
class AlgorithmSpec(TrainableSpec):
    """Customise by replacing one piece: `MyPPO = replace(PPO, name="my_ppo", loss_fn=my_loss)`.

    The new spec is known by its address, `module:NAME` or `path/file.py:NAME`, wherever the name of a
    built-in algorithm is accepted. Signatures of the functions: `tuneexp.learning.interfaces`.

    action_kinds: what it can act in. act_noise, loss_noise: the columns of random numbers that acting and one gradient
    step need. update_period: part of the loss -> every how many updates it is due (a number or the name of a field).
    target: how `nets.target` follows. An algorithm whose configuration is an `OffPolicyConfig` has a replay buffer.
    asynchronous: its training step learns from single runners' fragments, so that each runner carries every seed.
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
