"""`Sweep(...).run()`: many trials of one algorithm, checked before anything starts."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tuneexp.addresses import lasting_address
from tuneexp.config import Config
from tuneexp.documented import with_settings
from tuneexp.errors import UserError, unknown_name
from tuneexp.security.trust import addresses_in, remember
from tuneexp.seeds import seed_list
from tuneexp.sweep import defaults
from tuneexp.sweep.cluster.address import cluster_address, refuse_unreachable
from tuneexp.sweep.cluster.capacity import resolved_here
from tuneexp.sweep.default_name import new_name
from tuneexp.sweep.events import Watcher
from tuneexp.sweep.experiment.writing import write_experiment
from tuneexp.sweep.metric_probe import reported_metrics
from tuneexp.sweep.nesting_check import refuse_nested_sweep
from tuneexp.sweep.other_settings import refuse_other_settings
from tuneexp.sweep.population.stacking import check_stackable, is_stacked
from tuneexp.sweep.results import SweepResult, load_sweep
from tuneexp.sweep.run import run_in_ray
from tuneexp.sweep.scheduling import scheduler_of
from tuneexp.sweep.search import choice
from tuneexp.sweep.search.metrics import check_metrics
from tuneexp.sweep.search.searched_budget import BUDGET, check_searched_budget, with_budget
from tuneexp.sweep.search.space import SearchSpace
from tuneexp.sweep.search.space.default import default_space
from tuneexp.sweep.search.space.listed import check_sampler
from tuneexp.sweep.search.space.points import with_points
from tuneexp.sweep.signals import interruptible
from tuneexp.sweep.storage.folder import (
    new_sweep_folder,
    refuse_existing,
    storage_folder,
    sweep_folder,
)
from tuneexp.sweep.stored_form import algorithm_address, stored_form
from tuneexp.sweep.sweep_config import (
    FORMER_BUDGET,
    SETTINGS,
    SweepConfig,
    objectives_of,
    sampler_context,
    save_config,
    stop_rules,
    with_budget_of,
    with_default_trials,
    with_sources,
    without_idle_trials,
)
from tuneexp.sweep.user_callbacks import callback_list
from tuneexp.sweep.warm_start import WarmStart, frozen, gather
from tuneexp.sweep.warm_start import store as store_warm_start
from tuneexp.sweep.watching.best import check_videos
from tuneexp.sweep.writable import check_writable

if TYPE_CHECKING:
    from ray.tune import Callback

    from tuneexp.algorithms.spec import AlgorithmSpec
    from tuneexp.sweep.confirming.confirmation import Confirmation
    from tuneexp.sweep.planning.plan import SweepPlan


_DEFAULTS = {
    "algorithm": defaults.ALGORITHM,
    "env": defaults.ENV,
    "seeds": defaults.SEEDS,
    "budget_env_steps": defaults.BUDGET_ENV_STEPS,
}


@with_settings(SETTINGS, _DEFAULTS)
class Sweep:
    """A sweep, checked and ready to start. Nothing is written before `run`.

    Raises:
        UserError: A setting is wrong. The message holds what to write instead.

    Args:
        name: Name of the sweep and of its folder; by default a new one, such as ppo-CartPole-v1-20261128-kqzt.
        storage: Folder of sweeps, checkpoints and the MLflow store. Default: runs.
        callbacks: Callbacks of Ray Tune; they must be picklable.
        verbose: Show the output of Ray, MLflow and Optuna.
        resume: Go on with the sweep of this name and these settings if there is one, instead of refusing the name.
        points: Points to try first, before the initial points of the space: a list of mappings, or a YAML file of it.
    """

    def __init__(
        self,
        algorithm: str | AlgorithmSpec = defaults.ALGORITHM,
        env: str | Callable[..., Any] = defaults.ENV,
        space: Any = None,
        trials: int | None = None,
        seeds: int | Sequence[int] = defaults.SEEDS,
        budget_env_steps: int = defaults.BUDGET_ENV_STEPS,
        *,
        name: str | None = None,
        storage: str | Path = defaults.STORAGE,
        callbacks: Sequence[Callback] = (),
        verbose: bool = False,
        resume: bool = False,
        points: Any = None,
        **settings: Any,
    ) -> None:
        from tuneexp.envs.registration import registration_of

        refuse_nested_sweep()
        _refuse_unknown(settings)
        if name is None:
            name = _made_name(algorithm, env, storage, resume)
        self.goes_on = resume and sweep_folder(name, storage).exists()
        self.folder = sweep_folder(name, storage) if self.goes_on else new_sweep_folder(name, storage)
        self.callbacks, self.verbose = callback_list(callbacks), verbose
        known_as = algorithm_address(algorithm)
        parsed = with_points(SearchSpace.of(default_space(known_as) if space is None else space), points)
        self.config = SweepConfig.parse(
            with_default_trials(
                {
                    **stored_form(settings, self.folder.storage),
                    "name": name,
                    "algorithm": known_as,
                    "env": lasting_address(env, "environment"),
                    "env_registration": registration_of(env),
                    "space": parsed.to_mapping(),
                    "trials": trials,
                    "seeds": seed_list(seeds),
                    "budget_env_steps": budget_env_steps,
                    "created_at_s": time.time(),
                }
            ),
            f"sweep {name!r}",
        )
        self.config = with_budget_of(parsed, self.config)
        self.space = checked_space(self.config, parsed, new=not self.goes_on)
        choice.check_objectives(
            self.config.searcher, sampler_context(self.config, self.space), objectives_of(self.config)
        )
        self.config = without_idle_trials(self.config, self.space)
        self.warm_start = WarmStart() if self.goes_on else gather(self.config, self.space, self.folder.storage)
        if self.goes_on:
            refuse_other_settings(self.folder, self.config)
        self.config = with_sources(self.config.model_copy(update={"suggested": self.space.suggested}))
        self.resolved = resolved_here(self.config, self.space)  # not stored: a resume may find more cores

    @classmethod
    def from_file(cls, path: str | Path, *, trust: bool = False, **changes: Any) -> Sweep:
        """Return the sweep of an experiment file, such as the `experiment.yaml` of another sweep.

        Args:
            path: Path of the file.
            trust: Run the code that the file names, and remember it as trusted.
            changes: Arguments of `Sweep` that override those of the file.

        Returns:
            The checked sweep.

        Raises:
            UserError: All problems of the file, with their lines.
        """
        from tuneexp.sweep.experiment.checking import asked_in

        return cls(**asked_in(path, changes, trust))

    def dry_run(self, probes: int | None = None) -> SweepPlan:
        """Return what the sweep takes, without starting it.

        The first configurations are trained for some seconds in processes of their own. Nothing is written into the
        storage, and no Ray is started. Compiled programs stay in the cache.

        Args:
            probes: Number of configurations; by default at most four.

        Returns:
            Trials, environment steps, modelled hyperparameters, programs, and estimates of time and disk.

        Raises:
            UserError: The sweep exists, its files can't be written, or a configuration can't be trained.
            TuneexpError: A trial failed within seconds.
        """
        from tuneexp.sweep.planning.plan import plan_of
        from tuneexp.sweep.planning.probing import probes_of

        self.check_dry_run()
        earlier = frozen(self.warm_start.taken, self.space)
        return plan_of(self.resolved, self.space, probes_of(self.resolved, self.space, self.verbose, earlier, probes))

    def plan(self) -> SweepPlan:
        """Return the part of `dry_run` that needs no training: without time and disk."""
        from tuneexp.sweep.planning.plan import plan_of

        return plan_of(self.resolved, self.space)

    def check_writable(self, touch: bool = True) -> None:
        """Raise UserError if the sweep's files can't be written. touch: find out by writing one."""
        if not self.goes_on:  # else `resume` checks it
            check_writable(self.folder, self.config, touch)

    def check_dry_run(self) -> None:
        """Raise UserError if the sweep exists or its files can't be written. Writes nothing."""
        if self.goes_on:
            raise UserError(f"sweep {self.folder.name!r} exists; a dry run is for a new one: write another --name")
        self.check_writable(touch=False)

    def run(self, on_event: Watcher | None = None) -> SweepResult:
        """Run the sweep to its end.

        Args:
            on_event: Function that is called with each `SweepEvent`.

        Returns:
            The result.

        Raises:
            UserError: The sweep exists, or can't run here.
            SweepInterrupted: Ctrl-C, SIGTERM or SIGHUP ended the sweep; its state is saved.
        """
        self.check_writable()
        if self.goes_on:
            return self._go_on(on_event)
        if (log := logging.getLogger(__name__)).isEnabledFor(logging.INFO):
            modelled = choice.modelled_line(self.config.searcher, sampler_context(self.config, self.space))
            for line in (*self.warm_start.lines, modelled):
                log.info("%s", line)
        with self.folder.lock(), interruptible(self.folder):
            refuse_existing(self.folder)  # another process may have created it meanwhile
            settings = (self.resolved, self.folder, self.space, self.callbacks, on_event, self.verbose)
            return run_in_ray(*settings, before_trials=self._store)

    def confirm(self, top: int | None = None, seeds: int | Sequence[int] = 10, **how: Any) -> Confirmation:
        """Train the best configurations of the sweep, once it has run, as `tuneexp.confirm` does."""
        return load_sweep(self.folder.name, self.folder.storage).confirm(top, seeds, **how)

    def _store(self) -> None:
        """Write the configuration, and add the code that it names to the list of trusted addresses."""
        remember(addresses_in(self.config.flat()))
        save_config(self.folder, self.config)
        store_warm_start(self.folder, self.warm_start.taken)
        write_experiment(self.folder, self.config, self.callbacks)

    def _go_on(self, on_event: Watcher | None) -> SweepResult:
        from tuneexp.sweep.resuming import resume

        remember(addresses_in(self.config.flat()))
        where = (self.config.name, self.folder.storage)
        return resume(*where, on_event, self.callbacks, self.verbose, self.config.address)


def _made_name(algorithm: str | AlgorithmSpec, env: str | Callable[..., Any], storage: str | Path, resume: bool) -> str:
    if resume:
        raise UserError("resume needs the name of a sweep; add --name NAME (in Python: name=...)")
    return new_name(algorithm_address(algorithm), lasting_address(env, "environment"), storage_folder(storage))


def _refuse_unknown(settings: Mapping[str, Any]) -> None:
    for name in settings:
        if name == FORMER_BUDGET:
            raise UserError("env_steps, the budget of a trial, is called budget_env_steps; write budget_env_steps=...")
        if name not in SETTINGS:
            known = ("name", "storage", "callbacks", "verbose", "resume", "points", *SETTINGS)
            raise unknown_name("setting", name, known, "in Python: help(tuneexp.Sweep)")


def checked_space(config: SweepConfig, space: SearchSpace, new: bool = True) -> SearchSpace:
    """Bind `space` to the configuration class of the algorithm. UserError for anything that a trial would refuse.

    new: False for a stored sweep, whose metrics were checked at its start."""
    from tuneexp.algorithms.preflight import check_budget, check_environment
    from tuneexp.algorithms.registry import config_class_of
    from tuneexp.envs.registration import register_again

    trial = config.trial
    choice.check("searcher", config.searcher)
    check_sampler(space, choice.parts(config.searcher)[0])
    stop_rules(config)
    if new:
        check_metrics(objectives_of(config).metrics, len(trial.seeds), lambda: reported_metrics(config))
    check_searched_budget(space, objectives_of(config))
    config_class: type[Config] = with_budget(config_class_of(trial.algorithm), space)
    space.validate(config_class, config.fixed, trial.algorithm)
    scheduler_of(config, space)
    register_again(trial.env, trial.env_registration)
    if new:
        check_videos(config)
    corners = list(space.corners())
    environment = (trial.env, trial.env_kwargs, trial.wrappers, trial.env_backend)
    check_environment(trial.algorithm, *environment, configurations=corners)
    for corner in corners:
        check_budget(trial.algorithm, corner, getattr(corner, BUDGET, trial.budget_env_steps))
    refuse_unreachable(cluster_address(config.address))
    if new and is_stacked(config):
        check_stackable(config, space)
    return space
