"""A fingerprint of a data set. It is the same for the same images in the same order, whatever their
place and names.

Pictures are identified by the bytes of their files and arrays by their pixels, so that the
decoder's version does not matter. For a large set, the contents of some evenly spaced images are
read, and the sizes of all files. This detects a different order or different images, but not one
changed image among many in an array.
"""

from __future__ import annotations

import hashlib

import numpy as np

from glowlite.data.dataset import Dataset
from glowlite.data.images import Images

MAX_BYTES = 1 << 26  # read from each part
FEWEST = 64  # images that are read, however large they are
AT_ONCE = 1 << 22  # bytes


def fingerprint(data: Dataset) -> str:
    """Return the SHA-256, in hexadecimal, of the images of `data`, training images first, and of
    the labels that a model is conditioned on.

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
    """Return all rows or, if they exceed MAX_BYTES at `each` bytes per row, as many evenly spaced
    rows as fit.
    """
    count = min(len(images), max(FEWEST, int(MAX_BYTES / each)))
    return np.unique(np.linspace(0, len(images) - 1, count).astype(int))
