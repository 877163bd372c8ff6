"""The module search path of Ray's workers."""

from __future__ import annotations

import os
import sys
from typing import Any

from ray.job_config import JobConfig


class DriversPath(JobConfig):
    """Workers search the working folder first only where the driver does, too.

    Ray puts it in front of everything else in `sys.path` of each worker, and has no setting for that: a `random.py`
    there would replace Python's own, and a folder `tuneexp` the installed package. Addresses (module:Class) find the
    folder at the end of the path."""

    _py_driver_sys_path: list[str]

    def _get_proto_job_config(self) -> Any:
        here = os.path.abspath(os.curdir)
        if not searched_first(here):
            self._py_driver_sys_path = [folder for folder in self._py_driver_sys_path if folder != here]
        return super()._get_proto_job_config()


def searched_first(folder: str) -> bool:
    """Whether this process searches `folder` before Python's own modules: the folder of the running script is."""
    own = os.path.dirname(os.__file__)
    before = sys.path[: sys.path.index(own)] if own in sys.path else sys.path
    return folder in map(os.path.abspath, before)
