"""Mathematics in pages that are read offline: the KaTeX of the site, put into the page itself."""

from __future__ import annotations

import base64
import re
import shutil
from pathlib import Path

HERE = Path(__file__).parent
KATEX = HERE.parent / "docs" / "_static" / "katex"


def write_offline_template(folder: Path) -> None:
    """A template of nbconvert, in a folder of its own: KaTeX, its fonts, and what calls it."""
    shutil.copytree(HERE / "offline", folder, dirs_exist_ok=True)
    shutil.copy(KATEX / "katex.min.js", folder)
    (folder / "katex.css").write_text(katex_style())


def katex_style() -> str:
    """KaTeX's style sheet with its fonts within it."""
    style = (KATEX / "katex.min.css").read_text()
    style = re.sub(r',url\([^)]*\.(?:woff|ttf)\) format\("\w+"\)', "", style)  # older formats

    def embedded(found: re.Match[str]) -> str:
        font = base64.b64encode((KATEX / found[1]).read_bytes()).decode()
        return f"url(data:font/woff2;base64,{font})"

    return re.sub(r"url\(([^)]*)\)", embedded, style)
