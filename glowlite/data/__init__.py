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

    Raises DataError, in one line, for what is missing, damaged or of the wrong kind.
    Cost: while they are parted the images stand in memory twice; those of an .npy once, copied from the mapped file.
    """
    path = Path(spec)
    if spec in NAMES:
        return make_dataset(spec, read_embedded(spec), f"embedded {spec}")
    try:
        is_folder = spec != "" and path.is_dir()  # Path("") is the current folder, which nobody asked for
        exists = spec != "" and path.exists()
    except OSError as error:  # no permission to look, or too long for a name
        raise DataError(f"{spec}: cannot be looked up: {error.strerror}; check the path and its permissions") from None
    if is_folder:
        return make_dataset(path.resolve().name, read_folder(path), str(path))
    readers = {".npz": read_npz, ".npy": read_npy}
    if path.suffix.lower() in readers:
        if not exists:
            raise DataError(f"{path}: no such file; check the path given as data")
        return make_dataset(path.stem, readers[path.suffix.lower()](path), str(path))
    close = difflib.get_close_matches(spec, NAMES, 1)
    raise DataError(
        f"data {spec!r}: " + ("a file of unknown kind" if exists else "no such name, file or folder")
        + (f" (did you mean {close[0]}?)" if close else "")
        + f"; expected {' or '.join(NAMES)}, an .npz with `images`, an .npy, or a folder of images"
    )  # fmt: skip
