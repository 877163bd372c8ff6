"""Progress of a training: a bar with the time left on a terminal, and one line per report; its result at the end."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from types import TracebackType
from typing import Any, Self

from rich.progress import BarColumn, Progress, TextColumn

from tuneexp.cli.terminal import Terminal
from tuneexp.commands import command
from tuneexp.report.formatting import count, duration, score, seeds, short_path
from tuneexp.report.learning_curves import interval
from tuneexp.report.training_result import progress_line
from tuneexp.tracking.event_files import how_to_open


def training_view(
    screen: Terminal, algorithm: str, env: str, seed_list: Sequence[int], budget_env_steps: int, done_env_steps: int = 0
) -> TrainingView:
    screen.note(f"training {algorithm} on {env}, seeds {seeds(seed_list)}, {budget_env_steps:,} env steps per seed")
    return TrainingView(screen, budget_env_steps, done_env_steps)


class TrainingView(AbstractContextManager["TrainingView"]):
    """`report(result)` after every `train()`. The bar shows only on a terminal."""

    def __init__(self, screen: Terminal, budget_env_steps: int, done_env_steps: int) -> None:
        self.screen = screen
        self.budget, self.start = budget_env_steps, done_env_steps
        self.started_at = time.monotonic()
        # The remaining time is computed here from the start of the run; rich's estimate starts at the first report.
        columns = (BarColumn(bar_width=30), TextColumn("{task.percentage:>3.0f}%"), TextColumn("{task.description}"))
        self.bar = Progress(*columns, console=screen.err, transient=True, disable=not screen.err.is_terminal)
        self.task = self.bar.add_task("starting", total=budget_env_steps, completed=done_env_steps)

    def __enter__(self) -> Self:
        self.bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.bar.stop()

    def report(self, result: Mapping[str, Any]) -> None:
        steps = int(result["env_steps"])
        elapsed = time.monotonic() - self.started_at
        left = elapsed * max(0, self.budget - steps) / max(1, steps - self.start)
        self.screen.note(progress_line(result, self.budget))
        self.bar.update(self.task, completed=min(steps, self.budget), description=f"{duration(left)} left")


def closing_words(summary: Mapping[str, Any]) -> str:
    """Return the result of a training, and how to use it."""
    bounds = interval(summary["return_per_seed"])
    spread = f" (95% interval over seeds {score(bounds[0])} to {score(bounds[1])})" if bounds else ""
    per_seed = ", ".join(
        f"{seed}: {score(value)}" for seed, value in zip(summary["seeds"], summary["return_per_seed"], strict=True)
    )
    return "\n".join([
        f"return      {score(summary['return_mean'])}{spread}",
        f"per seed    {per_seed}",
        f"trained     {count(summary['env_steps'])} env steps per seed in {duration(summary['wall_s'])}, "
        f"{summary['env_steps_per_s']:,.0f} env steps/s{'' if summary['compiled'] else ', not compiled'}",
        f"checkpoint  {summary['checkpoint']}",
        f"evaluate    {command('evaluate', short_path(summary['checkpoint']))}",
        *([f"logs        {how_to_open(short_path(summary['tensorboard']))}"] if summary.get("tensorboard") else []),
        *([f"in MLflow   runs:/{summary['mlflow_run_id']}"] if summary.get("mlflow_run_id") else []),
    ])  # fmt: skip
