"""The two colours of a checkerboard: pixels (i, j) with i + j even, parity 0, and odd, parity 1.

The half with one colour is (N, H, W/2, C): position j' of row i has the pixel 2j' + (i + parity)
mod 2 of that row. So the two pixels at a position are neighbours, and each half preserves the rows
of the image.
"""

from __future__ import annotations

from glowlite.arrays.backend import Array, namespace
from glowlite.arrays.layout import to_images
from glowlite.errors import ShapeError

EVEN, ODD = 0, 1


def take_pixels(image: Array, parity: int) -> Array:
    """Return a copy of the half (N, H, W/2, C) with one colour of an image (N, H, W, C), W even."""
    n, h, w, c = image.shape
    planes = namespace(image).empty((c, n * h * (w // 2)), image.dtype)
    half = to_images(planes, (n, h, w // 2, c))
    for row in (0, 1):
        half[:, row::2] = image[:, row::2, (row + parity) % 2 :: 2]
    return half


def put_pixels(image: Array, half: Array, parity: int) -> None:
    """Write the half (N, H, W/2, C) with one colour into an image (N, H, W, C)."""
    for row in (0, 1):
        image[:, row::2, (row + parity) % 2 :: 2] = half[:, row::2]


def blank_image(half: Array, channels: int) -> Array:
    """Return zeros, (N, H, W, channels), for a half (N, H, W/2, ...)."""
    n, h, w = half.shape[:3]
    planes = namespace(half).zeros((channels, n * h * 2 * w), half.dtype)
    return to_images(planes, (n, h, 2 * w, channels))


def check_checkerboard(where: str, x: Array) -> None:
    """Raise ShapeError unless x is (N, H, W, C), W even, so that a row has equally many of both
    colours.
    """
    if getattr(x, "ndim", None) != 4 or x.shape[2] % 2 or 0 in x.shape:
        raise ShapeError(
            f"{where}: expected an array (N, H, W, C), W even, got {tuple(x.shape)}; crop or pad"
            " the images, or use fewer levels"
        )
