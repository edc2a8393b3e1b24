"""Lines for a person: names from outside are made printable, so that none can break a line, colour it, or end the program.

A name of a file can hold any byte but zero and the slash; a value of a header any text. What a terminal would act upon
(line breaks, escape sequences, marks that turn the direction of writing) is shown as Python would write it: `\\n`, `\\x1b`.
"""

from __future__ import annotations

import contextlib
import sys
import unicodedata
from typing import TextIO

# control, format (direction of writing), surrogates (bytes that are not UTF-8), private, not assigned, ends of lines
UNPRINTABLE = ("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp")


def printable(text: object) -> str:
    """`text` in one line, every character that a terminal would act upon, or could not show, escaped."""
    return "".join(_shown(c) if unicodedata.category(c) in UNPRINTABLE else c for c in str(text))


def _shown(character: str) -> str:
    number = ord(character)
    if 0xDC80 <= number <= 0xDCFF:  # how Python holds the byte of a name that is not UTF-8
        return f"\\x{number - 0xDC00:02x}"
    return character.encode("unicode_escape", "surrogatepass").decode("ascii")


def say(line: object) -> None:
    """Print one line on stdout."""
    _write(sys.stdout, line)


def warn(line: object) -> None:
    """Print one line on stderr, at once."""
    _write(sys.stderr, line)


def _write(stream: TextIO | None, line: object) -> None:
    """Nobody listens to a stream that is closed: that is no reason to end."""
    if stream is None or stream.closed:
        return
    text = printable(line) + "\n"
    encoding = getattr(stream, "encoding", None) or "utf-8"
    if stream is sys.stderr:
        with contextlib.suppress(OSError):
            stream.write(text.encode(encoding, "backslashreplace").decode(encoding))
            stream.flush()
    else:
        stream.write(text.encode(encoding, "backslashreplace").decode(encoding))
