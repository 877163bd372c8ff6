"""A stored sweep and a checkpoint, written by the package without Ray and without training."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from tests.small import small_trial
from tuneexp.files import checkpoint
from tuneexp.sweep import Sweep
from tuneexp.sweep.search.choice import SamplerContext, build_sampler
from tuneexp.sweep.search.searchers import StudySearcher
from tuneexp.sweep.storage import snapshot
from tuneexp.sweep.storage.folder import SweepFolder
from tuneexp.sweep.storage.records import TrialRecord
from tuneexp.sweep.storage.snapshot import SEARCHER_STATE, STATE_PATTERNS, Snapshot
from tuneexp.sweep.sweep_config import save_config
from tuneexp.tracking.outbox import Outbox, Position, save_position
from tuneexp.tracking.outbox_records import CHECKPOINTED, REPORTED, SWEEP_STARTED, TRIAL_ENDED, TRIAL_STARTED, record

SPACE = {"learning_rate": {"loguniform": [1e-4, 1e-2]}, "model/activation": {"choice": ["tanh", "relu"]}}
BUDGET = 128


def store_sweep(
    storage: Path, name: str = "kept", trials: int = 3, fixed: dict[str, object] | None = None, suggested: int = 2
) -> Path:
    """Store a sweep of three trials: completed, interrupted, not started. Returns its folder."""
    small = {"n_envs": 2, "n_steps": 32, "batch_size": 32, **(fixed or {})}
    sweep = Sweep(
        env="CartPole-v1",
        space=SPACE,
        trials=trials,
        seeds=2,
        budget_env_steps=BUDGET,
        name=name,
        storage=storage,
        fixed=small,
    )
    folder = sweep.folder
    folder.path.mkdir(parents=True)
    save_config(folder, sweep.config.model_copy(update={"created_at_s": 1.7e9}))
    searcher = StudySearcher(
        sweep.space, build_sampler("tpe", SamplerContext(0, trials)), f"{name}-study", BUDGET, folder.suggestions_file
    )
    values = [searcher.suggest(f"id{number}")["hyperparameters"] for number in range(suggested)]
    records = [_record(0, {**small, **values[0]}, "completed"), _record(1, {**small, **values[1]}, None)]
    snapshot.commit(folder, Snapshot(_tune_files(searcher, folder.path / ".searcher"), records))
    _write_outbox(folder, records)
    return folder.path


def _record(number: int, config: dict[str, object], outcome: str | None) -> TrialRecord:
    return TrialRecord(
        trial_id=f"id{number}",
        trial_number=number,
        status="ended" if outcome else "running",
        outcome=outcome,
        reason=None,
        objective=20.0 + number,
        env_steps=BUDGET if outcome else BUDGET // 2,
        wall_s=0.5,
        config=config,
        checkpoint=f"trial_{number:05d}_id{number}/checkpoint_000000",
    )


def _tune_files(searcher: StudySearcher, scratch: Path) -> dict[str, bytes]:
    """The four files that Tune stages; only the searcher's content is read."""
    searcher.save(str(scratch))
    files = dict.fromkeys(STATE_PATTERNS, b"{}") | {SEARCHER_STATE: scratch.read_bytes()}
    scratch.unlink()
    return files


def _write_outbox(folder: SweepFolder, records: Sequence[TrialRecord]) -> None:
    outbox = Outbox(folder.path)
    outbox.append(record(SWEEP_STARTED, sweep_id="1", sweep=folder.name, experiment="CartPole-v1", params={}, tags={}))
    for one in records:
        about = {"trial": one.trial_number, "draw": 0}
        outbox.append(record(TRIAL_STARTED, **about, sweep=folder.name, params={"learning_rate": 0.001}, from_step=-1))
        metrics = {"objective": one.objective, "seed/0/return_mean": 19.0, "seed/1/return_mean": 21.0}
        outbox.append(record(REPORTED, **about, step=one.env_steps, metrics=metrics, tags={}))
        outbox.append(record(CHECKPOINTED, **about, step=one.env_steps, path=f"/stored/{one.checkpoint}"))
        if one.outcome:
            outbox.append(record(TRIAL_ENDED, **about, step=one.env_steps, outcome=one.outcome, reason=None))
    outbox.close()
    ids = {"0.0": "a" * 32, "1.0": "b" * 32}
    save_position(folder.path, Position("sqlite:////stored/mlflow.db", outbox.size(), 0, "1", "1", "c" * 32, ids))


def store_checkpoint(folder: Path) -> Path:
    """Store the checkpoint of a small trial before its training."""
    trial = small_trial(evaluation={"episodes": 1, "final_episodes": 1})
    checkpoint.write(folder, trial.state_dict())
    trial.close()
    return folder
