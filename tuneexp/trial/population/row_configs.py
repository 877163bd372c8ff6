"""Configurations of the rows of a stack that differ in numbers."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import NamedTuple

from tuneexp.algorithms.base_config import AlgorithmConfig


class RowConfigs(NamedTuple):
    """Configurations of a stack's rows.

    Args:
        cfgs: of each row; empty: one for all.
        own: names of the numbers in which rows differ, or may come to.
    """

    cfgs: Sequence[AlgorithmConfig] = ()
    own: Collection[str] = ()


ONE_CONFIG = RowConfigs()
