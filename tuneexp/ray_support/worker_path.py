"""Module search path of Ray's workers."""

from __future__ import annotations

import os
import sys
from typing import Any

from ray.job_config import JobConfig


class DriversPath(JobConfig):
    """Job configuration with the driver's module search path.

    Ray puts the working folder first in `sys.path` of each worker, and has no setting for that. A file `random.py`
    there would replace Python's module, and a folder `tuneexp` the installed package. Here workers search it first only
    if the driver does. For addresses (module:Class) it is the last folder of the path."""

    _py_driver_sys_path: list[str]

    def _get_proto_job_config(self) -> Any:
        here = os.path.abspath(os.curdir)
        if not searched_first(here):
            self._py_driver_sys_path = [folder for folder in self._py_driver_sys_path if folder != here]
        return super()._get_proto_job_config()


def searched_first(folder: str) -> bool:
    """Return True if this process searches `folder` before Python's modules, as it does with a script's folder."""
    own = os.path.dirname(os.__file__)
    before = sys.path[: sys.path.index(own)] if own in sys.path else sys.path
    return folder in map(os.path.abspath, before)
