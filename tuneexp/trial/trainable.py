"""Ray Tune Trainable of a trial. `train()` trains to the next report.

The driver of a sweep imports this module, but trains nothing: torch and gymnasium are imported by the first trial."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from ray.tune import Checkpoint, PlacementGroupFactory, Trainable

from tuneexp.addresses import lasting_address, refuse_while_importing, relocated
from tuneexp.algorithms.registry import address_of, config_class_of, load_spec
from tuneexp.errors import UserError, unknown_name
from tuneexp.files import checkpoint
from tuneexp.files import retries as outages
from tuneexp.files.json_reading import plain
from tuneexp.files.remote_folders import is_uri
from tuneexp.files.temporary import temporary_folder
from tuneexp.ray_support.exit_causes import log_exit_codes
from tuneexp.ray_support.readable_errors import picklable_errors
from tuneexp.ray_support.sigterm import restore_default_sigterm
from tuneexp.ray_support.worker_logs import quiet_tune, register_stack_dump
from tuneexp.security.trust import (
    addresses_in,
    remember,
    sources_of,
)
from tuneexp.seeds import seed_list
from tuneexp.trial.older_formats import explicit_model
from tuneexp.trial.resource_request import bundles_of
from tuneexp.trial.trial_config import TrialConfig

if TYPE_CHECKING:
    from tuneexp.algorithms.spec import TrainableSpec
    from tuneexp.trial import Trial
    from tuneexp.trial.cohorts.cohort_trial import CohortTrial

log = logging.getLogger(__name__)


class AlgorithmTrainable(Trainable):
    """Ray Tune Trainable of a trial, which also works without Tune. Its config is a `TrialConfig` as a plain dict."""

    bound_spec: ClassVar[TrainableSpec | None] = None

    @classmethod
    def default_resource_request(cls, config: dict[str, Any]) -> PlacementGroupFactory | None:
        """Return one CPU and the resources of env runners and learners. `setup` raises the error of a wrong config."""
        try:
            trial_config = TrialConfig.parse(config, "the trial")
            algorithm = trial_config.algorithm
            config_class = cls.bound_spec.config_class if cls.bound_spec else config_class_of(algorithm)
            cfg = config_class.parse(trial_config.hyperparameters, algorithm)
        except UserError:
            return None
        bundles = bundles_of(cfg)
        return PlacementGroupFactory(bundles) if len(bundles) > 1 else None

    def _setup_logdir(self) -> None:
        if self._storage:  # otherwise Ray would create an empty folder in the home folder
            super()._setup_logdir()

    def setup(self, config: dict[str, Any]) -> None:
        quiet_tune()
        log_exit_codes()
        register_stack_dump()
        with picklable_errors():
            self._build(config)

    def _build(self, config: dict[str, Any]) -> None:
        import torch

        from tuneexp.trial.ahead import wait_for_compilation
        from tuneexp.trial.stored_trial import report_changed_source

        torch.set_num_threads(1)
        restore_default_sigterm()
        trial_config = TrialConfig.parse(config, "the trial")
        spec = self.bound_spec or load_spec(trial_config.algorithm)
        report_changed_source(trial_config)
        wait_for_compilation(trial_config, spec.config_class.parse(trial_config.hyperparameters, spec.name))
        self.trial = self._trial_of(spec, trial_config)

    def _trial_of(self, spec: TrainableSpec, config: TrialConfig) -> Trial | CohortTrial:
        from tuneexp.trial.cohorts.cohort_trial import build_trial

        return build_trial(spec, config)

    def step(self) -> dict[str, Any]:
        with picklable_errors():
            return self.trial.advance()

    def save_checkpoint(self, checkpoint_dir: str) -> None:
        checkpoint.write(checkpoint_dir, self.trial.state_dict())

    def save(self, checkpoint_dir: str | None = None) -> Any:
        """Save a checkpoint. Under Tune, storage errors are retried: they are no error of the trial.

        Raises:
            StorageFault: the storage failed for too long.
        """
        if checkpoint_dir is not None or self._storage is None:
            return super().save(checkpoint_dir)
        what = f"checkpoints can't be saved in {self._storage.experiment_fs_path}"
        return outages.retried(self._save_once, what, self._is_storage_fault)

    def _save_once(self) -> Any:
        index = self._storage.current_checkpoint_index
        try:
            with temporary_folder() as folder:  # Tune does not remove its own if saving fails
                return super().save(str(folder))
        except Exception:
            if self._storage.current_checkpoint_index > index:
                with suppress(OSError):  # a partial copy would take the space of the next attempt
                    self._storage.storage_filesystem.delete_dir(self._storage.checkpoint_fs_path)
                self._storage.current_checkpoint_index = index
            raise

    def restore(self, checkpoint_path: Any) -> None:
        """Restore a checkpoint without unpickling.

        Args:
            checkpoint_path: result of `save`, or a path.

        Raises:
            CheckpointError: it is no checkpoint, or damaged.
        """
        if isinstance(checkpoint_path, str | Path):
            checkpoint.read_header(checkpoint_path)  # Tune's own message for a missing folder names no remedy
            path = checkpoint_path if is_uri(checkpoint_path) else Path(checkpoint_path).absolute()
            checkpoint_path = Checkpoint(str(path))  # which takes a relative path for a URI without a scheme
        if self._storage is None:
            self._restore_once(checkpoint_path)
            return
        what = f"checkpoints can't be read in {self._storage.experiment_fs_path}"
        outages.retried(lambda: self._restore_once(checkpoint_path), what, self._is_storage_fault)

    def _restore_once(self, checkpoint_path: Any) -> None:
        checkpoint.refuse_pickled(getattr(checkpoint_path, "checkpoint", checkpoint_path))
        super().restore(checkpoint_path)

    def _is_storage_fault(self, error: Exception) -> bool:
        """Return True if reading or writing failed, or if the folder is missing, as one that is not mounted."""
        if outages.of_the_storage(error):
            return True
        try:
            self._storage._check_validation_file()
        except (OSError, RuntimeError):
            return True
        return False

    def load_checkpoint(self, checkpoint_dir: str) -> None:
        from tuneexp.trial.stored_trial import checkpoint_named

        state = relocated(checkpoint.read(checkpoint_dir), self.trial.config.moved)
        with checkpoint_named(checkpoint_dir):
            self._take_networks_of(state)
            self.trial.load_state_dict(state)

    def _take_networks_of(self, state: Mapping[str, Any]) -> None:
        """Rebuild the trial with the default networks of the version that wrote the checkpoint."""
        from tuneexp.trial.cohorts.cohort_trial import build_trial

        trial = self.trial
        if "config" not in state:
            return
        own, before = trial.config.hyperparameters, state["config"]["hyperparameters"]
        meant = explicit_model(state, trial.spec.config_class)
        if meant and own.get("model") == before.get("model"):
            trial.close()
            self.trial = build_trial(trial.spec, trial.config.model_copy(update={"hyperparameters": {**own, **meant}}))

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        """Build a new trial in this actor. Programs that fit are reused."""
        self.cleanup()
        self.setup(new_config)
        return True

    def cleanup(self) -> None:
        if hasattr(self, "trial"):
            self.trial.close()
            del self.trial

    def evaluate(self, episodes: int = 20, seed: int = 10_000) -> list[list[float]]:
        """Evaluate the deterministic policy.

        Args:
            episodes: episodes per seed.
            seed: seed of the environments.

        Returns:
            Returns of the episodes, one list per seed.
        """
        return self.trial.evaluate(episodes, seed).tolist()


def build_trainable(
    spec: TrainableSpec, env: Any, seeds: int | Sequence[int], settings: Mapping[str, Any], named_by_user: bool = True
) -> AlgorithmTrainable:
    """Build the Trainable of an algorithm, as `AlgorithmSpec.build` does.

    Args:
        spec: the algorithm.
        env: environment.
        seeds: number of seeds, or a list of them.
        settings: fields of `TrialConfig` and hyperparameters by name.
        named_by_user: the addresses in it become trusted; False if they come from a checkpoint.

    Raises:
        UserError: a setting is unknown or does not fit.
    """
    from tuneexp.algorithms.rl_zoo.rows import RL_ZOO_KEYS, placed
    from tuneexp.envs.registration import registration_where_stored

    refuse_while_importing("a training")
    of_trial = {key: value for key, value in settings.items() if key in TrialConfig.model_fields}
    hyperparameters = {key: value for key, value in settings.items() if key not in of_trial}
    known = [*spec.config_class.model_fields, *TrialConfig.model_fields]
    unknown = next((key for key in hyperparameters if key not in known and key not in RL_ZOO_KEYS), None)
    if unknown is not None:
        raise unknown_name("hyperparameter", unknown, known, see=f"tuneexp describe {spec.name}")
    try:
        address = address_of(spec)
    except UserError:
        address = ""  # its checkpoints load only into a Trainable of the same spec
    given = of_trial.pop("hyperparameters", {})
    hyperparameters = {**given, **hyperparameters} if isinstance(given, Mapping) else given  # refused below
    of_trial, hyperparameters = placed(of_trial, hyperparameters, env, spec)
    config = TrialConfig.parse(
        {
            "algorithm": address,
            "env": _addressed(env),
            "env_registration": of_trial.pop("env_registration", None) or registration_where_stored(env),
            "seeds": seed_list(seeds),
            "hyperparameters": plain(hyperparameters, "hyperparameters", classes=True),
            "compile": "auto" if "budget_env_steps" in of_trial else "later",  # without a budget the gain is unknown
            **of_trial,
        },
        spec.name,
    )
    config = config.model_copy(update={"sources": sources_of(config.model_dump())})
    bound = type(AlgorithmTrainable.__name__, (AlgorithmTrainable,), {"bound_spec": spec})
    built = bound(config=config.model_dump())
    if named_by_user:
        remember(addresses_in(config.model_dump()))
    return built


def _addressed(env: Any) -> Any:
    """Return the address of a class or function, if it has one: its checkpoints load in other processes."""
    if callable(env):
        with suppress(UserError):
            return lasting_address(env, "environment")
    return env
