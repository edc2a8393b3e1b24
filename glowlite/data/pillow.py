"""One picture, from a file or from bytes, by Pillow, which is imported when one is read."""

from __future__ import annotations

import warnings
from functools import cache
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from glowlite.errors import DataError

SKIP = "mend or remove it, or pass over such images with --skip-corrupt"


def read_picture(file: Path | BinaryIO, name: str | None = None) -> np.ndarray:
    """uint8 (h, w, 1) for a grey picture, (h, w, 3) for any other, turned as EXIF says; transparency is dropped.

    Raises DataError for what is no picture, is damaged, or has more pixels than Pillow holds safe; and for more than 8
    bits a channel, which Pillow would clip: 16-bit greys to white, and floats to black.
    """
    from PIL import ImageOps

    Image = pil_image()
    name = str(file) if name is None else name
    try:
        with Image.open(file) as image:
            if image.mode.startswith(("I", "F")):
                raise DataError(f"{name}: expected 8 bits a channel, got Pillow's mode {image.mode}; convert it to 8 bits")
            most = Image.MAX_IMAGE_PIXELS
            if most is not None and image.width * image.height > most:
                raise DataError(f"{name}: {image.width}x{image.height} pixels, more than {most}; make it smaller")
            grey = is_grey(image.mode)
            pixels = np.asarray(ImageOps.exif_transpose(image).convert("L" if grey else "RGB"))
    except DataError:
        raise  # it is a ValueError, too
    except Exception as error:  # Pillow's decoders answer damage with whatever came up: struct.error, KeyError, ...
        raise unreadable(name, error) from None
    return pixels[..., None] if grey else pixels


def read_header(file: Path) -> tuple[str, int, int]:
    """Pillow's mode, height and width, from the first bytes of a file. Raises DataError for what is no picture."""
    try:
        with pil_image().open(file) as image:
            return image.mode, image.height, image.width
    except Exception as error:  # as above
        raise unreadable(str(file), error) from None


def is_grey(mode: str) -> bool:
    return mode in ("1", "L", "LA")


@cache
def pil_image() -> Any:
    """PIL.Image, without its warning of many pixels: `read_picture` refuses them in one line."""
    from PIL import Image

    warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)
    return Image


def unreadable(name: str, error: Exception, advice: str = SKIP) -> DataError:
    """What to say of a picture that Pillow could not read."""
    from PIL import UnidentifiedImageError

    reason = " ".join(str(error).split()) or type(error).__name__
    if isinstance(error, UnidentifiedImageError):
        reason = "it is no image"
    return DataError(f"{name}: cannot be read: {reason}; {advice}")
