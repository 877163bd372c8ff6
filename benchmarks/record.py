"""`python -m benchmarks.record [TASK ...]`: record learning curves of 128 configurations with 10 seeds each.

Each task has one Parquet file in benchmarks/results/recorded, written after each configuration. After a kill the same
command continues. `--probe 3` trains three configurations of each task and prints their cost."""

from __future__ import annotations

import argparse
import functools
import multiprocessing
import os
import threading
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path

from benchmarks.clock import one_thread

one_thread()

from benchmarks.recording.design import design
from benchmarks.recording.storage import Recording
from benchmarks.recording.tasks import CONFIGURATIONS, TASKS, RecordedTask
from benchmarks.recording.training import Curves, train
from benchmarks.running import RESULTS

RECORDED = RESULTS / "recorded"

say = functools.partial(print, flush=True)


def record(
    tasks: Iterable[RecordedTask], pool: ProcessPoolExecutor, configurations: int = CONFIGURATIONS,
    folder: Path = RECORDED, say: Callable[[str], None] = say, compilation: str = "auto",
) -> None:  # fmt: skip
    """Record the missing configurations of the tasks, one task after the other.

    Args:
        tasks: what to record.
        pool: its processes train.
        configurations: per task.
        folder: of the Parquet files.
        say: prints a line.
        compilation: as of `train`.
    """
    for task in tasks:
        recording = Recording(folder, task)
        points = [point for point in design(task, configurations) if not recording.has(point)]
        say(f"{task.name}: {len(recording)} of {configurations} configurations are recorded")
        waiting = {pool.submit(train, task, point, compilation): point for point in points}
        try:
            for done in as_completed(waiting):
                curves = done.result()
                recording.add(waiting[done], curves)
                say(f"{task.name} {len(recording)}/{configurations}: {_summary(curves)}")
        finally:
            for other in waiting:
                other.cancel()


def probe(tasks: Iterable[RecordedTask], configurations: int, say: Callable[[str], None] = say) -> None:
    """Train some configurations of each task in this process and print their cost."""
    for task in tasks:
        spent = []
        for point in design(task, CONFIGURATIONS)[:configurations]:
            curves = train(task, point)
            spent.append(curves.cpu_s)
            say(f"{task.name} {point}: {_summary(curves)}")
        hours = sum(spent) / len(spent) * CONFIGURATIONS / 3600
        say(f"{task.name}: {sum(spent) / len(spent):.1f} CPU s a configuration, {hours:.2f} CPU h in all")


def _summary(curves: Curves) -> str:
    last = ", ".join(f"{value:.0f}" for value in sorted(curves.returns[:, -1]))
    return f"{last} in {curves.cpu_s:.1f} CPU s"


def training_processes(jobs: int) -> ProcessPoolExecutor:
    """Return a pool of processes that end with this one, also after SIGKILL."""
    return ProcessPoolExecutor(
        jobs, mp_context=multiprocessing.get_context("spawn"), initializer=_end_with, initargs=(os.getpid(),)
    )


def _end_with(parent: int) -> None:
    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(1.0)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.record", description=__doc__)
    parser.add_argument("tasks", nargs="*", metavar="TASK", help=f"{', '.join(TASKS)}; by default all")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="configurations in parallel")
    parser.add_argument("--configurations", type=int, default=CONFIGURATIONS, help="per task, at most 128")
    parser.add_argument("--probe", type=int, metavar="N", help="train N configurations a task; store nothing")
    asked = parser.parse_args()
    if unknown := [name for name in asked.tasks if name not in TASKS]:
        raise SystemExit(f"no task {', '.join(unknown)}; there are {', '.join(TASKS)}")
    tasks = [TASKS[name] for name in asked.tasks or TASKS]
    if asked.probe:
        probe(tasks, asked.probe)
        return
    with training_processes(asked.jobs) as pool:
        record(tasks, pool, asked.configurations)


if __name__ == "__main__":
    main()
