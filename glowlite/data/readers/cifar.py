"""CIFAR-10 and CIFAR-100, binary editions: training and held-out images, in a folder or in the
.tar.gz.

A record has the classes of an image, one byte each, and 3 x 1024 bytes, the red, green and blue
planes. CIFAR-10 has one class per image. CIFAR-100 has two: one of 20 coarse and one of 100 fine
classes.
"""

from __future__ import annotations

import gzip
import os
import re
import tarfile
import zlib
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np

from glowlite.data.dataset import Reading
from glowlite.data.images import ArrayImages
from glowlite.data.walk import is_hidden
from glowlite.errors import DataError
from glowlite.files.inputs import open_regular, read_bytes

PIXELS = 3 * 32 * 32
LARGEST_META = 1 << 12  # size limit of a file of names in bytes; the real ones have up to 1.2 KB
LARGEST_HEADER = 1 << 14  # bytes of extended headers before a file; the real archives have none
UNPACKED = 1 << 29  # bytes of a whole unpacked archive; the real ones have 185 MB
SHOWN = 3  # files that a message names
DAMAGED = (zlib.error, EOFError, OSError, MemoryError)
# chained headers could go on for ever
DAMAGED_TAR = (tarfile.TarError, ValueError, OverflowError, RecursionError)


@dataclass(frozen=True)
class Edition:
    """The name of a data set, and the description of its files.

    train: the pattern of the names of training files; first: the first of them; held_out: the name
    of the test file. names: for each class of a record, the file with the names of its values,
    their number, and the names to use if the file is missing. largest: size limit of a file of
    images in bytes; the real ones have 31 and 154 MB. pickled: file names of the Python edition.
    folders: names of its folder. archive: the archive to download.
    """

    name: str
    train: str
    first: str
    held_out: str
    names: tuple[tuple[str, int, tuple[str, ...]], ...]
    largest: int
    pickled: str
    folders: tuple[str, ...]
    archive: str

    def is_ours(self, name: str) -> bool:
        metas = {meta for meta, _, _ in self.names}
        return name == self.held_out or name in metas or re.fullmatch(self.train, name) is not None

    @property
    def record(self) -> int:
        return len(self.names) + PIXELS


CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
COARSE = tuple(f"coarse {i}" for i in range(20))
FINE = tuple(f"fine {i}" for i in range(100))
EDITIONS = (
    Edition(
        "CIFAR-10", r"data_batch_[0-9]\.bin", "data_batch_1.bin", "test_batch.bin",
        (("batches.meta.txt", 10, CLASSES),), 1 << 26, r"data_batch_[0-9]|test_batch|batches\.meta",
        ("cifar-10-batches-bin", "cifar-10-batches-py"), "cifar-10-binary.tar.gz",
    ),
    Edition(
        "CIFAR-100", r"train\.bin", "train.bin", "test.bin",
        (("coarse_label_names.txt", 20, COARSE), ("fine_label_names.txt", 100, FINE)), 160 << 20,
        r"train|test|meta", ("cifar-100-binary", "cifar-100-python"), "cifar-100-binary.tar.gz",
    ),
)  # fmt: skip


def recognises_cifar10(path: Path) -> bool:
    return (
        _has(path, EDITIONS[0])
        if path.is_dir()
        else path.name.lower().endswith((".tar.gz", ".tgz"))
    )


def recognises_cifar100(path: Path) -> bool:
    return (
        _has(path, EDITIONS[1])
        if path.is_dir()
        else recognises_cifar10(path) and "100" in path.name
    )


def _has(folder: Path, edition: Edition) -> bool:
    """Whether there are at least two files of the edition, including pickled ones, or its
    folder.
    """
    # a folder of pictures may have millions of files, so look at only a few
    names = os.listdir(folder)
    pickled = [
        name for name in names if re.fullmatch(edition.pickled, name) and (folder / name).is_file()
    ]
    ours = [name for name in names if edition.is_ours(name) and (folder / name).is_file()]
    return max(len(ours), len(pickled)) > 1 or any(
        (folder / name).is_dir() for name in edition.folders
    )


def read_cifar(path: Path) -> Reading:
    """Read images (N, 32, 32, 3) into memory; the test file is held out. Labels are the classes
    (for CIFAR-100 the fine ones); attributes are all classes.

    Raises DataError for the Python edition, which is pickled and so never opened, and for missing
    or damaged files.
    """
    try:
        edition, found = _from_folder(path) if path.is_dir() else _from_archive(path)
    except DataError:
        raise  # it is a ValueError, too
    except DAMAGED as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise DataError(
            f"{path}: cannot be read as CIFAR: {reason}; is it complete? Get it again"
        ) from None
    train = sorted(name for name in found if re.fullmatch(edition.train, name))
    expected = [edition.first, *(edition.first.replace("1", str(i + 1)) for i in range(len(train)))]
    missing = {edition.held_out, *expected} - set(found)
    if missing:
        raise DataError(
            f"{path}: no {min(missing)}, as {edition.name}'s binary edition has; is it complete?"
            " Get it again"
        )
    names = [name for table in edition.names for name in _names(path, found, *table)]
    parts = [_decode(path, edition, name, found.pop(name)) for name in train]
    images, labels = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
    held_out, held_out_labels = _decode(path, edition, edition.held_out, found[edition.held_out])
    notes = (
        f"{edition.name}'s images, of {' and '.join(str(count) for _, count, _ in edition.names)}"
        " classes",
    )
    last = edition.names[-1][1]  # number of classes; their one-hot columns come last
    return Reading(
        ArrayImages(images), ArrayImages(held_out), tuple(names), labels, held_out_labels, notes,
        tuple(names[-last:]),
        *(columns[:, -last:].argmax(axis=1) for columns in (labels, held_out_labels)),
    )  # fmt: skip


def _from_folder(path: Path) -> tuple[Edition, dict[str, bytes]]:
    """Return the edition, and its files by name."""
    named = [
        path / name for edition in EDITIONS for name in edition.folders if (path / name).is_dir()
    ]
    if len(named) > 1:
        raise DataError(f"{path}: has both {named[0].name} and {named[1].name}; name one of them")
    folder = named[0] if named else path
    names = [p.name for p in folder.iterdir() if p.is_file() and not is_hidden(p.name)]
    edition, found = _edition(path, names), {}
    for name in filter(edition.is_ours, names):
        _check_size(path, edition, name, (folder / name).stat().st_size)
        found[name] = read_bytes(folder / name, edition.largest, DataError)
    return edition, found


def _from_archive(path: Path) -> tuple[Edition, dict[str, bytes]]:
    """Return the same from a .tar.gz, which is read from start to end and never unpacked to the
    disk.

    Links, pipes, devices and sparse files in it are skipped.
    """
    found, names = {}, []
    with open_regular(path, DataError) as file, Limited(fileobj=file, filename=path) as stream:
        try:
            with tarfile.open(fileobj=stream, mode="r|", tarinfo=ShortHeader) as archive:
                for member in archive:
                    name = PurePosixPath(member.name).name
                    if not member.isreg() or member.issparse() or is_hidden(name):
                        continue
                    names.append(name)
                    edition = next((edition for edition in EDITIONS if edition.is_ours(name)), None)
                    content = archive.extractfile(member)
                    if edition is not None and content is not None:
                        _check_size(path, edition, name, member.size)
                        found[name] = content.read()
        except DataError:
            raise  # it is a ValueError, too
        except DAMAGED_TAR:
            raise DataError(
                f"{path}: cannot be read: it is not a tar archive, or it is damaged; is it"
                " complete? Get it again"
            ) from None
        while stream.read(1 << 20):
            pass  # read up to the end, where the checksum is
    return _edition(path, names), found


class ShortHeader(tarfile.TarInfo):
    """A header with at most LARGEST_HEADER bytes of extended fields.

    tarfile's search of these fields takes time quadratic in their number.
    """

    def _proc_pax(self, archive: tarfile.TarFile) -> tarfile.TarInfo:
        if self.size > LARGEST_HEADER:
            raise tarfile.HeaderError("too many extended fields")
        return super()._proc_pax(archive)  # type: ignore[misc]


class Limited(gzip.GzipFile):
    """A .gz that raises DataError if it unpacks to more than UNPACKED bytes."""

    def read(self, size: int | None = -1) -> bytes:
        if self.tell() > UNPACKED:
            raise DataError(
                f"{self.name}: unpacks to more than {UNPACKED >> 20} MiB, so it is neither CIFAR-10"
                " nor CIFAR-100; unpack it, and name the folder"
            )
        return super().read(size)


def _edition(path: Path, names: list[str]) -> Edition:
    """Return the edition that files of these names belong to.

    Raises DataError for a pickled edition, and if none matches.
    """
    for edition in EDITIONS:
        if any(map(edition.is_ours, names)):
            return edition
    for edition in EDITIONS:
        if len([name for name in names if re.fullmatch(edition.pickled, name)]) > 1:
            raise DataError(
                f"{path}: {edition.name}, but the Python edition, which is pickled; get the binary"
                f" edition {edition.archive}"
            )
    if not names:
        raise DataError(
            f"{path}: has no {EDITIONS[0].first}, and no other file; is it complete? Get it again"
        )
    some = ", ".join(sorted(names)[:SHOWN]) + (", ..." if len(names) > SHOWN else "")
    raise DataError(
        f"{path}: is neither CIFAR-10 (no {EDITIONS[0].first}) nor CIFAR-100 (no"
        f" {EDITIONS[1].first}); it has {some}; if these are pictures, unpack it and name the"
        " folder"
    )


def _check_size(path: Path, edition: Edition, name: str, size: int) -> None:
    """Check the size before reading the file, since an archive may lie about its contents."""
    is_meta = name in {meta for meta, _, _ in edition.names}
    largest, unit = (LARGEST_META, 1) if is_meta else (edition.largest, edition.record)
    if not 0 < size <= largest or size % unit:
        raise DataError(
            f"{path}: {name} has {size} bytes, expected a multiple of {unit} up to {largest}; is it"
            " complete? Get it again"
        )


def _names(
    path: Path, found: dict[str, bytes], meta: str, count: int, names: tuple[str, ...]
) -> tuple[str, ...]:
    """Return the names of the values of a class, (count,)."""
    if meta not in found:
        return names
    words = tuple(found[meta].decode("ascii", "replace").split())
    if len(words) != count:
        raise DataError(
            f"{path}: {meta} names {len(words)} classes, expected {count}; get it again"
        )
    return words


def _decode(
    path: Path, edition: Edition, name: str, content: bytes
) -> tuple[np.ndarray, np.ndarray]:
    """Return images (N, 32, 32, 3), and their classes, one-hot side by side, bool (N, 10) or (N,
    120).
    """
    records = np.frombuffer(content, np.uint8).reshape(-1, edition.record)
    columns = len(edition.names)
    planes, labels = records[:, columns:].reshape(-1, 3, 32, 32), []
    for column, (_, count, _) in enumerate(edition.names):
        values = records[:, column]
        if values.max() >= count:
            raise DataError(
                f"{path}: {name} is damaged: it has a class {values.max()}, expected 0 to"
                f" {count - 1}; get it again"
            )
        labels.append(np.eye(count, dtype=bool)[values])
    return np.ascontiguousarray(planes.transpose(0, 2, 3, 1)), np.concatenate(labels, axis=1)
