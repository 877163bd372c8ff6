"""Checks of an experiment file: all problems with their line numbers, and trust in the code that it names."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from tuneexp.algorithms.registry import ALGORITHMS, config_class_of
from tuneexp.config import Config, Problem, first_lines, without_suffixes
from tuneexp.envs.env_factory import resolve
from tuneexp.envs.registration import register_again
from tuneexp.errors import UserError, nearest, shortened, unknown_name
from tuneexp.nesting import flat_of_dotted
from tuneexp.security.trust import addresses_in, require_trusted
from tuneexp.seeds import seed_list
from tuneexp.sweep import defaults
from tuneexp.sweep.experiment.reading import GROUPS, KEYS, Experiment, options_only, read_experiment
from tuneexp.sweep.search import choice
from tuneexp.sweep.search.searched_budget import BUDGET
from tuneexp.sweep.search.space.binding import Binding
from tuneexp.sweep.search.space.space_parser import Dimension, parse_entries
from tuneexp.sweep.sweep_config import ASKED, SweepConfig

# Names of settings in other tools.
_OTHER_NAMES = {
    **dict.fromkeys(("set", "settings", "hyperparameters", "hyperparams", "parameters", "config"), "fixed"),
    **dict.fromkeys(("sampler", "search_alg", "search_algorithm"), "searcher"),
    **dict.fromkeys(("environment", "env_id", "game"), "env"),
    **dict.fromkeys(
        ("timesteps", "total_timesteps", "n_timesteps", "budget", "env_steps", "steps"), "budget_env_steps"
    ),
    **dict.fromkeys(("search_space", "param_space"), "space"),
    **dict.fromkeys(("n_trials", "num_samples", "num_trials"), "trials"),
    **dict.fromkeys(("seed", "n_seeds"), "seeds"),
    **dict.fromkeys(("n_jobs", "max_concurrent", "max_concurrent_trials"), "concurrency"),
    **dict.fromkeys(("algo", "agent"), "algorithm"),
    **dict.fromkeys(("env_wrapper", "wrapper"), "wrappers"),
    **dict.fromkeys(("pruner", "stopper"), "scheduler"),
}


MOST_PROBLEMS = 30  # in a message: one screen


def asked_in(path: str | Path, changes: Mapping[str, Any], trust: bool = False) -> dict[str, Any]:
    """Return the keyword arguments of `Sweep` for an experiment file, with `changes` over it.

    Raises:
        UserError: The file is wrong (each problem with its line), or it would run code that is not trusted. Addresses
            in `changes` are trusted."""
    experiment = read_experiment(path).with_changes(changes)
    settings = experiment.settings
    in_part = {*GROUPS, *options_only(changes)}
    of_file = {key: value for key, value in settings.items() if key not in changes or key in in_part}
    algorithm = settings.get("algorithm", defaults.ALGORITHM)
    built_in = isinstance(algorithm, str) and algorithm in ALGORITHMS
    found = list(_shape_problems(of_file, algorithm if built_in else None, "env" in settings))
    if built_in:
        found += _hyperparameter_problems(of_file, algorithm)
    _refuse(experiment, found)
    require_trusted(addresses_in(of_file), f"the experiment {path}", ("sweep", path), trust)
    if isinstance(algorithm, str) and not built_in:
        _refuse(experiment, _hyperparameter_problems(of_file, algorithm))
    if "env" in of_file:
        register_again(of_file["env"], of_file.get("env_registration"))
    if "seeds" in of_file:
        settings = {**settings, "seeds": without_suffixes(of_file["seeds"])}
    return {key: value for key, value in settings.items() if key != "env_registration"}  # Sweep sets it anew


def _refuse(experiment: Experiment, problems: Iterable[Problem]) -> None:
    """Raise UserError if there are problems, sorted by line."""
    lines = sorted((experiment.line_of(one.path) or 0, one.text) for one in problems)
    texts = [f"{experiment.path}{f', line {line}' if line else ''}: {_one_line(text)}" for line, text in lines]
    if texts:
        raise UserError(first_lines(texts, MOST_PROBLEMS))


def _one_line(text: str) -> str:
    return text.replace("?\n", "? ").replace("\n", "; ")


def _shape_problems(settings: Mapping[str, Any], built_in: str | None, has_env: bool) -> Iterator[Problem]:
    """Yield problems that are found without importing code of the file. built_in: the algorithm, if it is one."""
    for key in settings:
        if key not in KEYS:
            yield Problem((key,), _unknown_key(key, built_in))
    if not has_env and not any(_meant(key) == "env" for key in settings):
        yield Problem((), "it names no environment; add  env: CartPole-v1")
    env = settings.get("env", defaults.ENV)
    if not isinstance(env, str):
        yield Problem(("env",), f"env: write an id or an address, got {shortened(env)}")
    known = {key: value for key, value in settings.items() if key in ASKED and key not in ("env", "seeds")}
    yield from SweepConfig.problems({**_REQUIRED, **known})
    yield from _name_problems(settings)


# Defaults of optional keys.
_REQUIRED = {"algorithm": defaults.ALGORITHM, "env": defaults.ENV, "space": {}, "name": "x", "created_at_s": 0.0}


def _meant(key: str) -> str | None:
    return _OTHER_NAMES.get(key) or nearest(key, KEYS)


def _unknown_key(key: str, built_in: str | None) -> str:
    if instead := _OTHER_NAMES.get(key):
        return f"unknown setting {shortened(key)}; did you mean {instead!r}?"
    fields = config_class_of(built_in).model_fields if built_in else {}
    if key in fields and not nearest(key, KEYS):
        return f"{key!r} is a hyperparameter; write it under  fixed:"
    return str(unknown_name("setting", key, KEYS))


def _name_problems(settings: Mapping[str, Any]) -> Iterator[Problem]:
    """Yield unknown names of algorithms, schedulers, searchers and environments, without importing the user's code."""
    algorithm = settings.get("algorithm")
    if isinstance(algorithm, str) and algorithm not in ALGORITHMS and ":" not in algorithm:
        yield Problem(("algorithm",), str(unknown_name("algorithm", algorithm, ALGORITHMS)))
    for kind in choice.KINDS:
        asked = settings.get(kind)
        if isinstance(asked, str) or (isinstance(asked, Mapping) and isinstance(asked.get("name"), str)):
            yield from _refusals((kind,), choice.check, kind, asked)
    if "seeds" in settings:
        yield from _refusals(("seeds",), seed_list, without_suffixes(settings["seeds"]))
    env, backend = settings.get("env"), settings.get("env_backend")
    own = settings.get("env_registration") or backend == "envpool"
    if isinstance(env, str) and not {":", "."} & set(env) and not own:  # other ids need an import of the user's code
        yield from _refusals(("env",), partial(resolve, backend="tensor" if backend == "tensor" else "auto"), env)


def _hyperparameter_problems(settings: Mapping[str, Any], algorithm: str) -> Iterator[Problem]:
    """Yield problems of fixed and varied hyperparameters, checked by the algorithm's configuration."""
    config_class: type[Config] = config_class_of(algorithm)
    fixed, space = settings.get("fixed"), settings.get("space")
    values = flat_of_dotted(fixed) if isinstance(fixed, Mapping) else {}
    binding = Binding(config_class, values, algorithm)
    for name, value in values.items():
        yield from _refusals(("fixed", *name.split("/")), _check, binding, name, [value])
    ranges = space if isinstance(space, Mapping) and not {"function", "configurations"} & set(space) else {}
    for key, entry in ranges.items():
        if key not in ("initial", BUDGET):  # the sweep checks a searched budget
            yield from _refusals(("space", *key.split("/")), _check_entry, binding, key, entry)


def _refusals(path: tuple[str, ...], check: Callable[..., object], *arguments: Any) -> Iterator[Problem]:
    """Yield the problem that a check raises as UserError."""
    try:
        check(*arguments)
    except UserError as error:
        yield Problem(path, str(error))


def _check(binding: Binding, name: str, values: Iterable[Any]) -> None:
    binding.check_names([name])
    for value in values:
        binding.check_value(name, value)


def _check_entry(binding: Binding, key: str, entry: Any) -> None:
    for name, parsed in parse_entries({key: entry}):
        if isinstance(parsed, Dimension):
            _check(binding, name, parsed.values.probes())
            binding.check_not_fixed([name])
        else:
            _check(binding, name, [parsed])
