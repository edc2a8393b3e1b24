"""Data sets by name or path: `load("faces")`, `load("photos.npz")`, `load("folder/")`."""

from __future__ import annotations

import difflib
from pathlib import Path

from glowlite.data.arrays import read_npy, read_npz
from glowlite.data.dataset import Dataset, make_dataset
from glowlite.data.embedded import NAMES, read_embedded
from glowlite.data.folder import read_folder
from glowlite.errors import DataError

__all__ = ["Dataset", "load"]


def load(spec: str) -> Dataset:
    """The data set of an embedded name (`faces`, `fashion`), an .npz with `images`, an .npy, or a folder of images.

    Raises DataError, in one line, for what is missing, damaged or of the wrong kind. Cost: reads everything but an .npy.
    """
    path = Path(spec)
    if spec in NAMES:
        return make_dataset(spec, read_embedded(spec), f"embedded {spec}")
    if path.is_dir():
        return make_dataset(path.resolve().name, read_folder(path), str(path))
    readers = {".npz": read_npz, ".npy": read_npy}
    if path.suffix.lower() in readers:
        if not path.exists():
            raise DataError(f"{path}: no such file; check the path given as data")
        return make_dataset(path.stem, readers[path.suffix.lower()](path), str(path))
    close = difflib.get_close_matches(spec, NAMES, 1)
    raise DataError(
        f"data {spec!r}: " + ("a file of unknown kind" if path.exists() else "no such name, file or folder")
        + (f" (did you mean {close[0]}?)" if close else "")
        + f"; expected {' or '.join(NAMES)}, an .npz with `images`, an .npy, or a folder of images"
    )  # fmt: skip
