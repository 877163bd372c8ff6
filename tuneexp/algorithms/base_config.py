"""Hyperparameters that every algorithm has."""

from __future__ import annotations

from typing import Any, ClassVar, Literal, Self

from pydantic import (
    SerializerFunctionWrapHandler,
    ValidatorFunctionWrapHandler,
    field_serializer,
    field_validator,
    model_validator,
)

from tuneexp.addresses import is_address, lasting_address
from tuneexp.algorithms.rl_zoo import from_rl_zoo
from tuneexp.config import AtMost, Config, is_numeric, numeric, structural
from tuneexp.rl.schedules import PositiveScheduledFloat

OptimizerName = Literal["Adam", "AdamW", "RMSprop", "RMSpropTFLike", "SGD"]


class AlgorithmConfig(Config):
    """Base class of all algorithm configurations; names follow Stable-Baselines3 and RL Zoo.

    A published RL Zoo configuration can be pasted in. A field `model` of a subclass has the type of its network
    configuration. It also accepts a custom network, a class or its address, and then holds the address
    (`tuneexp/models/heads.py` lists the methods that such a class needs).
    """

    constraints: ClassVar[tuple[AtMost, ...]] = ()

    learning_rate: PositiveScheduledFloat = numeric(
        3e-4, "Learning rate of the optimizer; a number or a schedule such as linear:0.001."
    )
    gamma: float = numeric(0.99, "Discount factor per environment step.", gt=0.0, le=1.0)
    n_envs: int = structural(8, "Number of parallel environments per seed.", ge=1)
    normalize_observation: bool = structural(
        False, "Standardise observations by their running mean and standard deviation, per seed."
    )
    normalize_reward: bool = structural(
        False, "Divide rewards by the running standard deviation of the discounted return, per seed."
    )
    clip_obs: float = structural(10.0, "Clipping bound of normalised observations, in standard deviations.", gt=0.0)
    clip_reward: float = structural(
        10.0, "Clipping bound of normalised rewards, in standard deviations of the return.", gt=0.0
    )
    num_learners: int = structural(
        0,
        "Number of learner processes, which divide the seeds or (data parallel) the rows of minibatches; 0: none.",
        ge=0,
    )
    num_gpus_per_learner: float = structural(0.0, "GPUs reserved for each learner; 0: learners run on the CPU.", ge=0.0)
    num_env_runners: int = structural(
        0, "Number of environment runner processes (Ray actors); 0: the trial's own process samples.", ge=0
    )
    num_cpus_per_env_runner: float = structural(
        1.0, "CPUs reserved for each env runner; less than 1 for environments that mostly wait.", gt=0.0
    )
    sample_timeout_s: float = structural(
        60.0,
        "Timeout in seconds for a fragment of an env runner; a runner that misses it is killed and restarted.",
        gt=0.0,
    )
    max_env_runner_restarts: int = structural(
        10, "Maximum number of restarts of each env runner, after a crash or timeout, before the trial fails.", ge=0
    )

    model_kwargs: dict[str, Any] = structural({}, "Keyword arguments of a custom network (model=path/file.py:MyNet).")
    optimizer_class: OptimizerName | None = structural(
        None, "Optimizer by name, as in policy_kwargs of Stable-Baselines3; None: the default of the algorithm."
    )
    optimizer_kwargs: dict[str, Any] = structural(
        {},
        "Arguments of the optimizer except the learning rate, such as {eps: 1e-5}; empty: defaults of the algorithm.",
    )

    # Fields that only the trial's loop, its optimizer and its processes read: a new value needs no new program.
    outside_of_programs: ClassVar[frozenset[str]] = frozenset(
        {
            "n_steps", "sequence_length", "batch_size", "n_epochs", "sde_sample_freq", "target_update_interval",
            "normalize_reward", "clip_obs", "clip_reward", "optimizer_class", "optimizer_kwargs", "use_rms_prop",
            "num_learners", "num_gpus_per_learner", "num_env_runners", "num_cpus_per_env_runner", "sample_timeout_s",
            "max_env_runner_restarts", "max_requests_in_flight_per_env_runner",
            "buffer_size", "train_freq", "gradient_steps", "save_replay_buffer", "use_sde_at_warmup",
        }
    )  # fmt: skip

    @field_validator("model", mode="wrap", check_fields=False)
    @classmethod
    def _custom_network(cls, value: Any, configured: ValidatorFunctionWrapHandler) -> Any:
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
        """Environment steps per seed in one training step."""
        return self.n_envs

    def updates_per_rollout(self) -> int:
        """Gradient steps in one training step; decides whether compilation pays off."""
        return 1

    def minibatch_rows(self) -> int:
        """Rows (or sequences) of one gradient step, per seed."""
        return self.n_envs

    def sequence_steps(self) -> int | None:
        """Length in steps of the training sequences of a recurrent model; None: single rows in any order."""
        return None

    def of_programs(self) -> dict[str, Any]:
        """Values that shape the compiled programs: two configurations with equal ones share them."""
        fields = type(self).model_fields
        values = {name: getattr(self, name) for name in fields if name not in self.outside_of_programs}
        # A number is a tensor of the program, whatever its value; None is not there.
        sizes = {name: value for name, value in values.items() if not is_numeric(fields[name]) or value is None}
        return {**sizes, "minibatch rows": self.minibatch_rows(), "sequence steps": self.sequence_steps()}

    def remarks(self) -> list[str]:
        """Remarks on settings that are not applied as written, one line each; logged when training starts."""
        return []

    def problem_with_budget(self, budget_env_steps: int) -> str | None:
        """Reason why nothing would be learned within a budget.

        Args:
            budget_env_steps: Environment steps per seed.

        Returns:
            One line that includes what to write instead, or None.
        """
        return None
