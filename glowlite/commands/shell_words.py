"""Write options as they are typed, so that printed command lines can be copied into a shell."""

from __future__ import annotations

import shlex

from glowlite.terminal import printable


def typed(name: str, value: object) -> str:
    """Return `--name value` as shell words, whatever characters the value contains and however it
    begins.
    """
    text = str(value)
    if text.startswith("~"):  # the shell would expand it to a home folder
        text = f"./{text}"
    equals = "=" if text.startswith("-") else " "  # otherwise it would look like an option
    return f"--{name.replace('_', '-')}{equals}{_quoted(text)}"


def _quoted(text: str) -> str:
    """Quote a text for a shell. Text with unprintable characters is escaped inside $'...'."""
    if printable(text) == text:
        return shlex.quote(text)
    escaped = "".join(f"\\{c}" if c in "\\'" else printable(c) for c in text)
    return f"$'{escaped}'"
