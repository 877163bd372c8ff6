"""Search spaces: from YAML, Tune's sample objects or a function, to Optuna's suggestions."""

from tuneexp.sweep.search.space.search_space import SearchSpace
from tuneexp.sweep.search.space.walk import InfeasiblePoint

__all__ = ["InfeasiblePoint", "SearchSpace"]
