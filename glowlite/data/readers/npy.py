"""NumPy's .npy format: a header of text, then numbers.

Rows of a file are read when needed; the file is never memory-mapped. If another process truncates a
mapped file, this process dies without a message (SIGBUS), while a short read is an ordinary error.
The header is not evaluated as Python either: it is matched with a pattern, and its sizes are
checked against the file's size.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import IO

import numpy as np

from glowlite.errors import DataError
from glowlite.files.inputs import RandomAccess, open_regular

MAGIC = b"\x93NUMPY"
# limits: bytes of a header and number of axes; NumPy itself writes nothing larger
MAX_HEADER, MAX_AXES = 1 << 14, 32
QUOTED = r"""['"]{}['"]\s*:\s*"""
NUMBERS = r"\(\s*(?P<shape>(?:\d{1,19}L?\s*(?:,\s*\d{1,19}L?\s*)*,?)?)\s*\)"
ENTRY = (
    rf"(?:{QUOTED.format('descr')}(?:['\"](?P<descr>[^'\"]{{1,64}})['\"]|(?P<records>\[[^{{}}]*\]))"
    rf"|{QUOTED.format('fortran_order')}(?P<fortran>True|False)|{QUOTED.format('shape')}{NUMBERS})"
)
NUMBER_TYPE = re.compile(
    r"[<>|=]?(?:[biufcSUVMm][1-9]\d{0,4}|\?|(?:bool|u?int|float|complex)\d{0,3})"
)


@dataclass(frozen=True)
class Header:
    """The description of an array in a file: `dtype`, `shape`, whether its first axis varies
    fastest, and its offset in bytes.
    """

    dtype: np.dtype
    shape: tuple[int, ...]
    fortran_order: bool
    offset: int

    @property
    def nbytes(self) -> int:
        return prod(self.shape) * self.dtype.itemsize


def read_npy_header(file: IO[bytes], source: str) -> Header:
    """Read the header at the beginning of a stream, which is then positioned at the numbers.

    Raises DataError, naming `source`.
    """
    magic = file.read(8)
    size = 2 if magic[6:7] == b"\x01" else 4
    length = int.from_bytes(file.read(size), "little")
    if magic[:6] != MAGIC or magic[6] not in (1, 2, 3) or length > MAX_HEADER:
        raise _damaged(source, "it does not begin like an .npy file")
    content = file.read(length)
    found = _entries(content.decode("utf-8", "replace"))
    if len(content) < length or found is None:
        raise _damaged(source, "its header is not a description of an array")
    descr, axes = found["descr"], re.findall(r"\d+", found["shape"] or "")
    if descr is None:
        raise DataError(
            f"{source}: expected uint8 images (N, H, W, C), got records with several fields; save"
            " one of the fields"
        )
    if descr.lstrip("<>|=") in ("O", "O8", "object"):
        raise DataError(
            f"{source}: contains pickled objects, which are never loaded; save an array of numbers"
        )
    try:
        dtype = np.dtype(descr) if NUMBER_TYPE.fullmatch(descr) else None
    except TypeError:
        dtype = None
    if dtype is None or len(axes) > MAX_AXES:
        raise _damaged(
            source, f"its header describes an array of type {descr!r} with {len(axes)} axes"
        )
    return Header(dtype, tuple(map(int, axes)), found["fortran"] == "True", 8 + size + length)


def _entries(text: str) -> dict[str, str | None] | None:
    """Return `descr` (None for records), `fortran` and `shape` as they are written in a header.

    Return None if the text is not a header.
    """
    text = text.strip()
    found: dict[str, str | None] = {}
    at = 1
    for _ in range(3):
        match = re.compile(rf"\s*{ENTRY}\s*(?:,|(?=\}}))").match(text, at)
        if match is None:
            return None
        found |= {name: value for name, value in match.groupdict().items() if value is not None}
        at = match.end()
    complete = text[:1] == "{" and text[at:].strip() == "}" and {"fortran", "shape"} <= found.keys()
    return {"descr": None, **found} if complete and found.keys() & {"descr", "records"} else None


def in_order(numbers: np.ndarray, header: Header) -> np.ndarray:
    """Return the array that a header describes, from its flat numbers."""
    flat = numbers.view(header.dtype)
    return (
        flat.reshape(header.shape[::-1]).T if header.fortran_order else flat.reshape(header.shape)
    )


class FileArray:
    """The array of an .npy file, (N, ...), of any type.

    It can be read from any thread, since each read gives its own position. The file stays open, so
    that a new file in its place is not mistaken for it. Raises DataError for a file that is not an
    .npy file, or is shorter than its header says. Cost of a row: a system call, about 10
    microseconds; consecutive rows share one.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        with open_regular(path, DataError) as file:
            self.header = read_npy_header(file, str(path))
        self._file = RandomAccess(path, DataError)
        self.shape, self.dtype, self.ndim = (
            self.header.shape,
            self.header.dtype,
            len(self.header.shape),
        )
        self._check_size()

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, rows: np.ndarray) -> np.ndarray:
        """Return the rows (n,) as a new array, (n, ...).

        Raises DataError if the file has become shorter.
        """
        found = np.empty((len(rows), *self.shape[1:]), self.dtype)
        content, row = (
            found.reshape(-1).view(np.uint8).data,
            prod(self.shape[1:]) * self.dtype.itemsize,
        )
        ends = [*(np.flatnonzero(np.diff(rows) != 1) + 1), len(rows)]
        for start, end in zip([0, *ends], ends):  # consecutive rows
            if start < end:
                self._read(content[start * row : end * row], int(rows[start]) * row)
        return found

    def all(self) -> np.ndarray:
        """Return the whole array in memory, for either order of its axes."""
        numbers = np.empty(self.header.nbytes, np.uint8)
        self._read(numbers.data, 0)
        return in_order(numbers, self.header)

    def _read(self, into: memoryview, start: int) -> None:
        if not self._file.read_into(into, self.header.offset + start):
            self._check_size()
            raise _damaged(str(self.path), "it ended while it was being read")

    def _check_size(self) -> None:
        size, expected = self._file.size, self.header.offset + self.header.nbytes
        if size < expected:
            raise DataError(
                f"{self.path}: is truncated: its header says {self.shape}, {expected} bytes, but"
                f" it ends after {size}; is the file complete? Make it again"
            )


def _damaged(source: str, reason: str) -> DataError:
    return DataError(
        f"{source}: cannot be read as .npy: {reason}; is the file complete? Make it again"
    )
