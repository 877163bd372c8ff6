"""Content of a checkpoint: its state, and the trial that it is of."""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from tuneexp.addresses import changed_sources
from tuneexp.algorithms.registry import load_spec
from tuneexp.algorithms.spec import TrainableSpec
from tuneexp.errors import UserError
from tuneexp.files import checkpoint
from tuneexp.security.trust import addresses_in, moved_options, require_files, require_trusted, with_moved
from tuneexp.trial.older_formats import explicit_model
from tuneexp.trial.trial_config import TrialConfig

log = logging.getLogger(__name__)


class StoredTrial(NamedTuple):
    """Trial of a checkpoint.

    Args:
        folder: path or URI of the checkpoint, for messages.
        state: from `Trial.state_dict`.
        config: of the trial.
        spec: its algorithm.
    """

    folder: str
    state: dict[str, Any]
    config: TrialConfig
    spec: TrainableSpec


@contextmanager
def checkpoint_named(folder: str | Path) -> Iterator[None]:
    """Add the folder of the checkpoint to errors about its content."""
    try:
        yield
    except UserError as error:
        raise checkpoint.CheckpointError(f"{folder}: {error}") from error


def report_changed_source(config: TrialConfig) -> None:
    """Log a warning for each source file that has changed since the start."""
    for address in changed_sources(config.sources):
        log.warning("the source of %s has changed since this was started", address)


def read_trial(
    folder: str | Path,
    trust: bool = False,
    moved: Mapping[str, str] | None = None,
    changes: Mapping[str, Any] | None = None,
    leave_out: Collection[str] = (),
) -> StoredTrial:
    """Read a checkpoint and import its algorithm.

    Args:
        folder: Path or URI of the checkpoint.
        trust: Import the addresses that the checkpoint names, and remember them as trusted.
        moved: New addresses, files or folders of your own, by the stored ones.
        changes: Settings of the trial to change.
        leave_out: As of `checkpoint.read`.

    Raises:
        UserError: The checkpoint is damaged, or names an address that is not trusted or not there.
    """
    stored_in = f"the checkpoint {folder}"
    state = checkpoint.read(folder, leave_out)
    if not isinstance(state.get("config"), dict):
        raise checkpoint.CheckpointError(f"{stored_in} is damaged: it holds no configuration")
    state = with_moved(state, moved or {}, stored_in)
    config = TrialConfig.parse({**state["config"], **(changes or {})}, stored_in)
    if not config.algorithm:
        raise UserError(f"{stored_in} is of an algorithm without an address; build it from its own spec")
    again = ("evaluate", folder, *moved_options(moved or {}))
    require_files(addresses_in(config.model_dump()), stored_in)
    require_trusted(addresses_in(config.model_dump()), stored_in, again, trust)
    report_changed_source(config)
    spec = load_spec(config.algorithm)
    with checkpoint_named(folder):
        meant = explicit_model(state, spec.config_class)
    config = config.model_copy(update={"hyperparameters": {**config.hyperparameters, **meant}})
    return StoredTrial(str(folder), state, config, spec)
