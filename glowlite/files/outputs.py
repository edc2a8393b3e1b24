"""The only way in which a command writes an output file: checked before any work, and written
atomically.

A file is replaced only by one of the same kind: a picture by a picture of the same format, a table
of bits/dim by another. An empty file may be replaced by any kind. Any other file is left alone, and
so is a read-only file. A symbolic link is followed: its target is checked and replaced, and the
link stays. A named pipe or a character device, such as /dev/stdout and /dev/null, is written into;
other devices and sockets are refused.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import re
import stat
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from glowlite.errors import GlowliteError, OutputError
from glowlite.files.inputs import open_regular, read_bytes
from glowlite.files.storage import atomic_path, read_header

# in the head of every page that is written
HTML_MARK = '<meta name="generator" content="glowlite">'
DEMO_MARK = '<meta name="generator" content="glowlite demo">'
CSV_HEAD = "image,bits_per_dim"
LONGEST_HEAD = 8192  # bytes at the beginning of a page that contain HTML_MARK
LONGEST_JSON = 1 << 24
MAX_LINKS = 40  # number of links followed in a row, as in Linux


@dataclass(frozen=True)
class Kind:
    """A kind of output.

    `suffixes`: file names end in one of them, if there are any. `is_ours`: whether a file is of
    this kind. `goes_into_streams`: whether it may be written into a named pipe or a device.
    """

    name: str
    suffixes: tuple[str, ...]
    is_ours: Callable[[Path], bool]
    goes_into_streams: bool = True


def _begins(*beginnings: bytes) -> Callable[[Path], bool]:
    def is_ours(path: Path) -> bool:
        with open_regular(path) as file:
            return file.read(max(map(len, beginnings))).startswith(beginnings)

    return is_ours


def _is_page(path: Path) -> bool:
    """Whether it is a report of this version, or of the first version, which had no mark."""
    with open_regular(path) as file:
        head = file.read(LONGEST_HEAD)
    return head.startswith(b"<!doctype html>") and (
        HTML_MARK.encode() in head or b" - glowlite</title><style>" in head
    )


def _is_demo(path: Path) -> bool:
    with open_regular(path) as file:
        head = file.read(LONGEST_HEAD)
    return head.startswith(b"<!doctype html>") and DEMO_MARK.encode() in head


def _is_benchmark(path: Path) -> bool:
    try:
        found = json.loads(read_bytes(path, LONGEST_JSON))
    except (ValueError, RecursionError, GlowliteError):
        return False
    kinds = {"title", "config", "steps", "limit_s"}, {"title", "config", "scaling"}
    return isinstance(found, dict) and any(names <= set(found) for names in kinds)


def _is_laws(path: Path) -> bool:
    try:
        found = json.loads(read_bytes(path, LONGEST_JSON))
    except (ValueError, RecursionError, GlowliteError):
        return False
    return isinstance(found, dict) and {"laws", "subject", "results"} <= set(found)


def _is_junit(path: Path) -> bool:
    """Whether it is an XML test report, of this program or another."""
    with open_regular(path) as file:
        head = file.read(LONGEST_HEAD)
    return re.match(rb"<\?xml[^>]*\?>\s*<testsuites?[\s>]", head) is not None


def _has_header(*names: str) -> Callable[[Path], bool]:
    """Whether it is a model file with these entries in its header, and without training state."""

    def is_ours(path: Path) -> bool:
        try:
            header = read_header(path)
        except (GlowliteError, ValueError):
            return False
        return isinstance(header, dict) and set(names) <= set(header) and "optimizer" not in header

    return is_ours


def _never(path: Path) -> bool:
    return False


PNG = Kind("PNG", (".png",), _begins(b"\x89PNG\r\n\x1a\n"))
GIF = Kind("GIF", (".gif",), _begins(b"GIF87a", b"GIF89a"))
CSV = Kind("table of bits/dim", (), _begins(CSV_HEAD.encode()))
HTML = Kind("report of glowlite", (), _is_page)
DEMO = Kind("page of a model", (".html", ".htm"), _is_demo)
BENCHMARK = Kind("benchmark of glowlite", (), _is_benchmark)
LAWS_JSON = Kind("result of glowlite.laws", (), _is_laws)
JUNIT = Kind("JUnit report", (".xml",), _is_junit)
NPY = Kind("", (".npy",), _never, goes_into_streams=False)
MODEL = Kind(
    "exported model",
    (".safetensors",),
    _has_header("config", "held_out", "command"),
    goes_into_streams=False,
)
DIRECTIONS = Kind(
    "file of directions",
    (".safetensors",),
    _has_header("names", "images", "weights"),
    goes_into_streams=False,
)


def check_output(option: str, path: Path, *kinds: Kind) -> Kind:
    """Return which of `kinds` is to be written at `path`, depending on its suffix.

    Raises OutputError if it cannot or must not be written. Messages begin with `option`, the name
    of the option that gave the path, and name no file but `path`. Cost: a file is made in the
    folder and removed again, since only that shows that the folder is writable.
    """
    return _look(option, path, kinds)[0]


def check_folder(option: str, folder: Path, kind: Kind, is_written: Callable[[str], bool]) -> None:
    """Raise OutputError unless files of `kind` can be written into `folder`, which is made if it
    does not exist.

    `is_written`: says which names will be written; existing files with these names must be
    replaceable.
    """
    with _saying(option, folder):
        if os.path.lexists(folder) and not folder.is_dir():
            raise OutputError(f"{option} {folder} is a file; name a folder")
        if not folder.exists():
            _try_folder(
                next(parent for parent in folder.absolute().parents if os.path.lexists(parent))
            )
            return
        _try_folder(folder)
        for name in filter(is_written, os.listdir(folder)):
            _look(option, folder / name, (kind,))


def make_folder(option: str, folder: Path) -> None:
    """Make `folder` and its parents if they do not exist. Raises OutputError."""
    with _saying(option, folder):
        folder.mkdir(parents=True, exist_ok=True)


@contextmanager
def output(option: str, path: Path, *kinds: Kind) -> Iterator[BinaryIO]:
    """Yield a file to write, which becomes `path` if the block succeeds; otherwise nothing is
    changed.

    Raises OutputError like `check_output`, and for a full disk and similar errors.
    """
    _, place = _look(option, path, kinds)
    with _saying(option, path, place):
        if isinstance(place, int) or not _is_file_or_nothing(place):
            content = io.BytesIO()
            yield content
            _write_into(place, content.getvalue())
        else:
            with atomic_path(place) as temporary, open(temporary, "r+b") as file:
                yield file


def output_path(option: str, path: Path, *kinds: Kind) -> Path:
    """Return where `storage.write_arrays` is to write: `path`, or its target if it is a link.

    Raises like `check_output`.
    """
    place = _look(option, path, kinds)[1]
    assert isinstance(place, Path)  # only kinds that go into streams get descriptors
    return place


def _look(option: str, path: Path, kinds: tuple[Kind, ...]) -> tuple[Kind, Path | int]:
    """Return the kind of an output, and its place: a path that is not a link, or an open
    descriptor.
    """
    suffix = path.suffix.lower()
    suffixes = [suffix for kind in kinds for suffix in kind.suffixes]
    kind = next((kind for kind in kinds if suffix in kind.suffixes), None) or (
        None if suffixes else kinds[0]
    )
    where = f"{option} {path}"
    if kind is None:
        raise OutputError(f"{where}: must end in {' or '.join(suffixes)}")
    with _saying(option, path):
        place = _target(path)
        if isinstance(place, int):
            return kind, place
        if not place.parent.is_dir():
            missing = place.parent if path.is_symlink() else path.parent
            raise OutputError(f"{where}: no folder {missing}; make it, or name another place")
        if not os.path.lexists(place):
            _try_folder(place.parent)
            return kind, place
        mode = os.lstat(place).st_mode
        if stat.S_ISDIR(mode):
            raise OutputError(f"{where} is a folder; name a file")
        is_stream = stat.S_ISCHR(mode) or stat.S_ISFIFO(mode)
        if not stat.S_ISREG(mode) and not (is_stream and kind.goes_into_streams):
            raise OutputError(
                f"{where}: is not a regular file, so it is left alone; name another place"
            )
        if stat.S_ISREG(mode) and place.stat().st_size and not kind.is_ours(place):
            what = f"exists and is not a {kind.name}, so it" if kind.name else "exists, and"
            raise OutputError(f"{where}: {what} is left alone; name another file")
        if not os.access(place, os.W_OK):
            raise OutputError(
                f"{where}: is not writable; change its permissions, or name another file"
            )
        if stat.S_ISREG(mode):
            _try_folder(place.parent)
        return kind, place


def _target(path: Path) -> Path | int:
    """Follow links from a path: return a path, or the number of a descriptor of this process, as
    for /dev/stdout.
    """
    for _ in range(MAX_LINKS):
        place = Path(os.path.realpath(path.parent)) / path.name
        found = re.fullmatch(
            rf"(?:/dev|/proc/(?:self|{os.getpid()})(?:/task/\d+)?)/fd/(\d+)", str(place)
        )
        if found:
            os.fstat(int(found[1]))
            return int(found[1])
        if not place.is_symlink():
            return place
        path = place.parent / os.readlink(place)
    raise OSError(None, "too many symbolic links")


def _is_file_or_nothing(place: Path) -> bool:
    return not os.path.lexists(place) or place.is_file()


def _try_folder(folder: Path) -> None:
    """Raise OSError unless a file can be made in `folder`."""
    if not folder.is_dir():
        raise NotADirectoryError(None, f"{folder} is not a folder")
    with contextlib.suppress(_Tried), atomic_path(folder / "tried"):
        raise _Tried


class _Tried(Exception):
    """Ends a successful block of `atomic_path` before anything is replaced."""


def _write_into(place: Path | int, content: bytes) -> None:
    """Write into a stream: an open descriptor, a device, or a named pipe that has a reader."""
    if isinstance(place, int):
        for stream in (sys.stdout, sys.stderr):  # flush what was printed before
            if stream is not None and not stream.closed:
                stream.flush()
        descriptor = os.dup(place)
    else:  # a pipe without a reader is an error; do not wait
        descriptor = os.open(
            place, os.O_WRONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0)
        )
        os.set_blocking(descriptor, True)
    with open(descriptor, "wb") as file:
        file.write(content)


@contextmanager
def _saying(option: str, path: Path, place: Path | int | None = None) -> Iterator[None]:
    """Turn errors of the system into one line that names `path`.

    With a `place`, an OSError about another file is passed on.
    """
    try:
        yield
    except OSError as error:
        if place is not None and error.filename not in (None, str(place), place):
            raise
        kept = "; what was there before is still there" if path.is_file() else ""
        raise OutputError(
            f"{option} {path}: cannot be written: {error.strerror or error}{kept}"
        ) from None
