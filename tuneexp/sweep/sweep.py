"""`Sweep(...).run()`: many trials of one algorithm, checked before anything starts."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tuneexp.addresses import lasting_address
from tuneexp.config import Config
from tuneexp.errors import UserError
from tuneexp.outages import patience_s
from tuneexp.signatures import require_key
from tuneexp.stored import plain
from tuneexp.sweep import defaults
from tuneexp.sweep.cluster import cluster_address, refuse_unreachable
from tuneexp.sweep.config import SweepConfig, refuse_other_settings, save_config, trial_config
from tuneexp.sweep.events import Watcher
from tuneexp.sweep.experiment.writing import write_experiment
from tuneexp.sweep.fitting import fitted_here, fitted_to_cluster, ray_for
from tuneexp.sweep.folder import (
    SweepFolder,
    new_sweep_folder,
    refuse_existing,
    storage_folder,
    sweep_folder,
    writable_storage,
)
from tuneexp.sweep.guard import refuse_nested_sweep
from tuneexp.sweep.mark import refuse_foreign, set_mark
from tuneexp.sweep.names import new_name
from tuneexp.sweep.place import lasting_place, place_of
from tuneexp.sweep.registry import check_names
from tuneexp.sweep.results import SweepResult
from tuneexp.sweep.space import SearchSpace
from tuneexp.sweep.space.default import default_space
from tuneexp.sweep.stopping import interruptible
from tuneexp.tracking.store import check_store
from tuneexp.trial_config import seed_list
from tuneexp.trust import addresses_in, remember, sources_of

if TYPE_CHECKING:
    from ray.tune import Callback

    from tuneexp.algorithms.spec import AlgorithmSpec

# What a kill can take back. A snapshot holds all trials, about 40 kB each after ten reports (docs/scaling.md), so large
# sweeps take it less often.
SNAPSHOT_PERIOD_S, SNAPSHOT_S_PER_TRIAL = 0.5, 0.005


class Sweep:
    """A sweep that is about to start. Everything is checked here and nothing is written; UserError says what to change.

    `space`: a YAML path, a mapping (Tune's sample objects too), an address or a define-by-run function; by default the
    one that is shipped for the algorithm. `name`: by default one such as ppo-CartPole-v1-20261128-kqzt.
    `seeds`: a number N for seeds 0..N-1, or the seeds. `env_steps`: budget of a trial per seed.
    `fixed`: hyperparameters that all trials share. `callbacks`: Tune callbacks of your own (they must be picklable).
    `address`: a Ray cluster. `checkpoints`: a folder or URI (s3://...) that all nodes see, where `storage` is none.
    `resume`: go on with the sweep where there is one of this name and these settings, instead of refusing the name."""

    def __init__(
        self,
        algorithm: str | AlgorithmSpec = defaults.ALGORITHM,
        env: str | Callable[..., Any] = "CartPole-v1",
        space: Any = None,
        trials: int = defaults.TRIALS,
        seeds: int | Sequence[int] = defaults.SEEDS,
        env_steps: int = defaults.ENV_STEPS,
        *,
        name: str | None = None,
        storage: str | Path = defaults.STORAGE,
        fixed: Mapping[str, Any] | None = None,
        scheduler: str = defaults.SCHEDULER,
        searcher: str = defaults.SEARCHER,
        searcher_seed: int = defaults.SEARCHER_SEED,
        concurrency: int | None = None,
        env_kwargs: Mapping[str, Any] | None = None,
        env_backend: str = "auto",
        wrappers: Sequence[str | Mapping[str, Any]] = (),
        report_every_env_steps: int | None = None,
        evaluation: Mapping[str, Any] | None = None,
        objective: Mapping[str, Any] | None = None,
        compile: str = defaults.COMPILE,
        device: str = "cpu",
        address: str | None = None,
        checkpoints: str | Path | None = None,
        callbacks: Sequence[Callback] = (),
        verbose: bool = False,
        resume: bool = False,
    ) -> None:
        from tuneexp.envs.registration import registration_of

        refuse_nested_sweep()
        if name is None:
            name = _made_name(algorithm, env, storage, resume)
        self.goes_on = resume and sweep_folder(name, storage).exists()
        self.folder = sweep_folder(name, storage) if self.goes_on else new_sweep_folder(name, storage)
        self.callbacks, self.verbose = callback_list(callbacks), verbose
        known_as = algorithm_address(algorithm)
        parsed = SearchSpace.of(default_space(known_as) if space is None else space)
        self.config = SweepConfig.parse(
            {
                "name": name,
                "algorithm": known_as,
                "env": lasting_address(env, "environment"),
                "env_kwargs": plain({} if env_kwargs is None else env_kwargs, "env_kwargs"),
                "env_registration": registration_of(env),
                "env_backend": env_backend,
                "wrappers": _plain_wrappers(wrappers),
                "space": parsed.to_mapping(),
                "fixed": plain({} if fixed is None else fixed, "fixed", classes=True),
                "trials": trials,
                "seeds": seed_list(seeds),
                "env_steps": env_steps,
                "report_every_env_steps": report_every_env_steps,
                "evaluation": plain({} if evaluation is None else evaluation, "evaluation"),
                "objective": plain({} if objective is None else objective, "objective"),
                "compile": compile,
                "device": device,
                "scheduler": scheduler,
                "searcher": searcher,
                "searcher_seed": searcher_seed,
                "concurrency": concurrency,
                "address": address,
                "checkpoints": None if checkpoints is None else lasting_place(checkpoints, self.folder.storage),
                "created_at_s": time.time(),
            },
            f"sweep {name!r}",
        )
        if self.goes_on:
            refuse_other_settings(self.folder, self.config)
        self.space = checked_space(self.config, parsed)
        known = {"sources": sources_of(self.config.model_dump()), "suggested": self.space.suggested}
        self.config = self.config.model_copy(update=known)
        self.fitted = fitted_here(self.config, self.space)  # never stored: a resume may find more cores

    @classmethod
    def from_file(cls, path: str | Path, *, trust: bool = False, **changes: Any) -> Sweep:
        """The sweep that an experiment file asks for, such as the `experiment.yaml` of another one.

        `changes`: arguments of `Sweep` that take the place of what the file says. `trust`: run the code that the file
        names, whoever wrote it. UserError lists all that is wrong in the file."""
        from tuneexp.sweep.experiment.checking import asked_in

        return cls(**asked_in(path, changes, trust))

    def check_writable(self) -> None:
        """UserError where what the sweep is to store can't be written."""
        if not self.goes_on:  # else by `resume`, which knows what is stored
            check_writable(self.folder, self.config)

    def run(self, on_event: Watcher | None = None) -> SweepResult:
        """Run to the end. `on_event` is told what happens. SweepInterrupted after Ctrl-C, SIGTERM or SIGHUP."""
        self.check_writable()
        if self.goes_on:
            return self._go_on(on_event)
        with self.folder.lock(), interruptible(self.folder):
            refuse_existing(self.folder)  # another process may have been faster
            place = place_of(self.folder, self.config.checkpoints)
            with ray_for(self.fitted, self.space, snapshot_period_s(self.config), self.verbose) as ray:
                from tuneexp.sweep.lifecycle import run_to_the_end  # Ray starts meanwhile

                fitted = fitted_to_cluster(self.fitted, self.folder, self.space, ray)
                remember(addresses_in(self.config.model_dump()))
                save_config(self.folder, self.config)
                write_experiment(self.folder, self.config, self.callbacks)
                set_mark(self.config, self.folder, place)
                return run_to_the_end(fitted, self.folder, self.space, self.callbacks, on_event, ray)

    def _go_on(self, on_event: Watcher | None) -> SweepResult:
        from tuneexp.sweep.resuming import resume

        remember(addresses_in(self.config.model_dump()))
        config, storage = self.config, self.folder.storage
        return resume(config.name, storage, on_event, self.callbacks, self.verbose, config.address)


def check_writable(folder: SweepFolder, config: SweepConfig) -> None:
    patience_s()
    require_key()
    check_store()
    if config.checkpoints:  # first: where it is refused, no storage folder is made
        place = place_of(folder, config.checkpoints)
        place.check_writable()
        refuse_foreign(config, folder, place)
    writable_storage(folder.storage)


def snapshot_period_s(config: SweepConfig) -> float:
    return max(SNAPSHOT_PERIOD_S, config.trials * SNAPSHOT_S_PER_TRIAL)


def callback_list(callbacks: Any) -> list[Callback]:
    """UserError for what is no list of Tune callbacks."""
    if not isinstance(callbacks, list | tuple):
        raise UserError(f"callbacks are a list, such as callbacks=[MyCallback()], got {callbacks!r}")
    if callbacks:  # else Tune is not needed yet
        from ray.tune import Callback

        for one in callbacks:
            if not isinstance(one, Callback):
                raise UserError(f"a callback is an instance of a subclass of ray.tune.Callback, got {one!r}")
    return list(callbacks)


def algorithm_address(algorithm: str | AlgorithmSpec) -> str:
    """A name or address that a worker in any folder, and a resume next week, can load."""
    from tuneexp.algorithms.registry import address_of, check_algorithm

    if not isinstance(algorithm, str):
        if not hasattr(algorithm, "functions"):
            raise UserError(f"the algorithm is a name, an address or a specification, got {algorithm!r}")
        return address_of(algorithm)
    check_algorithm(algorithm)
    return lasting_address(algorithm, "algorithm")


def _made_name(algorithm: str | AlgorithmSpec, env: str | Callable[..., Any], storage: str | Path, resume: bool) -> str:
    if resume:
        raise UserError("a sweep goes on by its name; add --name NAME (in Python: name=...)")
    return new_name(algorithm_address(algorithm), lasting_address(env, "environment"), storage_folder(storage))


def _plain_wrappers(wrappers: Any) -> Any:
    """Names may be classes; arguments are stored."""
    if not isinstance(wrappers, list | tuple):
        return wrappers  # refused where the settings are checked
    return [
        {name: plain(arguments, f"wrappers/{name}") for name, arguments in one.items()}
        if isinstance(one, Mapping)
        else one
        for one in wrappers
    ]


def checked_space(config: SweepConfig, space: SearchSpace) -> SearchSpace:
    """`space` bound to the algorithm's config; everything a trial could refuse is refused here, before any starts."""
    from tuneexp.algorithms.preflight import check_budget, check_environment
    from tuneexp.algorithms.registry import config_class_of
    from tuneexp.envs.registration import register_again
    from tuneexp.trial_config import TrialConfig

    check_names(config.searcher, config.scheduler)
    config_class: type[Config] = config_class_of(config.algorithm)
    space.validate(config_class, config.fixed, config.algorithm)
    TrialConfig.parse(trial_config(config), f"sweep {config.name!r}")
    register_again(config.env, config.env_registration)
    corners = list(space.corners())
    place = (config.env, config.env_kwargs, config.wrappers, config.env_backend)
    check_environment(config.algorithm, *place, configurations=corners)
    for corner in corners:
        check_budget(config.algorithm, corner, config.env_steps)
    refuse_unreachable(cluster_address(config.address))
    return space
