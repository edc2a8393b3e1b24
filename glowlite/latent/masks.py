"""Masks by name: which pixels of an image are hidden and are to be filled in, as in NICE's
figure.
"""

from __future__ import annotations

import numpy as np

from glowlite.arrays.arguments import shown
from glowlite.arrays.randomness import uniform
from glowlite.errors import GlowliteError

NAMES = ("top", "bottom", "left", "right", "middle", "even", "odd")
RANDOM = "random:"  # followed by the fraction that is hidden


def hidden_pixels(name: str, height: int, width: int, seed: int = 0) -> np.ndarray:
    """Return bool (H, W), true where a pixel is hidden.

    name: a half, the `middle` half of both sides, the pixels where i + j is `even` or `odd`, as on
    a checkerboard, or `random:0.8`: each pixel with that probability, drawn with the seed. Raises
    GlowliteError for another name, or if nothing or everything is hidden.
    """
    i, j = np.indices((height, width))
    if name.startswith(RANDOM):
        hidden = uniform(seed, "mask", 0, 0, (1, height, width), "float64")[0] < _part(name)
    else:
        masks = {
            "top": i < height // 2,
            "bottom": i >= height - height // 2,
            "left": j < width // 2,
            "right": j >= width - width // 2,
            "middle": (abs(2 * i + 1 - height) < height / 2) & (abs(2 * j + 1 - width) < width / 2),
            "even": (i + j) % 2 == 0,
            "odd": (i + j) % 2 == 1,
        }
        if name not in masks:
            raise GlowliteError(
                f"mask {shown(name)}: the masks are {', '.join(NAMES)}, {RANDOM}0.5 and the like,"
                " and pictures"
            )
        hidden = masks[name]
    check_hidden(f"mask {name}", hidden)
    return hidden


def check_hidden(where: str, hidden: np.ndarray) -> None:
    """Raise GlowliteError unless some pixels are hidden and some are known."""
    if hidden.all() or not hidden.any():
        what = "everything" if hidden.all() else "nothing"
        raise GlowliteError(f"{where}: hides {what} of {hidden.shape[1]}x{hidden.shape[0]} pixels")


def _part(name: str) -> float:
    try:
        part = float(name.removeprefix(RANDOM))
    except ValueError:
        part = np.nan
    if not 0 < part < 1:
        raise GlowliteError(
            f"mask {shown(name)}: expected a fraction between 0 and 1, such as {RANDOM}0.5"
        )
    return part
