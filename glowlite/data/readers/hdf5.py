"""Images in an HDF5 file, read when needed, so the set can be larger than memory."""

from __future__ import annotations

import errno
from dataclasses import replace
from math import prod
from pathlib import Path
from typing import Any

import numpy as np

from glowlite.arrays.machine import available_bytes
from glowlite.data.dataset import Reading, array_images
from glowlite.data.images import Images
from glowlite.data.readers.arrays import check_is_file, with_classes
from glowlite.errors import DataError

LARGEST = 1 << 30  # size limit in bytes of an image, or of a chunk, which is unpacked as a whole
MAX_ATTRIBUTES, LONGEST_NAME = 1 << 12, 1 << 10
MAX_OBJECTS, MAX_LINKS = 1000, 8  # objects searched for images; links followed in a row
CACHE = 1 << 26  # bytes of unpacked chunks that are cached
DAMAGED = (OSError, RuntimeError, ValueError, KeyError, TypeError, OverflowError, MemoryError)
NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP)


def recognises(path: Path) -> bool:
    return path.suffix.lower() in (".h5", ".hdf5")


def read_hdf5(path: Path) -> Reading:
    """Read the data set `images`, or else the only uint8 data set with 3 or 4 axes, and, if
    present, `attributes` (N, A), `attribute_names`, `labels` (N,) and `label_names`.

    Raises DataError for a file that is damaged, has no images, or has implausibly large images.
    """
    check_is_file(path)
    try:
        import h5py
    except ImportError:
        raise DataError(
            f"{path}: reading HDF5 needs the library h5py: pip install '.[data]'"
        ) from None
    try:
        file = h5py.File(path, "r", rdcc_nbytes=CACHE)
        images = Hdf5Images(file, _find(h5py, file, path), path)
        values, names = (
            _open(h5py, file, name, path) for name in ("attributes", "attribute_names")
        )
        reading = with_classes(
            Reading(images),
            lambda: (_small(h5py, file, "labels", path), _small(h5py, file, "label_names", path)),
        )
        if not (isinstance(values, h5py.Dataset) and isinstance(names, h5py.Dataset)):
            return reading
        for dataset in (values, names):
            check_dataset(h5py, dataset, path)
        if (
            values.shape != (len(images), *names.shape) or names.shape[0] > MAX_ATTRIBUTES
            or values.dtype.kind not in "biuf" or h5py.check_string_dtype(names.dtype) is None
            or values.nbytes > available_bytes() / 4 or names.dtype.itemsize > LONGEST_NAME
        ):  # fmt: skip
            raise DataError(
                f"{path}: expected attributes ({len(images)}, A), numbers, and A attribute_names,"
                f" at most {MAX_ATTRIBUTES} texts, got {values.dtype} {values.shape} and"
                f" {names.dtype} {names.shape}; make the file again"
            )
        labels = tuple(str(names.asstr()[i])[:LONGEST_NAME] for i in range(len(names)))
        return replace(reading, attribute_names=labels, attributes=np.asarray(values) > 0)
    except DAMAGED as error:
        raise _unreadable(path, error) from None


def _small(h5py: Any, file: Any, name: str, path: Path) -> np.ndarray | None:
    """Read a data set of numbers or texts into memory; None if it is missing. Raises DataError."""
    dataset = _open(h5py, file, name, path)
    if not isinstance(dataset, h5py.Dataset):
        return None
    check_dataset(h5py, dataset, path)
    is_text = h5py.check_string_dtype(dataset.dtype) is not None
    if dataset.nbytes > available_bytes() / 4 or (is_text and dataset.ndim != 1):
        raise DataError(f"{path}, {name}: {dataset.dtype} {dataset.shape} are not labels")
    return np.array(dataset.asstr()[:], "U") if is_text else np.asarray(dataset)


def check_dataset(h5py: Any, dataset: Any, path: Path) -> None:
    """Raise DataError, before anything is read, unless a data set lies completely in its file and
    can be unpacked.

    Virtual data sets and external storage can point to any file or device, to nothing (which reads
    as black), or to the data set itself (which crashes the library).
    """
    name, plist = f"{path}, {dataset.name}", dataset.id.get_create_plist()
    layout = plist.get_layout()
    if layout not in (h5py.h5d.COMPACT, h5py.h5d.CONTIGUOUS, h5py.h5d.CHUNKED) or (
        layout == h5py.h5d.CONTIGUOUS and plist.get_external_count()
    ):
        raise DataError(
            f"{name}: its numbers are in other files; copy them into one file, such as with"
            " h5repack"
        )
    for code, _, _, title in map(plist.get_filter, range(plist.get_nfilters())):
        if not h5py.h5z.filter_avail(code):
            title = title.decode("utf-8", "replace") or "a filter"
            raise DataError(
                f"{name}: is packed with {title} (filter {code}), which h5py lacks; pack it with"
                " gzip"
            )
    chunk = prod(dataset.chunks or ()) * dataset.dtype.itemsize
    if chunk > LARGEST:
        raise DataError(
            f"{name}: a chunk has {chunk / 2**30:.1f} GiB, expected at most {LARGEST >> 30}; is"
            " the file damaged? Make it again with smaller ones"
        )


class Hdf5Images(Images):
    """Rows of a data set (N, H, W, C) or (N, H, W). It can be read from any thread, since h5py has
    its own lock.
    """

    def __init__(self, file: Any, dataset: Any, path: Path) -> None:
        self.file, self.dataset, self.path = file, dataset, path
        self.shape = array_images(dataset, f"{path}, {dataset.name}").shape
        if prod(self.shape) > LARGEST:
            raise DataError(
                f"{path}: one image of {dataset.name} has {prod(self.shape) / 2**30:.1f} GiB,"
                f" expected at most {LARGEST >> 30}; is the file damaged? Make it again with"
                " smaller ones"
            )
        if not dataset.id.get_storage_size():
            raise DataError(
                f"{path}: nothing was ever written into {dataset.name}; make the file again"
            )

    def __len__(self) -> int:
        return len(self.dataset)

    def read(self, rows: np.ndarray, places: np.ndarray | None = None) -> np.ndarray:
        """Read each row once, and adjacent rows together, since HDF5 is slow at lists of rows."""
        unique, place = np.unique(rows, return_inverse=True)
        images = np.empty((len(unique), *self.dataset.shape[1:]), np.uint8)
        done = 0
        try:
            for run in (
                np.split(unique, np.flatnonzero(np.diff(unique) != 1) + 1) if len(unique) else []
            ):
                images[done : done + len(run)] = self.dataset[run[0] : run[-1] + 1]
                done += len(run)
        except DAMAGED as error:
            raise _unreadable(self.path, error) from None
        return images[place].reshape(-1, *self.shape)


def _find(h5py: Any, file: Any, path: Path) -> Any:
    """Return the data set of images, after checking it.

    If there is only one of floats, return that; it is refused later with a better message.
    """
    images = _open(h5py, file, "images", path)
    if not isinstance(images, h5py.Dataset):
        found = _datasets(h5py, file, path)
        fitting = [item for item in found if item.ndim in (3, 4)]
        of_bytes = [item for item in fitting if item.dtype == np.uint8] or fitting
        if len(of_bytes) != 1:
            names = (
                ", ".join(f"{item.name} {item.dtype} {item.shape}" for item in found[:9]) or "none"
            )
            raise DataError(
                f"{path}: expected a data set `images`, found {names}; save the images under that"
                " name"
            )
        images = of_bytes[0]
    check_dataset(h5py, images, path)
    return images


def _open(h5py: Any, group: Any, name: str, path: Path, links: int = MAX_LINKS) -> Any:
    """Return the object with the path `name` below a group, or None.

    Soft links are followed, but never to another file.
    """
    item = group
    for part in (part for part in name.split("/") if part not in ("", ".")):
        step = part.encode("utf-8", "surrogateescape")
        if not isinstance(item, h5py.Group) or not item.id.links.exists(step):
            return None
        kind = item.id.links.get_info(step).type
        if kind == h5py.h5l.TYPE_HARD:
            item = item[part]
        elif kind == h5py.h5l.TYPE_SOFT and links:
            target = item.id.links.get_val(step).decode("utf-8", "surrogateescape")
            item = _open(
                h5py, item.file["/"] if target.startswith("/") else item, target, path, links - 1
            )
        else:
            raise DataError(
                f"{path}: {part} is a link to another file, or to itself; copy its target into"
                " this file"
            )
    return item


def _datasets(h5py: Any, file: Any, path: Path) -> list[Any]:
    """Return every data set of a file, at any depth. Each group is searched only once."""
    found, groups, seen = [], [file["/"]], {file["/"].id}
    for group in groups:
        names: list[bytes] = []
        group.id.links.iterate(
            lambda name, names=names: names.append(name) if len(names) <= MAX_OBJECTS else True
        )
        for name in names:
            if group.id.links.get_info(name).type != h5py.h5l.TYPE_HARD:
                continue
            item = group[name]
            if len(seen) > MAX_OBJECTS:
                raise DataError(
                    f"{path}: more than {MAX_OBJECTS} objects, but no data set `images`; give the"
                    " images that name"
                )
            if item.id not in seen:
                seen.add(item.id)
                if isinstance(item, h5py.Group):
                    groups.append(item)
                elif isinstance(item, h5py.Dataset):
                    found.append(item)
    return found


def _unreadable(path: Path, error: Exception) -> DataError:
    if isinstance(error, DataError):
        return error
    if isinstance(error, PermissionError):
        return DataError(f"{path}: no permission to read it; check its permissions")
    if isinstance(error, BlockingIOError):
        return DataError(
            f"{path}: another process has it open for writing; wait until it is closed or, if no"
            " process has it open, set HDF5_USE_FILE_LOCKING=FALSE in the environment"
        )
    if isinstance(error, OSError) and error.errno in NO_LOCKS:
        return DataError(
            f"{path}: its file system cannot lock files; set HDF5_USE_FILE_LOCKING=FALSE in the"
            " environment"
        )
    reason = " ".join(str(error).split()) or type(error).__name__
    return DataError(
        f"{path}: cannot be read as HDF5: {reason}; is the file complete? Make it again"
    )
