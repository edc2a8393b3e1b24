"""Turn pictures of any size into images of one size: resize, crop, convert to grey.

Pillow is imported when a picture is resized.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from glowlite.arrays.machine import available_bytes, available_cores
from glowlite.data.images import Images, Pictures
from glowlite.errors import DataError
from glowlite.terminal import bar

MAX_PIXELS = 1 << 26  # limit for a resized picture: a long thin one can become many times as large
ROOM = 0.25  # share of this machine's memory for decoded pictures


@dataclass(frozen=True)
class Preparation:
    """What is done to every picture, in this order; by default nothing.

    grey: to one channel (Rec. 601 luma). resize: the shorter side becomes this many pixels
    (bicubic). crop: the side of a square crop from the centre or, with random_crop, from a random
    place in training and the centre in evaluation. skip_corrupt: skip pictures that cannot be read,
    and count them.
    """

    resize: int | None = None
    crop: int | None = None
    random_crop: bool = False
    grey: bool = False
    skip_corrupt: bool = False

    def __post_init__(self) -> None:
        if self.random_crop and self.crop is None:
            raise DataError("random crops need a size: add --crop SIDE")

    @property
    def changes_pixels(self) -> bool:
        return self.grey or self.resize is not None or self.crop is not None

    def resized(self, height: int, width: int) -> tuple[int, int]:
        """Return (h, w) of a picture after resizing."""
        if self.resize is None:
            return height, width
        scale = self.resize / min(height, width)
        return max(self.resize, round(height * scale)), max(self.resize, round(width * scale))

    def shape(self, height: int, width: int) -> tuple[int, int]:
        """Return (H, W) of the image made from a picture of this size."""
        return (self.crop, self.crop) if self.crop is not None else self.resized(height, width)


class Prepared(Images):
    """`pictures` after `preparation`, decoded on first reading and then kept while there is room.

    `room`: bytes, by default the share ROOM of this machine's memory. Raises DataError for a
    damaged picture (with skip_corrupt, the next intact picture replaces it), and for a picture that
    is not cropped and differs in size from the first.
    """

    def __init__(
        self, pictures: Pictures, preparation: Preparation, room: float | None = None
    ) -> None:
        self.pictures, self.preparation = pictures, preparation
        self.channels = 1 if preparation.grey else pictures.channels
        self._kept: dict[int, np.ndarray] = {}
        self._room = ROOM * available_bytes() if room is None else room
        self._damaged: dict[int, str] = {}
        self._done: dict[str, set[int]] = {}
        self._lock = threading.Lock()
        self.shape = (0, 0, self.channels)
        first, row = self._first()
        self.shape = (*preparation.shape(*first.shape[:2]), self.channels)
        self._first_name = pictures.name(row)

    def _first(self) -> tuple[np.ndarray, int]:
        for row in range(len(self.pictures)):
            picture = self._sound(row)
            if picture is not None:
                return picture, row
        raise DataError(
            f"none of the {len(self.pictures)} pictures can be read; the first: {self._damaged[0]}"
        )

    def __len__(self) -> int:
        return len(self.pictures)

    def content(self, rows: np.ndarray) -> bytes:
        return self.pictures.content(rows)

    def file_sizes(self) -> list[int]:
        return self.pictures.file_sizes()

    @property
    def skipped(self) -> list[str]:
        return [self._damaged[row] for row in sorted(self._damaged)]

    @property
    def done(self) -> Counter[str]:
        return Counter({what: len(rows) for what, rows in self._done.items()})

    def preload(self, to_the_end: bool = False) -> np.ndarray:
        """Decode all pictures in several threads, if there is room for them.

        Returns the rows of intact pictures, or all rows if there is no room. Then training does not
        share its cores with decoding, and damaged pictures are known before it begins.
        `to_the_end`: with skip_corrupt, decode all pictures in any case. Pictures with labels need
        this, since a replacement for a damaged picture has different labels.
        """
        rows = np.arange(len(self))
        fits = len(self) * int(np.prod(self.picture_shape())) <= self._room
        if not fits and not (to_the_end and self.preparation.skip_corrupt):
            return rows
        with ThreadPoolExecutor(available_cores()) as pool:
            done = pool.map(lambda row: self._sound(row) is not None, range(len(self)))
            progress = bar(done, "decoding", len(self), unit="image", delay=2, leave=False)
            return rows[np.array(list(progress))]

    def picture_shape(self) -> tuple[int, int, int]:
        """Return (h, w, C) of the first picture before cropping."""
        first, _ = self._first()
        return first.shape[0], first.shape[1], self.channels

    def read(self, rows: np.ndarray, places: np.ndarray | None = None) -> np.ndarray:
        images = np.empty((len(rows), *self.shape), np.uint8)
        for i, row in enumerate(rows):
            images[i] = self._crop(
                self._standing_in(int(row)), None if places is None else places[i]
            )
        return images

    def _standing_in(self, row: int) -> np.ndarray:
        """Return the picture of this row, or the next intact one.

        There always is one: the first was found at construction.
        """
        while (picture := self._sound(row)) is None:
            row = (row + 1) % len(self)
        return picture

    def _sound(self, row: int) -> np.ndarray | None:
        """Return the picture before cropping, (h, w, C).

        Return None for a damaged picture that is to be skipped.
        """
        kept = self._kept.get(row)
        if kept is not None or row in self._damaged:
            return kept
        try:
            picture, done = self.pictures.picture(row)
            picture = self._resize(picture, row)
        except DataError as error:
            if not self.preparation.skip_corrupt:
                raise
            with self._lock:
                self._damaged[row] = str(error)
            return None
        self._check_size(row, picture)  # a wrong size is not damage, so the picture is not skipped
        with self._lock:
            for what in done:
                self._done.setdefault(what, set()).add(row)
            if picture.nbytes <= self._room:
                self._room -= picture.nbytes
                self._kept[row] = picture
        return picture

    def _resize(self, picture: np.ndarray, row: int) -> np.ndarray:
        if self.preparation.grey and picture.shape[2] != 1:
            picture = to_grey(picture)
        height, width = self.preparation.resized(*picture.shape[:2])
        if (height, width) != picture.shape[:2]:
            if height * width > MAX_PIXELS:
                raise DataError(
                    f"{self.pictures.name(row)} would be {width}x{height}, more than {MAX_PIXELS}"
                    " pixels; use a smaller --resize"
                )
            picture = resize(picture, height, width)
        return np.broadcast_to(picture, (height, width, self.channels))

    def _check_size(self, row: int, picture: np.ndarray) -> None:
        height, width = picture.shape[:2]
        crop = self.preparation.crop
        if crop is not None and min(height, width) < crop:
            raise DataError(
                f"{self.pictures.name(row)} is {width}x{height}, too small for --crop {crop}; add"
                " --resize"
            )
        if crop is None and self.shape[0] and (height, width) != self.shape[:2]:
            first = f"{self.shape[1]}x{self.shape[0]}"
            raise DataError(
                f"{self.pictures.name(row)} is {width}x{height} but {self._first_name} is {first};"
                " resize or crop them all to one size, such as with --resize SIDE --crop SIDE"
            )

    def _crop(self, picture: np.ndarray, place: Iterable[float] | None) -> np.ndarray:
        side = self.preparation.crop
        if side is None:
            return picture
        y, x = (0.5, 0.5) if place is None or not self.preparation.random_crop else place
        most = picture.shape[0] - side, picture.shape[1] - side
        top, left = min(most[0], int(y * (most[0] + 1))), min(most[1], int(x * (most[1] + 1)))
        return picture[top : top + side, left : left + side]


def to_grey(picture: np.ndarray) -> np.ndarray:
    """Convert uint8 (h, w, 3) to (h, w, 1), luma of Rec. 601: 0.299 R + 0.587 G + 0.114 B,
    rounded.
    """
    if picture.shape[2] != 3:
        raise DataError(f"--grey needs images of 3 channels, got {picture.shape[2]}; leave it out")
    return np.rint(picture @ np.array([0.299, 0.587, 0.114])).astype(np.uint8)[..., None]


def resize(picture: np.ndarray, height: int, width: int, method: str = "BICUBIC") -> np.ndarray:
    """Resize uint8 (h, w, c) to (height, width, c) with Pillow's `method` and its antialiasing."""
    from PIL import Image

    size, filter_ = (width, height), Image.Resampling[method]
    if picture.shape[2] == 3:
        return np.asarray(Image.fromarray(np.ascontiguousarray(picture)).resize(size, filter_))
    planes = [
        np.asarray(Image.fromarray(plane).resize(size, filter_))
        for plane in np.ascontiguousarray(np.moveaxis(picture, 2, 0))
    ]
    return np.stack(planes, axis=2)
