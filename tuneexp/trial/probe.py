"""A short training of one configuration: seconds of a step and of an evaluation, bytes of a checkpoint.

It runs in a process of its own, as a trial does in a sweep (`main`)."""

from __future__ import annotations

import hashlib
import json
import math
import os
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from tuneexp.errors import UserError
from tuneexp.files.json_reading import parse_json
from tuneexp.processes import cores
from tuneexp.tracebacks import one_line
from tuneexp.trial.trial_config import TrialConfig

ASKED, FOUND = "asked.json", "found.json"
MOST_CHUNKS = 10
# Longer evaluations are stopped: their cost is per step.
EVALUATION_STEPS = 500


@dataclass(frozen=True)
class Probe:
    """Costs of one configuration, measured.

    Attributes:
        build_s: Seconds of building networks and programs, with their compilation.
        compiled: The programs are compiled.
        chunks_s: Wall seconds of training per environment step and seed, in parts of the probe after its warm-up.
        cpu_s: CPU seconds per environment step and seed, of this process.
        evaluation_s: Wall seconds per step of an evaluation at a report.
        final_evaluation_s: The same for the evaluation at the end.
        evaluation_steps: Steps of that evaluation: the longest of its episodes.
        longest_episode: Time limit of the environment in steps, at most `evaluation.max_steps`; None if it has none.
        checkpoint_bytes: Bytes of a checkpoint, with a replay buffer as full as at the end of the budget.
        save_s: Wall seconds of writing a checkpoint now.
        budget_env_steps: Environment steps of the whole trial, per seed.
        programs: Key of the programs; trials with an equal one share them.
        one_process: No other process or device does a part of the work, so that CPU and wall time are comparable.
        cohorts_s: Wall seconds of training per environment step and seed of each cohort, if seeds race. All other costs
            are then sums over the cohorts, which are trained one after another.
    """

    build_s: float
    compiled: bool
    chunks_s: tuple[float, ...]
    cpu_s: float
    evaluation_s: float
    final_evaluation_s: float
    evaluation_steps: int
    longest_episode: int | None
    checkpoint_bytes: int
    save_s: float
    budget_env_steps: int
    programs: str
    one_process: bool
    cohorts_s: tuple[float, ...] = ()

    @property
    def step_s(self) -> float:
        """Wall seconds of training per environment step and seed."""
        return sum(self.chunks_s) / len(self.chunks_s)


def probe(config: TrialConfig, seconds: float, folder: Path) -> Probe:
    """Train one configuration for some seconds.

    Args:
        config: The trial. Its budget is not shortened: schedules and the decision to compile depend on it.
        seconds: Seconds of training after the warm-up; at least one training step is measured.
        folder: Folder for a checkpoint, which is removed with it.

    Returns:
        The costs.

    Raises:
        UserError: The trial can't be trained.
    """
    if not config.cohorts:
        return _of_one_stack(config, seconds, folder)
    sizes = [cohort.seeds for cohort in config.cohorts]
    of_size = {}
    for size in dict.fromkeys(sizes):
        alone = config.model_copy(update={"seeds": config.seeds[:size], "cohorts": []})
        own = folder / f"{size}"
        own.mkdir()
        of_size[size] = _of_one_stack(alone, seconds / len(set(sizes)), own)
    return of_cohorts([of_size[size] for size in sizes])


def of_cohorts(cohorts: Sequence[Probe]) -> Probe:
    """Return the costs of a trial whose cohorts are trained one after another, from the costs of each.

    The relative spread over the parts of the probe is that of the last cohort, which has most seeds."""
    last, whole = cohorts[-1], sum(one.step_s for one in cohorts)
    return replace(
        last,
        build_s=sum(one.build_s for one in cohorts),
        chunks_s=tuple(chunk * whole / last.step_s for chunk in last.chunks_s),
        cpu_s=sum(one.cpu_s for one in cohorts),
        evaluation_s=sum(one.evaluation_s for one in cohorts),
        final_evaluation_s=sum(one.final_evaluation_s for one in cohorts),
        evaluation_steps=max(one.evaluation_steps for one in cohorts),
        checkpoint_bytes=sum(one.checkpoint_bytes for one in cohorts),
        save_s=sum(one.save_s for one in cohorts),
        cohorts_s=tuple(one.step_s for one in cohorts),
    )


def _of_one_stack(config: TrialConfig, seconds: float, folder: Path) -> Probe:
    from tuneexp.algorithms.registry import load_spec
    from tuneexp.trial import Trial

    started = time.perf_counter()
    trial = Trial(load_spec(config.algorithm), _with_short_evaluation(config))
    build_s = time.perf_counter() - started
    try:
        for one in trial.trained.values():
            if one.experience is not None:
                one.experience.learn_at_once()
        timed = list(_timed_steps(trial, seconds))
        usual, steps = _evaluation(trial, config.evaluation.episodes)
        final, _ = _evaluation(trial, config.evaluation.final_episodes)
        size, save_s = _checkpoint(trial, folder)
        return Probe(
            build_s, trial.compiled, _chunks([(wall, steps) for wall, _, steps in timed]),
            sum(cpu for _, cpu, _ in timed) / sum(steps for *_, steps in timed),
            usual, final, steps, _longest_episode(config), size, save_s,
            config.budget_env_steps, _key(trial.cfg), _in_one_process(trial, config),
        )  # fmt: skip
    finally:
        trial.close()


def _key(cfg: Any) -> str:
    return hashlib.sha256(repr(cfg.of_programs()).encode()).hexdigest()[:12]


def _in_one_process(trial: Any, config: TrialConfig) -> bool:
    alone = not (trial.cfg.num_env_runners or trial.cfg.num_learners) and config.env_backend not in ("async", "envpool")
    return alone and all(one.learner.device.type == "cpu" for one in trial.trained.values())


def _with_short_evaluation(config: TrialConfig) -> TrialConfig:
    most = min(config.evaluation.max_steps, EVALUATION_STEPS)
    evaluation = config.evaluation.model_copy(update={"max_steps": most})
    # As many trials as cores: the probe waits for its compiled programs and measures those.
    return config.model_copy(update={"evaluation": evaluation, "concurrent_trials": cores()})


def _timed_steps(trial: Any, seconds: float) -> Iterator[tuple[float, float, int]]:
    """Yield wall seconds, CPU seconds and environment steps of training steps, after the first one that updates."""
    limit = time.perf_counter() + 10 * seconds
    warm, yielded, end = False, False, 0.0
    while not yielded or time.perf_counter() < min(end, limit):
        wall, cpu, before = time.perf_counter(), time.process_time(), trial.env_steps
        trial.training_step()
        took = time.perf_counter() - wall, time.process_time() - cpu, trial.env_steps - before
        # The first update allocates memory and loads code; what comes after the limit counts in any case.
        if warm or trial.done or time.perf_counter() >= limit:
            yielded = True
            yield took
        elif any(int(one.learner.n_updates) for one in trial.trained.values()):
            warm, end = True, time.perf_counter() + seconds
        if trial.done:
            return


def _chunks(timed: list[tuple[float, int]]) -> tuple[float, ...]:
    """Return seconds per environment step of at most ten parts. timed: seconds and environment steps, in order."""
    size = math.ceil(len(timed) / MOST_CHUNKS)
    parts = [timed[start : start + size] for start in range(0, len(timed), size)]
    return tuple(sum(wall for wall, _ in part) / sum(steps for _, steps in part) for part in parts)


def _evaluation(trial: Any, episodes: int) -> tuple[float, int]:
    """Return seconds per step, and the number of steps."""
    started = time.perf_counter()
    steps = trial.source.evaluate(episodes, trial.config.evaluation.seed).steps
    return (time.perf_counter() - started) / steps, steps


def _longest_episode(config: TrialConfig) -> int | None:
    """Return the time limit of the environment in steps; None if none is known."""
    import gymnasium

    wrapped = [given for one in config.wrappers if isinstance(one, dict) for given in one.values() if given]
    named = [given["max_episode_steps"] for given in (config.env_kwargs, *wrapped) if "max_episode_steps" in given]
    if isinstance(config.env, str) and ":" not in config.env and "max_episode_steps" not in config.env_kwargs:
        with suppress(gymnasium.error.Error):
            named.append(gymnasium.spec(config.env).max_episode_steps)
    limits = [int(limit) for limit in named if limit]
    return min([*limits, config.evaluation.max_steps]) if limits else None


def _checkpoint(trial: Any, folder: Path) -> tuple[int, float]:
    from tuneexp.files import checkpoint

    started = time.perf_counter()
    written = checkpoint.write(folder / "checkpoint", trial.state_dict())
    save_s = time.perf_counter() - started
    size = sum(path.stat().st_size for path in written.iterdir())
    return size + sum(map(_still_to_come, trial.trained.values(), [trial] * len(trial.trained))), save_s


def _still_to_come(trainer: Any, trial: Any) -> int:
    """Return the bytes by which the stored replay buffer of a policy grows until the end of the budget."""
    if trainer.experience is None or trainer.experience.state_dict() is None:
        return 0
    buffer = trainer.experience.buffer
    rows = int(buffer.size.max())
    at_end = min(buffer.capacity, trial.config.budget_env_steps)
    return buffer.bytes_needed * max(0, at_end - rows) // buffer.capacity


def main(folder: str) -> None:
    """Read `asked.json` in `folder` and write `found.json`: the costs, or the error as one line."""
    import torch

    torch.set_num_threads(1)  # as a worker
    asked = parse_json((Path(folder) / ASKED).read_bytes())
    signal.alarm(int(asked["limit_s"]))  # ends this process if the trial hangs, also without its parent
    sys.path.extend(one for one in asked["path"] if one not in sys.path)
    found: dict[str, Any]
    try:
        config = TrialConfig.parse(asked["config"], "the trial")
        found = {"costs": asdict(probe(config, asked["seconds"], Path(folder)))}
    except UserError as error:
        found = {"refused": str(error)}
    except Exception as error:
        found = {"failed": one_line(error)}
    unfinished = Path(folder) / f".{FOUND}"
    unfinished.write_text(json.dumps(found))
    os.replace(unfinished, Path(folder) / FOUND)
