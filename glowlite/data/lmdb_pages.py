"""Whether the pages of an LMDB are sound: the library trusts every number in them, and crashes where one is wrong.

A data.mdb is an array of pages, in the byte order of its machine. The first two describe it, the newer of them in force:
at byte 16 the magic number, 40 the page size, 92 flags and depth of the tree, 128 its root, 136 the last page, 144 the
transaction. Others begin with their number (8 bytes), and at 10, 12, 14 have their kind, and the bounds of their free
space; from byte 16 up to there lie pointers to nodes, 2 bytes each. A node: size of its data or, in a branch, a page (6
bytes; in a leaf 4, and 2 of flags), size of its key (2), key, data or, if they are large, the number of their first page.
"""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np

from glowlite.errors import DataError

MAGIC = 0xBEEFC0DE
HEADER, DESCRIPTION = 16, 152
BRANCH, LEAF = 1, 2
LARGE = 1  # flag of a node whose data lie in pages of their own


def check_pages(path: Path) -> None:
    """Raise DataError for a data.mdb that is none, is shorter than it says, or has a damaged tree. Cost: one look at it."""
    try:
        size = path.stat().st_size
        if size < DESCRIPTION:
            raise DataError(f"{path}: is no LMDB, or a damaged one; get it again")
        file = np.memmap(path, np.uint8, mode="r")
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}; check its permissions") from None
    page = _number(file, "I", 40)
    if _number(file, "I", 16) != MAGIC or not 512 <= page <= 1 << 16 or page & (page - 1):
        raise DataError(f"{path}: is no LMDB, or a damaged one; get it again")
    if size < 2 * page:
        raise DataError(f"{path}: is truncated: it has {size} bytes, expected {2 * page} at least; get it again")
    pages = file[: size // page * page].reshape(-1, page)
    if any((_number(p, "I", 16), _number(p, "I", 40)) != (MAGIC, page) for p in pages[:2]):
        raise DataError(f"{path}: is damaged in its first two pages; get it again")
    newer = max(pages[:2], key=lambda p: _number(p, "Q", 144))
    flags, depth, root, last = (_number(newer, *field) for field in (("H", 92), ("H", 94), ("Q", 128), ("Q", 136)))
    if last >= len(pages):
        raise DataError(f"{path}: is truncated: it has {size} bytes, expected {(last + 1) * page}; get it again")
    level, seen = np.array([root] if depth else [], np.uint64), 0
    for height in range(depth, 0, -1):
        seen += len(level)
        if flags or seen > last or not all(2 <= number <= last for number in level):
            raise DataError(f"{path}: is damaged, or of another kind than LSUN's: a page is out of place; get it again")
        level = np.concatenate([_check_page(path, pages, int(number), height == 1, last) for number in level])


def _check_page(path: Path, pages: np.ndarray, number: int, is_leaf: bool, last: int) -> np.ndarray:
    """The numbers of the pages below this one. Raises DataError if anything in it points outside of it, or of the file."""
    page = pages[number]
    words, size = page.view(np.uint16), len(page)
    kind, lower, upper = (int(words[i]) for i in (5, 6, 7))
    sound = _number(page, "Q", 0) == number and kind == (LEAF if is_leaf else BRANCH)
    sound &= HEADER + (2 if is_leaf else 4) <= lower <= upper <= size and lower % 2 == 0
    at = words[HEADER // 2 : lower // 2].astype(np.int64) if sound else np.zeros(0, np.int64)  # of the nodes
    if sound and (at >= upper).all() and (at <= size - 8).all() and (at % 2 == 0).all():
        low, high, flags, key = (words[at // 2 + i].astype(np.int64) for i in range(4))
        data = low | high << 16
        end = at + 8 + key
        if not is_leaf and (end <= size).all():
            return (data | flags << 32).astype(np.uint64)
        large = flags == LARGE
        inside = end + np.where(large, 8, data) <= size
        if is_leaf and inside.all() and (large | (flags == 0)).all():
            first = page[end[large, None] + np.arange(8)].view(np.uint64)[:, 0]
            room = (last + 1 - np.minimum(first, np.uint64(last + 1)).astype(np.int64)) * size - HEADER
            if (data[large] <= room).all():
                return np.zeros(0, np.uint64)
    raise DataError(f"{path}: page {number} is damaged, or of another kind than LSUN's; get it again")


def _number(page: np.ndarray, kind: str, at: int) -> int:
    number: int = struct.unpack_from(f"={kind}", page.data, at)[0]
    return number
