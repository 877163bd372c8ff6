"""Stored sweeps of any size, written without Ray and without training."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np

from tuneexp.sweep import Sweep
from tuneexp.sweep.search.choice import SamplerContext, build_sampler
from tuneexp.sweep.search.searchers import StudySearcher
from tuneexp.sweep.storage import snapshot
from tuneexp.sweep.storage.records import TrialRecord
from tuneexp.sweep.storage.snapshot import SEARCHER_STATE, STATE_PATTERNS, Snapshot
from tuneexp.sweep.sweep_config import objectives_of, save_config
from tuneexp.tracking.outbox import Outbox, Record
from tuneexp.tracking.outbox_records import REPORTED, SWEEP_STARTED, TRIAL_ENDED, TRIAL_STARTED, record

SPACE: dict[str, Any] = {
    "learning_rate": {"loguniform": [1e-4, 1e-2]},
    "gamma": {"uniform": [0.9, 0.999]},
    "model/activation": {"choice": ["tanh", "relu"]},
}
STEP, START_MS, REPORT_MS = 100, 1_700_000_000_000, 1000


def store(
    storage: Path,
    name: str = "kept",
    trials: int = 12,
    reports: int = 9,
    seeds: int = 3,
    more_metrics: int = 0,
    open_trials: int = 0,
    completed: float = 0.5,
    **settings: Any,
) -> Path:
    """Store a sweep whose better trials complete; the others are pruned at a third of the budget. Returns its folder.

    The return of a trial grows towards a value that its learning rate decides.

    Args:
        storage: Folder of the sweep's folder.
        name: Its name.
        trials: Number of trials.
        reports: Reports of a whole trial, `STEP` environment steps apart.
        seeds: Seeds of a trial.
        more_metrics: Number of other metrics of a report.
        open_trials: Number of the last trials that have not ended.
        completed: Share of the trials that complete, rounded up.
        settings: Other settings of the sweep.
    """
    budget = STEP * reports
    chosen = {"space": SPACE, "scheduler": "asha", "fixed": {"n_envs": 2, "n_steps": 10, "batch_size": 10}, **settings}
    sweep = Sweep(env="CartPole-v1", trials=trials, seeds=seeds, budget_env_steps=budget, report_every_env_steps=STEP,
                  name=name, storage=storage, **chosen)  # fmt: skip
    folder = sweep.folder
    folder.path.mkdir(parents=True)
    save_config(folder, sweep.config.model_copy(update={"created_at_s": START_MS / 1000}))
    searcher = StudySearcher(
        sweep.space, build_sampler("random", SamplerContext(0, trials)), f"{name}-study", budget,
        folder.suggestions_file, objectives=objectives_of(sweep.config),
    )  # fmt: skip
    suggested = [searcher.suggest(f"id{number}")["hyperparameters"] for number in range(trials)]
    rng = np.random.default_rng(0)
    ranked = sorted(range(trials), key=lambda number: -_limit(suggested[number]))
    outbox, records = Outbox(folder.path), []
    _start(outbox, name)
    for number, config in enumerate(suggested):
        last = reports if number in ranked[: math.ceil(completed * trials)] else max(1, reports // 3)
        is_open = number >= trials - open_trials
        metrics = [
            _metrics(config, (at + 1) / reports, STEP * (at + 1), seeds, more_metrics, rng) for at in range(last)
        ]
        outcome = None if is_open else "completed" if last == reports else "pruned"
        _log(outbox, number, metrics, outcome)
        _tell(searcher, f"id{number}", metrics[-1], last * STEP, is_open)
        records.append(_record(number, config, metrics[-1], last * STEP, outcome, objectives_of(sweep.config)))
    outbox.close()
    scratch = folder.path / ".searcher"
    searcher.save(str(scratch))
    files = dict.fromkeys(STATE_PATTERNS, b"{}") | {SEARCHER_STATE: scratch.read_bytes()}
    scratch.unlink()
    snapshot.commit(folder, Snapshot(files, records))
    return folder.path


def _limit(config: dict[str, Any]) -> float:
    return 500.0 * math.exp(-((math.log10(config["learning_rate"]) + 3) ** 2))


def _metrics(
    config: dict[str, Any], share: float, env_steps: int, seeds: int, more: int, rng: np.random.Generator
) -> dict[str, float]:
    returns = _limit(config) * (1 - math.exp(-3 * share)) + rng.normal(0, 10, seeds)
    own = {"objective": float(returns.mean()), "return_mean": float(returns.mean()), "wall_s": env_steps / 1000}
    own |= {"objective_low": float(returns.min()), "objective_high": float(returns.max())} if seeds > 1 else {}
    own |= {f"seed/{seed}/return_mean": float(value) for seed, value in enumerate(returns)}
    return own | {f"update/metric_{index}": float(index) for index in range(more)}


def _start(outbox: Outbox, name: str) -> None:
    started = record(SWEEP_STARTED, sweep_id="1", sweep=name, experiment="CartPole-v1", params={}, tags={})
    outbox.append({**started, "at_ms": START_MS})


def _log(outbox: Outbox, number: int, reports: list[dict[str, float]], outcome: str | None) -> None:
    """Write the records of a trial, which starts `REPORT_MS` after the one before and reports once in that time."""
    about, begin = {"trial": number, "draw": 0}, START_MS + number * REPORT_MS
    entries: list[Record] = [{**record(TRIAL_STARTED, **about, sweep="", params={}, from_step=-1), "at_ms": begin}]
    for at, metrics in enumerate(reports, start=1):
        entry = record(REPORTED, **about, step=at * STEP, metrics=metrics, tags={})
        entries.append({**entry, "at_ms": begin + at * REPORT_MS})
    if outcome is not None:
        ended = record(TRIAL_ENDED, **about, step=len(reports) * STEP, outcome=outcome, reason=None)
        entries.append({**ended, "at_ms": begin + len(reports) * REPORT_MS})
    for entry in entries:
        outbox.append(entry)


def _tell(searcher: StudySearcher, trial_id: str, last: dict[str, float], env_steps: int, is_open: bool) -> None:
    result = {**last, "env_steps": env_steps, "time/train_s": last["wall_s"]}
    if is_open:
        searcher.on_trial_result(trial_id, result)
    else:
        searcher.on_trial_complete(trial_id, result)


def _record(
    number: int, config: dict[str, Any], last: dict[str, float], env_steps: int, outcome: str | None, objectives: Any
) -> TrialRecord:
    result = {**last, "time/train_s": last["wall_s"]}
    return TrialRecord(
        trial_id=f"id{number}", trial_number=number, status="ended" if outcome else "running", outcome=outcome,
        reason=None, objective=last["objective"], env_steps=env_steps, wall_s=last["wall_s"], config=config,
        checkpoint=None, objectives=objectives.named(result),
    )  # fmt: skip
