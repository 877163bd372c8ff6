"""Policy as an ONNX model, converted from its program of `torch.export`. Needs the extra tuneexp[onnx]."""

from __future__ import annotations

import io
import json
import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from tuneexp.errors import UserError
from tuneexp.quiet_imports import only_errors
from tuneexp.sampling.exported_policy import ABOUT, Acts

OBS, STATE, ACTION, NEXT_STATE = "obs", "state", "action", "next_state"


def onnx_of(program: bytes) -> bytes:
    """Return a program of `program_of` as the file of an ONNX model.

    Its inputs are `obs`, of a Dict space `obs/NAME` for each part, and of recurrent networks `state`; its outputs are
    `action` and `next_state`. The first axis of each is `batch`. The property `tuneexp.json` has origin and spaces.

    Raises:
        UserError: ONNX has no form of an operation of the networks or of `act_fn`.
    """
    files = {ABOUT: ""}
    loaded = torch.export.load(io.BytesIO(program), extra_files=files)
    about = json.loads(files[ABOUT])
    recurrent = about["state_size"] > 0
    inputs = [*_names(about["observation"], OBS), *([STATE] if recurrent else [])]
    outputs = [ACTION, NEXT_STATE] if recurrent else [ACTION]
    try:
        with warnings.catch_warnings(action="ignore"), only_errors("torch.onnx"):
            made: Any = torch.onnx.export(loaded, dynamo=True, verbose=False, input_names=inputs, output_names=outputs)
    except Exception as error:
        why = " ".join(str(error.__cause__ or error).split())[:300]
        raise UserError(
            f"the policy has no form in ONNX: {why}\nexport it with --to torch, or use other operations in act_fn and "
            "the networks"
        ) from error
    for value in (*made.model.graph.inputs, *made.model.graph.outputs):
        value.shape = type(value.shape)(["batch", *list(value.shape)[1:]])
    made.model.metadata_props[ABOUT] = json.dumps(about)
    file = io.BytesIO()
    made.save(file)
    return file.getvalue()


def _names(described: dict[str, Any], name: str) -> Iterator[str]:
    """Yield the names of the inputs for the observation, in the order of `named`."""
    if "parts" not in described:
        yield name
        return
    for key, part in described["parts"].items():
        yield from _names(part, f"{name}/{key}")


def named(obs: Any, name: str = OBS) -> dict[str, NDArray[Any]]:
    """Return the arrays of a batch of observations by the names of their inputs."""
    if not isinstance(obs, dict):
        return {name: np.asarray(obs)}
    return {key: array for part, value in obs.items() for key, array in named(value, f"{name}/{part}").items()}


def acts_of_onnx(model: bytes) -> Acts:
    """Return the function of an ONNX model, as onnxruntime computes it on the CPU."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3  # errors
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])

    def acts(obs: Any, state: NDArray[Any] | None) -> tuple[NDArray[Any], NDArray[Any] | None]:
        given = named(obs) if state is None else {**named(obs), STATE: state}
        action, *following = session.run(None, given)
        return action, following[0] if following else None

    return acts
