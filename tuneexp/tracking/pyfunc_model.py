"""Policies as MLflow models of the flavour pyfunc."""

from __future__ import annotations

from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tuneexp.files.temporary import temporary_folder
from tuneexp.quiet_imports import only_errors
from tuneexp.sampling.exported_policy import Acts, leaves_of
from tuneexp.tracking.store_errors import silent

_CODE = Path(__file__).with_name("served_policy.py")
_PACKAGES = ("mlflow", "torch", "numpy")


def save_pyfunc(folder: Path, program: bytes, example: Any, acts: Acts, state_size: int) -> None:
    """Write the folder of a model that loads with mlflow and torch only.

    It has no input signature: MLflow would refuse lists and other floats, and the model checks shapes itself.

    Args:
        folder: A new folder.
        program: of torch.export, with `tuneexp.json`.
        example: a batch of observations.
        acts: function of the program.
        state_size: size of the recurrent state; 0: none.
    """
    import mlflow
    from mlflow.models import ModelSignature

    state = np.zeros((len(next(leaves_of(example))), state_size), np.float32) if state_size else None
    outputs = _outputs(*acts(example, state))
    given = example if state is None else {"obs": example, "state": state}
    with temporary_folder() as work, only_errors("mlflow"), silent():
        (work / "policy.pt2").write_bytes(program)
        mlflow.pyfunc.save_model(
            path=str(folder),
            python_model=str(_CODE),
            artifacts={"policy": str(work / "policy.pt2")},
            pip_requirements=[f"{name}=={version(name)}" for name in _PACKAGES],
            signature=ModelSignature(outputs=outputs),
            input_example=_as_lists(given),
        )


def _outputs(action: NDArray[Any], state: NDArray[Any] | None) -> Any:
    from mlflow.types import Schema, TensorSpec

    values = {"action": action} if state is None else {"action": action, "state": state}
    named = state is not None  # else the model returns the only one
    shapes = {name: (-1, *value.shape[1:]) for name, value in values.items()}
    return Schema([TensorSpec(value.dtype, shapes[name], name if named else None) for name, value in values.items()])


def _as_lists(given: Any) -> Any:
    """Return an array, or dictionaries of lists: MLflow stores no dictionaries of several kinds of values."""

    def lists(value: Any) -> Any:
        return {key: lists(part) for key, part in value.items()} if isinstance(value, dict) else value.tolist()

    return lists(given) if isinstance(given, dict) else given


def acts_of_pyfunc(folder: Path) -> Acts:
    """Return the function of a model in a folder."""
    import mlflow

    with only_errors("mlflow"), silent():
        model = mlflow.pyfunc.load_model(str(folder))

    def acts(obs: Any, state: NDArray[Any] | None) -> tuple[NDArray[Any], NDArray[Any] | None]:
        if state is None:
            return model.predict(obs), None
        both = model.predict({"obs": obs, "state": state})
        return both["action"], both["state"]

    return acts
