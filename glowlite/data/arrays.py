"""Images in NumPy's own files: an .npz with an array `images`, or an .npy. Pickled objects are refused."""

from __future__ import annotations

import tokenize
import zipfile
import zlib
from pathlib import Path

import numpy as np

from glowlite.data.dataset import NO_ATTRIBUTES, Reading, array_images
from glowlite.errors import DataError
from glowlite.inputs import check_regular
from glowlite.workers import available_bytes

# The last six come of a damaged .npy header: it is parsed as Python text, and the shape in it is believed.
DAMAGED = (
    zipfile.BadZipFile, zlib.error, EOFError, ValueError, OSError, NotImplementedError, KeyError,
    tokenize.TokenError, SyntaxError, TypeError, OverflowError, MemoryError, RecursionError,
)  # fmt: skip


def recognises_npz(path: Path) -> bool:
    return path.suffix.lower() == ".npz"


def recognises_npy(path: Path) -> bool:
    return path.suffix.lower() == ".npy"


def read_npz(path: Path) -> Reading:
    """The array `images` of an .npz file, and `attributes` (N, A) with `attribute_names` if it has them.

    Raises DataError for a file that is damaged, has no images, or would unpack to more than half of this machine's memory.
    """
    check_is_file(path)
    try:
        arrays = np.load(path, allow_pickle=False)
        if isinstance(arrays, np.ndarray):
            raise DataError(f"{path}: this is an .npy file under the name of an .npz; rename it")
        with arrays:
            if "images" not in arrays:
                raise DataError(
                    f"{path}: expected an array `images`, found {', '.join(arrays) or 'none'}; save it under that name"
                )
            size, there = sum(entry.file_size for entry in arrays.zip.infolist()), available_bytes()
            if size > there / 2:
                raise DataError(
                    f"{path}: unpacks to {size / 2**30:.1f} GiB, and this machine has {there / 2**30:.1f} GiB of memory;"
                    " save the images as .npy, which is read as it is needed"
                )
            images = array_images(arrays["images"], str(path))
            if "attributes" not in arrays or "attribute_names" not in arrays:
                return Reading(images)
            attributes, names = arrays["attributes"], tuple(str(name) for name in arrays["attribute_names"])
            if attributes.shape != (len(images), len(names)):
                raise DataError(
                    f"{path}: expected attributes ({len(images)}, {len(names)}), one row an image and one column a name,"
                    f" got {attributes.shape}"
                )
            return Reading(images, None, names, attributes > 0, NO_ATTRIBUTES)
    except DAMAGED as error:
        raise _unreadable(path, "npz", error) from None


def read_npy(path: Path) -> Reading:
    """The array of an .npy file, mapped: pixels are read when they are needed, and can be more than memory holds."""
    check_is_file(path)
    try:
        array = np.load(path, mmap_mode="r", allow_pickle=False)
        if not isinstance(array, np.ndarray):
            array.close()
            raise DataError(f"{path}: this is an .npz file under the name of an .npy; rename it")
        return Reading(array_images(array, str(path)))
    except DAMAGED as error:
        raise _unreadable(path, "npy", error) from None


def check_is_file(path: Path) -> None:
    """Raise DataError unless `path` is a regular file: neither nothing, nor a folder, nor a pipe or a device."""
    try:
        check_regular(path, DataError)
    except FileNotFoundError:
        raise DataError(f"{path}: no such file; check the path given as data") from None


def _unreadable(path: Path, kind: str, error: Exception) -> Exception:
    if isinstance(error, DataError):
        return error
    if isinstance(error, PermissionError):
        return DataError(f"{path}: may not be read; check its permissions")
    if isinstance(error, MemoryError):
        return DataError(f"{path}: its images do not fit in memory, or it is damaged; make it again, or with fewer images")
    reason = " ".join(str(error).split()) or type(error).__name__
    if "pickle" in reason.lower() or "Python objects" in reason:
        reason = "it is no file of numbers (or holds pickled objects, which are never loaded)"
    return DataError(f"{path}: cannot be read as .{kind}: {reason}; is the file complete? Make it again")
