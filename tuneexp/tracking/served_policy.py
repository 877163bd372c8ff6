"""Code of exported MLflow models, which is copied into them: it needs only mlflow and torch."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import torch
from mlflow.models import set_model
from mlflow.pyfunc import PythonModel, PythonModelContext

PROGRAM, ABOUT = "policy", "tuneexp.json"


class ServedPolicy(PythonModel):
    """Deterministic policy of one seed.

    `predict(obs)` takes one observation or a batch [B, ...] (an array, nested lists, a DataFrame with a column for each
    number; of a Dict space nested dictionaries) and returns the action or the actions. A recurrent policy takes
    `{"obs": obs, "state": state}`, at the start of an episode without state, and returns `{"action": ..., "state":
    ...}`."""

    def load_context(self, context: PythonModelContext) -> None:
        files = {ABOUT: ""}
        self._program = torch.export.load(context.artifacts[PROGRAM], extra_files=files).module()
        self._about = json.loads(files[ABOUT])

    # MLflow warns of any type of `model_input` but a few, such as this one, and checks none of those.
    def predict(self, context: Any, model_input: np.ndarray, params: dict[str, Any] | None = None) -> Any:
        given: Any = model_input
        size, spec = self._about["state_size"], self._about["observation"]
        if not size:
            obs, single = _tensors(_array(given), spec)
            action = self._program(obs).numpy()
            return action[0] if single else action
        if not isinstance(given, dict) or "obs" not in given:
            raise ValueError('this policy is recurrent: give {"obs": ..., "state": ...}, at first without "state"')
        obs, single = _tensors(given["obs"], spec)
        rows = 1 if single else len(next(_leaves(obs)))
        before = given.get("state")
        state = np.zeros((rows, size)) if before is None else np.asarray(before, np.float32).reshape(-1, size)
        if len(state) != rows:
            raise ValueError(f"the state has {len(state)} rows, the observations have {rows}")
        action, state = self._program(obs, torch.from_numpy(state.astype(np.float32)))
        both = {"action": action.numpy(), "state": state.numpy()}
        return {name: value[0] for name, value in both.items()} if single else both


def _array(given: Any) -> Any:
    return given.to_numpy() if hasattr(given, "to_numpy") else given


def _leaves(obs: Any) -> Any:
    if isinstance(obs, dict):
        for part in obs.values():
            yield from _leaves(part)
    else:
        yield obs


def _tensors(given: Any, spec: dict[str, Any], name: str = "the observation") -> tuple[Any, bool]:
    """Return a batch of tensors, and True if a single observation was given. ValueError for another shape or type."""
    if "parts" in spec:
        parts = spec["parts"]
        if not isinstance(given, dict) or set(parts) - set(given):
            raise ValueError(f"{name} is a dictionary with {', '.join(parts)}")
        found = {key: _tensors(given[key], part, f"{name}/{key}") for key, part in parts.items()}
        singles = {single for _, single in found.values()}
        if len(singles) > 1:
            raise ValueError(f"the parts of {name} are partly batches")
        return {key: tensor for key, (tensor, _) in found.items()}, singles.pop()
    array, shape, dtype = np.asarray(given), tuple(spec["shape"]), np.dtype(spec["dtype"])
    single = array.shape == shape
    if not single and array.shape[1:] != shape:
        raise ValueError(f"{name} has the shape {list(array.shape)}; give {list(shape)}, or [N, ...] for a batch")
    if dtype.kind in "iub" and array.dtype.kind not in "iub":
        raise ValueError(f"{name} is of {array.dtype}; give {dtype}")
    return torch.from_numpy(np.array(array[None] if single else array, dtype=dtype, order="C")), single


set_model(ServedPolicy())
