"""Docstrings are plain text with `names` and indented formulas, for the source; here they become
reStructuredText.
"""

import re


def as_restructured_text(lines: list[str]) -> list[str]:
    """Indented lines are shown as they stand; in all others, only backticks have a meaning."""
    out: list[str] = []
    shown = False  # inside an indented block
    for line in lines:
        if line.startswith("    "):
            if not shown:
                out += ["", "::", ""]
            shown = True
            out.append(line)
        elif not line.strip():
            out.append("")
        else:
            if shown:
                out.append("")
            shown = False
            item = re.match(r"\s*(?:[*-] |\d+\. )?", line).group()  # the mark of a list stays one
            out.append(item + _inline(line[len(item) :]))
    return out


def _inline(text: str) -> str:
    parts = text.split("`")
    if len(parts) % 2 == 0:  # a backtick without a partner: show all as it is
        return _escaped(text)
    return "".join(
        f"``{part}``" if i % 2 and part else _escaped(part) for i, part in enumerate(parts)
    )


def _escaped(text: str) -> str:
    return re.sub(r"([\\*|`]|_(?!\w))", r"\\\1", text)
