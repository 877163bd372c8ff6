"""End of a trial in an Optuna study, also for samplers that stop their study."""

from __future__ import annotations

from collections.abc import Sequence
from types import TracebackType

from optuna import Study, Trial
from optuna.trial import TrialState


def tell(study: Study, trial: Trial, state: TrialState, value: float | Sequence[float] | None = None) -> bool:
    """Tell Optuna how a trial ended.

    Args:
        study: The study of the trial.
        trial: A running trial.
        state: Its final state.
        value: Its value, or one for each objective; None unless it completed.

    Returns:
        True if the sampler has called `study.stop()`: it has nothing more to suggest. Outside of `study.optimize` that
        raises RuntimeError, after the trial is stored.
    """
    try:
        study.tell(trial, value, state=state)
    except RuntimeError as error:
        if not _is_stop(error.__traceback__):
            raise
        return True
    return False


def is_exhausted(study: Study) -> bool:
    """Return True if the sampler of the study has an `is_exhausted`, and it returns True."""
    asked = getattr(study.sampler, "is_exhausted", None)
    return asked is not None and bool(asked(study))


def _is_stop(traceback: TracebackType | None) -> bool:
    while traceback is not None and traceback.tb_next is not None:
        traceback = traceback.tb_next
    return traceback is not None and traceback.tb_frame.f_code is Study.stop.__code__
