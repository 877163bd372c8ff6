"""The hyperparameters that every algorithm has."""

from __future__ import annotations

from typing import Any, Literal, Self

from pydantic import (
    SerializerFunctionWrapHandler,
    ValidatorFunctionWrapHandler,
    field_serializer,
    field_validator,
    model_validator,
)

from tuneexp.addresses import is_address, lasting_address
from tuneexp.algorithms.rl_zoo import from_rl_zoo
from tuneexp.config import Config, numeric, structural
from tuneexp.rl.schedules import PositiveScheduledFloat

OptimizerName = Literal["Adam", "AdamW", "RMSprop", "RMSpropTFLike", "SGD"]


class AlgorithmConfig(Config):
    """Names follow Stable-Baselines3 and RL Zoo, so that a published configuration can be pasted in.

    A field `model` of a subclass has the type of its networks' configuration; it also accepts a network of the user's
    own, a class or its address, and then holds the address (`tuneexp/models/heads.py`: what such a class must offer).
    """

    learning_rate: PositiveScheduledFloat = numeric(3e-4, "Step size of the optimizer; a number or linear:0.001.")
    gamma: float = numeric(0.99, "Discount factor per environment step.", gt=0.0, le=1.0)
    n_envs: int = structural(8, "Parallel environments per seed.", ge=1)
    normalize_observation: bool = structural(False, "Scale observations by running mean and deviation, per seed.")
    normalize_reward: bool = structural(False, "Scale rewards by the deviation of the discounted return, per seed.")
    clip_obs: float = structural(10.0, "Bound on observations that normalize_observation has scaled.", gt=0.0)
    clip_reward: float = structural(10.0, "Bound on rewards that normalize_reward has scaled.", gt=0.0)
    num_learners: int = structural(
        0, "Processes that share the seeds, or the rows of minibatches, when learning; 0: the trial's own learns.", ge=0
    )
    num_gpus_per_learner: float = structural(0.0, "GPUs that each learner reserves; 0: it computes on the CPU.", ge=0.0)
    num_env_runners: int = structural(
        0, "Processes that share the environments of all seeds, as Ray actors; 0: the trial's own samples.", ge=0
    )
    num_cpus_per_env_runner: float = structural(
        1.0, "CPUs that each env runner reserves; less than 1 where environments mostly wait.", gt=0.0
    )
    sample_timeout_s: float = structural(
        60.0, "Seconds after which an env runner that gives no fragment is started anew.", gt=0.0
    )
    max_env_runner_restarts: int = structural(
        10, "How often each env runner may die or hang before the trial gives up.", ge=0
    )

    model_kwargs: dict[str, Any] = structural({}, "Arguments of a network of your own (model=path/file.py:MyNet).")
    optimizer_class: OptimizerName | None = structural(
        None, "Optimizer by name, as in policy_kwargs of Stable-Baselines3; None: the algorithm's own."
    )
    optimizer_kwargs: dict[str, Any] = structural(
        {}, "All arguments of the optimizer but its learning rate, such as {eps: 1e-5}; empty: the algorithm's own."
    )

    @field_validator("model", mode="wrap", check_fields=False)
    @classmethod
    def _own_network(cls, value: Any, configured: ValidatorFunctionWrapHandler) -> Any:
        if isinstance(value, type):
            return lasting_address(value, "model")
        if not isinstance(value, str):
            return configured(value)
        if not is_address(value):
            raise ValueError(
                f"{value!r} names no network; write module:NAME or path/file.py:NAME, or describe one by model/..."
            )
        return value

    @field_serializer("model", mode="wrap", check_fields=False)
    def _plain_network(self, value: Any, configured: SerializerFunctionWrapHandler) -> Any:
        return value if isinstance(value, str) else configured(value)

    @model_validator(mode="after")
    def _arguments_of_something(self) -> Self:
        if self.model_kwargs and not isinstance(getattr(self, "model", None), str):
            raise ValueError(
                f"model_kwargs ({', '.join(self.model_kwargs)}) are for a network of your own; name it, "
                "model=path/file.py:MyNet, or describe the built-in one by model/..."
            )
        return self

    @model_validator(mode="before")
    @classmethod
    def _accept_rl_zoo(cls, values: Any) -> Any:
        return from_rl_zoo(values, cls.model_fields) if isinstance(values, dict) else values

    def rollout_env_steps(self) -> int:
        """Environment steps per seed of one training step."""
        return self.n_envs

    def updates_per_rollout(self) -> int:
        """Gradient steps of one training step, for the decision whether compiling pays."""
        return 1

    def minibatch_rows(self) -> int:
        """Rows (or sequences) of one gradient step per seed."""
        return self.n_envs

    def sequence_steps(self) -> int | None:
        """Steps of the sequences that a recurrent model learns from; None: rows, in any order."""
        return None

    def remarks(self) -> list[str]:
        """Remarks on settings that are not taken as written, one line each; logged when training starts."""
        return []

    def problem_with_budget(self, budget_env_steps: int) -> str | None:
        """Why nothing would be learned within so many environment steps per seed, and what to write instead."""
        return None
