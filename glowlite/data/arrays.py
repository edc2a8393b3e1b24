"""Images in NumPy's own files: an .npz with an array `images`, or an .npy. Pickled objects are refused."""

from __future__ import annotations

import tokenize
import zipfile
import zlib
from pathlib import Path

import numpy as np

from glowlite.errors import DataError

# The last six come of a damaged .npy header: it is parsed as Python text, and the shape in it is believed.
DAMAGED = (
    zipfile.BadZipFile, zlib.error, EOFError, ValueError, OSError, NotImplementedError, KeyError,
    tokenize.TokenError, SyntaxError, TypeError, OverflowError, MemoryError, RecursionError,
)  # fmt: skip


def read_npz(path: Path) -> np.ndarray:
    """The array `images` of an .npz file. Raises DataError for a file that is damaged or has none."""
    try:
        arrays = np.load(path, allow_pickle=False)
        if isinstance(arrays, np.ndarray):
            raise DataError(f"{path}: this is an .npy file under the name of an .npz; rename it")
        with arrays:
            if "images" not in arrays:
                raise DataError(
                    f"{path}: expected an array `images`, found {', '.join(arrays) or 'none'}; save it under that name"
                )
            return np.asarray(arrays["images"])
    except DAMAGED as error:
        raise _unreadable(path, "npz", error) from None


def read_npy(path: Path) -> np.ndarray:
    """The array of an .npy file, mapped: no pixel is read before dtype and shape are checked. DataError if damaged."""
    try:
        array = np.load(path, mmap_mode="r", allow_pickle=False)
        if not isinstance(array, np.ndarray):
            array.close()
            raise DataError(f"{path}: this is an .npz file under the name of an .npy; rename it")
        return array
    except DAMAGED as error:
        raise _unreadable(path, "npy", error) from None


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
