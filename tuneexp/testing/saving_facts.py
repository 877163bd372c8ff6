"""Tests of checkpoints and reused actors: training continues identically."""

from __future__ import annotations

import multiprocessing
import tempfile
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from tuneexp.algorithms.registry import address_of, load_algorithm
from tuneexp.files import checkpoint
from tuneexp.testing.subject import Subject, differences, first_of, require, training_steps
from tuneexp.trial import Trial
from tuneexp.trial.trial_config import TrialConfig

RESUME_TIMEOUT_S = 300.0
TARGET_ROUNDS = 3  # training steps between moves of target networks that follow the clock


def changes_for_saving(subject: Subject) -> dict[str, Any]:
    """All that a checkpoint can hold: statistics of observations and rewards, windows that are open, a schedule, and
    target networks that are neither the first ones nor the present ones."""
    fields, target = subject.spec.config_class.model_fields, subject.spec.target
    wanted = {"normalize_observation": True, "normalize_reward": True, "learning_rate": "linear:0.002"}
    if subject.has_replay:
        wanted["n_step"] = 3
    if target is not None and target.unit == "env_steps" and isinstance(target.every, str):
        cfg = subject.spec.config_class.parse(subject.hyperparameters, subject.spec.name)
        wanted[target.every] = TARGET_ROUNDS * cfg.rollout_env_steps()
    return {name: value for name, value in wanted.items() if name in fields}


def goes_on_bit_for_bit(subject: Subject) -> None:
    """Saved in the middle, loaded here and in a new process, trained to the end: the same state as uninterrupted."""
    changes = changes_for_saving(subject)
    half = subject.rounds(**changes) + 1
    if subject.spec.target is not None:
        # A multiple of that period: targets that follow the clock moved in the round before, and serve in the next two.
        half = (half // TARGET_ROUNDS + 2) * TARGET_ROUNDS
    trial = subject.short_trial((2, 7, 11), 2 * half, **changes)
    first_target = _target_of(trial)
    with tempfile.TemporaryDirectory() as work:
        try:
            saved = checkpoint.write(Path(work) / "half", training_steps(trial, half).state_dict())
            if first_target:
                require(differences(first_target, _target_of(trial)), "its target networks have not moved by then")
                require(differences(_target_of(trial), trial.learner.parameters), "its target networks do not lag")
            checkpoint.write(Path(work) / "whole", training_steps(trial).state_dict())
        finally:
            trial.close()
        first, whole = (_state(Path(work) / name) for name in ("half", "whole"))
        require(differences(first["learner"]["parameters"], whole["learner"]["parameters"]), "nothing more was learned")
        for where, go_on in {"a new trial": resume, "a new process": _resume_elsewhere}.items():
            go_on(saved, Path(work) / where)
            found = differences(whole, _state(Path(work) / where))
            require(not found, f"loaded into {where}, training ends elsewhere: {first_of(found)} differ")


def _target_of(trial: Trial) -> dict[str, Tensor]:
    """A copy; empty without target networks."""
    target = trial.learner.target
    return {} if target is None else {name: leaf.clone() for name, leaf in target.leaves.items()}


def resume(folder: Path, output: Path) -> None:
    """Load a checkpoint, train to the end of the budget, save."""
    state = checkpoint.read(folder)
    config = TrialConfig.parse(state["config"], "the checkpoint")
    trial = Trial(load_algorithm(config.algorithm), config)
    try:
        trial.load_state_dict(state)
        checkpoint.write(output, training_steps(trial).state_dict())
    finally:
        trial.close()


def _resume_elsewhere(folder: Path, output: Path) -> None:
    """Resume in a fresh process that has only imported this module."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__, "torch._dynamo"])  # the latter is imported by the first trace
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_resume_and_report, args=(folder, output, sender))
    process.start()
    process.join(RESUME_TIMEOUT_S)
    process.kill()
    process.join()
    reason = receiver.recv() if receiver.poll() else f"exit code {process.exitcode}"
    require(reason is None, f"a new process could not go on: {reason}")


def _resume_and_report(folder: Path, output: Path, sender: Connection) -> None:
    torch.set_num_threads(1)
    try:
        resume(folder, output)
        sender.send(None)
    except Exception as error:
        sender.send(f"{type(error).__name__}: {error}")


def _state(folder: Path) -> dict[str, Any]:
    """All but the wall clock."""
    return {key: value for key, value in checkpoint.read(folder).items() if key != "train_s"}


def reset_config_is_a_fresh_start(subject: Subject) -> None:
    """An actor that takes another configuration has what a fresh one has, and takes over the programs that fit."""
    from tuneexp.trial.trainable import AlgorithmTrainable

    bound = type("Bound", (AlgorithmTrainable,), {"bound_spec": subject.spec})
    rounds = subject.rounds()
    reused = bound(config=subject.short_config((3, 4, 6), rounds, learning_rate=0.01).model_dump())
    try:
        reused.train()
        programs = reused.trial.trainer.programs
        for seeds, changes in (((0, 1, 2), {}), ((0, 1, 2), {"normalize_observation": True}), ((5,), {})):
            config = subject.short_config(seeds, rounds, **changes).model_dump()
            require(reused.reset_config(config) is True, "reset_config did not return True")
            if len(seeds) == 3 and not changes:
                require(reused.trial.trainer.programs is programs, "programs were built again for the same shapes")
            _require_fresh(bound(config=config), reused)
    finally:
        reused.cleanup()


def _require_fresh(fresh: Any, reused: Any) -> None:
    try:
        for when in ("before training", "after training"):
            found = differences(fresh.trial.state_dict()["learner"], reused.trial.state_dict()["learner"])
            require(not found, f"{when}, a reused actor has another state than a fresh one: {first_of(found)}")
            if when == "before training":
                results = [fresh.train(), reused.train()]
        require(results[0]["return_per_seed"] == results[1]["return_per_seed"], "a reused actor has another result")
    finally:
        fresh.cleanup()


def its_name_leads_to_it_and_back(subject: Subject) -> None:
    require(load_algorithm(subject.address) is subject.spec, f"{subject.address} is another algorithm")
    require(address_of(subject.spec) == subject.address, f"its address is {address_of(subject.spec)}")
