"""`confirm`: train the best configurations of a sweep again, on seeds that tuning never used."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from tuneexp.errors import UserError
from tuneexp.sweep.cluster.capacity import ray_session_for, resolved_here
from tuneexp.sweep.confirming.candidates import Candidate, best_trials, candidates
from tuneexp.sweep.confirming.configs import confirmation_config, random_search_config
from tuneexp.sweep.confirming.confirmation import Confirmation, confirmation_of, listed, schedules
from tuneexp.sweep.confirming.costs import Costs, form_within
from tuneexp.sweep.confirming.folders import (
    confirmations,
    has_ended,
    new_confirmation,
    random_search_of,
    request_of,
    unfinished,
)
from tuneexp.sweep.confirming.request import ConfirmRequest, unseen_seeds
from tuneexp.sweep.events import Watcher
from tuneexp.sweep.experiment.writing import write_experiment
from tuneexp.sweep.nesting_check import refuse_nested_sweep
from tuneexp.sweep.results import SweepResult, TrialResult, result_of
from tuneexp.sweep.resuming import Running, folder_of, report_changed_sources, require_trust_of, resume_sweep
from tuneexp.sweep.run import run_in_ray, snapshot_period_s
from tuneexp.sweep.search.space import SearchSpace
from tuneexp.sweep.signals import interruptible
from tuneexp.sweep.storage.folder import SweepFolder
from tuneexp.sweep.sweep import checked_space
from tuneexp.sweep.sweep_config import SweepConfig, objectives_of, read_config, save_config
from tuneexp.sweep.user_callbacks import callback_list
from tuneexp.sweep.writable import check_writable

if TYPE_CHECKING:
    from ray.tune import Callback


@dataclass(frozen=True)
class Stage:
    """One sweep of a confirmation.

    Attributes:
        folder: Its folder.
        config: Its configuration.
        title: One line for people.
    """

    folder: SweepFolder
    config: SweepConfig
    title: str
    running: Running

    def known(self) -> list[TrialResult]:
        """Return the trials that it has already."""
        return result_of(self.config, self.folder).trials if self.folder.exists() else []

    def run(self, on_event: Watcher | None = None) -> SweepResult:
        """Run it, or what is left of it."""
        how = self.running
        if self.folder.exists():
            return resume_sweep(self.folder, how, on_event)
        space = checked_space(self.config, SearchSpace.of(self.config.space))
        check_writable(self.folder, self.config)
        with self.folder.lock(), interruptible(self.folder):
            config, store = resolved_here(self.config, space), partial(self._store, self.config)
            return run_in_ray(config, self.folder, space, how.callbacks, on_event, how.verbose, store)

    def _store(self, config: SweepConfig) -> None:
        save_config(self.folder, config)
        write_experiment(self.folder, config, self.running.callbacks)


def confirm(
    name: str,
    storage: str | Path = "runs",
    top: int | None = None,
    seeds: int | Sequence[int] = 10,
    *,
    random_search: bool = False,
    force: bool = False,
    on_event: Watcher | None = None,
    callbacks: Sequence[Callback] = (),
    verbose: bool = False,
    address: str | None = None,
    trust: bool = False,
) -> Confirmation:
    """Train the best configurations of a sweep and the algorithm's defaults on seeds that tuning never used.

    After a kill, the same call or `resume` of the sweep continues.

    Args:
        name: Name of the sweep, or path of its folder.
        storage: Folder that holds the sweep's folder.
        top: Number of the best configurations; by default 3, or fewer if fewer trials have completed.
        seeds: A number of seeds, which begin after the last one that tuning used, or a list.
        random_search: Also run a random search with the budget of the sweep, and train its best configuration.
        force: Allow seeds that tuning used.
        on_event: Function that is called with each `SweepEvent`.
        callbacks: Tune callbacks of your own; they must be picklable.
        verbose: Show the log output of Ray.
        address: Another Ray cluster ("local": this machine).
        trust: Run the code that the sweep names, and remember it as trusted.

    Returns:
        Scores with intervals, the winner, and its comparison with the defaults.

    Raises:
        UserError: There is no such sweep, none of its trials has completed, or a setting is wrong.
        SweepInterrupted: A signal ended it; its state is saved.
    """
    running = Running(callback_list(callbacks), verbose, address, trust)
    sweep, request = prepare(name, storage, top, seeds, random_search, force, running)
    folder = folder_for(sweep, request)
    run_stages(folder, running, on_event)
    return confirmation_of(folder)


def run_stages(folder: SweepFolder, running: Running, on_event: Watcher | None = None) -> None:
    """Run what is left of a confirmation."""
    with stages(folder, running) as found:
        for stage in found:
            stage.run(on_event)


@contextmanager
def stages(folder: SweepFolder, running: Running) -> Iterator[Iterator[Stage]]:
    """Context of the sweeps of a confirmation that have not ended. Each must run before the next one is requested.

    If there are several, they use one Ray."""
    with ExitStack() as ray:
        if len(_left(folder)) > 1:
            ray.enter_context(one_ray(read_config(folder.outermost), running))
        yield _stages(folder, running)


def _left(folder: SweepFolder) -> list[SweepFolder]:
    """Return the sweeps of a confirmation that have not ended."""
    random = [random_search_of(folder.outermost)] if request_of(folder).random_search and not folder.exists() else []
    return [one for one in (*random, folder) if not has_ended(one)]


def prepare(
    name: str,
    storage: str | Path,
    top: int | None,
    seeds: int | Sequence[int],
    random_search: bool,
    force: bool,
    running: Running,
) -> tuple[SweepFolder, ConfirmRequest]:
    """Return the sweep and the checked request of a confirmation. Writes nothing. UserError as `confirm`."""
    refuse_nested_sweep()
    sweep = folder_of(name, storage)
    config = read_config(sweep)
    if sweep.outermost.path != sweep.path:
        raise UserError(f"{sweep.path} belongs to a sweep; confirm that one: {sweep.command('confirm')}")
    require_trust_of(config, sweep, running.address, {}, running.trust, "confirm")
    if top is not None and (not isinstance(top, int) or top < 1):
        raise UserError(f"top is the number of configurations to confirm, at least 1, got {top!r}")
    best = best_trials(result_of(config, sweep), objectives_of(config), top)
    request = ConfirmRequest.parse(
        {"top": len(best), "seeds": unseen_seeds(seeds, config.trial.seeds, force), "random_search": random_search},
        "the confirmation",
    )
    open_one = unfinished(sweep)
    if open_one is not None and request_of(open_one) != request:
        raise UserError(
            f"confirmation {open_one.name!r} of sweep {sweep.name!r} has other settings and has not ended\n"
            f"continue it: {sweep.command('resume')}, or delete {open_one.path}"
        )
    return sweep, request


def folder_for(sweep: SweepFolder, request: ConfirmRequest) -> SweepFolder:
    """Return the folder of a confirmation: one with this request that trains the present best, else a new one."""
    config = read_config(sweep)
    result = result_of(config, sweep)
    found = candidates(result, best_trials(result, objectives_of(config), request.top), {})
    for one in confirmations(sweep):
        if request_of(one) == request and (not has_ended(one) or _trains(read_config(one), found)):
            return one
    return new_confirmation(sweep, request)


def _trains(config: SweepConfig, found: Sequence[Candidate]) -> bool:
    """Return True if a confirmation has these candidates, with their schedules."""
    its = schedules(config)
    return all(one.name in listed(config) and its.get(one.name, []) == one.schedule for one in found)


def _stages(folder: SweepFolder, running: Running) -> Iterator[Stage]:
    sweep, request, random = folder.outermost, request_of(folder), random_search_of(folder.outermost)
    if random in _left(folder):
        yield Stage(random, _random_search(sweep, random), f"random search with the budget of {sweep.name}", running)
    if not has_ended(folder):
        config = read_config(folder) if folder.exists() else _confirmation(sweep, folder, request)
        yield Stage(folder, config, _title(sweep, config), running)


@contextmanager
def one_ray(config: SweepConfig, running: Running) -> Iterator[None]:
    """Context in which a sweep and what follows it use one Ray.

    A second Ray in the same process ended it without a message, on a busy machine, if it ran for over a minute."""
    config = config if running.address is None else config.model_copy(update={"address": running.address})
    space = checked_space(config, SearchSpace.of(config.space), new=False)
    with ray_session_for(config, space, snapshot_period_s(config), running.verbose) as ray:
        ray.ready()
        yield


@contextmanager
def ray_of_what_follows(sweep: SweepFolder, running: Running) -> Iterator[None]:
    """Context of `one_ray` if a confirmation follows the rest of a sweep. UserError if its code is not trusted."""
    if has_ended(sweep) or running.moved or not is_followed(sweep):
        yield
        return
    config = read_config(sweep)
    require_trust_of(config, sweep, running.address, {}, running.trust)
    with one_ray(config, running):
        yield


def is_followed(sweep: SweepFolder) -> bool:
    """Return True if a confirmation of the sweep was interrupted, or is to follow it."""
    return read_config(sweep).confirmation_s is not None or unfinished(sweep) is not None


def to_continue(sweep: SweepFolder) -> SweepFolder | None:
    """Return the confirmation of a sweep that was interrupted or is to follow; None if there is none.

    Nothing follows a sweep that has not ended."""
    if not (sweep.exists() and has_ended(sweep)):
        return None
    config = read_config(sweep)
    if confirmations(sweep) or config.confirmation_s is None:
        return unfinished(sweep)
    return new_confirmation(sweep, _request_within(sweep, config, config.confirmation_s))


def _request_within(sweep: SweepFolder, config: SweepConfig, seconds: float) -> ConfirmRequest:
    """Return the request of the largest confirmation within a time, by the cost of the completed trials."""
    best = best_trials(result_of(config, sweep), objectives_of(config))
    trial_s = sum(one.wall_s for one in best) / len(best)
    at_once = resolved_here(config, checked_space(config, SearchSpace.of(config.space))).concurrency or 1
    costs = Costs(trial_s, len(config.trial.seeds), config.trial.budget_env_steps, at_once)
    top, number = form_within(costs, seconds, len(best))
    return ConfirmRequest(top=top, seeds=unseen_seeds(number, config.trial.seeds), random_search=False)


def _title(sweep: SweepFolder, config: SweepConfig) -> str:
    seeds = config.trial.seeds
    return f"confirming {sweep.name}: {', '.join(listed(config))} on {len(seeds)} unseen seeds"


def _random_search(sweep: SweepFolder, folder: SweepFolder) -> SweepConfig:
    if folder.exists():
        return read_config(folder)
    config = read_config(sweep)
    return random_search_config(report_changed_sources(config), folder, result_of(config, sweep))


def _confirmation(sweep: SweepFolder, folder: SweepFolder, request: ConfirmRequest) -> SweepConfig:
    config = read_config(sweep)
    result = result_of(config, sweep)
    best = best_trials(result, objectives_of(config), request.top)
    found = candidates(result, best, config.fixed, _random_best(sweep) if request.random_search else None)
    return confirmation_config(report_changed_sources(config), folder, found, request.seeds)


def _random_best(sweep: SweepFolder) -> dict[str, object]:
    folder = random_search_of(sweep)
    best = result_of(read_config(folder), folder).best
    if best is None:
        raise UserError(f"no trial of the random search in {folder.path} has completed; confirm without it")
    return best.config
