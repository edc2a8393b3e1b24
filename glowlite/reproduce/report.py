"""The results of an experiment: tables, pictures and commands, printed and as one HTML page."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from glowlite.files.outputs import HTML, output
from glowlite.files.pages import plain_page
from glowlite.terminal import say


@dataclass(frozen=True)
class Table:
    """`rows`: rows of texts, each as long as `header`."""

    caption: str
    header: Sequence[str]
    rows: Sequence[Sequence[str]]

    def markdown(self) -> str:
        lines = [self.header, ["---"] * len(self.header), *self.rows]
        return "\n".join(f"| {' | '.join(line)} |" for line in lines)


@dataclass(frozen=True)
class Report:
    """`text`: paragraphs. `pictures`: PNGs in the folder of the experiment. `commands`: commands
    that reproduce everything.
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
    """Write the page, with its pictures inside. It works offline, and no script can run in it."""
    pictures = [
        (picture.stem, base64.b64encode(picture.read_bytes()).decode())
        for picture in report.pictures
    ]
    text = plain_page(
        "glowlite.reproduce", "page.html", title=report.title, report=report, pictures=pictures
    )
    with output("--out", path, HTML) as file:
        file.write(text.encode())
