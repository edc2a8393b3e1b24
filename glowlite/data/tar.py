"""The regular files of a tar archive, read from one end to the other: never unpacked to the disk, and no name believed.

An archive is blocks of 512 bytes. The header of a member: at 0 its name (100 bytes), 124 its size in octal digits (or, if
the first bit is set, in binary), 148 the sum of the header's bytes (8, taken as spaces), 156 its type; its content follows,
filled up to a whole block. A block of zeros ends the archive. Links, devices and sparse files have types of their own,
and are passed over, as are the extended headers of long names and attributes: nothing in here has any.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import Protocol

from glowlite.errors import DataError

BLOCK = 512
REGULAR = (b"0", b"\0", b"7")
SKIPPED_AT_ONCE = 1 << 20


class Stream(Protocol):
    def read(self, size: int, /) -> bytes: ...


def members(stream: Stream, source: str) -> Iterator[tuple[str, int, Stream]]:
    """The name without its folders, the size in bytes, and the content of each regular file. Read it before the next one.

    Raises DataError, with `source`, for what is no archive or ends early. Cost: one reading, a block at a time.
    """
    while (header := stream.read(BLOCK)) not in (b"", bytes(BLOCK)):
        if len(header) < BLOCK:
            raise _damaged(source)
        total = sum(header) - sum(header[148:156]) + 8 * ord(" ")
        if _number(header[148:156], source) != total:
            raise _damaged(source)
        size = _number(header[124:136], source)
        content = _Content(stream, size, source)
        if header[156:157] in REGULAR:
            name = header[:100].partition(b"\0")[0].decode("utf-8", "replace")
            yield PurePosixPath(name).name, size, content
        content.skip(-size % BLOCK)


class _Content:
    """The `size` next bytes of a stream."""

    def __init__(self, stream: Stream, size: int, source: str) -> None:
        self.stream, self.left, self.source = stream, size, source

    def read(self, size: int, /) -> bytes:
        """The next `size` bytes, or what is left. Raises DataError where the archive ends before."""
        content = self.stream.read(min(size, self.left))
        if len(content) < min(size, self.left):
            raise _damaged(self.source)
        self.left -= len(content)
        return content

    def skip(self, more: int) -> None:
        """Over what is left, and `more` bytes after it."""
        self.left += more
        while self.left:
            self.read(SKIPPED_AT_ONCE)


def _number(field: bytes, source: str) -> int:
    """Octal digits between spaces and zero bytes, or, where the first bit is set, a binary number."""
    if field[0] == 0x80:
        return int.from_bytes(field[1:], "big")
    digits = field.strip(b" \0")
    if not all(digit in b"01234567" for digit in digits):
        raise _damaged(source)
    return int(digits or b"0", 8)


def _damaged(source: str) -> DataError:
    return DataError(f"{source}: cannot be read: no tar archive, or a damaged one; is it complete? Get it again")
