"""Labels: the class of every image, a whole number from 0. They are checked on the host before they
are used.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from glowlite.arrays.arguments import shown
from glowlite.arrays.backend import Array, namespace
from glowlite.errors import DataError

MAX_CLASSES = 1 << 12  # ImageNet has 1000
NO_LABELS = np.zeros(0, np.int64)


def check_labels(where: str, labels: Any, classes: int, count: int | None = None) -> np.ndarray:
    """Return host labels as int64 (N,), each from 0 to `classes` - 1.

    `count`: the number of images, if known. Raises DataError, in one line.
    """
    labels = np.asarray(labels)
    if labels.dtype.kind not in "iu" or labels.ndim != 1:
        raise DataError(
            f"{where}: labels must be whole numbers (N,), one per image, got {labels.dtype}"
            f" {labels.shape}"
        )
    if count is not None and len(labels) != count:
        raise DataError(
            f"{where}: {len(labels)} labels for {count} images; expected one label per image"
        )
    wrong = np.flatnonzero((labels < 0) | (labels >= classes))
    if len(wrong):
        raise DataError(
            f"{where}: label {labels[wrong[0]]} of image {wrong[0]} is none of the {classes}"
            f" classes, 0 to {classes - 1}"
        )
    return labels.astype(np.int64)


def on_device(labels: Any) -> bool:
    """Whether labels are a device array, which is used unchecked."""
    return hasattr(labels, "__array_namespace__") and not isinstance(labels, np.ndarray)


def one_hot(labels: Array, classes: int, dtype: Any) -> Array:
    """Return (N, classes) of `dtype`, on the backend of the labels (N,), with 1 at the class of
    each image.
    """
    xp = namespace(labels)
    return (labels[:, None] == xp.arange(classes)).astype(dtype)


def number_of_class(where: str, word: Any, names: tuple[str, ...]) -> int:
    """Return the class with this name or, failing that, this number. Raises DataError if there is
    none.
    """
    if isinstance(word, str) and word in names:
        return names.index(word)
    number = str(word)
    if number.isascii() and number.isdecimal() and len(number) < 6 and int(number) < len(names):
        return int(number)
    some = ", ".join(names[:20]) + (", ..." if len(names) > 20 else "")
    raise DataError(
        f"{where} {shown(word)}: no such class; there are {len(names)}, by number from 0 or by"
        f" name: {some}"
    )
