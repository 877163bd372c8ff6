"""Decision to compile, by the calls that programs will get. Imports no torch."""

from __future__ import annotations

from dataclasses import dataclass

# Measured on 2.6 GHz cores with 64x64 networks. A factor of two does not matter.
COMPILE_S = 12.0
TRACE_S = 0.5
SAVED_PER_UPDATE_S = 0.0006
SAVED_PER_SEED_UPDATE_S = 0.00045
SAVED_PER_ACT_S = 0.00025


@dataclass(frozen=True)
class Workload:
    """Expected number of calls of the programs of a trial.

    n_seeds: S. updates: gradient updates of a trial. acts: acting steps of a trial. trials: that share the programs."""

    n_seeds: int
    updates: int
    acts: int
    trials: int = 1

    def saved_s(self) -> float:
        """Return the seconds that compiled programs save over eager ones."""
        per_update = SAVED_PER_UPDATE_S + SAVED_PER_SEED_UPDATE_S * self.n_seeds
        return (self.updates * per_update + self.acts * SAVED_PER_ACT_S) * self.trials

    def repays_compiling(self) -> bool:
        """True if compiled programs save more than compiling takes."""
        return self.saved_s() > COMPILE_S

    def repays_tracing(self) -> bool:
        """True if compiled programs save more than tracing and loading take, about half a second."""
        return self.saved_s() > TRACE_S
