"""Images by row: in memory, read from a file, or decoded on reading.

`Images` all have one shape and are read many at a time. `Pictures` are files of any size, read one
by one.
"""

from __future__ import annotations

import contextlib
from abc import ABC, abstractmethod
from collections import Counter
from typing import Any

import numpy as np

from glowlite.errors import DataError


class Images(ABC):
    """uint8 images of one `shape`, (H, W, C).

    `images[10:20]` reads some of them, `images[:]` reads all.
    """

    shape: tuple[int, int, int]

    @abstractmethod
    def __len__(self) -> int: ...

    @abstractmethod
    def read(self, rows: np.ndarray, places: np.ndarray | None = None) -> np.ndarray:
        """Return the images of `rows` (n,), uint8 (n, H, W, C), as a new array.

        Raises DataError for a damaged image. `places`, (n, 2) in [0, 1]: positions of random crops,
        from top left to bottom right; by default the centre.
        """

    def content(self, rows: np.ndarray) -> bytes:
        """Yield what identifies each image of `rows`: the bytes of its file, or its pixels."""
        return self.read(rows).tobytes()

    def file_sizes(self) -> list[int]:
        """Return the file size of each image if each image has a file, otherwise an empty list."""
        return []

    def __getitem__(self, rows: slice) -> np.ndarray:
        return self.read(np.arange(len(self))[rows])

    @property
    def skipped(self) -> list[str]:
        """The damaged images that were skipped so far, one line each."""
        return []

    @property
    def done(self) -> Counter[str]:
        """What was done to images so far, such as compositing them on white, and to how many."""
        return Counter()


class ArrayImages(Images):
    """The images of an array (N, H, W, C), or (N, H, W) for grey images, in memory or in a
    FileArray.
    """

    def __init__(self, array: Any) -> None:
        self.array = array
        self.shape = (*array.shape[1:3], array.shape[3] if array.ndim == 4 else 1)

    def __len__(self) -> int:
        return len(self.array)

    def read(self, rows: np.ndarray, places: np.ndarray | None = None) -> np.ndarray:
        return np.asarray(self.array[rows]).reshape(len(rows), *self.shape)


class Rows(Images):
    """Some rows of other images."""

    def __init__(self, images: Images, rows: np.ndarray) -> None:
        self.images, self.rows, self.shape = images, rows, images.shape

    def __len__(self) -> int:
        return len(self.rows)

    def read(self, rows: np.ndarray, places: np.ndarray | None = None) -> np.ndarray:
        return self.images.read(self.rows[rows], places)

    def content(self, rows: np.ndarray) -> bytes:
        return self.images.content(self.rows[rows])

    def file_sizes(self) -> list[int]:
        sizes = self.images.file_sizes()
        return [sizes[row] for row in self.rows] if sizes else []

    @property
    def skipped(self) -> list[str]:
        return self.images.skipped

    @property
    def done(self) -> Counter[str]:
        return self.images.done


class Pictures(ABC):
    """Pictures of any size.

    `channels`: 1 if all pictures are grey, otherwise 3, whatever a single picture has; for an
    array, C.
    """

    channels: int

    @abstractmethod
    def __len__(self) -> int: ...

    @abstractmethod
    def picture(self, row: int, keep_alpha: bool = False) -> tuple[np.ndarray, list[str]]:
        """Return one picture, uint8 (h, w, c) with c = 1 or `channels`, and a list of short texts
        that say what was done to it.

        `keep_alpha`: if the picture has transparency, that is its last channel. Raises DataError
        that names the picture if it is damaged.
        """

    @abstractmethod
    def name(self, row: int) -> str:
        """Return its name in messages: a path or a key."""

    def content(self, rows: np.ndarray) -> bytes:
        """Yield the same as Images.content; a picture that cannot be read has no content."""
        found = []
        for row in rows:
            with contextlib.suppress(DataError):
                found.append(self.picture(int(row))[0].tobytes())
        return b"".join(found)

    def file_sizes(self) -> list[int]:
        """Return the same as Images.file_sizes."""
        return []


class ArrayPictures(Pictures):
    """Images seen as pictures, to be resized or cropped."""

    def __init__(self, images: Images, source: str) -> None:
        self.images, self.source, self.channels = images, source, images.shape[2]

    def __len__(self) -> int:
        return len(self.images)

    def picture(self, row: int, keep_alpha: bool = False) -> tuple[np.ndarray, list[str]]:
        return self.images.read(np.array([row]))[0], []

    def name(self, row: int) -> str:
        return f"image {row} of {self.source}"

    def content(self, rows: np.ndarray) -> bytes:
        return self.images.content(rows)
