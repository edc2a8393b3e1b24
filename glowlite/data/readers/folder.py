"""A folder of images, searched recursively and sorted by name, or a folder with subfolders train*
and valid*.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from glowlite.data.dataset import Reading
from glowlite.data.images import Pictures
from glowlite.data.readers.pictures import is_grey, read_mode, read_picture
from glowlite.data.split import split
from glowlite.data.walk import Walk
from glowlite.errors import DataError, GlowliteError
from glowlite.files.inputs import open_regular


class FilePictures(Pictures):
    """Pictures in files.

    `channels`: 1 or 3; by default 1 if all headers say that the picture is grey.
    """

    def __init__(self, files: Sequence[Path], channels: int | None = None) -> None:
        self.files = files
        self.channels = channels or (1 if all(_may_be_grey(file) for file in files) else 3)

    def __len__(self) -> int:
        return len(self.files)

    def picture(self, row: int, keep_alpha: bool = False) -> tuple[np.ndarray, list[str]]:
        return read_picture(self.files[row], keep_alpha=keep_alpha)

    def name(self, row: int) -> str:
        return str(self.files[row])

    def content(self, rows: np.ndarray) -> bytes:
        return b"".join(_bytes_of(self.files[row]) for row in rows)

    def file_sizes(self) -> list[int]:
        return [_size_of(file) for file in self.files]


def _bytes_of(file: Path) -> bytes:
    """Return Pillow's mode of a picture, or None if it cannot be read."""
    try:
        with open_regular(file) as opened:
            return opened.read()
    except (OSError, GlowliteError):
        return b""


def _size_of(file: Path) -> int:
    try:
        return file.stat().st_size
    except OSError:
        return 0


def _may_be_grey(file: Path) -> bool:
    """Whether this picture may be grey. A picture that cannot be read counts as grey; it is
    reported later.
    """
    try:
        return is_grey(read_mode(file))
    except DataError:
        return True


def recognises(path: Path) -> bool:
    return path.is_dir()


def read_folder(path: Path) -> Reading:
    """Read all pictures below `path`, split as `split` says; other files are skipped and counted.

    Raises DataError if the folder has no pictures, cannot be read, or has subfolders that could
    mean several splits.
    """
    if not path.is_dir():
        raise DataError(f"{path}: no such folder; check the path given as data")
    walk = Walk(path)
    if not walk.pictures:
        passed = f"; {walk.note()}" if walk.note() else ""
        raise DataError(
            f"{path}: no images in this folder or below it: no .png, .jpg or the like{passed}"
        )
    parts = split(path, walk.pictures)
    train, held_out = (
        FilePictures(parts.train),
        None if parts.held_out is None else FilePictures(parts.held_out),
    )
    if held_out is not None:
        train.channels = held_out.channels = max(train.channels, held_out.channels)
    notes = [f"split: {parts.note}"] if parts.note else []
    notes += [walk.note()] if walk.note() else []
    return Reading(train, held_out, notes=tuple(notes))
