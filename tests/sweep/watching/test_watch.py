"""Policies that are watched: episodes, frames with captions, video files, a window, refusals."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest

from tests.cli.conftest import Done, assert_refused, tuneexp  # noqa: F401
from tests.sweep.test_exporting import stored
from tuneexp import evaluate, extras, watch_policy
from tuneexp.errors import EnvironmentFault, UserError
from tuneexp.sweep import Sweep
from tuneexp.sweep.watching.episodes import played
from tuneexp.sweep.watching.watch import drawing_env
from tuneexp.trial.from_checkpoint import trial_from_checkpoint
from tuneexp.trial.players import Players, players_of

STORED = Path(__file__).parents[2] / "fixtures" / "format_2"
SIZE = (31 * 8 + 24, 47 * 8)  # of Sparks's pictures, enlarged, with the caption
Run = Callable[..., Done]


@pytest.fixture(scope="module")
def masked_gru(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Checkpoint of a recurrent, masked policy of an environment whose episodes have 12 steps."""
    return stored(tmp_path_factory.mktemp("watched") / "checkpoint", "masked gru")


def test_a_gif_shows_the_episodes_of_an_evaluation_with_their_scores(masked_gru: Path, tmp_path: Path) -> None:
    from PIL import Image

    said: list[str] = []
    done = watch_policy(masked_gru, tmp_path / "a.gif", 2, seed=5, trust=True, on_episode=said.append)
    expected = evaluate(masked_gru, episodes=2, seed=5, trust=True)["return_mean"]
    assert np.mean([one["score"] for one in done["episodes"]]) == pytest.approx(expected)
    assert [one["steps"] for one in done["episodes"]] == [12, 12]
    assert (done["video"], done["frames"], done["seed"]) == (str(tmp_path / "a.gif"), 26, 3)
    assert said[1] == f"episode 2   step 12   score {done['episodes'][1]['score']:.6g}"
    video: Any = Image.open(tmp_path / "a.gif")
    assert (video.n_frames, video.size, video.info["duration"]) == (26, SIZE[::-1], 50)
    captions, pictures = set(), []
    for index in range(13):
        video.seek(index)
        frame = np.array(video.convert("RGB"))
        captions.add(frame[:24].tobytes())
        pictures.append(int(frame[100, 100, 0]))
    assert len(captions) == 13
    assert pictures == [20 * left for left in range(12, -1, -1)]


def test_an_mp4_has_a_frame_for_each_step(masked_gru: Path, tmp_path: Path, tuneexp: Run) -> None:  # noqa: F811
    import av

    done = tuneexp("watch", str(masked_gru), "--video", "b.mp4", "--trust", "--json")
    assert json.loads(done.out)["frames"] == 13, done
    with av.open(str(tmp_path / "b.mp4")) as video:
        frames = [frame.to_ndarray(format="rgb24") for frame in video.decode(video=0)]
        assert video.streams.video[0].average_rate == 20
    assert [frame.shape for frame in frames] == [(*SIZE, 3)] * 13
    assert abs(int(frames[3][100, 100, 0]) - 180) < 12


def test_a_window_shows_the_frames(masked_gru: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SDL_VIDEODRIVER", "dummy")
    assert watch_policy(masked_gru, trust=True)["frames"] == 13


def test_several_agents_play_together_as_in_evaluation() -> None:
    pytest.importorskip("pettingzoo")
    players = players_of(STORED / "telling", 1, trust=True)
    env = players.make_env()
    scores = [moment.score for moment in played(env, players, 3, 5, 100) if moment.over]
    trial = trial_from_checkpoint(STORED / "telling", learns=False, trust=True)
    assert scores == pytest.approx(trial.evaluate(3, 5)[1].tolist())
    trial.close()


def test_an_episode_is_stopped_and_a_fault_of_the_environment_is_named() -> None:
    players = Players("Endless", 0, {"": lambda obs: 1 / (5 - obs)}, Endless, (), {})
    *_, last = played(Endless(), players, 1, 0, 4)
    assert (last.step, last.over, str(last)) == (4, True, "episode 1   step 4   score 4")
    with pytest.raises(EnvironmentFault, match="environment Endless, episode 1: step raised ZeroDivisionError"):
        list(played(Endless(), players, 1, 0, 10))


class Endless(gym.Env[Any, Any]):
    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[Any, dict[str, Any]]:
        self.steps = 0
        return 0, {}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        self.steps += 1
        return self.steps, 1.0, False, False, {}


def test_what_can_not_be_shown_is_refused(
    tuneexp: Run,  # noqa: F811
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("DISPLAY", "WAYLAND_DISPLAY", "SDL_VIDEODRIVER"):
        monkeypatch.delenv(name, raising=False)
    assert_refused(tuneexp("watch", "x"), "write a video instead: --video policy.gif")
    assert_refused(tuneexp("watch", "x", "--video", "x.avi"), "a .gif or .mp4 file, not 'x.avi'")
    assert_refused(tuneexp("watch", "x", "--video", "none/x.gif"), "there is no folder")
    assert_refused(tuneexp("watch", "x", "--video", "x.gif"), "no sweep or training in runs")
    assert_refused(tuneexp("watch", "x", "--episodes", "0"), "--episodes is at least 1")
    with (
        pytest.raises(UserError, match="has no 'rgb_array', but nothing"),
        drawing_env("Endless", lambda **_: Endless()),
    ):
        pass
    sweep: dict[str, Any] = {"space": {"gamma": {"uniform": [0.9, 0.99]}}, "name": "s", "storage": tmp_path}
    with pytest.raises(UserError, match="render_mode"):
        Sweep(env=f"{__name__}:Endless", videos="best", **sweep)
    monkeypatch.setattr(extras, "find_spec", lambda name: None)
    assert_refused(tuneexp("watch", "x", "--video", "x.mp4"), "pip install 'tuneexp[video]', or write a .gif")
