"""Video of the best trial of a sweep (`videos=best`)."""

from __future__ import annotations

import logging
from importlib.util import find_spec
from typing import Any

from tuneexp.errors import sentence_of
from tuneexp.sweep.results import TrialResult
from tuneexp.sweep.storage.folder import SweepFolder
from tuneexp.sweep.sweep_config import SweepConfig
from tuneexp.sweep.watching.video_file import GIF, MP4
from tuneexp.sweep.watching.watch import drawing_env, watch_players

logger = logging.getLogger(__name__)

BEST = "best"


def check_videos(config: SweepConfig) -> None:
    """UserError if the environment of a sweep with `videos=best` draws no pictures."""
    if config.videos != BEST:
        return
    from tuneexp.algorithms.registry import load_spec
    from tuneexp.trial.loaded_policies import env_maker

    with drawing_env(str(config.trial.env), env_maker(config.trial, load_spec(config.trial.algorithm))):
        pass


def best_video(config: SweepConfig, folder: SweepFolder, best: TrialResult | None) -> dict[str, str]:
    """Write a video of the best trial into the sweep's folder: the first episode of its evaluation.

    It is `best.mp4`, or `best.gif` without the extra tuneexp[video]. A failure is a warning.

    Args:
        config: The sweep.
        folder: Its folder.
        best: Its best trial.

    Returns:
        Path among the artifacts of the sweep's run -> path in the folder; empty without a video.
    """
    if config.videos != BEST:
        return {}
    if best is None or not best.checkpoint:
        logger.warning("there is no best trial to make a video of; tuneexp watch makes one of any trial")
        return {}
    from tuneexp.trial.players import players_of

    name = BEST + (GIF if find_spec("av") is None else MP4)
    try:
        players: Any = players_of(best.checkpoint, moved=config.trial.moved)
        watch_players(players, folder.path / name, 1, config.trial.evaluation.seed)
    except Exception as error:  # the sweep is worth more than its video
        logger.warning("there is no video of the best trial: %s", sentence_of(error).splitlines()[0])
        return {}
    return {f"videos/{name}": name}
