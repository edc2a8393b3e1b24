"""Reading safetensors files: everything in them is checked against the size of the file before it
is used.

    8 bytes: n, little-endian
    n bytes: JSON, name -> dtype, shape, offsets; __metadata__ -> texts
    the numbers

The numbers of the arrays are contiguous and fill the rest of the file. A file is read, not
memory-mapped, so a file that is truncated meanwhile gives an error and does not kill the process.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import BufferedReader
from math import prod
from pathlib import Path
from typing import Any

import numpy as np

from glowlite.arrays.machine import available_bytes
from glowlite.errors import DamagedError, GlowliteError
from glowlite.files.inputs import open_regular
from glowlite.files.schema import checked, list_of, names_to, read_json, record, text, whole

DTYPES = {
    "F64": "<f8", "F32": "<f4", "F16": "<f2", "I64": "<i8", "I32": "<i4", "I16": "<i2", "I8": "i1",
    "U64": "<u8", "U32": "<u4", "U16": "<u2", "U8": "u1", "BOOL": "?",
}  # fmt: skip
METADATA = "__metadata__"
MAX_HEADER_BYTES = 100_000_000  # in bytes, as in the format's own library
AXES = 32
SIZES = 1 << 59  # limit for numbers of an array or bytes of a file: NumPy counts bytes with 63 bits
HEADER = record(
    optional={METADATA: names_to(text(MAX_HEADER_BYTES))},
    others=record(
        {
            "dtype": text(),
            "shape": list_of(whole(0, SIZES), most=AXES),
            "data_offsets": list_of(whole(0, SIZES), least=2, most=2),
        }
    ),
)


@dataclass(frozen=True)
class Entry:
    """An array in the file: bytes `start` to `stop` of the numbers."""

    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    start: int
    stop: int


class TensorFile:
    """An open file. `metadata`: texts by name.

    `entries` by name, in the order of their numbers; `read()`: the arrays.
    """

    def __init__(self, file: BufferedReader, path: Path) -> None:
        self.path, self._file = path, file
        size = os.fstat(file.fileno()).st_size
        length = int.from_bytes(file.read(8), "little")
        if size < 8 or length > min(MAX_HEADER_BYTES, size - 8):
            raise DamagedError(f"cannot read {path}: it is not a complete safetensors file")
        where = f"cannot read {path}"
        header = checked(
            HEADER, read_json(file.read(length), where, DamagedError), where, DamagedError
        )
        self.metadata: dict[str, str] = header.pop(METADATA, {})
        self._start = 8 + length
        entries = {name: _entry(where, name, entry) for name, entry in header.items()}
        self.entries = dict(sorted(entries.items(), key=lambda item: (item[1].start, item[1].stop)))
        end = 0
        for name, entry in self.entries.items():
            if entry.start != end:
                raise DamagedError(
                    f"{where}: the numbers of {name} do not begin where the previous ones end"
                )
            end = entry.stop
        if end != size - self._start:
            raise DamagedError(
                f"{where}: its arrays take {end} bytes, but it has {size - self._start}; is it"
                " complete?"
            )
        if size > available_bytes():
            raise GlowliteError(
                f"{path}: {size / 2**30:.1f} GiB do not fit into this machine's memory"
            )

    def read(self) -> dict[str, np.ndarray]:
        """Read all arrays, by name. Cost: their size. Raises DamagedError if the file became
        shorter.
        """
        return {name: self._array(name, entry) for name, entry in self.entries.items()}

    def _array(self, name: str, entry: Entry) -> np.ndarray:
        content = np.empty(entry.stop - entry.start, np.uint8)
        self._file.seek(self._start + entry.start)
        if self._file.readinto(content.data) != content.size:
            raise DamagedError(f"cannot read {self.path}: it ends within {name}; is it complete?")
        if entry.dtype == np.bool_:
            return (content != 0).reshape(entry.shape)
        return content.view(entry.dtype).reshape(entry.shape)


@contextmanager
def open_tensors(path: Path) -> Iterator[TensorFile]:
    """Open a safetensors file for reading.

    Raises GlowliteError for other files, DamagedError if it is not complete.
    """
    try:
        with open_regular(path) as file:
            yield TensorFile(file, path)
    except OSError as error:
        reason = (
            "no such file"
            if isinstance(error, FileNotFoundError)
            else error.strerror or "it cannot be read"
        )
        raise GlowliteError(f"cannot read {path}: {reason}") from None


def _entry(where: str, name: str, entry: dict[str, Any]) -> Entry:
    if entry["dtype"] not in DTYPES:
        raise DamagedError(
            f"{where}: {name} is of dtype {entry['dtype'][:20]!r}; expected one of"
            f" {', '.join(DTYPES)}"
        )
    dtype, shape = np.dtype(DTYPES[entry["dtype"]]), tuple(entry["shape"])
    start, stop = entry["data_offsets"]
    if stop - start != prod(shape) * dtype.itemsize or prod(max(side, 1) for side in shape) > SIZES:
        raise DamagedError(
            f"{where}: {name} takes {stop - start} bytes, which is not the size of {dtype}"
            f" {list(shape)}"
        )
    return Entry(dtype, shape, start, stop)
