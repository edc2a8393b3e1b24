"""CIFAR-10, the binary edition: batches of training images and one held out, in a folder or in the .tar.gz.

A record is a byte, the class, and 3 x 1024 bytes, the planes of red, green and blue: 3073 bytes an image.
"""

from __future__ import annotations

import gzip
import re
import zlib
from pathlib import Path

import numpy as np

from glowlite.data.dataset import Reading
from glowlite.data.images import ArrayImages
from glowlite.data.tar import members
from glowlite.errors import DataError
from glowlite.inputs import open_regular, read_bytes

CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
RECORD = 1 + 3 * 32 * 32
LARGEST, LARGEST_META = 1 << 26, 1 << 12  # bytes of a file; the true ones have 30 MB and 88 bytes
UNPACKED = 1 << 29  # bytes of a whole archive; the true one has 185 MB
SUBFOLDERS = ("cifar-10-batches-bin", "cifar-10-batches-py")
HELD_OUT, META = "test_batch.bin", "batches.meta.txt"
BINARY = re.compile(r"data_batch_[0-9]\.bin|test_batch\.bin|batches\.meta\.txt")
PICKLED = re.compile(r"data_batch_[0-9]|test_batch")
DAMAGED = (zlib.error, EOFError, OSError, MemoryError)


def recognises(path: Path) -> bool:
    if path.is_dir():
        return any(
            re.fullmatch(r"(data_batch_[0-9]|test_batch)(\.bin)?", p.name) or p.name in SUBFOLDERS for p in path.iterdir()
        )
    return path.name.lower().endswith((".tar.gz", ".tgz"))


def read_cifar10(path: Path) -> Reading:
    """Images (N, 32, 32, 3) in memory, those of test_batch.bin held out, and the ten classes as attributes.

    Raises DataError for the Python edition, which is pickled and so never opened, and for files missing or damaged.
    """
    try:
        found = _from_folder(path) if path.is_dir() else _from_archive(path)
    except DataError:
        raise  # it is a ValueError, too
    except DAMAGED as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise DataError(f"{path}: cannot be read as CIFAR-10: {reason}; is it complete? Get it again") from None
    batches = sorted(name for name in found if name.startswith("data_batch"))
    missing = {HELD_OUT, *(f"data_batch_{i + 1}.bin" for i in range(max(1, len(batches))))} - set(found)
    if missing:
        raise DataError(f"{path}: no {min(missing)}, as CIFAR-10's binary edition has; is it complete? Get it again")
    names = tuple(found[META].decode("ascii", "replace").split()) if META in found else CLASSES
    if len(names) != len(CLASSES):
        raise DataError(f"{path}: {META} names {len(names)} classes, expected {len(CLASSES)}; get it again")
    parts = [_decode(path, name, found.pop(name)) for name in batches]
    images, labels = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
    held_out, held_out_labels = _decode(path, HELD_OUT, found[HELD_OUT])
    return Reading(ArrayImages(images), ArrayImages(held_out), names, labels, held_out_labels)


def _from_folder(path: Path) -> dict[str, bytes]:
    """The files of the binary edition by name."""
    folder = next((path / name for name in SUBFOLDERS if (path / name).is_dir()), path)
    files = {p.name: p for p in folder.iterdir()}
    found = {}
    for name in filter(BINARY.fullmatch, _check_edition(path, list(files))):
        _check_size(path, name, files[name].stat().st_size)
        found[name] = read_bytes(files[name], LARGEST, DataError)
    return found


def _from_archive(path: Path) -> dict[str, bytes]:
    """The same from a .tar.gz, which is read from one end to the other, and never unpacked to the disk."""
    found, names = {}, []
    with open_regular(path, DataError) as file, Limited(fileobj=file, filename=path) as stream:
        for name, size, content in members(stream, str(path)):
            names.append(name)
            if BINARY.fullmatch(name):
                _check_size(path, name, size)
                found[name] = content.read(size)
        while stream.read(1 << 20):
            pass  # up to its end, where the checksum is
    _check_edition(path, names)
    return found


class Limited(gzip.GzipFile):
    """A .gz that raises DataError where it unpacks to more than UNPACKED bytes."""

    def read(self, size: int | None = -1) -> bytes:
        if self.tell() > UNPACKED:
            raise DataError(f"{self.name}: unpacks to more than {UNPACKED >> 20} MiB, so it is not CIFAR-10; get it again")
        return super().read(size)


def _check_edition(path: Path, names: list[str]) -> list[str]:
    if any(map(PICKLED.fullmatch, names)) and not any(map(BINARY.fullmatch, names)):
        raise DataError(
            f"{path}: this is the Python edition, which is pickled; get the binary edition cifar-10-binary.tar.gz"
        )
    return names


def _check_size(path: Path, name: str, size: int) -> None:
    """Before a byte of the file is read: what an archive says of itself may be a trap."""
    largest, unit = (LARGEST_META, 1) if name == META else (LARGEST, RECORD)
    if not 0 < size <= largest or size % unit:
        raise DataError(
            f"{path}: {name} has {size} bytes, expected a multiple of {unit} up to {largest}; is it complete? Get it again"
        )


def _decode(path: Path, name: str, content: bytes) -> tuple[np.ndarray, np.ndarray]:
    """Images (N, 32, 32, 3), and their classes, one-hot, bool (N, 10)."""
    records = np.frombuffer(content, np.uint8).reshape(-1, RECORD)
    labels, planes = records[:, 0], records[:, 1:].reshape(-1, 3, 32, 32)
    if labels.max() >= len(CLASSES):
        raise DataError(f"{path}: {name} is damaged: it has a class {labels.max()}, expected 0 to 9; get it again")
    return np.ascontiguousarray(planes.transpose(0, 2, 3, 1)), np.eye(len(CLASSES), dtype=bool)[labels]
