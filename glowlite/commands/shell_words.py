"""Options as they are typed: command lines that are printed can be copied into a shell."""

from __future__ import annotations

import shlex

from glowlite.terminal import printable


def typed(name: str, value: object) -> str:
    """`--name value` as words for a shell, whatever characters are in the value, and however it
    begins.
    """
    text = str(value)
    if text.startswith("~"):  # which would be a home folder
        text = f"./{text}"
    equals = "=" if text.startswith("-") else " "  # else it would look like an option
    return f"--{name.replace('_', '-')}{equals}{_quoted(text)}"


def _quoted(text: str) -> str:
    """Quote a text for a shell, in $'...' where characters are not printable, which are escaped
    there.
    """
    if printable(text) == text:
        return shlex.quote(text)
    escaped = "".join(f"\\{c}" if c in "\\'" else printable(c) for c in text)
    return f"$'{escaped}'"
