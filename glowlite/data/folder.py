"""A folder of images, searched recursively, in the order of their names; or one with a folder train* and one valid*."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from glowlite.data.dataset import Reading
from glowlite.data.images import Pictures
from glowlite.data.pillow import is_grey, read_header, read_picture
from glowlite.errors import DataError

EXTENSIONS = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".ppm", ".pgm")


class FilePictures(Pictures):
    """Pictures in files. `channels`: 1 or 3; by default 1 if the headers say that every one of them is grey."""

    def __init__(self, files: Sequence[Path], channels: int | None = None) -> None:
        self.files = files
        self.channels = channels or (1 if all(_may_be_grey(file) for file in files) else 3)

    def __len__(self) -> int:
        return len(self.files)

    def picture(self, row: int) -> np.ndarray:
        return read_picture(self.files[row])

    def name(self, row: int) -> str:
        return str(self.files[row])


def _may_be_grey(file: Path) -> bool:
    """Whether this picture would go with grey ones: one that cannot be read, of which more is said later, does."""
    try:
        return is_grey(read_header(file)[0])
    except DataError:
        return True


def recognises(path: Path) -> bool:
    return path.is_dir()


def read_folder(path: Path) -> Reading:
    """All images below `path`; other files are passed over. Two folders train* and valid*, val* or test* are the split.

    Raises DataError for a folder that is empty or cannot be read.
    """
    if not path.is_dir():
        raise DataError(f"{path}: no such folder; check the path given as data")
    below = sorted(p for p in path.iterdir() if p.is_dir())
    train = [p for p in below if p.name.lower().startswith("train")]
    held_out = [p for p in below if p.name.lower().startswith(("val", "test"))]
    if len(train) == len(held_out) == 1 and len(below) == 2:
        parts = images_below(train[0]), images_below(held_out[0])
        channels = max(FilePictures(files).channels for files in parts)
        return Reading(FilePictures(parts[0], channels), FilePictures(parts[1], channels))
    return Reading(FilePictures(images_below(path)))


def images_below(path: Path) -> list[Path]:
    """Every image file below `path`, sorted. Raises DataError if there is none."""
    files = sorted(file for file in _files(path) if file.suffix.lower() in EXTENSIONS)
    if not files:
        raise DataError(f"{path}: no images in this folder; looked for {' '.join(EXTENSIONS)}, in folders below it, too")
    return files


def _files(path: Path) -> list[Path]:
    """Every file below `path`. Path.rglob passes over a folder it may not read, and so would lose its images unsaid."""

    def refuse(error: OSError) -> None:
        raise DataError(f"{error.filename}: cannot be read: {error.strerror}; check its permissions")

    return [Path(folder, name) for folder, _, names in os.walk(path, onerror=refuse) for name in names]
