"""What an experiment came to: tables, pictures and commands, printed and as one HTML page."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path

from glowlite.files.outputs import HTML, output
from glowlite.terminal import say

STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; }
body { padding: 0 1rem; color: #222; } img { max-width: 100%; } h2 { margin-top: 2.5rem; }
table { border-collapse: collapse; font-size: 0.9rem; margin: 1rem 0; }
tr { border-bottom: 1px solid #ddd; }
td, th { padding: 0.15rem 0.8rem 0.15rem 0; text-align: left; }
pre { background: #f4f4f2; padding: 0.8rem; overflow-x: auto; font-size: 0.8rem; }
"""


@dataclass(frozen=True)
class Table:
    """`rows`: texts, as many in each as in `header`."""

    caption: str
    header: Sequence[str]
    rows: Sequence[Sequence[str]]

    def markdown(self) -> str:
        lines = [self.header, ["---"] * len(self.header), *self.rows]
        return "\n".join(f"| {' | '.join(line)} |" for line in lines)


@dataclass(frozen=True)
class Report:
    """`text`: paragraphs. `pictures`: PNGs in the folder of the experiment. `commands`: that make
    all of it again.
    """

    title: str
    text: Sequence[str] = ()
    tables: Sequence[Table] = ()
    pictures: Sequence[Path] = field(default_factory=list)
    commands: Sequence[str] = ()


def tell(report: Report) -> None:
    """Print the tables, as Markdown."""
    for table in report.tables:
        say("")
        say(table.caption)
        for line in table.markdown().splitlines():
            say(line)
    for paragraph in report.text:
        say("")
        say(paragraph)


def write(report: Report, path: Path) -> None:
    """The page, with its pictures in it; it needs no network, and no script could run in it."""
    from jinja2 import Environment, StrictUndefined
    from markupsafe import Markup

    environment = Environment(autoescape=True, undefined=StrictUndefined)
    template = environment.from_string(
        (resources.files("glowlite.reproduce") / "page.html").read_text(encoding="utf-8")
    )
    digest = base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()
    pictures = [
        (picture.stem, base64.b64encode(picture.read_bytes()).decode())
        for picture in report.pictures
    ]
    text = template.render(
        style=Markup(STYLE), style_hash=Markup(f"sha256-{digest}"), report=report, pictures=pictures
    )
    with output("--out", path, HTML) as file:
        file.write(f"{text}\n".encode())
