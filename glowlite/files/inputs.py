"""Reading files: only regular files of limited size.

A FIFO or a device, which could block for ever, is refused.
"""

from __future__ import annotations

import errno
import os
import stat
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from io import BufferedReader
from pathlib import Path

from glowlite.errors import GlowliteError


def check_regular(path: Path, error: type[GlowliteError] = GlowliteError) -> None:
    """Raise `error` unless `path` is a regular file, or a link to one.

    Raises OSError if it cannot be examined.
    """
    mode = os.stat(path).st_mode
    if not stat.S_ISREG(mode):
        raise error(f"{path}: is {_kind(mode)}; name a regular file")


@contextmanager
def open_regular(
    path: Path, error: type[GlowliteError] = GlowliteError
) -> Iterator[BufferedReader]:
    """Open a regular file for reading.

    Anything else raises `error` without waiting; otherwise OSError like `open`.
    """
    descriptor = os.open(
        path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0)
    )
    with open(descriptor, "rb") as file:
        mode = os.fstat(descriptor).st_mode
        if stat.S_ISDIR(mode):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
        if not stat.S_ISREG(mode):
            raise error(f"{path}: is {_kind(mode)}; name a regular file")
        yield file


def read_bytes(path: Path, most: int, error: type[GlowliteError] = GlowliteError) -> bytes:
    """Return the contents of a regular file of at most `most` bytes.

    Raises `error` for a larger file or anything else; OSError like `open`.
    """
    with open_regular(path, error) as file:
        size = os.fstat(file.fileno()).st_size
        content = file.read(most + 1) if size <= most else b""
        if size > most or len(content) > most:
            raise error(
                f"{path}: is larger than {most} bytes, the limit for such a file; is it the right"
                " file?"
            )
        return content


class RandomAccess:
    """A regular file that stays open and can be read at any position, from any thread. It is never
    memory-mapped, since a truncated file would then cause SIGBUS. A new file put in its place is
    not mistaken for it. Raises like `open_regular`.
    """

    def __init__(self, path: Path, error: type[GlowliteError] = GlowliteError) -> None:
        with open_regular(path, error) as file:
            self._descriptor = os.dup(file.fileno())
        weakref.finalize(self, os.close, self._descriptor)

    @property
    def size(self) -> int:
        return os.fstat(self._descriptor).st_size

    def read_into(self, buffer: memoryview, at: int) -> bool:
        """Fill a buffer with bytes from position `at`; return False if the file ends before."""
        done = 0
        while done < len(buffer):
            read = os.preadv(self._descriptor, [buffer[done:]], at + done)
            if not read:
                return False
            done += read
        return True


def _kind(mode: int) -> str:
    names = {
        stat.S_ISDIR: "a folder", stat.S_ISFIFO: "a named pipe", stat.S_ISCHR: "a device",
        stat.S_ISBLK: "a device", stat.S_ISSOCK: "a socket",
    }  # fmt: skip
    return next((name for is_kind, name in names.items() if is_kind(mode)), "not a regular file")
