"""All that is wrong in an experiment file, found at once and told with its lines; and whose code it may run."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from tuneexp.algorithms.registry import ALGORITHMS, config_class_of
from tuneexp.config import Config, Problem, told, without_suffixes
from tuneexp.envs.registration import register_again
from tuneexp.envs.sources import resolve
from tuneexp.errors import UserError, nearest, shortened, unknown_name
from tuneexp.sweep import defaults
from tuneexp.sweep.config import SweepConfig
from tuneexp.sweep.experiment.reading import GROUPS, KEYS, Experiment, read_experiment
from tuneexp.sweep.registry import SCHEDULERS, SEARCHERS
from tuneexp.sweep.space.binding import Binding
from tuneexp.sweep.space.parsing import Dimension, flat, parse_entries
from tuneexp.trial_config import EvaluationConfig, ObjectiveConfig, seed_list
from tuneexp.trust import addresses_in, require_trusted

# What other tools call the same thing.
_OTHER_NAMES = {
    **dict.fromkeys(("set", "settings", "hyperparameters", "hyperparams", "parameters", "config"), "fixed"),
    **dict.fromkeys(("sampler", "search_alg", "search_algorithm"), "searcher"),
    **dict.fromkeys(("environment", "env_id", "game"), "env"),
    **dict.fromkeys(
        ("timesteps", "total_timesteps", "n_timesteps", "budget", "budget_env_steps", "steps"), "env_steps"
    ),
    **dict.fromkeys(("search_space", "param_space"), "space"),
    **dict.fromkeys(("n_trials", "num_samples", "num_trials"), "trials"),
    **dict.fromkeys(("seed", "n_seeds"), "seeds"),
    **dict.fromkeys(("n_jobs", "max_concurrent", "max_concurrent_trials"), "concurrency"),
    **dict.fromkeys(("algo", "agent"), "algorithm"),
    **dict.fromkeys(("env_wrapper", "wrapper"), "wrappers"),
    **dict.fromkeys(("pruner", "stopper"), "scheduler"),
}


MOST_TOLD = 30  # problems, a screenful


def asked_in(path: str | Path, changes: Mapping[str, Any], trust: bool = False) -> dict[str, Any]:
    """Keyword arguments for `Sweep`: what the file asks for, with `changes` over it, which `Sweep` checks.

    Raises UserError that lists all problems of the file with their lines, and where it would run code that is not
    trusted; what `changes` name are the user's own words."""
    experiment = read_experiment(path).with_changes(changes)
    settings = experiment.settings
    of_file = {key: value for key, value in settings.items() if key not in changes or key in GROUPS}
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
    return {key: value for key, value in settings.items() if key != "env_registration"}  # Sweep finds it again


def _refuse(experiment: Experiment, problems: Iterable[Problem]) -> None:
    """Raise UserError where there are problems, those of the first lines first."""
    lines = sorted((experiment.line_of(one.path) or 0, one.text) for one in problems)
    texts = [f"{experiment.path}{f', line {line}' if line else ''}: {_one_line(text)}" for line, text in lines]
    if texts:
        raise UserError(told(texts, MOST_TOLD))


def _one_line(text: str) -> str:
    return text.replace("?\n", "? ").replace("\n", "; ")


def _shape_problems(settings: Mapping[str, Any], built_in: str | None, has_env: bool) -> Iterator[Problem]:
    """Found without importing code that the file names. built_in: the algorithm, where it is one."""
    for key in settings:
        if key not in KEYS:
            yield Problem((key,), _unknown_key(key, built_in))
    if not has_env and not any(_meant(key) == "env" for key in settings):
        yield Problem((), "it names no environment; add  env: CartPole-v1")
    known = {key: value for key, value in settings.items() if key in SweepConfig.model_fields}
    yield from SweepConfig.problems({**_PLACEHOLDERS, **known, "seeds": [0], "name": "x"})
    for name, of in (("evaluation", EvaluationConfig), ("objective", ObjectiveConfig)):
        if isinstance(values := settings.get(name), Mapping):
            yield from (Problem((name, *one.path), f"{name}: {one.text}") for one in of.problems(values))
    yield from _name_problems(settings)


# Of a sweep that is asked for nothing: the keys that a file need not have.
_PLACEHOLDERS = {
    "algorithm": defaults.ALGORITHM,
    "env": "CartPole-v1",
    "space": {},
    "trials": 1,
    "env_steps": 1,
    "created_at_s": 0.0,
}


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
    """Names that there are not, of what is known without an import."""
    for kind, names in {"algorithm": ALGORITHMS, "scheduler": SCHEDULERS, "searcher": SEARCHERS}.items():
        value = settings.get(kind)
        if isinstance(value, str) and value not in names and not (kind == "algorithm" and ":" in value):
            yield Problem((kind,), str(unknown_name(kind, value, names)))
    if "seeds" in settings:
        yield from _refusals(("seeds",), seed_list, without_suffixes(settings["seeds"]))
    env, own = settings.get("env"), settings.get("env_registration") or settings.get("env_backend") == "envpool"
    if isinstance(env, str) and not {":", "."} & set(env) and not own:  # else code of others is imported to look
        yield from _refusals(("env",), resolve, env)


def _hyperparameter_problems(settings: Mapping[str, Any], algorithm: str) -> Iterator[Problem]:
    """Problems of the fixed and varied hyperparameters, by the algorithm's configuration."""
    config_class: type[Config] = config_class_of(algorithm)
    fixed, space = settings.get("fixed"), settings.get("space")
    values = flat(fixed) if isinstance(fixed, Mapping) else {}
    binding = Binding(config_class, values, algorithm)
    for name, value in values.items():
        yield from _refusals(("fixed", *name.split("/")), _check, binding, name, [value])
    for key, entry in space.items() if isinstance(space, Mapping) and "function" not in space else ():
        if key != "initial":
            yield from _refusals(("space", *key.split("/")), _check_entry, binding, key, entry)


def _refusals(path: tuple[str, ...], check: Callable[..., object], *arguments: Any) -> Iterator[Problem]:
    """The problem that a check raises as UserError."""
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
