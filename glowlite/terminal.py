"""Printing lines safely. Names from outside are made printable, so that none of them can break a
line, change its colour, or end the program.

A file name can contain any byte except zero and the slash, and a header's value any text.
Characters that a terminal acts on (line breaks, escape sequences, marks that change the direction
of writing) are shown as Python writes them: `\\n`, `\\x1b`.
"""

from __future__ import annotations

import contextlib
import io
import os
import sys
import unicodedata
from collections.abc import Iterable
from typing import Any, TextIO

# control, format (direction of writing), surrogates (bytes that are not UTF-8), private, not
# assigned, ends of lines
UNPRINTABLE = ("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp")


def printable(text: object) -> str:
    """Return `text` as one line. Every character that a terminal acts on or cannot show is
    escaped.
    """
    return "".join(_shown(c) if unicodedata.category(c) in UNPRINTABLE else c for c in str(text))


def _shown(character: str) -> str:
    number = ord(character)
    if 0xDC80 <= number <= 0xDCFF:  # how Python represents a byte of a name that is not UTF-8
        return f"\\x{number - 0xDC00:02x}"
    return character.encode("unicode_escape", "surrogatepass").decode("ascii")


def shortened(text: object, most: int = 60) -> str:
    """Return `text`, printable, in at most `most` characters. The middle of a longer text is left
    out.
    """
    whole = str(text)
    if len(whole) > 2 * most:  # do no work for characters that are not shown
        whole = f"{whole[:most]}...{whole[-most:]}"
    whole = printable(whole)
    kept = most - len(" ... ")
    return (
        whole
        if len(whole) <= most
        else f"{whole[: kept - kept // 2]} ... {whole[len(whole) - kept // 2 :]}"
    )


def say(line: object) -> None:
    """Print one line on stdout and flush it.

    Raises OSError if it cannot be written, for example on a full disk. If the reader has gone, as
    with `| head`, the rest of the output is discarded and the work goes on.
    """
    try:
        _write(sys.stdout, line)
    except BrokenPipeError:
        _to_nowhere(sys.stdout)
    except OSError as error:
        _to_nowhere(sys.stdout)
        raise OSError(error.errno, error.strerror, "standard output") from None


def warn(line: object) -> None:
    """Print one line on stderr and flush it. The line is lost if stderr cannot be written."""
    try:
        with _above_bars():
            _write(sys.stderr, line)
    except OSError:
        _to_nowhere(sys.stderr)


def bar(
    items: Iterable[Any] | None = None,
    title: str | None = None,
    total: int | None = None,
    **options: Any,
) -> Any:
    """Return tqdm's progress bar on stderr if that is a terminal, else a bar that shows nothing.

    `options` are passed to tqdm.
    """
    from tqdm import tqdm

    stream = sys.stderr
    shows = stream is not None and not stream.closed and stream.isatty()
    return tqdm(
        items, title, total, file=stream if shows else io.StringIO(), disable=not shows, **options
    )


def _write(stream: TextIO | None, line: object) -> None:
    """Write a line to a stream. A closed stream is no reason to stop, so the line is then
    dropped.
    """
    if stream is None or stream.closed:
        return
    encoding = getattr(stream, "encoding", None) or "utf-8"
    stream.write(printable(line).encode(encoding, "backslashreplace").decode(encoding) + "\n")
    stream.flush()


def _above_bars() -> contextlib.AbstractContextManager[None]:
    """Return a context in which progress bars are cleared from the screen.

    Afterwards they are drawn again below the new lines.
    """
    tqdm = sys.modules.get("tqdm")
    return contextlib.nullcontext() if tqdm is None else tqdm.tqdm.external_write_mode(sys.stderr)


def _to_nowhere(stream: TextIO) -> None:
    """Discard what the stream still buffers and everything written later. Otherwise Python would
    try to write it at exit, and complain.
    """
    with contextlib.suppress(OSError, ValueError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)
