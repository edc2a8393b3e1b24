"""A folder of images, searched recursively, in the order of their names. Pillow is imported when one is read."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

from glowlite.errors import DataError

EXTENSIONS = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".ppm", ".pgm")


def read_folder(path: Path) -> np.ndarray:
    """All images below `path`, uint8 (N, H, W, C): C = 1 if every one is grey, else 3. Other files are passed over.

    Raises DataError for an empty folder, an image or a folder that cannot be read, and images of different sizes, by name.
    """
    files = sorted(file for file in _files(path) if file.suffix.lower() in EXTENSIONS)
    if not files:
        raise DataError(f"{path}: no images in this folder; looked for {' '.join(EXTENSIONS)}, in folders below it, too")
    pictures = [read_image(file) for file in files]
    for file, picture in zip(files, pictures, strict=True):
        if picture.shape[:2] != pictures[0].shape[:2]:
            (h, w), (first_h, first_w) = picture.shape[:2], pictures[0].shape[:2]
            raise DataError(
                f"{file} is {w}x{h} but {files[0].name} is {first_w}x{first_h}; resize or crop them all to one size"
            )
    channels = max(picture.shape[2] for picture in pictures)
    return np.stack([np.broadcast_to(picture, (*picture.shape[:2], channels)) for picture in pictures])


def _files(path: Path) -> list[Path]:
    """Every file below `path`. Path.rglob passes over a folder it may not read, and so would lose its images unsaid."""

    def refuse(error: OSError) -> None:
        raise DataError(f"{error.filename}: cannot be read: {error.strerror}; check its permissions")

    return [Path(folder, name) for folder, _, names in os.walk(path, onerror=refuse) for name in names]


def read_image(file: Path) -> np.ndarray:
    """uint8 (H, W, 1) for a grey image, (H, W, 3) for any other; transparency is dropped. Raises DataError.

    More than 8 bits a channel are refused: Pillow would clip them, 16-bit greys to white and floats to black.
    """
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(file) as image:
            if image.mode.startswith(("I", "F")):
                raise DataError(f"{file}: expected 8 bits a channel, got Pillow's mode {image.mode}; convert it to 8 bits")
            grey = image.mode in ("1", "L", "LA")
            pixels = np.asarray(image.convert("L" if grey else "RGB"))
    except DataError:
        raise  # it is a ValueError, too
    except (UnidentifiedImageError, Image.DecompressionBombError, OSError, SyntaxError, ValueError, EOFError) as error:
        reason = "it is no image" if isinstance(error, UnidentifiedImageError) else " ".join(str(error).split())
        raise DataError(f"{file}: cannot be read: {reason}; mend or remove it") from None
    return pixels[..., None] if grey else pixels
