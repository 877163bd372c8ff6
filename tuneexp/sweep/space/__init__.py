"""Search spaces: from YAML, Tune's sample objects or a function, to Optuna's suggestions."""

from tuneexp.sweep.space.search_space import InfeasiblePoint, SearchSpace

__all__ = ["InfeasiblePoint", "SearchSpace"]
