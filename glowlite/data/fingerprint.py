"""A fingerprint of a data set: the same for the same images in the same order, wherever they lie,
whatever their names.

Pictures are known by the bytes of their files and arrays by their pixels, so that no version of a
decoder matters. Of a large set the content of some images is read, evenly spaced, and the sizes of
all files: another order is noticed, and so are other images, but not a single one among many in an
array.
"""

from __future__ import annotations

import hashlib

import numpy as np

from glowlite.data.dataset import Dataset
from glowlite.data.images import Images

MAX_BYTES = 1 << 26  # read of either part
FEWEST = 64  # images, however large they are
AT_ONCE = 1 << 22  # bytes


def fingerprint(data: Dataset) -> str:
    """The SHA-256, in hexadecimal, of the images of `data`, the training ones first, and of the
    labels that a model is conditioned by.

    Cost: reading about MAX_BYTES of each part, less than a second.
    """
    digest = hashlib.sha256()
    for images in (data.train, data.held_out):
        digest.update(f"{len(images)} images;".encode())
        sizes = images.file_sizes()
        digest.update(np.array(sizes, "<i8").tobytes())
        each = max(1.0, float(np.mean(sizes)) if sizes else float(np.prod(images.shape)))
        rows = _some_of(images, each)
        step = max(1, int(AT_ONCE / each))
        for start in range(0, len(rows), step):
            digest.update(images.content(rows[start : start + step]))
    if data.condition is not None:
        names = "\n".join(data.class_names)
        digest.update(f"{data.condition};{names};".encode("utf-8", "surrogatepass"))
        for labels in (data.labels, data.held_out_labels):
            digest.update(labels.astype("<i8").tobytes())
    return digest.hexdigest()


def _some_of(images: Images, each: float) -> np.ndarray:
    """All rows, or as many, evenly spaced, as MAX_BYTES hold of `each` bytes."""
    count = min(len(images), max(FEWEST, int(MAX_BYTES / each)))
    return np.unique(np.linspace(0, len(images) - 1, count).astype(int))
