"""Images in NumPy's own files: an .npz with an array `images`, or an .npy.

Pickled objects are refused.
"""

from __future__ import annotations

import struct
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from glowlite.arrays.machine import available_bytes
from glowlite.data.dataset import LEFT_OUT, Reading, array_images
from glowlite.data.readers.npy import MAGIC, FileArray, in_order, read_npy_header
from glowlite.errors import DataError
from glowlite.files.inputs import check_regular, open_regular

AT_ONCE = 1 << 20  # bytes unpacked at a time
SHOWN = 9  # names in a message
DAMAGED = (
    zipfile.BadZipFile, zlib.error, struct.error, EOFError, ValueError, OSError,
    NotImplementedError, RuntimeError, OverflowError, MemoryError,
)  # fmt: skip


def recognises_npz(path: Path) -> bool:
    return path.suffix.lower() == ".npz"


def recognises_npy(path: Path) -> bool:
    return path.suffix.lower() == ".npy"


def read_npz(path: Path) -> Reading:
    """Read the array `images` of an .npz file and, if present, `attributes` (N, A) with
    `attribute_names`, and `labels` (N,) with `label_names`.

    Raises DataError for a file that is damaged, has no images, or would unpack to more than half of
    this machine's memory.
    """
    check_is_file(path)
    try:
        with open_regular(path, DataError) as file:
            if file.read(len(MAGIC)) == MAGIC:
                raise DataError(
                    f"{path}: this is an .npy file with the name of an .npz file; rename it"
                )
            with zipfile.ZipFile(file) as archive:
                return _read_archive(archive, path)
    except DAMAGED as error:
        raise _unreadable(path, "npz", error) from None


def _read_archive(archive: zipfile.ZipFile, path: Path) -> Reading:
    array = _member(archive, "images", path)
    if array is None:
        others = [entry.filename.removesuffix(".npy") for entry in archive.infolist()]
        found = ", ".join(others[:SHOWN]) + (
            f" and {len(others) - SHOWN} more" if len(others) > SHOWN else ""
        )
        raise DataError(
            f"{path}: expected an array `images`, found {found or 'none'}; save it under that name"
        )
    images = array_images(array, str(path))
    attributes, names = (
        _member(archive, "attributes", path),
        _member(archive, "attribute_names", path),
    )
    reading = with_classes(
        Reading(images),
        lambda: (_member(archive, "labels", path), _member(archive, "label_names", path)),
    )
    if attributes is None or names is None:
        return reading
    labels = tuple(str(label) for label in names.ravel())
    if (
        attributes.shape != (len(images), len(labels))
        or attributes.dtype.kind not in "biuf"
        or names.dtype.kind not in "US"
    ):
        raise DataError(
            f"{path}: expected attributes ({len(images)}, {len(labels)}), one row per image and one"
            f" column per name, got {attributes.shape}, {attributes.dtype}, and names of"
            f" {names.dtype}"
        )
    return replace(reading, attribute_names=labels, attributes=attributes > 0)


def with_classes(reading: Reading, read: Callable[[], tuple[Any, Any]]) -> Reading:
    """Return the reading with the arrays `labels` (N, ...) and `label_names` (K,), texts, that
    `read` finds beside the images, or None.

    Labels may not be needed at all, so unusable ones only give a note, see `glowlite.data.labels`.
    """
    try:
        labels, names = read()
        if labels is None:
            return reading
        if labels.shape[:1] != (len(reading.train),):
            raise DataError(
                f"{labels.shape} for {len(reading.train)} images; expected one per image, (N,)"
            )
        if names is not None and (names.ndim != 1 or names.dtype.kind not in "US"):
            raise DataError(f"label_names are {names.dtype} {names.shape}; expected texts, (K,)")
    except DataError as error:
        return replace(reading, notes=(*reading.notes, f"{LEFT_OUT}{error}"))
    texts = [] if names is None else names.astype(str).tolist()
    return replace(reading, class_names=tuple(texts), labels=labels)


def _member(archive: zipfile.ZipFile, name: str, path: Path) -> np.ndarray | None:
    """Return an array of an .npz, or None if it is missing.

    Sizes given by the archive are checked against the array's own header.
    """
    entries = [entry for entry in archive.infolist() if entry.filename in (f"{name}.npy", name)]
    if not entries:
        return None
    entry, source = entries[0], f"{path}, {name}"
    if len(entries) > 1:
        raise DataError(f"{path}: has {len(entries)} arrays {name}; save it again with one")
    if entry.flag_bits & 1 or entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise DataError(
            f"{source}: is encrypted, or packed in an unknown way; save it again with"
            " numpy.savez_compressed"
        )
    with archive.open(entry) as content:
        header = read_npy_header(content, source)
        size, there = header.nbytes, available_bytes()
        if size > there / 2:
            raise DataError(
                f"{path}: unpacks to {size / 2**30:.1f} GiB, but this machine has"
                f" {there / 2**30:.1f} GiB of memory; save the images as .npy, which is read as"
                " needed"
            )
        if entry.file_size != header.offset + size:
            raise DataError(
                f"{source}: has {entry.file_size} bytes, but its header says"
                f" {header.offset + size}; is the file complete? Make it again"
            )
        numbers = np.empty(size, np.uint8)
        for start in range(0, size, AT_ONCE):
            part = numbers[start : start + AT_ONCE]
            unpacked = content.read(len(part))  # the last part checks the checksum
            if len(unpacked) < len(part):
                raise EOFError(f"{name} ends early")
            part[:] = np.frombuffer(unpacked, np.uint8)
    return in_order(numbers, header)


def read_npy(path: Path) -> Reading:
    """Read an .npy file: pixels are read when needed, so the file can be larger than memory."""
    check_is_file(path)
    try:
        with open_regular(path, DataError) as file:
            if file.read(2) == b"PK":
                raise DataError(
                    f"{path}: this is an .npz file with the name of an .npy file; rename it"
                )
        array = FileArray(path)
        if not array.header.fortran_order or array.ndim < 2:
            return Reading(array_images(array, str(path)))
        if array.header.nbytes > available_bytes() / 2:
            raise DataError(
                f"{path}: its rows are not contiguous (Fortran order); save np.ascontiguousarray(x)"
            )
        return Reading(array_images(array.all(), str(path)))
    except DAMAGED as error:
        raise _unreadable(path, "npy", error) from None


def check_is_file(path: Path) -> None:
    """Raise DataError unless `path` is a regular file, not a folder, a pipe or a device."""
    try:
        check_regular(path, DataError)
    except FileNotFoundError:
        raise DataError(f"{path}: no such file; check the path given as data") from None


def _unreadable(path: Path, kind: str, error: Exception) -> Exception:
    if isinstance(error, DataError):
        return error
    if isinstance(error, PermissionError):
        return DataError(f"{path}: no permission to read it; check its permissions")
    if isinstance(error, MemoryError):
        return DataError(
            f"{path}: its images do not fit in memory, or it is damaged; make it again, possibly"
            " with fewer images"
        )
    reason = " ".join(str(error).split()) or type(error).__name__
    return DataError(
        f"{path}: cannot be read as .{kind}: {reason}; is the file complete? Make it again"
    )
