"""Lines for a reader: names from outside are made printable, so that none can break a line, colour
it, or end the program.

A name of a file can hold any byte but zero and the slash; a value of a header any text. What a
terminal would act upon (line breaks, escape sequences, marks that turn the direction of writing) is
shown as Python would write it: `\\n`, `\\x1b`.
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
    """`text` in one line, every character that a terminal would act upon, or could not show,
    escaped.
    """
    return "".join(_shown(c) if unicodedata.category(c) in UNPRINTABLE else c for c in str(text))


def _shown(character: str) -> str:
    number = ord(character)
    if 0xDC80 <= number <= 0xDCFF:  # how Python holds the byte of a name that is not UTF-8
        return f"\\x{number - 0xDC00:02x}"
    return character.encode("unicode_escape", "surrogatepass").decode("ascii")


def shortened(text: object, most: int = 60) -> str:
    """`text`, printable, in at most `most` characters: the middle of a longer one is left out."""
    whole = str(text)
    if len(whole) > 2 * most:  # nothing is done to characters that are not shown
        whole = f"{whole[:most]}...{whole[-most:]}"
    whole = printable(whole)
    kept = most - len(" ... ")
    return (
        whole
        if len(whole) <= most
        else f"{whole[: kept - kept // 2]} ... {whole[len(whole) - kept // 2 :]}"
    )


def say(line: object) -> None:
    """Print one line on stdout, at once.

    Raises OSError where it cannot be written, as on a full disk. If no reader is left, as behind `|
    head`, the rest is written nowhere and the work goes on.
    """
    try:
        _write(sys.stdout, line)
    except BrokenPipeError:
        _to_nowhere(sys.stdout)
    except OSError as error:
        _to_nowhere(sys.stdout)
        raise OSError(error.errno, error.strerror, "standard output") from None


def warn(line: object) -> None:
    """Print one line on stderr, at once; it is lost where stderr cannot be written."""
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
    """tqdm's progress bar on stderr where that is a terminal, else one that shows nothing.

    `options` are tqdm's.
    """
    from tqdm import tqdm

    stream = sys.stderr
    shows = stream is not None and not stream.closed and stream.isatty()
    return tqdm(
        items, title, total, file=stream if shows else io.StringIO(), disable=not shows, **options
    )


def _write(stream: TextIO | None, line: object) -> None:
    """Write a line to a stream, or nowhere if it is closed: that is no reason to end."""
    if stream is None or stream.closed:
        return
    encoding = getattr(stream, "encoding", None) or "utf-8"
    stream.write(printable(line).encode(encoding, "backslashreplace").decode(encoding) + "\n")
    stream.flush()


def _above_bars() -> contextlib.AbstractContextManager[None]:
    """Return a block in which progress bars are off the screen.

    Then they are drawn below what was written.
    """
    tqdm = sys.modules.get("tqdm")
    return contextlib.nullcontext() if tqdm is None else tqdm.tqdm.external_write_mode(sys.stderr)


def _to_nowhere(stream: TextIO) -> None:
    """Discard what the stream still holds, and all that comes: Python would try again at its end,
    and complain.
    """
    with contextlib.suppress(OSError, ValueError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)
