"""Videos as files: gif, and with the extra tuneexp[video] mp4."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from tuneexp.errors import StorageFault, UserError, shortened
from tuneexp.extras import require
from tuneexp.files.temporary import temporary_folder

if TYPE_CHECKING:
    from tuneexp.sweep.watching.drawing import Frame

GIF, MP4 = ".gif", ".mp4"
_GIF_FPS = 25  # more would only make the file larger


def checked_video(path: str | Path) -> Path:
    """Return the path of a new video. UserError for another suffix, a missing package or folder."""
    found = Path(path).absolute()
    suffix = found.suffix.lower()
    if suffix not in (GIF, MP4) or found.stem == suffix:
        raise UserError(f"a video is a .gif or .mp4 file, not {shortened(str(path))}; write --video policy.gif")
    if suffix == MP4:
        require("av", needed_by="a video in mp4", extra="video", instead="write a .gif")
    if found.is_dir() or not found.parent.is_dir():
        raise UserError(
            f"{shortened(str(path))} can't be written: there is no folder {found.parent}, or it is a folder"
        )
    return found


def write_video(path: Path, frames: Iterable[Frame], fps: float) -> int:
    """Write frames of one size to a file, which is replaced at the end. Returns their number.

    Raises:
        StorageFault: The file can't be written.
    """
    counted = itertools.count()
    with temporary_folder(path.parent) as work:
        whole = work / f"video{path.suffix.lower()}"
        number = (frame for frame, _ in zip(frames, counted))
        try:
            (_write_mp4 if whole.suffix == MP4 else _write_gif)(whole, number, fps)
            os.replace(whole, path)
        except OSError as error:
            raise StorageFault(f"{path} can't be written: {error.strerror or error}") from error
    return next(counted)


def _write_gif(path: Path, frames: Iterator[Frame], fps: float) -> None:
    from PIL import Image

    every = max(1, round(fps / _GIF_FPS))
    pictures = (
        Image.fromarray(frame).quantize(128, dither=Image.Dither.NONE)
        for index, frame in enumerate(frames)
        if index % every == 0
    )
    first = next(pictures)
    first.save(path, save_all=True, append_images=pictures, duration=max(20, round(1000 * every / fps)), loop=0)


def _write_mp4(path: Path, frames: Iterator[Frame], fps: float) -> None:
    import av

    first = next(frames)
    with av.open(str(path), "w", options={"movflags": "faststart"}) as file:
        stream = file.add_stream("libx264", rate=max(1, round(fps)))
        stream.height, stream.width = first.shape[:2]
        stream.pix_fmt = "yuv420p"
        for frame in itertools.chain([first], frames):
            file.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        file.mux(stream.encode(None))
