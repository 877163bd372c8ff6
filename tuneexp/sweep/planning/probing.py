"""Probes: the first configurations of a sweep, trained for some seconds in processes of their own."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tuneexp.errors import TuneexpError, UserError
from tuneexp.files.json_reading import parse_json
from tuneexp.files.temporary import temporary_folder
from tuneexp.processes import cores, python_command
from tuneexp.ray_support.environment import WORKER_SETTINGS
from tuneexp.sweep.search.choice import build_sampler
from tuneexp.sweep.signals import check_signals
from tuneexp.sweep.sweep_config import SweepConfig, objectives_of, sampler_context, trial_config

if TYPE_CHECKING:
    from optuna.trial import FrozenTrial

    from tuneexp.sweep.search.space import SearchSpace
    from tuneexp.trial.probe import Probe

PROBES = 4
PROBE_S = 3.0  # of training after the warm-up, for each configuration
STARTS_S = 60.0  # no probe starts later
LIMIT_S = 180.0  # for one probe, with the compilation of its programs
_POLL_S = 0.02


def probes_of(
    config: SweepConfig,
    space: SearchSpace,
    verbose: bool = False,
    earlier: Sequence[FrozenTrial] = (),
    most: int | None = None,
) -> list[Probe]:
    """Train the first configurations that the sampler suggests, as many at a time as the sweep runs.

    Args:
        config: The sweep, with its concurrency.
        space: Its validated space.
        verbose: Show the output of the processes.
        earlier: Trials of a warm start.
        most: Number of configurations; by default `PROBES`.

    Returns:
        Their costs. At least one; fewer than `most` if programs take long to compile.

    Raises:
        UserError: A configuration can't be trained.
        TuneexpError: A trial fails, or takes too long.
    """
    shared, at_once = trial_config(config), config.concurrency or cores()
    found: list[Probe] = []
    running: list[_Process] = []
    number = min(most or PROBES, config.trials or PROBES)
    waiting = list(enumerate(first_configurations(config, space, number, earlier)))
    started = time.monotonic()
    with ExitStack() as ended:
        while waiting or running:
            check_signals()
            late = time.monotonic() - started > STARTS_S and bool(found)
            while waiting and not late and len(running) < at_once:
                number, own = waiting.pop(0)
                asked = {**shared, **own}
                running.append(ended.enter_context(_Process(number, asked, verbose)))
            if late:
                waiting.clear()
            found += [one.result() for one in running if one.is_over()]
            running = [one for one in running if not one.taken]
            time.sleep(_POLL_S)
    return found


def first_configurations(
    config: SweepConfig, space: SearchSpace, number: int, earlier: Sequence[FrozenTrial] = ()
) -> Iterator[dict[str, Any]]:
    """Yield what the first trials of a sweep have of their own: hyperparameters, and a budget if it is searched."""
    import optuna

    from tuneexp.nesting import merged
    from tuneexp.sweep.search.asking import next_feasible, settings_of
    from tuneexp.sweep.search.samplers.tells import tell

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    sampler = build_sampler(config.searcher, sampler_context(config, space))
    study = optuna.create_study(sampler=sampler, directions=objectives_of(config).of_optuna)
    study.add_trials(earlier)
    initial = dict(enumerate(space.initial_params()))
    for _ in range(number):
        found = next_feasible(study, space, initial.get, lambda trial: tell(study, trial, optuna.trial.TrialState.FAIL))
        if found is None:
            return
        settings = settings_of(found[1])
        yield {**settings, "hyperparameters": merged(config.fixed, settings["hyperparameters"])}


class _Process:
    """A process that measures one configuration. It is killed at the end of the context."""

    def __init__(self, number: int, config: dict[str, Any], verbose: bool) -> None:
        from tuneexp.trial.probe import ASKED

        self.number, self.taken = number, False
        self._exit = ExitStack()
        self._folder = self._exit.enter_context(temporary_folder())
        asked = {"config": config, "seconds": PROBE_S, "limit_s": LIMIT_S, "path": sys.path}
        (self._folder / ASKED).write_text(json.dumps(asked, default=str))
        output = None if verbose else subprocess.DEVNULL
        self._process = subprocess.Popen(
            [*python_command("from tuneexp.trial.probe import main; main(sys.argv[1])"), str(self._folder)],
            stdin=subprocess.DEVNULL, stdout=output, stderr=output, env={**WORKER_SETTINGS, **os.environ},
            start_new_session=True,
        )  # fmt: skip

    def __enter__(self) -> _Process:
        return self

    def __exit__(self, *error: object) -> None:
        if not self.taken:
            self._kill_group()
            self._process.wait()
        self._exit.close()

    def is_over(self) -> bool:
        """Return True if the process has ended. What it has started is killed then."""
        if self._process.poll() is None:
            return False
        self._kill_group()
        return True

    def _kill_group(self) -> None:
        """Kill the process with its compiler and the processes of its environments."""
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)

    def result(self) -> Probe:
        """Return the costs. Raises the error that ended the process."""
        from tuneexp.trial.probe import FOUND, Probe

        self.taken = True
        file = Path(self._folder) / FOUND
        found = parse_json(file.read_bytes()) if file.exists() else {}
        if "costs" in found:
            return Probe(**found["costs"])
        if "refused" in found:
            raise UserError(f"trial {self.number} can't be trained: {found['refused']}")
        if "failed" in found:
            raise TuneexpError(f"trial {self.number} failed in its first seconds: {found['failed']}")
        if self._process.returncode == -signal.SIGALRM:
            raise TuneexpError(
                f"trial {self.number} was not trained for {PROBE_S:g} s within {LIMIT_S:g} s; -v shows its output"
            )
        raise TuneexpError(f"the process that tried trial {self.number} {_ended(self._process.returncode)}")


def _ended(code: int) -> str:
    return f"was ended by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"
