"""Reader of experiment files for `tuneexp sweep FILE` and `Sweep.from_file`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tuneexp.addresses import is_address
from tuneexp.algorithms.rl_zoo.file_names import algorithm_of, has_rows
from tuneexp.commands import command
from tuneexp.envs.env_factory import resolve
from tuneexp.errors import UserError, nearest
from tuneexp.files.remote_folders import is_uri
from tuneexp.files.yaml_reading import Lines, load_with_lines, load_yaml_mapping
from tuneexp.nesting import flat_of_dotted, merged, nested
from tuneexp.sweep import defaults
from tuneexp.sweep.search.choice import KINDS as KINDS_OF_CHOICES
from tuneexp.sweep.search.space.dimensions import KINDS
from tuneexp.sweep.sweep_config import ASKED, FORMER_BUDGET, SETTINGS, budget_by_its_name
from tuneexp.trial.trial_config import is_group

EXAMPLE = "write one setting a line, as in  env: CartPole-v1"
KEYS = ("name", "storage", *ASKED)
# Settings that are mappings, whose keys a command line or a script changes one by one.
GROUPS = tuple(name for name, field in SETTINGS.items() if is_group(field) and name != "space")
MOST_ROWS_TRIED = 8
_OWN_FILE = re.compile(r"[^:]+\.py:[A-Za-z_]\w*")


@dataclass(frozen=True)
class Experiment:
    """Settings of an experiment file, as keyword arguments of `Sweep`. lines: line numbers of its keys."""

    path: Path
    settings: Mapping[str, Any]
    lines: Lines

    def with_changes(self, changes: Mapping[str, Any]) -> Experiment:
        """Return the settings with `changes` over them; in groups such as `fixed`, over single names.

        Options of a scheduler or searcher without its name change those of the one in the file."""
        settings = {**self.settings, **changes}
        for name in GROUPS:
            before, now = self.settings.get(name), changes.get(name)
            if isinstance(before, Mapping) and isinstance(now, Mapping):
                settings[name] = merged(before, now)
        for name in options_only(changes):
            before = self.settings.get(name, SETTINGS[name].default)
            named = before if isinstance(before, Mapping) else {"name": before}
            settings[name] = {**named, **changes[name]}
        kept = {path: line for path, line in self.lines.items() if not _is_changed(path, changes)}
        return Experiment(self.path, settings, kept)

    def line_of(self, path: tuple[str, ...]) -> int | None:
        """Return the line of the innermost key of `path` that is in the file."""
        keys = (path[:depth] for depth in range(len(path), 0, -1))
        return next((self.lines[key] for key in keys if key in self.lines), None)


def read_experiment(path: str | Path) -> Experiment:
    """Read an experiment file. Paths in it are relative to its folder.

    Raises:
        UserError: It is no experiment file. The message names its kind and the command for it."""
    path = Path(path)
    if path.is_dir():
        inside = path / "experiment.yaml"
        advice = command("sweep", inside) if inside.is_file() else "the path of a YAML file with the settings"
        raise UserError(f"{path} is a folder; write {advice}")
    values, lines = _by_todays_names(*load_with_lines(path, _nearest_file(path), EXAMPLE))
    if kind := _other_kind(path, values):
        raise UserError(f"{path} is {kind}")
    try:
        return Experiment(path, *_nested_names(_from_its_folder(path, values), lines))
    except UserError as error:
        raise UserError(f"{path}: {error}") from None


def _by_todays_names(values: dict[str, Any], lines: Lines) -> tuple[dict[str, Any], Lines]:
    """Read the key `env_steps` of earlier versions as `budget_env_steps`."""
    renamed = budget_by_its_name(values)
    if renamed is values:
        return values, lines
    return renamed, {("budget_env_steps",) if path == (FORMER_BUDGET,) else path: line for path, line in lines.items()}


def _nearest_file(path: Path) -> str:
    beside = [one.name for one in path.parent.glob("*.y*ml")] if path.parent.is_dir() else []
    match = nearest(path.name, beside)
    return f"did you mean {str(path.parent / match)!r}?" if match else "every sweep writes one: NAME/experiment.yaml"


def _other_kind(path: Path, values: Mapping[str, Any]) -> str | None:
    """Return the kind of a file that is no experiment, with the command for it."""
    if "format_version" in values and "created_at_s" in values:
        return f"the record of a sweep; write {command('sweep', path.parent / 'experiment.yaml')}"
    if set(values) & set(KEYS):
        return None
    if has_rows(values):
        return f"a file of RL Zoo's{_command_for_rows(path, values)}"
    if "initial" in values or any(isinstance(value, Mapping) and set(KINDS) & set(value) for value in values.values()):
        return f"a search space; write {command('sweep', 'ppo', 'CartPole-v1', '--space', path)}"
    return None


def _command_for_rows(path: Path, rows: Mapping[str, Any]) -> str:
    """Return the command for a row that can be trained here: of CartPole-v1, else the first one."""
    from tuneexp.sweep.rl_zoo import read_row

    algorithm = algorithm_of(path) or defaults.ALGORITHM
    for env in sorted(rows, key=lambda name: name != "CartPole-v1")[:MOST_ROWS_TRIED]:
        with suppress(UserError):
            words = ("sweep", algorithm, env, "--zoo", path)
            resolve(read_row(path, env, algorithm, words).settings["env"])
            return f"; write {command(*words)}"
    return ""


def _from_its_folder(path: Path, values: Mapping[str, Any]) -> dict[str, Any]:
    folder = path.resolve().parent
    settings = {
        name: value if name in ("name", "env_kwargs") else _own_files_from(folder, value)
        for name, value in values.items()
    }
    for name in ("storage", "checkpoints"):
        if isinstance(location := settings.get(name), str) and not is_uri(location):
            settings[name] = str(folder / Path(location).expanduser())
    space = settings.get("space")
    if isinstance(space, str):
        settings["space"] = {"function": space} if is_address(space) else _space_file(folder, space, path)
    return settings


def _own_files_from(folder: Path, value: Any) -> Any:
    """Return `value` with absolute paths in addresses of the user's files, which are relative to `folder`."""
    if isinstance(value, Mapping):
        return {_own_files_from(folder, key): _own_files_from(folder, inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_own_files_from(folder, inner) for inner in value]
    return str(folder / value) if isinstance(value, str) and _OWN_FILE.fullmatch(value) else value


def _space_file(folder: Path, named: str, path: Path) -> dict[str, Any]:
    found = folder / Path(named).expanduser()
    if not found.is_file() and Path(named).is_file():
        raise UserError(f"space: there is no file {found}; paths are relative to the folder of {path.name}")
    return load_yaml_mapping(found)


def _nested_names(settings: dict[str, Any], lines: Lines) -> tuple[dict[str, Any], Lines]:
    """Nest names such as `model/activation` under `fixed`, and in the paths of `lines`."""
    fixed = settings.get("fixed")
    settings = {**settings, "fixed": nested(flat_of_dotted(fixed))} if isinstance(fixed, Mapping) else settings
    return settings, {tuple(part for name in path for part in name.split("/")): line for path, line in lines.items()}


def options_only(changes: Mapping[str, Any]) -> list[str]:
    """Return the kinds of which `changes` have options, but no name: `scheduler` and `searcher`."""
    return [name for name in KINDS_OF_CHOICES if isinstance(changes.get(name), Mapping) and "name" not in changes[name]]


def _is_changed(path: tuple[str, ...], changes: Mapping[str, Any]) -> bool:
    """Return True if `changes` replace the value at `path` in the file."""
    inner = changes.get(path[0])
    if path[0] in GROUPS and isinstance(inner, Mapping):
        return len(path) > 1 and path[1] in inner
    return path[0] in changes
