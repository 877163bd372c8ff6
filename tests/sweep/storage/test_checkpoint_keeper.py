"""Files of checkpoints follow the ledger, in a folder and under a URI."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tuneexp.files import checkpoint
from tuneexp.sweep.engine import remove_beyond_snapshot
from tuneexp.sweep.search.objectives import Objectives
from tuneexp.sweep.storage import checkpoint_keeper, snapshot
from tuneexp.sweep.storage import checkpoint_storage as places
from tuneexp.sweep.storage.checkpoint_keeper import CheckpointKeeper, Retention
from tuneexp.sweep.storage.checkpoint_storage import CheckpointStorage
from tuneexp.sweep.storage.folder import SweepFolder, sweep_folder
from tuneexp.sweep.storage.records import TrialRecord
from tuneexp.sweep.storage.snapshot import Snapshot
from tuneexp.tracking.outbox import Outbox, Position, save_position
from tuneexp.tracking.outbox_records import CHECKPOINTS_KEPT, record


class Run:
    """One run of a sweep: trials save checkpoints, and end. The outbox gets the records of their models."""

    def __init__(self, folder: SweepFolder, store: CheckpointStorage, rule: Retention) -> None:
        self.folder, self.store, self.records = folder, store, dict[int, TrialRecord]()
        self.keeper = CheckpointKeeper(folder, store, rule, Objectives(), self)

    def keep(self, number: int, checkpoints: Any) -> None:
        outbox = Outbox(self.folder.path)
        outbox.append(record(CHECKPOINTS_KEPT, trial=number, draw=0, sweep="s", params={}, checkpoints=checkpoints))
        outbox.close()

    def report(self, number: int, *objectives: float) -> None:
        for objective in objectives:
            before = self.records.get(number)
            steps = before.env_steps + 100 if before else 100
            name = f"trial_{number:05d}_t{number}/checkpoint_{steps // 100:06d}"
            checkpoint.write(self.folder.storage / "far" / "s" / name, {"steps": steps, "text": "x" * 1000})
            result = {"objective": objective, "env_steps": steps}
            metadata, place = SimpleNamespace(last_result=result), SimpleNamespace(path=f"/any/{name}")
            trial: Any = SimpleNamespace(trial_id=f"t{number}", checkpoint=place, run_metadata=metadata)
            self.keeper.saved(trial)
            self.enter(number, "running", None, objective, steps, name)
        self.commit()

    def end(self, number: int) -> None:
        one = self.records[number]
        self.enter(number, "ended", "completed", one.objective, one.env_steps, one.checkpoint)
        self.commit()

    def enter(self, number: int, status: str, outcome: str | None, *rest: Any) -> None:
        objective, steps, name = rest
        values = {"objective": objective}
        self.records[number] = TrialRecord(
            f"t{number}", number, status, outcome, None, objective, steps, 0.0, {}, name, values
        )

    def commit(self) -> None:
        state = dict.fromkeys(snapshot.STATE_PATTERNS, b"")
        now = Snapshot(state, self.keeper.entered(list(self.records.values())))
        snapshot.commit(self.folder, now)
        self.keeper.committed(now)
        if places._WORKER is not None:
            places._WORKER.submit(int).result()  # after what an object store does in a thread

    def delivered(self) -> None:
        save_position(self.folder.path, Position(offset=Outbox(self.folder.path).size()))

    @property
    def files(self) -> list[str]:
        return [
            f"{int(name[6:11])}/{int(name[-6:])}"
            for trial in self.store.names("trial_*")
            for name in self.store.names("checkpoint_*", trial)
        ]


@pytest.fixture(params=["folder", "uri"])
def parts(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[SweepFolder, CheckpointStorage]:
    folder, far = sweep_folder("s", tmp_path), tmp_path / "far"
    folder.path.mkdir()
    (far / "s").mkdir(parents=True)
    return folder, CheckpointStorage(str(far) if request.param == "folder" else far.as_uri(), "s")


def test_files_of_the_best_and_the_last_checkpoints_stay(parts: tuple[SweepFolder, CheckpointStorage]) -> None:
    run = Run(*parts, Retention(keep=2))
    run.report(0, 5.0, 9.0, 3.0, 8.0, 1.0)
    assert run.files == ["0/2", "0/4", "0/5"]
    run.report(0, 9.5)
    assert run.files == ["0/2", "0/6"]
    after = Run(*parts, Retention(keep=2))  # of a resume
    after.records = run.records
    after.keeper.restore()
    after.report(0, 4.0)
    assert after.files == ["0/2", "0/6", "0/7"]
    (stored,) = snapshot.read_records(parts[0])
    assert [(one.env_steps, one.score) for one in stored.checkpoints] == [(200, [9.0]), (600, [9.5]), (700, [4.0])]


def test_a_quota_deletes_ended_trials_checkpoints_after_their_delivery_and_says_what_it_cannot_do(
    parts: tuple[SweepFolder, CheckpointStorage], caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checkpoint_keeper, "DELIVERY_WAIT_S", 0.0)
    run = Run(*parts, Retention(1, 3000))  # two checkpoints of 1.1 kB
    run.report(0, 1.0, 0.5)
    run.end(0)
    run.report(1, 5.0)
    run.end(1)
    run.commit()
    assert run.files == ["0/1", "0/2", "1/1"]  # MLflow is still to get trial 0
    assert caplog.text == ""  # and may be a second late
    remove_beyond_snapshot(*parts)  # by a resume
    assert run.files == ["0/1", "0/2", "1/1"]
    run.delivered()
    run.commit()
    assert run.files == ["0/1", "1/1"]
    run.report(2, 0.1)
    run.report(3, 0.1)  # two trials run: no room for trial 0
    run.delivered()
    run.commit()
    assert run.files == ["1/1", "2/1", "3/1"]
    assert "2 to go on" in caplog.text
    assert "more than --checkpoint-quota 3.0 kB" in caplog.text
    left = [(one.checkpoint is None, len(one.checkpoints)) for one in snapshot.read_records(parts[0])]
    assert left == [(True, 0), (False, 1), (False, 1), (False, 1)]
    told = [one["checkpoints"] for one in Outbox(parts[0].path).read()[0] if one["trial"] == 0]
    assert [[one["step"] for one in kept] for kept in told] == [[100, 200], [100], []]  # models go with the files
