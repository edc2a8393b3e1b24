"""A folder of images, searched recursively, in the order of their names. Pillow is imported when one is read."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from glowlite.errors import DataError

EXTENSIONS = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".ppm", ".pgm")


def read_folder(path: Path) -> np.ndarray:
    """All images below `path`, uint8 (N, H, W, C): C = 1 if every one is grey, else 3. Other files are passed over.

    Raises DataError for an empty folder, an image that cannot be read, and images of different sizes, by name.
    """
    files = sorted(file for file in path.rglob("*") if file.suffix.lower() in EXTENSIONS and file.is_file())
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


def read_image(file: Path) -> np.ndarray:
    """uint8 (H, W, 1) for a grey image, (H, W, 3) for any other; transparency is dropped. Raises DataError."""
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(file) as image:
            grey = image.mode in ("1", "L", "LA")
            pixels = np.asarray(image.convert("L" if grey else "RGB"))
    except (UnidentifiedImageError, Image.DecompressionBombError, OSError, SyntaxError, ValueError, EOFError) as error:
        reason = "it is no image" if isinstance(error, UnidentifiedImageError) else " ".join(str(error).split())
        raise DataError(f"{file}: cannot be read: {reason}; mend or remove it") from None
    return pixels[..., None] if grey else pixels
