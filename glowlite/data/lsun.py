"""LSUN: pictures as encoded files in an LMDB, a memory-mapped database of keys and values."""

from __future__ import annotations

import io
import threading
from array import array
from pathlib import Path
from typing import Any
from weakref import WeakValueDictionary

import numpy as np

from glowlite.data.dataset import Reading
from glowlite.data.images import Pictures
from glowlite.data.lmdb_pages import check_pages
from glowlite.data.pillow import read_picture
from glowlite.data.walk import is_hidden
from glowlite.errors import DataError

DATA = "data.mdb"
LARGEST = 1 << 28  # bytes of one encoded picture
TRAIN, HELD_OUT = "_train_lmdb", "_val_lmdb"


def recognises(path: Path) -> bool:
    return path.is_dir() and ((path / DATA).is_file() or bool(_sets(path)))


def read_lsun(path: Path) -> Reading:
    """The pictures of an LMDB, decoded when they are needed, in the order of their keys.

    Of a NAME_train_lmdb, or of the folder above it, the pictures of NAME_val_lmdb beside it, if there, are held out.
    Raises DataError for what is missing, damaged or empty. Cost: 50 bytes of memory a picture.
    """
    train = path
    if not (path / DATA).is_file():
        found = _sets(path)
        if len(found) != 1:
            several = f"{found[0].name} and {found[1].name}: name one" if found else f"no {DATA}, and no NAME{TRAIN}"
            raise DataError(f"{path}: expected a folder of one LMDB, or of one of LSUN's sets; there is {several}")
        train = found[0]
    name = train.resolve().name
    held_out = train.resolve().with_name(name.removesuffix(TRAIN) + HELD_OUT)
    has_split = name.endswith(TRAIN) and (held_out / DATA).is_file()
    return Reading(LmdbPictures(train), LmdbPictures(held_out) if has_split else None)


def _sets(path: Path) -> list[Path]:
    return sorted(p for p in path.glob(f"*{TRAIN}") if p.is_dir() and not is_hidden(p.name))


class LmdbPictures(Pictures):
    """The values of an LMDB as pictures. Keys lie end to end in one array: 3 million Python objects would be 200 MB."""

    channels = 3

    def __init__(self, path: Path) -> None:
        self.path = path
        check_pages(path / DATA)
        self.lmdb = _library(path)
        joined, ends = bytearray(), array("q", [0])
        try:
            self.environment = _open(self.lmdb, path)
            with self.environment.begin() as transaction:
                for key in transaction.cursor().iternext(keys=True, values=False):
                    joined += key
                    ends.append(len(joined))
        except self.lmdb.Error as error:
            raise self._unreadable(error) from None
        if not joined:
            raise DataError(f"{path}: this LMDB is empty; get it again")
        self.keys, self.ends = np.frombuffer(joined, np.uint8), np.frombuffer(ends, np.int64)

    def __len__(self) -> int:
        return len(self.ends) - 1

    def key(self, row: int) -> bytes:
        return self.keys[self.ends[row] : self.ends[row + 1]].tobytes()

    def name(self, row: int) -> str:
        return f"{self.path}, key {self.key(row)!r}"

    def picture(self, row: int, keep_alpha: bool = False) -> tuple[np.ndarray, list[str]]:
        try:
            with self.environment.begin(buffers=True) as transaction:
                value = transaction.get(self.key(row))
                if value is None or len(value) > LARGEST:
                    raise DataError(f"{self.name(row)}: is gone, or too large for a picture; get the LMDB again")
                content = bytes(value)
        except self.lmdb.Error as error:
            raise self._unreadable(error) from None
        return read_picture(io.BytesIO(content), self.name(row), keep_alpha=keep_alpha)

    def _unreadable(self, error: Exception) -> DataError:
        return DataError(
            f"{self.path}: cannot be read as LMDB: {' '.join(str(error).split())}; is it complete? Get it again"
        )


_environments: WeakValueDictionary[tuple[int, int], Any] = WeakValueDictionary()  # the library opens one only once
_lock = threading.Lock()


def _open(lmdb: Any, path: Path) -> Any:
    """The environment of a folder, opened for reading, or the one that is open already."""
    status = (path / DATA).stat()
    with _lock:
        environment = _environments.get((status.st_dev, status.st_ino))
        if environment is None:
            environment = lmdb.open(str(path), readonly=True, lock=False, readahead=False, create=False)
            _environments[status.st_dev, status.st_ino] = environment
    return environment


def _library(path: Path) -> Any:
    try:
        import lmdb
    except ImportError:
        raise DataError(f"{path}: reading an LMDB needs the library lmdb: pip install '.[data]'") from None
    return lmdb
