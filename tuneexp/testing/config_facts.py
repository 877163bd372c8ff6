"""Tests of the configuration: every hyperparameter can be set, and new numbers need no recompilation."""

from __future__ import annotations

import contextlib
import io
import json
from collections.abc import Iterator
from typing import Any

import torch
from pydantic import BaseModel
from pydantic.fields import FieldInfo
from torch import Tensor

from tuneexp.cli import run
from tuneexp.cli.option_values import parse_settings, split_settings
from tuneexp.config import is_numeric
from tuneexp.errors import UserError
from tuneexp.learning.compile.program import key_of, trace
from tuneexp.report.hyperparameters import hyperparameter_rows
from tuneexp.testing.subject import Subject, first_of, require
from tuneexp.trial import Trial
from tuneexp.trial.env_choice import chosen_backend

NO_VALUE = "{no_such_key: [1]}"  # which no hyperparameter accepts


def fields_of(config_class: type[BaseModel], prefix: str = "") -> Iterator[tuple[str, FieldInfo]]:
    """Every field, also of configurations within it, under its name on the command line."""
    for name, field in config_class.model_fields.items():
        value = field.get_default(call_default_factory=True)
        if isinstance(value, BaseModel):
            yield from fields_of(type(value), f"{prefix}{name}/")
        else:
            yield f"{prefix}{name}", field


def every_field_can_be_set(subject: Subject) -> None:
    """By `--set`: its default is accepted in words, nonsense is refused under the field's own name."""
    config_class, name = subject.spec.config_class, subject.spec.name
    for field_name, field in fields_of(config_class):
        default = _in_words(field.get_default(call_default_factory=True))
        hyperparameters, of_trial = split_settings(parse_settings([f"{field_name}={default}"]))
        require(not of_trial, f"--set {field_name} is taken for a setting of the trial")
        cfg = config_class.parse(hyperparameters, name)
        require(cfg == config_class.parse({}, name), f"--set {field_name}={default} is not its default")
        top = field_name.split("/")[0]
        require(top in cfg.model_fields_set, f"--set {field_name} did not reach the configuration")
        try:
            config_class.parse(parse_settings([f"{field_name}={NO_VALUE}"]), name)
        except UserError as refused:
            require(top in str(refused), f"nonsense for {field_name} is refused without its name: {refused}")
        else:
            require(_takes_anything(field), f"--set {field_name}={NO_VALUE} was accepted")


def _takes_anything(field: FieldInfo) -> bool:
    """Arguments of something of the user's own, which is what checks them."""
    return "dict" in str(field.annotation)


def _in_words(value: Any) -> str:
    if isinstance(value, str):
        return value
    return json.dumps(list(value) if isinstance(value, tuple) else value)


def every_field_is_described(subject: Subject) -> None:
    fields = dict(fields_of(subject.spec.config_class))
    silent = [name for name, field in fields.items() if not (field.description or "").endswith(".")]
    require(not silent, f"no description that ends in a period: {first_of(silent)}")
    rows = {row["name"]: row["meaning"] for row in hyperparameter_rows(subject.spec.config_class)}
    require(rows.keys() == fields.keys(), f"tuneexp describe shows {sorted(rows.keys() ^ fields.keys())} or misses it")
    shown = io.StringIO()
    with contextlib.redirect_stdout(shown):
        code = run(["describe", subject.address, "--json"])
    require(code == 0, f"tuneexp describe {subject.address} ended with {code}")
    names = [row["name"] for row in json.loads(shown.getvalue())["hyperparameters"]]
    require(names == list(fields), "tuneexp describe leaves out hyperparameters")


def numbers_need_no_new_program(subject: Subject) -> None:
    """Every numeric field changed: the programs of the trial before serve, and compiled they would be the same."""
    first = subject.short_trial(subject.seeds)
    other = subject.short_trial(subject.seeds, None, **_changed_numbers(first, subject))
    try:
        require(other.trainer.programs is first.trainer.programs, "other numbers built other programs")
        for step, keys in _keys(first, other):
            require(keys[0] == keys[1], f"other numbers would be compiled anew (parts that rest: {sorted(step)})")
    finally:
        first.close()
        other.close()


def _changed_numbers(trial: Trial, subject: Subject) -> dict[str, float]:
    """Each number nine tenths of what it was, where that is allowed."""
    changed: dict[str, float] = {}
    for name, field in type(trial.cfg).model_fields.items():
        value = getattr(trial.cfg, name)
        if not is_numeric(field) or not isinstance(value, int | float):
            continue
        with contextlib.suppress(UserError):
            subject.short_config(subject.seeds, None, **{**changed, name: 0.9 * value})
            changed[name] = 0.9 * value
    return changed


def _example(trial: Trial) -> list[Tensor]:
    """Inputs of a gradient step; noise and columns are random, but the same for every trial of these shapes."""
    step = next(iter(trial.trainer.programs.steps.values()))[0]
    own = torch.Generator().manual_seed(0)
    minibatch = trial.trainer.shapes.minibatch(len(trial.learner.seeds), trial.trainer.programs.columns)
    columns = [
        torch.rand(column.shape, generator=own).to(column.dtype) if name != "mask" else column
        for name, column in minibatch.items()
    ]
    require(list(minibatch) == list(step.column_names), "a minibatch has other columns than the program takes")
    return trial.learner.step_inputs(columns)


def _keys(*trials: Trial) -> Iterator[tuple[frozenset[str], list[str]]]:
    for omitted in trials[0].trainer.programs.steps:
        keys = []
        for trial in trials:
            step, example = trial.trainer.programs.steps[omitted][0], _example(trial)
            fresh = trial.learner.gradient_step(step.column_names, omitted=omitted, time_major=step.time_major)
            keys.append(key_of(trace(fresh, example), example))
        yield omitted, keys


def traced_equals_eager(subject: Subject) -> None:
    """The graph that is compiled computes what the functions do: gradients and statistics, for each set of parts."""
    trial = subject.short_trial(subject.seeds)
    try:
        example = _example(trial)
        for omitted, (step, _) in trial.trainer.programs.steps.items():
            graph = trace(step, example)
            with torch.no_grad():
                traced = graph(*example)
            for got, expected in zip(traced, step(example), strict=True):
                torch.testing.assert_close(
                    got, expected, rtol=1e-4, atol=1e-5, equal_nan=True,
                    msg=lambda text: f"traced and eager differ (parts that rest: {sorted(omitted)}): {text}",  # noqa: B023
                )  # fmt: skip
    finally:
        trial.close()


def compiled_equals_eager(subject: Subject) -> None:
    """Really compiled, which takes a compiler and some ten seconds."""
    compiled = subject.short_trial((0, 1), compile="on")
    same_episodes = chosen_backend(compiled.config, compiled.trainer.cfg)
    eager = subject.short_trial((0, 1), compile="off", env_backend=same_episodes)
    try:
        require(compiled.trainer.programs.compiled, "it could not be compiled: see the log")
        for trial in (eager, compiled):
            while not trial.done:
                trial.training_step()
        for name, leaf in compiled.learner.parameters.items():
            torch.testing.assert_close(leaf, eager.learner.parameters[name], rtol=1e-3, atol=1e-4)
    finally:
        eager.close()
        compiled.close()
