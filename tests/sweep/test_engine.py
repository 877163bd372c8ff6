"""Which failures of a trial are its end."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest
from ray import cloudpickle
from ray.exceptions import RayActorError, RayTaskError

from tuneexp.errors import EnvironmentFault, LearnerLost, RunnerLost, UserError
from tuneexp.sweep.engine import _is_final


@pytest.mark.parametrize(
    ("cause", "final"),
    [
        (RunnerLost("died"), False),
        (LearnerLost("died"), False),
        (RayActorError(), False),
        (EnvironmentFault("NaN"), True),
        (UserError("no room"), True),
    ],
    ids=lambda value: type(value).__name__,
)
def test_lost_processes_are_tried_again_and_what_raised_is_not(tmp_path: Path, cause: Exception, final: bool) -> None:
    file = tmp_path / "error.pkl"
    file.write_bytes(cloudpickle.dumps(RayTaskError("train", "traceback", cause)))
    assert _is_final(SimpleNamespace(pickled_error_file=str(file))) is final  # type: ignore[arg-type]
