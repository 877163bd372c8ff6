"""Winner of a confirmation as a model that MLflow can serve, and what is registered with it."""

from __future__ import annotations

import logging
import shutil

from tuneexp.errors import sentence_of
from tuneexp.sweep.confirming.confirmation import Confirmation
from tuneexp.sweep.exporting import write_model
from tuneexp.sweep.from_address import load_policy
from tuneexp.sweep.results import TrialResult
from tuneexp.sweep.storage.folder import SweepFolder
from tuneexp.sweep.sweep_config import SweepConfig
from tuneexp.tracking.within import Champion

logger = logging.getLogger(__name__)

_MODEL = "policy_model"


def champion(found: Confirmation, config: SweepConfig, folder: SweepFolder, trial: TrialResult) -> Champion:
    """Write the winner's policy as a pyfunc model into the folder of a confirmation. Idempotent.

    The policy is that of the seed with the best last evaluation, as of `load_policy`. One that can't be exported is a
    warning, and the checkpoint is registered without it.

    Args:
        found: The confirmation, with a winner.
        config: Its configuration.
        folder: Its folder.
        trial: The training of the recommended configuration.
    """
    seed, files = None, ""
    try:
        policy = load_policy(str(trial.checkpoint), moved=config.trial.moved)
        seed = policy.facts.seed
        shutil.rmtree(folder.path / _MODEL, ignore_errors=True)  # of a process that was killed
        write_model(folder.path / _MODEL, policy)
        files = _MODEL
    except Exception as error:  # the confirmation is worth more than a model of it
        logger.warning("mlflow models serve can't serve the champion: %s", sentence_of(error).splitlines()[0])
    return Champion(
        name=found.sweep,
        about=f"Confirmed winners of the sweep {found.sweep}. The alias champion is the newest one.",
        description=_description(found, seed),
        tags=_tags(found, seed),
        files=files,
    )


def _description(found: Confirmation, seed: int | None) -> str:
    chosen, estimate = found.recommended, found.recommended_score
    assert chosen is not None
    assert estimate is not None
    value, low, high = estimate
    counts = f" ({chosen.counts} seeds)" if chosen.counts else ""
    served = "" if seed is None else (
        f" The model serves the policy of seed {seed}, the best of the {len(found.seeds)} seeds in their last "
        "evaluation; the interval is that of the configuration. The checkpoint has all seeds."
    )  # fmt: skip
    return (
        f"**{chosen.name} of the sweep {found.sweep}**: interquartile mean return {value:.6g}, 95 % interval "
        f"{low:.6g} to {high:.6g}, on {len(found.seeds)} seeds that tuning "
        f"{'partly used' if found.seen_seeds else 'never used'}{counts}.{served}"
    )


def _tags(found: Confirmation, seed: int | None) -> dict[str, str]:
    assert found.recommended_score is not None
    values = zip(("confirmed", "confirmed_low", "confirmed_high"), found.recommended_score, strict=True)
    served = {} if seed is None else {"tuneexp.seed": str(seed)}
    return {"tuneexp.sweep": found.sweep, **{name: f"{value:.6g}" for name, value in values}, **served}
