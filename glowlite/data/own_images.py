"""A user's own images for a trained model. Whatever their size and kind, they become uint8 (H, W,
C) of its shape.

What was done to an image is reported, so that the user knows what the model saw. Pillow is imported
when an image is read.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from glowlite.data import READERS, find_reader
from glowlite.data.embedded import embedded_name, read_embedded
from glowlite.data.images import ArrayPictures, Images, Pictures
from glowlite.data.preparation import resize, to_grey
from glowlite.data.readers.pictures import read_picture
from glowlite.errors import DataError

Shape = tuple[int, int, int]

# conversions between numbers of channels, grey and colour, with or without alpha
BETWEEN = ((1, 3), (3, 1), (2, 4), (4, 2))
BRING_ANOTHER = "fix it, or use another"


def own_image(path: Path, shape: Shape) -> tuple[np.ndarray, list[str]]:
    """Return the image in a file as uint8 of `shape`, (H, W, C), and short texts that say what was
    done to it.

    It is read like training pictures, see `glowlite.data.readers.pictures`; for a model of 2 or 4
    channels, transparency is the last channel. Then it is converted by `fit`. Raises DataError for
    a file that is missing, not an image, damaged, too large, or floating point.
    """
    picture, notes = read_own(path, shape[2] not in (1, 3))
    image, done = fit(picture, shape, f"{path} ({', '.join(notes)})" if notes else str(path))
    return image, notes + done


def read_own(path: Path, keep_alpha: bool = False) -> tuple[np.ndarray, list[str]]:
    """Return the picture in a file, uint8 (h, w, c), as `read_picture` does, and what was done to
    it.

    Raises DataError.
    """
    if path.is_dir():
        raise DataError(f"{path}: this is a folder; name an image file in it")
    if not path.exists():
        raise DataError(
            f"{path}: no such image; name a file, or give the index of a held-out image"
        )
    return read_picture(path, advice=BRING_ANOTHER, keep_alpha=keep_alpha)


def fit(picture: np.ndarray, shape: Shape, name: str) -> tuple[np.ndarray, list[str]]:
    """Convert uint8 (h, w, c) to (H, W, C) of `shape`: convert the channels, crop to the aspect
    ratio, resize with LANCZOS. Also return what was done.

    Raises DataError, with `name`, if c channels cannot become C.
    """
    height, width, channels = shape
    h, w, c = picture.shape
    notes = []
    if c != channels:
        if (c, channels) not in BETWEEN:
            raise DataError(
                f"{name}: has {c} channels, but the model has {channels}; use images with that many"
            )
        notes.append(
            "colours converted to grey" if channels < c else "grey copied to every channel"
        )
        # alpha: (h, w, 1), or (h, w, 0) if there is no alpha
        colours, alpha = np.split(picture, [1 if c < 3 else 3], axis=2)
        colours = to_grey(colours) if channels < c else colours.repeat(3, axis=2)
        picture = np.concatenate((colours, alpha), axis=2)
    if (h, w) != (height, width):
        # the largest part with the model's aspect ratio, to the nearest pixel
        part_h, part_w = (
            max(1, round(min(h, w * height / width))),
            max(1, round(min(w, h * width / height))),
        )
        cut = (
            "" if (part_h, part_w) == (h, w) else f" cropped to {part_w}x{part_h} at the centre and"
        )
        notes.append(f"{w}x{h} pixels{cut} resized to {width}x{height}")
        top, left = (h - part_h) // 2, (w - part_w) // 2
        picture = resize(
            picture[top : top + part_h, left : left + part_w], height, width, "LANCZOS"
        )
    return np.ascontiguousarray(picture), notes


class FittedImages(Images):
    """Pictures of any size, fitted to one `shape` on reading."""

    def __init__(self, pictures: Pictures, shape: Shape) -> None:
        self.pictures, self.shape = pictures, shape

    def __len__(self) -> int:
        return len(self.pictures)

    def read(self, rows: np.ndarray, places: np.ndarray | None = None) -> np.ndarray:
        return np.stack([self.fitted(int(row))[0] for row in rows])

    def fitted(self, row: int) -> tuple[np.ndarray, list[str]]:
        """Return one image, and what was done to it."""
        picture, notes = self.pictures.picture(row, keep_alpha=self.shape[2] not in (1, 3))
        image, done = fit(picture, self.shape, self.pictures.name(row))
        return image, notes + done


def load_fitted(spec: str, shape: Shape) -> tuple[Images, str, list[str]]:
    """Return the training images of a data set, `spec` as for `load`, in `shape`, and its source.

    The third result is what was done to the first image. Raises DataError. Cost: pictures are
    decoded on reading.
    """
    embedded = embedded_name(spec)
    if embedded is not None:
        read, source = read_embedded(embedded).train, f"embedded {embedded}"
    else:
        reader, path = find_reader(spec)
        read, source = READERS[reader].read(path).train, str(path)
    if isinstance(read, Images) and read.shape == shape:
        return read, source, []
    pictures = ArrayPictures(read, source) if isinstance(read, Images) else read
    if len(pictures) == 0:
        raise DataError(f"{source}: has no images")
    images = FittedImages(pictures, shape)
    return images, source, images.fitted(0)[1]
