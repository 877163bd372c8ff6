"""Rows of RL Zoo's files (hyperparams/ppo.yml) as settings of a trial or a sweep."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tuneexp.algorithms.registry import ALGORITHMS, config_class_of
from tuneexp.algorithms.rl_zoo import RL_ZOO_KEYS
from tuneexp.algorithms.rl_zoo.env_keys import KEYS as OF_THE_ENVIRONMENT
from tuneexp.algorithms.rl_zoo.file_names import FILES, OTHERS, algorithm_of
from tuneexp.algorithms.rl_zoo.rows import Row, present_env, row_for, row_settings
from tuneexp.config import Config
from tuneexp.errors import UserError, unknown_name
from tuneexp.files.yaml_reading import load_yaml_mapping
from tuneexp.nesting import flat_of_dotted, nested
from tuneexp.rl.schedules import parse_schedule
from tuneexp.security.trust import addresses_in, require_trusted
from tuneexp.sweep.search.space import SearchSpace
from tuneexp.sweep.search.space.binding import overlap, written_over

if TYPE_CHECKING:
    from tuneexp.algorithms.spec import AlgorithmSpec

log = logging.getLogger(__name__)


def rl_zoo_row(
    file: str | Path, env: str, algorithm: str | AlgorithmSpec | None = None, *, trust: bool = False
) -> dict[str, Any]:
    """Read the row of an environment from a file of RL Zoo: `PPO.build(**rl_zoo_row("ppo.yml", "Pendulum-v1"))`.

    Differences to Stable-Baselines3 are logged.

    Args:
        file: Path of the file; "ppo.yml:CartPole-v1" takes that row for any `env`.
        env: Environment id.
        algorithm: Name or specification of the algorithm; None: by the name of the file.
        trust: Import the wrappers that the row names by address, and remember them as trusted.

    Returns:
        `env`, `budget_env_steps`, `hyperparameters`, and `wrappers` and `env_kwargs` if the row has them.

    Raises:
        UserError: There is no such row, or it contains something that is not supported.
    """
    again = ("train", algorithm if isinstance(algorithm, str) else "ppo", env, "--zoo", file)
    row = read_row(file, env, algorithm, again, trust)
    for remark in row.remarks:
        log.warning("%s", remark)
    return row.settings


def read_row(
    file: str | Path, env: str, algorithm: str | AlgorithmSpec | None, again: tuple[object, ...], trust: bool = False
) -> Row:
    """Return a row as `rl_zoo_row` does. again: words of the command to repeat with --trust, for the message."""
    path, named = _parts(file)
    if path.is_dir():
        own = path / f"{algorithm if isinstance(algorithm, str) else 'ppo'}.yml"
        raise UserError(f"{path} is a folder; write {f'--zoo {own}' if own.is_file() else 'the file of an algorithm'}")
    rows = load_yaml_mapping(path, "RL Zoo's files are those of its folder hyperparams, such as hyperparams/ppo.yml")
    return row_of(rows, path, named, env, algorithm, again, trust)


def row_of(
    rows: Mapping[str, Any],
    path: Path,
    named: str | None,
    env: str,
    algorithm: str | AlgorithmSpec | None,
    again: tuple[object, ...],
    trust: bool = False,
) -> Row:
    """Return a row of a parsed file. named: the row; None is that of `env`."""
    algorithm = _algorithm_of(path, algorithm)
    present = present_env(env)
    name, remark = _row_name(rows, env, present.settings["env"], named, path)
    where = f"{path}, {name}"
    config_class = config_class_of(algorithm) if isinstance(algorithm, str) else algorithm.config_class
    fields = config_class.model_fields
    _refuse_other_keys(rows[name], fields, algorithm if isinstance(algorithm, str) else algorithm.name, where)
    row = row_settings(rows[name], present.settings["env"], fields, where)
    wrappers = [*present.settings.get("wrappers", []), *row.settings.get("wrappers", [])]
    settings = {**row.settings, "env": present.settings["env"], **({"wrappers": wrappers} if wrappers else {})}
    require_trusted(addresses_in({"wrappers": wrappers}), f"the row {name} of {path}", again, trust)
    return Row(settings, [*present.remarks, *([remark] if remark else []), *row.remarks])


def _parts(file: str | Path) -> tuple[Path, str | None]:
    """Split "ppo.yml:CartPole-v1" into file and row."""
    where, colon, name = str(file).rpartition(":")
    return (Path(where), name) if colon and where and not Path(file).exists() else (Path(file), None)


def _algorithm_of(path: Path, algorithm: str | AlgorithmSpec | None) -> str | AlgorithmSpec:
    if path.stem in OTHERS and (algorithm is None or algorithm in ALGORITHMS):
        raise UserError(f"{path}: algorithm {path.stem} is not available; {_our_files()}")
    own = algorithm_of(path)
    if algorithm is None and own is None:
        raise UserError(f"{path} is not named after an algorithm; name the algorithm of its rows: algorithm='ppo'")
    if algorithm in ALGORITHMS and own is not None and own != algorithm:
        file = f"{algorithm}.yml" if algorithm in FILES else "a file of rows for it"
        raise UserError(f"{path} has rows of {own}, not of {algorithm}; write {own} instead, or --zoo {file}")
    return algorithm or own or ""


def _our_files() -> str:
    return f"supported files: {', '.join(f'{name}.yml' for name in FILES)}"


def _row_name(rows: Mapping[str, Any], env: str, present: str, named: str | None, path: Path) -> tuple[str, str | None]:
    if named is not None:
        if not isinstance(rows.get(named), Mapping):
            raise unknown_name(f"row of {path}", named, rows)
        return named, None
    return row_for(rows, env if env in rows else present, str(path))


def _refuse_other_keys(row: Mapping[str, Any], fields: Mapping[str, Any], algorithm: str, where: str) -> None:
    """Raise UserError for hyperparameters that the algorithm lacks, with the algorithms that have all of them."""
    known = {*fields, *RL_ZOO_KEYS, *OF_THE_ENVIRONMENT}
    unknown = [key for key in row if key not in known]
    if missing := next((key for key in ("n_timesteps", "policy") if key not in row), None):
        raise UserError(f"{where} is incomplete: it has no {missing}; write --set NAME=VALUE for its values")
    if not unknown:
        return
    fitting = [name for name in ALGORITHMS if set(unknown) <= {*config_class_of(name).model_fields}]
    if fitting:
        raise UserError(
            f"{where} is a row of another algorithm: {algorithm} has no {', '.join(unknown)}; "
            f"{' and '.join(fitting)} {'have' if len(fitting) > 1 else 'has'}"
        )
    see = f"tuneexp describe {algorithm}"
    raise UserError("\n".join(f"{where}: {unknown_name('hyperparameter', key, known, see)}" for key in unknown))


def sweep_of_row(
    row: Row, space: SearchSpace, settings: Mapping[str, Any], config_class: type[Config]
) -> tuple[dict[str, Any], list[str]]:
    """Return the arguments of a `Sweep` around a row, and remarks.

    Hyperparameters that `space` does not vary are fixed at the values of the row. The first trial has the values of the
    row, if they are in the ranges of `space`. settings: arguments of `Sweep` that override the row."""
    if not space.names:
        raise UserError(
            "--zoo needs a space in YAML: the hyperparameters of a define-by-run space are unknown before it runs"
        )
    own, of_trial = row.settings["hyperparameters"], dict(row.settings)
    fixed = {
        name: value for name, value in flat_of_dotted(own).items() if not any(overlap(name, one) for one in space.names)
    }
    point, remarks = _first_trial(space, flat_of_dotted(config_class.parse(own, "the row").model_dump(mode="json")))
    asked = {
        **{name: value for name, value in of_trial.items() if name != "hyperparameters"},
        **settings,
        "env": of_trial["env"],
        "space": space if point is None else _tried_first(space, point),
        "fixed": nested(written_over(fixed, flat_of_dotted(settings.get("fixed") or {}))),
    }
    return asked, [*row.remarks, *remarks]


def _first_trial(space: SearchSpace, values: Mapping[str, Any]) -> tuple[dict[str, Any] | None, list[str]]:
    """Return the point of the row's `values` in `space`, or None if it is outside of its ranges; and remarks."""
    point = {name: values.get(name) for name in space.names}
    falling = [name for name, value in point.items() if isinstance(value, str) and value.startswith("lin")]
    point |= {name: parse_schedule(values[name]).initial for name in falling}
    remarks = [
        f"{name} is a schedule in the row ({values[name]}), but constant within a trial here" for name in falling
    ]
    dimensions = space.dimensions
    outside = [
        name for name, value in point.items() if dimensions[name].when or not dimensions[name].values.contains(value)
    ]
    if outside:
        listed = ", ".join(f"{name}={point[name]}" for name in outside)
        return None, [*remarks, f"the row itself is not the first trial, since the space does not include {listed}"]
    return point, remarks


def _tried_first(space: SearchSpace, point: Mapping[str, Any]) -> SearchSpace:
    return SearchSpace.from_mapping({**space.to_mapping(), "initial": [nested(point), *space.initial]})
