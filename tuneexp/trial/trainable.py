"""The Trainable: a trial as Ray Tune sees it. `train()` runs sample -> learn -> sync."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from ray.tune import Checkpoint, PlacementGroupFactory, Trainable

from tuneexp.addresses import changed_sources, lasting_address, refuse_while_importing, relocated
from tuneexp.algorithms.registry import address_of, load_spec
from tuneexp.algorithms.rl_zoo.rows import RL_ZOO_KEYS, placed
from tuneexp.algorithms.spec import AlgorithmSpec, TrainableSpec
from tuneexp.envs.registration import registration_where_stored
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
    moved_options,
    remember,
    require_files,
    require_trusted,
    sources_of,
    with_moved,
)
from tuneexp.seeds import seed_list
from tuneexp.trial import Trial
from tuneexp.trial.older_formats import explicit_model
from tuneexp.trial.resource_request import bundles_of
from tuneexp.trial.trial_config import TrialConfig

log = logging.getLogger(__name__)


class AlgorithmTrainable(Trainable):
    """Works under Tune and without it. The config is a `TrialConfig` as a plain dict."""

    bound_spec: ClassVar[TrainableSpec | None] = None

    @classmethod
    def default_resource_request(cls, config: dict[str, Any]) -> PlacementGroupFactory | None:
        """One CPU, and what its env runners and learners take. What can't be read is left to `setup` to refuse."""
        try:
            trial_config = TrialConfig.parse(config, "the trial")
            spec = cls.bound_spec or load_spec(trial_config.algorithm)
            cfg = spec.config_class.parse(trial_config.hyperparameters, spec.name)
        except UserError:
            return None
        bundles = bundles_of(cfg)
        return PlacementGroupFactory(bundles) if len(bundles) > 1 else None

    def _setup_logdir(self) -> None:
        if self._storage:  # else Ray would leave an empty folder in the home folder
            super()._setup_logdir()

    def setup(self, config: dict[str, Any]) -> None:
        quiet_tune()
        log_exit_codes()
        register_stack_dump()
        with picklable_errors():
            self._build(config)

    def _build(self, config: dict[str, Any]) -> None:
        torch.set_num_threads(1)
        restore_default_sigterm()
        trial_config = TrialConfig.parse(config, "the trial")
        spec = self.bound_spec or load_spec(trial_config.algorithm)
        report_changed_source(trial_config)
        self.trial = Trial(spec, trial_config)

    def step(self) -> dict[str, Any]:
        with picklable_errors():
            return self.trial.advance()

    def save_checkpoint(self, checkpoint_dir: str) -> None:
        checkpoint.write(checkpoint_dir, self.trial.state_dict())

    def save(self, checkpoint_dir: str | None = None) -> Any:
        """Under Tune, a storage that fails is tried again: a trial is not to blame for it. Raises `StorageFault`."""
        if checkpoint_dir is not None or self._storage is None:
            return super().save(checkpoint_dir)
        what = f"checkpoints can't be saved in {self._storage.experiment_fs_path}"
        return outages.retried(self._save_once, what, self._is_storage_fault)

    def _save_once(self) -> Any:
        index = self._storage.current_checkpoint_index
        try:
            with temporary_folder() as folder:  # Tune's own stays where saving fails
                return super().save(str(folder))
        except Exception:
            if self._storage.current_checkpoint_index > index:
                with suppress(OSError):  # what was half copied needs the room of the next try
                    self._storage.storage_filesystem.delete_dir(self._storage.checkpoint_fs_path)
                self._storage.current_checkpoint_index = index
            raise

    def restore(self, checkpoint_path: Any) -> None:
        """From what `save` gave, or a path. Raises `CheckpointError` for what is none. Runs no code of the file."""
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
        """Whether reading or writing failed, or the sweep's folder isn't there: one that is not mounted looks empty."""
        if outages.of_the_storage(error):
            return True
        try:
            self._storage._check_validation_file()
        except (OSError, RuntimeError):
            return True
        return False

    def load_checkpoint(self, checkpoint_dir: str) -> None:
        state = relocated(checkpoint.read(checkpoint_dir), self.trial.config.moved)
        with _named(checkpoint_dir):
            self._take_networks_of(state)
            self.trial.load_state_dict(state)

    def _take_networks_of(self, state: Mapping[str, Any]) -> None:
        """A checkpoint of an older version has the networks that were the default then: the trial gets them."""
        trial = self.trial
        if not isinstance(trial.spec, AlgorithmSpec) or "config" not in state:
            return
        own, before = trial.config.hyperparameters, state["config"]["hyperparameters"]
        meant = explicit_model(state, trial.spec.config_class)
        if meant and own.get("model") == before.get("model"):
            trial.close()
            self.trial = Trial(trial.spec, trial.config.model_copy(update={"hyperparameters": {**own, **meant}}))

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        """Actors are reused: everything is built anew in place, but for the programs that still fit."""
        self.cleanup()
        self.setup(new_config)
        return True

    def cleanup(self) -> None:
        if hasattr(self, "trial"):
            self.trial.close()
            del self.trial

    def evaluate(self, episodes: int = 20, seed: int = 10_000) -> list[list[float]]:
        """Returns of the deterministic policy, one list of `episodes` a seed."""
        return self.trial.evaluate(episodes, seed).tolist()


@contextmanager
def _named(folder: str | Path) -> Iterator[None]:
    """Errors about a checkpoint's content say which one it is."""
    try:
        yield
    except UserError as error:
        raise checkpoint.CheckpointError(f"{folder}: {error}") from error


def report_changed_source(config: TrialConfig) -> None:
    for address in changed_sources(config.sources):
        log.warning("the source of %s has changed since this was started", address)


def build_trainable(
    spec: TrainableSpec, env: Any, seeds: int | Sequence[int], settings: Mapping[str, Any], named_by_user: bool = True
) -> AlgorithmTrainable:
    """settings: fields of `TrialConfig` and hyperparameters of the algorithm, by their own names. named_by_user: the
    addresses in it become trusted (False where they come from a checkpoint)."""
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
        address = ""  # trains, but its checkpoints load only through the spec itself
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
            "compile": "auto" if "budget_env_steps" in of_trial else "later",  # what compiling gains is unknown
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
    """A class or function by its address where it has one, so that checkpoints load in another process."""
    if callable(env):
        with suppress(UserError):
            return lasting_address(env, "environment")
    return env


def trial_from_checkpoint(
    folder: str | Path, learns: bool = True, trust: bool = False, moved: Mapping[str, str] | None = None, **changes: Any
) -> Trial:
    """Load the trial of a checkpoint, ready to go on or to act.

    Args:
        folder: Checkpoint folder.
        learns: False for a trial that only acts: it needs neither learner processes nor the device it was trained on.
        trust: Import the addresses that the checkpoint names, and remember them as trusted.
        moved: New addresses, files or folders of your own, by the stored ones.
        changes: Settings of the trial to change, such as a larger `budget_env_steps`.

    Raises:
        UserError: The checkpoint is damaged, or names an address that is not trusted.
    """
    state = checkpoint.read(folder)
    if not isinstance(state.get("config"), dict):
        raise checkpoint.CheckpointError(f"the checkpoint {folder} is damaged: it holds no configuration")
    state = with_moved(state, moved or {}, f"the checkpoint {folder}")
    config = TrialConfig.parse({**state["config"], **changes}, f"the checkpoint {folder}")
    if not config.algorithm:
        raise UserError(f"the checkpoint {folder} is of an algorithm without an address; build it from its own spec")
    again = ("evaluate", folder, *moved_options(moved or {}))
    require_trusted(addresses_in(config.model_dump()), f"the checkpoint {folder}", again, trust)
    require_files(addresses_in(config.model_dump()), f"the checkpoint {folder}")
    report_changed_source(config)
    spec = load_spec(config.algorithm)
    with _named(folder):
        meant = explicit_model(state, spec.config_class) if isinstance(spec, AlgorithmSpec) else {}
    config = config.model_copy(update={"hyperparameters": {**config.hyperparameters, **meant}})
    if not learns:
        alone = {name: 0 for name in ("num_learners", "num_env_runners") if name in spec.config_class.model_fields}
        here = {"compile": "off", "device": "cpu", "hyperparameters": {**config.hyperparameters, **alone}}
        config, state = config.model_copy(update=here), _without_runners(state)
    with _named(folder):
        trial = Trial(spec, config)
    try:
        with _named(folder):
            trial.load_state_dict(state)
    except Exception:
        trial.close()
        raise
    return trial


def _without_runners(state: dict[str, Any]) -> dict[str, Any]:
    """Evaluation has environments of its own: where those of training were is nothing to go on from."""
    group = state.get("group")
    return {**state, "group": {**group, "runners": []}} if isinstance(group, dict) and "runners" in group else state


def evaluate_checkpoint(
    folder: str | Path, episodes: int = 20, seed: int = 10_000, trust: bool = False,
    moved: Mapping[str, str] | None = None,
) -> dict[str, Any]:  # fmt: skip
    """Evaluate every seed of a checkpoint; return_std is over all episodes; partial_episodes counts those that were
    stopped after `evaluation.max_steps`. trust, moved: as of `trial_from_checkpoint`."""
    trial = trial_from_checkpoint(folder, learns=False, trust=trust, moved=moved)
    returns = trial.evaluate(episodes, seed)
    trial.close()
    return {
        "episodes": episodes,
        "return_mean": float(np.nanmean(returns)),  # NaN where a policy that is judged doesn't play
        "return_std": float(np.nanstd(returns)),
        "return_per_seed": np.nanmean(returns, axis=1).tolist(),
        "partial_episodes": trial.partial_episodes,
    }
