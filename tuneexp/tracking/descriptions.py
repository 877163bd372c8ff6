"""Descriptions of runs and experiments, in markdown. MLflow shows three lines before "Show more"."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tuneexp.commands import command
from tuneexp.tracking.naming import brief
from tuneexp.tracking.outcome import COMPLETED, ERROR, INTERRUPTED, PRUNED

LONGEST = 8000  # characters, MLflow's limit
NOTE = "mlflow.note.content"
DIGESTS = "tuneexp.note"  # of descriptions written by tuneexp; any other one is a user's
_RUN_LINK = re.compile(r"\[([^\]]*)\]\(run:([\w.]+)\)")
_MORE = "\n\n..."
_MOST_LINKS = 10


@dataclass(frozen=True)
class About:
    """Facts of a sweep for its descriptions. `repeat`, `resume`, `show`: commands; `how`: searcher and scheduler."""

    algorithm: str
    env: str
    seeds: tuple[int, ...]
    env_steps: int
    trials: int | None
    how: str
    repeat: str
    resume: str
    show: str

    @property
    def what(self) -> str:
        return f"**{_text(self.algorithm)} on {_text(self.env)}**"

    @property
    def budget(self) -> str:
        seeds = f"{len(self.seeds)} seeds" if len(self.seeds) > 1 else f"seed {self.seeds[0]}"
        return f"{seeds}, {self.env_steps:,} environment steps{' each' if len(self.seeds) > 1 else ''}"


def _number_of_trials(about: About) -> str:
    return "trials without limit" if about.trials is None else f"{about.trials} trials"


def sweep_note(about: About, varied: Iterable[str], result: str = "") -> str:
    """Description of a sweep. result: its first line; empty before the end."""
    how = [f"{about.what}: {_number_of_trials(about)}, {about.budget}. {_text(about.how)}."]
    names = ", ".join(code(name) for name in varied)
    space = f"Varied: {names} (`search_space.yaml` under Artifacts)." if names else ""
    commands = f"Repeat it: {code(about.repeat)}; its leaderboard: {code(about.show)}"
    return limited("\n\n".join(part for part in (result, *how, commands, space) if part))


def sweep_result(
    best: Mapping[str, Any] | None,
    outcomes: Mapping[str, int],
    objectives: Sequence[str] = (),
    front: Sequence[str] = (),
) -> str:
    """Result of a sweep in one line.

    best: `trial`, `draw` and `metrics` of the best trial's last report. front: keys of the runs of the Pareto front of
    several `objectives`."""
    counts = ", ".join(f"{count} {outcome.replace('_', ' ')}" for outcome, count in sorted(outcomes.items()))
    if front:
        links = ", ".join(f"[trial {key.partition('.')[0]}](run:{key})" for key in front[:_MOST_LINKS])
        more = f" and {len(front) - _MOST_LINKS} more" if len(front) > _MOST_LINKS else ""
        return f"**Pareto front of {', '.join(map(code, objectives))}: {links}{more}.** {counts}"
    if best is None:
        return f"**No trial has a result.** {counts}"
    link = f"[trial {best['trial']}](run:{best['trial']}.{best['draw']})"
    if len(objectives) == 1:
        value = best["metrics"].get(objectives[0], float("nan"))
        return f"**Best {code(objectives[0])} {value:.6g}: {link}.** {counts}"
    return f"**Best objective {_scored(best['metrics'])}: {link}.** {counts}"


def interrupted_note(about: About, varied: Iterable[str]) -> str:
    return sweep_note(about, varied, f"**Interrupted.** Continue it with {code(about.resume)}")


def trial_note(
    about: About,
    number: int,
    values: Mapping[str, Any],
    outcome: str = "",
    reason: str | None = None,
    metrics: Mapping[str, float] | None = None,
    checkpoint: str = "",
) -> str:
    """Description of a trial. metrics: of its last report; checkpoint: address of the latest one."""
    settings = ", ".join(f"{code(f'{name}={brief(value)}')}" for name, value in values.items())
    what = f"Trial {number} of [this sweep](run:parent): {about.what}, {about.budget}. {settings}"
    last = _trial_result(about, outcome, reason, metrics or {}) if outcome else ""
    location = f"Latest checkpoint: {code(checkpoint)}" if outcome and checkpoint else ""
    use = f"Evaluate it: {code(f'tuneexp evaluate {checkpoint}')}" if location and outcome == COMPLETED else ""
    return limited("\n\n".join(part for part in (last, what, use or location) if part))


def checkpoint_note(sweep: str, trial: int, step: int, address: str) -> str:
    """Description of a logged model: a checkpoint, with the commands that use it. address: of the model."""
    go_on = code(command("train", "--resume", address, "--env-steps", 2 * max(step, 1)))
    return (
        f"Checkpoint of trial {trial} of sweep {_text(sweep)} after {step:,} environment steps per seed.\n\n"
        f"Train it further: {go_on}; evaluate it: {code(command('evaluate', address))}; "
        f"export its policy: {code(command('export', address))}. "
        "The commands need `MLFLOW_TRACKING_URI`, or `--storage` with the folder of the store."
    )


def _trial_result(about: About, outcome: str, reason: str | None, metrics: Mapping[str, float]) -> str:
    scored = f"Objective {_scored(metrics)}" if "objective" in metrics else ""
    steps = f"{metrics.get('env_steps', 0):,.0f}"
    if outcome == COMPLETED:
        return f"**{scored}** after {steps} environment steps per seed in {metrics.get('wall_s', 0):,.0f} s."
    if outcome in (PRUNED, INTERRUPTED):
        word = "Pruned by the scheduler" if outcome == PRUNED else "Interrupted"
        return f"**{word}** after {steps} of {about.env_steps:,} environment steps. {scored}".strip()
    word = "Failed" if outcome == ERROR else outcome.replace("_", " ").capitalize()
    line = f"**{word}** after {steps} environment steps: {code(reason or 'no reason is known')}."
    return f"{line} {scored} before that." if scored else line


def experiment_note(env: str, rows: Iterable[Mapping[str, Any]]) -> str:
    """Description of an experiment. rows: its ended sweeps, newest first, with `key` (of the run), `name`, `algorithm`,
    `best` and `trials`."""
    head = (
        f"Sweeps on **{_text(env)}**, one run each, with their trials nested below: a trial is one configuration, "
        "trained on several seeds.\n\n`objective` is what trials are judged by, higher is better; `objective_low` and "
        "`objective_high` are its 95 % bootstrap interval over seeds (of two seeds, their range). The step of every "
        "metric is environment steps per seed."
    )
    lines = [
        f"| [{_text(row['name'])}](run:{row['key']}) | {_text(row['algorithm'])} | {row['best']} | {row['trials']} |"
        for row in rows
    ]
    table = ["\n\n| sweep | algorithm | best objective | trials |", "|---|---|---|---|", *lines] if lines else []
    return limited(head + "\n".join(table))


def linked(text: str, run_ids: Mapping[str, str], experiment_id: str) -> str:
    """`text` with its links to runs as addresses of MLflow's pages. A link to a missing run becomes plain text."""

    def address(match: re.Match[str]) -> str:
        run_id = run_ids.get(match[2])
        return f"[{match[1]}](#/experiments/{experiment_id}/runs/{run_id})" if run_id else match[1]

    return limited(_RUN_LINK.sub(address, text))


def note_tags(tags: Mapping[str, str], text: str) -> dict[str, str]:
    """Tags that set the description `text`. Empty if a user wrote, changed or removed the current one."""
    shown, known = tags.get(NOTE), tags.get(DIGESTS)
    ours = known is None if shown is None else _digest(shown) in (known or "").split()
    if not ours or shown == text:
        return {}
    # The digest of the one before, too: tags of an experiment are set one after another, and a kill may come between.
    digests = [_digest(text), *([] if shown is None else [_digest(shown)])]
    return {DIGESTS: " ".join(digests), NOTE: text}


def limited(text: str) -> str:
    return text if len(text) <= LONGEST else text[: LONGEST - len(_MORE)].rpartition("\n")[0] + _MORE


def code(text: str) -> str:
    """`text` as code in one line of markdown."""
    return "`" + " ".join(text.replace("`", "'").split()) + "`"


def _scored(metrics: Mapping[str, float]) -> str:
    low, high = metrics.get("objective_low"), metrics.get("objective_high")
    interval = "" if low is None or high is None else f" ({low:.1f} to {high:.1f} over seeds)"
    return f"{metrics.get('objective', float('nan')):.1f}{interval}"


def _text(text: str) -> str:
    """`text` with the special characters of markdown and HTML escaped."""
    return re.sub(r"([\\`*_\[\]<>|#])", r"\\\1", " ".join(str(text).split()))


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]
