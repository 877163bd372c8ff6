"""Export of policies to files that act without tuneexp."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tuneexp.errors import UserError, unknown_name
from tuneexp.extras import require
from tuneexp.files.atomic import write_atomically
from tuneexp.sweep.from_address import load_policy

if TYPE_CHECKING:
    from tuneexp.sampling.exported_policy import Acts
    from tuneexp.sampling.loaded_policy import LoadedPolicy

# Format -> default output.
TARGETS = {"torch": "policy.pt2", "onnx": "policy.onnx", "mlflow": "policy_model"}


def export(
    address: str | Path,
    to: str = "torch",
    output: str | Path | None = None,
    seed: int | None = None,
    policy: str | None = None,
    storage: str | Path = "runs",
    trust: bool = False,
    moved: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """Export the deterministic policy of a checkpoint to a file or folder that acts without tuneexp.

    It includes the normalisation of observations, and actions are in the form of the action space. It is compared with
    the original on 1,000 random observations.

    Args:
        address: As of `load_policy`.
        to: "torch": a program of torch.export, for `torch.export.load(file).module()`. "onnx": an ONNX model, which
            needs the extra tuneexp[onnx]. "mlflow": the folder of a pyfunc model, for
            `mlflow.pyfunc.load_model(folder)` and `mlflow models serve`, which need mlflow and torch.
        output: The file, which is replaced, or the new folder; None: "policy.pt2", "policy.onnx" or "policy_model".
        seed: As of `load_policy`.
        policy: As of `load_policy`.
        storage: As of `load_policy`.
        trust: As of `load_policy`.
        moved: As of `load_policy`.

    Returns:
        `path`, `to`, `seed`, `policy`, `state_size` (0: it is not recurrent), `compared` (number of observations) and
        `largest_difference` of their actions.

    Raises:
        UserError: As `load_policy`, or the policy can't be exported, or the output can't be written.
        TuneexpError: The exported policy acts differently.
    """
    if to not in TARGETS:
        raise unknown_name("format of an export", to, TARGETS)
    path = _checked_output(Path(output or TARGETS[to]).absolute(), to)
    if to == "onnx":
        require("onnx", "onnxscript", "onnxruntime", needed_by="an export to ONNX", extra="onnx")
    found = load_policy(address, seed, policy, storage, trust, moved)
    from tuneexp.sampling.exported_policy import COMPARED, TIES, acts_of, largest_difference, program_of

    module = found.module()
    if to == "mlflow":
        difference = write_model(path, found)
    else:
        program = program_of(found, module)
        file, acts = _as_onnx(program) if to == "onnx" else (program, acts_of(program))
        difference = largest_difference(found, acts, module.state_size, TIES if to == "onnx" else 0)
        write_atomically(path, file)
    return {
        "path": str(path),
        "to": to,
        "seed": found.facts.seed,
        "policy": found.facts.policy,
        "state_size": module.state_size,
        "compared": COMPARED,
        "largest_difference": difference,
    }


def _as_onnx(program: bytes) -> tuple[bytes, Acts]:
    """Return the file of an ONNX model, and its function."""
    from tuneexp.sampling.onnx_policy import acts_of_onnx, onnx_of

    model = onnx_of(program)
    return model, acts_of_onnx(model)


def _checked_output(path: Path, to: str) -> Path:
    if not path.parent.is_dir():
        raise UserError(f"--output {str(path)!r} can't be written: there is no folder {path.parent}")
    if to != "mlflow" and path.is_dir():
        raise UserError(f"--output {str(path)!r} is a folder; name a file in it, such as {path / TARGETS[to]}")
    if to == "mlflow" and path.exists():
        raise UserError(f"--output {str(path)!r} exists; name a new folder, or remove it")
    return path


def write_model(path: Path, found: LoadedPolicy) -> float:
    """Write the folder of an MLflow model. Returns the largest difference, as of `largest_difference`."""
    from tuneexp.files.temporary import temporary_folder
    from tuneexp.sampling.exported_policy import acts_of, largest_difference, observations, program_of
    from tuneexp.tracking.pyfunc_model import acts_of_pyfunc, save_pyfunc

    module, example = found.module(), observations(found, 2)
    program = program_of(found, module)
    with temporary_folder(path.parent) as work:
        save_pyfunc(work / "model", program, example, acts_of(program), module.state_size)
        difference = largest_difference(found, acts_of_pyfunc(work / "model"), module.state_size)
        os.replace(work / "model", path)
    return difference
