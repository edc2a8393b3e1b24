"""Data in memory, as arrays: images of pixels, or floating-point numbers of any shape, used as they
are.
"""

from __future__ import annotations

import numpy as np

from glowlite.arrays.arguments import shown
from glowlite.arrays.labels import NO_LABELS
from glowlite.data.dataset import Dataset, Reading, array_images, held_out_indices, make_dataset
from glowlite.data.images import Images
from glowlite.errors import DataError


class ArrayRows(Images):
    """The rows of a floating-point array (N, ...), such as vectors (N, D): data without pixels."""

    def __init__(self, array: np.ndarray) -> None:
        self.array = array
        self.shape = array.shape[1:]  # (D,), or the shape of any other row

    def __len__(self) -> int:
        return len(self.array)

    def read(self, rows: np.ndarray, places: np.ndarray | None = None) -> np.ndarray:
        return self.array[rows]


def array_dataset(
    x: np.ndarray,
    held_out: np.ndarray | None = None,
    name: str = "data",
    labels: np.ndarray = NO_LABELS,
    held_out_labels: np.ndarray = NO_LABELS,
) -> Dataset:
    """Make a data set of x (N, ...) and held-out rows: by default a tenth of x, at most 1000.
    `labels` and `held_out_labels`: the classes of x and of `held_out`.

    uint8 images (N, H, W, C) or (N, H, W) are images; floating-point numbers of any shape are used
    as they are. Raises DataError for other types, for too few rows, and for numbers that are not
    finite.
    """
    if getattr(x, "dtype", None) == "uint8":
        images = None if held_out is None else array_images(held_out, f"{name}, held out")
        reading = Reading(
            array_images(x, name), images, labels=labels, held_out_labels=held_out_labels
        )
        return make_dataset(name, reading, name)
    x = _checked(x, name)
    if held_out is not None:
        others = _checked(held_out, f"{name}, held out")
        if others.shape[1:] != x.shape[1:]:
            raise DataError(
                f"{name}: rows are {x.shape[1:]} in training but {others.shape[1:]} held out"
            )
        parts = ArrayRows(x), ArrayRows(others)
        return Dataset(name, *parts, name, labels=labels, held_out_labels=held_out_labels)
    rows = held_out_indices(len(x))
    train = np.delete(np.arange(len(x)), rows)
    of_train, of_held_out = (labels[train], labels[rows]) if len(labels) else (labels, labels)
    parts = ArrayRows(x[train]), ArrayRows(x[rows])
    return Dataset(name, *parts, name, labels=of_train, held_out_labels=of_held_out)


def _checked(x: np.ndarray, name: str) -> np.ndarray:
    if (
        not isinstance(x, np.ndarray)
        or x.dtype.kind != "f"
        or x.ndim < 2
        or len(x) < 2
        or 0 in x.shape
    ):
        raise DataError(
            f"{name}: expected floating-point numbers (N, ...) with at least 2 rows, such as"
            f" vectors (N, D), or uint8 images (N, H, W, C), got {shown(x)}"
        )
    if not np.isfinite(x).all():
        raise DataError(
            f"{name}: row {int(np.argwhere(~np.isfinite(x))[0, 0])} contains numbers that are not"
            " finite"
        )
    return x
