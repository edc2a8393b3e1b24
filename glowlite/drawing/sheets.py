"""Images on sheets, pixel by pixel: grids, strips and animations as PNG and GIF. An image that is
not finite is shown as a cross.

Pillow is imported when a sheet is written.
"""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np

from glowlite.drawing.plots import shortened
from glowlite.files.outputs import GIF, PNG, output
from glowlite.latent.walks import finite
from glowlite.objective import to_pixels
from glowlite.terminal import warn

MAGENTA = (255, 0, 255)  # colour of the cross, on black, unlike any image
SIDE = 1024  # largest length of the longer side of an enlarged sheet, in pixels
LARGEST_SCALE = 8
NAMED = 10  # how many non-finite images one line names


def to_rgb(images: np.ndarray, n_bits: int) -> np.ndarray:
    """Convert floating-point images on the host (N, H, W, C) to uint8 (N, H, W, 3): three channels
    as colours, otherwise the first channel in grey.

    An image that is not finite becomes a magenta cross.
    """
    whole = finite(images)
    shown = np.repeat(_cross(*images.shape[1:3])[None], len(images), axis=0)
    pixels = to_pixels(images[whole], n_bits)
    shown[whole] = pixels if pixels.shape[3] == 3 else pixels[..., :1]
    return shown


def _cross(height: int, width: int) -> np.ndarray:
    """Return uint8 (height, width, 3): both diagonals, in magenta on black."""
    y, x = (np.arange(height) + 0.5) / height, (np.arange(width) + 0.5) / width
    away = np.minimum(abs(y[:, None] - x), abs(y[:, None] + x - 1))
    return np.where((away < 0.75 / min(height, width))[..., None], np.array(MAGENTA), 0).astype(
        np.uint8
    )


def nonfinite_message(images: np.ndarray, what: str, advice: str) -> str | None:
    """Return one line with the number and the indices, from 0, of the images that are not finite.

    Return None if all are finite.
    """
    numbers = np.flatnonzero(~finite(images))
    if not len(numbers):
        return None
    named = ", ".join(map(str, numbers[:NAMED])) + (", ..." if len(numbers) > NAMED else "")
    one = len(numbers) == 1
    return (
        f"{len(numbers)} of {len(images)} {what} {'is' if one else 'are'} not finite:"
        f" number{'' if one else 's'} {named}, counted from 0; {advice}"
    )


def warn_nonfinite(images: np.ndarray, what: str, advice: str) -> None:
    """Report on stderr which images are not finite, if any, with `nonfinite_message`."""
    line = nonfinite_message(images, what, advice)
    if line is not None:
        warn(line)


def columns_of(count: int, height: int, width: int) -> int:
    """Return the number of columns that makes a sheet of `count` images nearest to a square."""
    return min(count, max(1, math.ceil(math.sqrt(count * height / width))))


def tile(images: np.ndarray, columns: int, gap: int = 1) -> np.ndarray:
    """Arrange uint8 images (N, H, W, C) as one image (rows (H + gap) + gap, columns (W + gap) +
    gap, 3), with white gaps.

    Three channels are colours; otherwise the first channel is shown in grey.
    """
    n, h, w, c = images.shape
    rows = -(-n // columns)
    sheet = np.full((rows * (h + gap) + gap, columns * (w + gap) + gap, 3), 255, np.uint8)
    for i, image in enumerate(images):
        y, x = (i // columns) * (h + gap) + gap, (i % columns) * (w + gap) + gap
        sheet[y : y + h, x : x + w] = image if c == 3 else image[..., :1]
    return sheet


def enlarged(sheet: np.ndarray) -> np.ndarray:
    """Enlarge a sheet (..., h, w, 3) by the largest whole factor that fits into SIDE, so that small
    images can be seen.
    """
    scale = max(1, min(LARGEST_SCALE, SIDE // max(sheet.shape[-3:-1])))
    return sheet.repeat(scale, axis=-3).repeat(scale, axis=-2)


def titled(rows: dict[str, np.ndarray], size: int = 14) -> np.ndarray:
    """Stack sheets of the same width, (h, w, 3), each with its title to the left, in letters of
    `size` pixels.
    """
    from PIL import Image, ImageDraw, ImageFont

    font = ImageFont.load_default(size)
    titles = [shortened(title) for title in rows]
    margin = 2 * size + int(max(font.getlength(title) for title in titles))
    height = sum(len(sheet) for sheet in rows.values())
    page = Image.new("RGB", (margin + next(iter(rows.values())).shape[1], height), "white")
    draw, top = ImageDraw.Draw(page), 0
    for title, sheet in zip(titles, rows.values(), strict=True):
        page.paste(Image.fromarray(sheet), (margin, top))
        draw.text((size, top + len(sheet) / 2), title, "black", font, anchor="lm")
        top += len(sheet)
    return np.asarray(page)


def save_png(path: Path, sheet: np.ndarray, option: str = "--out") -> None:
    """Write uint8 (h, w, 3) as a PNG, atomically.

    Raises OutputError that names the `option` that gave the path.
    """
    from PIL import Image

    with output(option, path, PNG) as file:
        Image.fromarray(sheet).save(file, format="png", optimize=True)


def save_gif(path: Path, frames: np.ndarray, seconds: float, option: str = "--out") -> None:
    """Write uint8 (frames, h, w, 3) as an endless GIF with one frame every `seconds`.

    Raises OutputError like `save_png`.
    """
    from PIL import Image

    first, *rest = [Image.fromarray(frame).quantize(dither=Image.Dither.NONE) for frame in frames]
    with output(option, path, GIF) as file:
        first.save(
            file,
            format="gif",
            save_all=True,
            append_images=rest,
            duration=round(1000 * seconds),
            loop=0,
            disposal=2,
        )
