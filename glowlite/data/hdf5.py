"""Images in an HDF5 file, read when they are needed: a set larger than memory works."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from glowlite.data.arrays import check_is_file
from glowlite.data.dataset import Reading, array_images
from glowlite.data.images import Images
from glowlite.errors import DataError

LARGEST = 1 << 30  # bytes of an image, or of a chunk, which is unpacked as a whole
MOST_ATTRIBUTES = 1 << 12
CACHE = 1 << 26  # bytes of unpacked chunks that are kept
DAMAGED = (OSError, RuntimeError, ValueError, KeyError, TypeError, OverflowError, MemoryError)


def recognises(path: Path) -> bool:
    return path.suffix.lower() in (".h5", ".hdf5")


def read_hdf5(path: Path) -> Reading:
    """The data set `images`, or else the only one of bytes with 3 or 4 axes; and `attributes` (N, A), `attribute_names`.

    Raises DataError for a file that is damaged, has no images, or images too large to be any.
    """
    check_is_file(path)
    try:
        import h5py
    except ImportError:
        raise DataError(f"{path}: reading HDF5 needs the library h5py: pip install '.[data]'") from None
    try:
        file = h5py.File(path, "r", rdcc_nbytes=CACHE)
        images = Hdf5Images(file, _find(h5py, file, path), path)
        if "attributes" not in file or "attribute_names" not in file:
            return Reading(images)
        values, names = file["attributes"], file["attribute_names"]
        if (
            values.shape != (len(images), *names.shape) or names.shape[0] > MOST_ATTRIBUTES
            or values.dtype.kind not in "biuf" or h5py.check_string_dtype(names.dtype) is None
        ):  # fmt: skip
            raise DataError(
                f"{path}: expected attributes ({len(images)}, A), numbers, and A attribute_names, at most {MOST_ATTRIBUTES}"
                f" texts, got {values.dtype} {values.shape} and {names.dtype} {names.shape}; make the file again"
            )
        return Reading(images, None, tuple(map(str, names.asstr()[...])), np.asarray(values) > 0)
    except DAMAGED as error:
        raise _unreadable(path, error) from None


class Hdf5Images(Images):
    """Rows of a data set (N, H, W, C) or (N, H, W). From any thread: h5py has a lock of its own."""

    def __init__(self, file: Any, dataset: Any, path: Path) -> None:
        self.file, self.dataset, self.path = file, dataset, path
        self.shape = array_images(dataset, f"{path}, {dataset.name}").shape
        largest = max(int(np.prod(shape, dtype=object)) for shape in (self.shape, dataset.chunks or ()))
        if largest > LARGEST:
            raise DataError(
                f"{path}: one image or one chunk of {dataset.name} has {largest / 2**30:.1f} GiB, expected at most"
                f" {LARGEST >> 30}; is the file damaged? Make it again, with smaller ones"
            )

    def __len__(self) -> int:
        return len(self.dataset)

    def read(self, rows: np.ndarray, places: np.ndarray | None = None) -> np.ndarray:
        """Each row is read once, and rows that lie side by side at once: HDF5 is slow at lists of rows."""
        unique, place = np.unique(rows, return_inverse=True)
        images = np.empty((len(unique), *self.dataset.shape[1:]), np.uint8)
        done = 0
        try:
            for run in np.split(unique, np.flatnonzero(np.diff(unique) != 1) + 1) if len(unique) else []:
                images[done : done + len(run)] = self.dataset[run[0] : run[-1] + 1]
                done += len(run)
        except DAMAGED as error:
            raise _unreadable(self.path, error) from None
        return images[place].reshape(-1, *self.shape)


def _find(h5py: Any, file: Any, path: Path) -> Any:
    """The data set of images; one of floats, of which more is said later, rather than none."""
    if isinstance(file.get("images"), h5py.Dataset):
        return file["images"]
    found: list[Any] = []
    file.visititems(lambda _, item: found.append(item) if isinstance(item, h5py.Dataset) else None)
    fitting = [item for item in found if item.ndim in (3, 4)]
    of_bytes = [item for item in fitting if item.dtype == np.uint8] or fitting
    if len(of_bytes) != 1:
        names = ", ".join(f"{item.name} {item.dtype} {item.shape}" for item in found[:9]) or "none"
        raise DataError(f"{path}: expected a data set `images`, found {names}; save the images under that name")
    return of_bytes[0]


def _unreadable(path: Path, error: Exception) -> DataError:
    if isinstance(error, DataError):
        return error
    reason = " ".join(str(error).split()) or type(error).__name__
    return DataError(f"{path}: cannot be read as HDF5: {reason}; is the file complete? Make it again")
