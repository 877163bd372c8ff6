"""`watch_policy`: a stored policy in a window or as a video."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tuneexp.errors import UserError, reason_of
from tuneexp.sweep.stored_addresses import stored_checkpoint
from tuneexp.sweep.watching.video_file import checked_video, write_video
from tuneexp.sweep.watching.window import check_display, show

if TYPE_CHECKING:
    from tuneexp.sweep.watching.drawing import Frame
    from tuneexp.sweep.watching.episodes import Moment
    from tuneexp.trial.players import Players

MODE, DEFAULT_FPS, MAX_STEPS = "rgb_array", 30.0, 10_000


def watch_policy(
    address: str | Path,
    video: str | Path | None = None,
    episodes: int = 1,
    seed: int = 10_000,
    training_seed: int | None = None,
    storage: str | Path = "runs",
    trust: bool = False,
    moved: Mapping[str, str] | None = None,
    on_episode: Callable[[str], None] | None = None,
) -> dict[str, Any]:
    """Show the deterministic policy of a checkpoint in a window, or write a video of it.

    Episode, step and score are drawn on the frames. Several policies play together. An episode is stopped after 10,000
    steps.

    Args:
        address: As of `load_policy`.
        video: File to write, .gif, or .mp4 with the extra tuneexp[video]; None: a window, which needs that extra.
        episodes: Number of episodes, those of `evaluate` with the same seed.
        seed: Seed of the environment.
        training_seed: Training seed, as `seed` of `load_policy`.
        storage: As of `load_policy`.
        trust: As of `load_policy`.
        moved: As of `load_policy`.
        on_episode: Function that is called with one line at the end of each episode.

    Returns:
        `video` (the path, or None), `frames` (number of those that were drawn), `seed` (the training seed) and
        `episodes`, each with `score` (with several agents the mean over them) and `steps`.

    Raises:
        UserError: As `load_policy`, the environment draws no pictures, the video has another suffix, there is no
            display, or a package is missing.
    """
    path = None if video is None else checked_video(video)
    if path is None:
        check_display()
    if episodes < 1:
        raise UserError(f"episodes is at least 1, got {episodes}")
    with stored_checkpoint(address, storage) as found:
        from tuneexp.trial.players import players_of

        players = players_of(found.path, training_seed, trust, moved)
    return watch_players(players, path, episodes, seed, on_episode)


def watch_players(
    players: Players, path: Path | None, episodes: int, seed: int, on_episode: Callable[[str], None] | None = None
) -> dict[str, Any]:
    """Show policies in a window, or write a video. Arguments and result as of `watch_policy`."""
    ended: list[Moment] = []
    with drawing_env(players.env, players.make_env) as env:
        fps = float((env.metadata or {}).get("render_fps") or DEFAULT_FPS)
        frames = _frames(env, players, episodes, seed, ended, on_episode)
        if path is None:
            number = show(frames, fps, f"{players.env}, seed {players.seed}")
        else:
            number = write_video(path, frames, fps)
    return {
        "video": None if path is None else str(path),
        "frames": number,
        "seed": players.seed,
        "episodes": [{"score": moment.score, "steps": moment.step} for moment in ended],
    }


@contextmanager
def drawing_env(name: str, make_env: Callable[..., Any]) -> Iterator[Any]:
    """Context of an environment that draws pictures. UserError if it can't.

    Args:
        name: Of the environment, for messages.
        make_env: Builds it; `render_mode` is added to its arguments.
    """
    try:
        env = make_env(render_mode=MODE)
    except UserError as error:
        raise UserError(
            f"{str(error).splitlines()[0]}\nto be watched, it has to take render_mode='{MODE}' and to draw by render()"
        ) from error
    try:
        modes = list((env.metadata or {}).get("render_modes", ()))
        if MODE not in modes:
            raise UserError(
                f"environment {name} draws no pictures: metadata['render_modes'] has no '{MODE}', but "
                f"{', '.join(map(repr, modes)) or 'nothing'}"
            )
        yield env
    finally:
        env.close()


def _frames(
    env: Any,
    players: Players,
    episodes: int,
    seed: int,
    ended: list[Moment],
    on_episode: Callable[[str], None] | None,
) -> Iterator[Frame]:
    """Yield frames with captions. Episodes that have ended are appended to `ended`."""
    from tuneexp.sweep.watching.drawing import captioned
    from tuneexp.sweep.watching.episodes import played

    for moment in played(env, players, episodes, seed, MAX_STEPS):
        yield captioned(_picture(env, players.env), str(moment))
        if moment.over:
            ended.append(moment)
            if on_episode is not None:
                on_episode(str(moment))


def _picture(env: Any, name: str) -> Any:
    try:
        picture = env.render()
    except Exception as error:
        advice = "\nMuJoCo without a display: set MUJOCO_GL=egl or MUJOCO_GL=osmesa" if "OpenGL" in str(error) else ""
        raise UserError(f"environment {name} can't draw here: {reason_of(error)}{advice}") from error
    shape = getattr(picture, "shape", ())
    if len(shape) not in (2, 3) or min(shape) < 1:
        raise UserError(f"environment {name}: render() returned {type(picture).__name__}, not an array [H, W, 3]")
    return picture
