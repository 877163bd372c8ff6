"""End of a confirmation: `best.yaml`, `checklist.md`, the model of its winner, and its results for MLflow."""

from __future__ import annotations

import json

from tuneexp.files.atomic import write_atomically
from tuneexp.files.retries import of_the_storage, retried
from tuneexp.sweep.confirming.best_file import best_yaml
from tuneexp.sweep.confirming.champion import champion
from tuneexp.sweep.confirming.checklist import checklist
from tuneexp.sweep.confirming.comparison import Confirmed, Winner
from tuneexp.sweep.confirming.confirmation import Confirmation, confirmation_of
from tuneexp.sweep.confirming.folders import BEST_FILE, CHECKLIST_FILE, is_confirmation
from tuneexp.sweep.results import SweepResult, TrialResult, result_of
from tuneexp.sweep.storage.folder import SweepFolder
from tuneexp.sweep.sweep_config import SweepConfig, read_config
from tuneexp.tracking.within import Closing


def close(config: SweepConfig, folder: SweepFolder, result: SweepResult) -> tuple[TrialResult | None, Closing | None]:
    """Write the files of a confirmation whose trainings have ended. Idempotent.

    Returns:
        The trial of the winner, and the results for MLflow. For another sweep its best trial, and None.

    Raises:
        StorageFault: The files can't be written."""
    if not is_confirmation(folder):
        return result.best, None
    found, sweep = confirmation_of(folder, result), folder.outermost
    tuning_config = read_config(sweep)
    texts = {CHECKLIST_FILE: checklist(found, result_of(tuning_config, sweep), tuning_config, config)}
    _write(folder, CHECKLIST_FILE, texts[CHECKLIST_FILE])
    chosen = found.recommended
    trial = None if chosen is None else result.trials[_position(found, chosen.name)]
    if trial is not None:
        texts[BEST_FILE] = best_yaml(found, config, trial.checkpoint)
        _write(sweep, BEST_FILE, texts[BEST_FILE])
    texts["confirmation.json"] = json.dumps(found.as_json(), indent=2)
    registered = None if trial is None else champion(found, config, folder, trial)
    return trial, Closing(_metrics(found), texts, _summary(found), registered)


def _write(folder: SweepFolder, name: str, text: str) -> None:
    path = folder.path / name
    retried(lambda: write_atomically(path, text.encode()), f"{path} can't be written", of_the_storage)


def _position(found: Confirmation, name: str) -> int:
    return [one.name for one in found.configurations].index(name)


def _metrics(found: Confirmation) -> dict[str, float]:
    if found.winner is None:
        return {}
    chosen = found.named(found.winner.name)
    assert chosen is not None
    value, low, high = found.winner.corrected
    return {"confirmed": value, "confirmed_low": low, "confirmed_high": high, **_compared(found.winner, chosen)}


def _compared(winner: Winner, chosen: Confirmed) -> dict[str, float]:
    parts = {
        "over_defaults": winner.over_defaults,
        "beats_defaults": chosen.beats_defaults,
        "overstated": chosen.overstated,
    }
    return {name: one.value for name, one in parts.items() if one is not None}


def _summary(found: Confirmation) -> str:
    chosen, winner, estimate = found.recommended, found.winner, found.recommended_score
    if chosen is None or winner is None or estimate is None:
        return "**No configuration has a result.**"
    score = chosen.counts or "{:.6g} ({:.6g} to {:.6g}) on {}".format(*estimate, len(found.seeds))
    verdict = {
        "better": "better than the defaults",
        "worse": f"better than the best of the sweep, {winner.name}",
        "equal": "equal to the defaults",
        "open": "no difference to the defaults is shown",
    }[winner.verdict]
    return f"**{chosen.name}: {score} unseen seeds, {verdict}.** `best.yaml` and `checklist.md` are under Artifacts."
