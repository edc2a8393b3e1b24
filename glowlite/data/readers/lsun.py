"""LSUN: pictures as encoded files in an LMDB, a database of keys and values."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np

from glowlite.data.dataset import Reading
from glowlite.data.images import Pictures
from glowlite.data.readers.lmdb_pages import Lmdb
from glowlite.data.readers.pictures import read_picture
from glowlite.data.walk import is_hidden
from glowlite.errors import DataError

DATA = "data.mdb"
LARGEST = 1 << 28  # bytes of one encoded picture
TRAIN, HELD_OUT = "_train_lmdb", "_val_lmdb"


def recognises(path: Path) -> bool:
    return path.is_dir() and ((path / DATA).is_file() or bool(_sets(path)))


def read_lsun(path: Path) -> Reading:
    """Read the pictures of an LMDB, in the order of their keys; they are decoded when needed.

    For a NAME_train_lmdb, or the folder that contains it, the pictures of NAME_val_lmdb beside it
    are held out, if it exists. Raises DataError for files that are missing, damaged or empty. Cost:
    50 bytes of memory per picture.
    """
    train = path
    if not (path / DATA).is_file():
        found = _sets(path)
        if len(found) != 1:
            several = (
                f"{found[0].name} and {found[1].name}: name one of them"
                if found
                else f"no {DATA}, and no NAME{TRAIN}"
            )
            raise DataError(
                f"{path}: expected the folder of one LMDB, or of one LSUN set; there is {several}"
            )
        train = found[0]
    name = train.resolve().name
    held_out = train.resolve().with_name(name.removesuffix(TRAIN) + HELD_OUT)
    has_split = name.endswith(TRAIN) and (held_out / DATA).is_file()
    return Reading(LmdbPictures(train), LmdbPictures(held_out) if has_split else None)


def _sets(path: Path) -> list[Path]:
    return sorted(p for p in path.glob(f"*{TRAIN}") if p.is_dir() and not is_hidden(p.name))


class LmdbPictures(Pictures):
    """The values of an LMDB as pictures, named by their keys."""

    channels = 3

    def __init__(self, path: Path) -> None:
        self.path, self.values = path, Lmdb(path / DATA)
        if not len(self.values):
            raise DataError(f"{path}: this LMDB is empty; get it again")

    def __len__(self) -> int:
        return len(self.values)

    def name(self, row: int) -> str:
        return f"{self.path}, key {self.values.key(row)!r}"

    def picture(self, row: int, keep_alpha: bool = False) -> tuple[np.ndarray, list[str]]:
        if self.values.size(row) > LARGEST:
            raise DataError(
                f"{self.name(row)}: has {self.values.size(row)} bytes, too many for a picture; get"
                " the LMDB again"
            )
        return read_picture(
            io.BytesIO(self.values.value(row)), self.name(row), keep_alpha=keep_alpha
        )

    def content(self, rows: np.ndarray) -> bytes:
        return b"".join(self.values.value(int(row)) for row in rows)
