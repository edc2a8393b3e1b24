"""Read an LMDB file directly, without its library.

LMDB's own library maps the file into memory and trusts every number in it, so a wrong number or a
truncated file kills the process. Here each number is checked, and each page is read when needed.

A data.mdb is an array of pages, in the byte order of its machine. The first two pages describe it,
and the newer one is valid: at byte 16 the magic number, 20 the version, 40 the page size, 92 flags
and depth of the tree, 128 its root, 136 the last page, 144 the transaction. Every other page begins
with its number (8 bytes) and has, at 10, 12 and 14, its kind and the bounds of its free space. From
byte 16 up to the free space there are pointers to nodes, 2 bytes each. A node has the size of its
data or, in a branch, a page (6 bytes; in a leaf 4, and 2 of flags), the size of its key (2), the
key, and the data. For large data, the number of their first page replaces them; there they begin at
byte 16.
"""

from __future__ import annotations

import struct
from array import array
from pathlib import Path

import numpy as np

from glowlite.errors import DataError
from glowlite.files.inputs import RandomAccess

MAGIC, VERSION = 0xBEEFC0DE, 1
HEADER, DESCRIPTION = 16, 152
BRANCH, LEAF = 1, 2
LARGE = 1  # flag of a node whose data are in separate pages
DEEPEST = 32  # levels of the tree; LMDB itself goes no deeper


class Lmdb:
    """The keys and values of a data.mdb, in the order of its keys. It can be read from any thread.

    Raises DataError for a file that is not an LMDB, is shorter than it says, or has a damaged tree.
    Cost: reading the tree once, which is less than a hundredth of a database of pictures, and 24
    bytes of memory per value and the key itself.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self._file = RandomAccess(path, DataError)
        except OSError as error:
            raise DataError(
                f"{path}: cannot be read: {error.strerror}; check its permissions"
            ) from None
        self._page, self._last = 0, 0
        # 3 million keys as Python objects would take 200 MB
        self._joined, self._ends = bytearray(), array("q", [0])
        self._starts, self._sizes = array("q"), array("q")  # positions of the values in the file
        root, depth = self._describe()
        level, seen = [root] if depth else [], 0
        for height in range(depth, 0, -1):
            seen += len(level)  # a loop would visit more pages than there are
            if seen > self._last or not all(2 <= number <= self._last for number in level):
                raise self._damaged("a page is out of place")
            level = [below for number in level for below in self._look_at(number, height == 1)]

    def __len__(self) -> int:
        return len(self._sizes)

    def key(self, row: int) -> bytes:
        return bytes(self._joined[self._ends[row] : self._ends[row + 1]])

    def size(self, row: int) -> int:
        """Return the size of a value in bytes."""
        return self._sizes[row]

    def value(self, row: int) -> bytes:
        """Return a value. Raises DataError if the file has been truncated."""
        return self._read(self._starts[row], self._sizes[row]).tobytes()

    def _describe(self) -> tuple[int, int]:
        """Return the root of the tree and its depth."""
        size = self._file.size
        if size < DESCRIPTION:
            raise self._none()
        first = self._read(0, DESCRIPTION)
        page = self._page = _number(first, "I", 40)
        if _number(first, "I", 16) != MAGIC or not 512 <= page <= 1 << 16 or page & (page - 1):
            raise self._none()
        if _number(first, "I", 20) != VERSION:
            raise DataError(
                f"{self.path}: is an LMDB of version {_number(first, 'I', 20)}, expected {VERSION}"
            )
        if size < 2 * page:
            raise self._truncated(2 * page)
        second = self._read(page, DESCRIPTION)
        if any(_number(first, "I", at) != _number(second, "I", at) for at in (16, 20, 40)):
            raise self._damaged("its first two pages differ")
        newer = max(first, second, key=lambda description: _number(description, "Q", 144))
        flags, depth, root, last = (
            _number(newer, *field) for field in (("H", 92), ("H", 94), ("Q", 128), ("Q", 136))
        )
        if last >= size // page:
            raise self._truncated((last + 1) * page)
        if flags or depth > DEEPEST:
            raise self._damaged("its tree is of an unknown kind")
        self._last = last
        return root, depth

    def _look_at(self, number: int, is_leaf: bool) -> list[int]:
        """Return the numbers of the pages below a branch; for a leaf, store its keys and values."""
        page = self._read(number * self._page, self._page)
        words, size = page.view(np.uint16), self._page
        kind, lower, upper = (int(words[i]) for i in (5, 6, 7))
        sound = _number(page, "Q", 0) == number and kind == (LEAF if is_leaf else BRANCH)
        sound &= HEADER + (2 if is_leaf else 4) <= lower <= upper <= size and lower % 2 == 0
        # of the nodes
        at = words[HEADER // 2 : lower // 2].astype(np.int64) if sound else np.zeros(0, np.int64)
        if not (sound and (at >= upper).all() and (at <= size - 8).all() and (at % 2 == 0).all()):
            raise self._damaged(f"page {number} is out of order")
        low, high, flags, keys = (words[at // 2 + i].astype(np.int64) for i in range(4))
        data, end = low | high << 16, at + 8 + keys
        if not is_leaf and (end <= size).all():
            below: list[int] = (data | flags << 32).tolist()
            return below
        large = flags == LARGE
        inside = end + np.where(large, 8, data) <= size
        if not (is_leaf and inside.all() and (large | (flags == 0)).all() and keys.all()):
            raise self._damaged(f"page {number} is out of order")
        starts = number * size + end
        first = page[end[large, None] + np.arange(8)].view(np.uint64)[:, 0]
        first = np.minimum(first, np.uint64(self._last + 1)).astype(np.int64)
        if not ((first >= 2) & (data[large] <= (self._last + 1 - first) * size - HEADER)).all():
            raise self._damaged(f"page {number} points outside the file")
        starts[large] = first * size + HEADER
        self._starts.frombytes(starts.tobytes())
        self._sizes.frombytes(data.tobytes())
        for start, stop in zip((at + 8).tolist(), end.tolist(), strict=True):
            self._joined += page[start:stop].tobytes()
            self._ends.append(len(self._joined))
        return []

    def _read(self, at: int, size: int) -> np.ndarray:
        content = np.empty(size, np.uint8)
        if not self._file.read_into(content.data, at):
            raise self._truncated(at + size)
        return content

    def _none(self) -> DataError:
        return DataError(f"{self.path}: is not an LMDB, or a damaged one; get it again")

    def _truncated(self, expected: int) -> DataError:
        return DataError(
            f"{self.path}: is truncated: it has {self._file.size} bytes, expected {expected}; get"
            " it again"
        )

    def _damaged(self, reason: str) -> DataError:
        return DataError(f"{self.path}: is damaged, or not of LSUN's kind: {reason}; get it again")


def _number(page: np.ndarray, kind: str, at: int) -> int:
    number: int = struct.unpack_from(f"={kind}", page.data, at)[0]
    return number
