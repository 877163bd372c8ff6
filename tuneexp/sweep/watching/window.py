"""A window that shows frames."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING

from tuneexp.errors import UserError
from tuneexp.extras import require

if TYPE_CHECKING:
    from tuneexp.sweep.watching.drawing import Frame

_DISPLAYS = ("DISPLAY", "WAYLAND_DISPLAY", "SDL_VIDEODRIVER")


def check_display() -> None:
    """UserError without a display, or without the package that opens windows."""
    if sys.platform.startswith("linux") and not any(os.environ.get(name) for name in _DISPLAYS):
        raise UserError("there is no display here (DISPLAY is not set); write a video instead: --video policy.gif")
    require("pygame", needed_by="a window", extra="video", instead="write a video: --video policy.gif")


def show(frames: Iterable[Frame], fps: float, title: str) -> int:
    """Show frames in a window, until their end or until it is closed. Returns their number.

    Raises:
        UserError: The window can't be opened.
    """
    os.environ.setdefault("PYGAME_HIDE_SUPPORT_PROMPT", "1")
    import pygame

    shown, screen, clock = 0, None, pygame.time.Clock()
    try:
        for frame in frames:
            size = frame.shape[1], frame.shape[0]
            if screen is None:
                pygame.display.init()
                screen = pygame.display.set_mode(size)
                pygame.display.set_caption(title)
            screen.blit(pygame.surfarray.make_surface(frame.swapaxes(0, 1)), (0, 0))
            pygame.display.flip()
            shown += 1
            clock.tick(fps)
            if any(event.type == pygame.QUIT for event in pygame.event.get()):
                break
    except pygame.error as error:
        raise UserError(f"no window can be opened ({error}); write a video instead: --video policy.gif") from error
    finally:
        pygame.display.quit()
    return shown
