"""Captions on frames."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

# Smaller frames are enlarged by a whole number, so that the caption can be read. On wide frames it is larger.
_LEAST_WIDTH, _WIDE, _BAR, _FONT = 360, 600, 24, 14

Frame = NDArray[np.uint8]


def captioned(frame: NDArray[Any], text: str) -> Frame:
    """Return a frame with a line of text above it, in even numbers of rows and columns, as video codecs need.

    Args:
        frame: [H, W, 3] or [H, W], 0 to 255.
        text: The line; it is cut at the width of the frame.
    """
    picture = Image.fromarray(np.ascontiguousarray(frame, np.uint8)).convert("RGB")
    scale = max(1, math.ceil(_LEAST_WIDTH / picture.width))
    picture = picture.resize((picture.width * scale, picture.height * scale), Image.Resampling.NEAREST)
    large = max(1, picture.width // _WIDE)
    width, height = picture.width + picture.width % 2, picture.height + _BAR * large + picture.height % 2
    whole = Image.new("RGB", (width, height))
    whole.paste(picture, (0, _BAR * large))
    ImageDraw.Draw(whole).text((6 * large, 4 * large), text, fill="white", font=ImageFont.load_default(_FONT * large))
    return np.asarray(whole)
