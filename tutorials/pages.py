"""The notebooks as pages of HTML, and as slides, that ask for nothing outside themselves."""

from __future__ import annotations

import re
import tempfile
from pathlib import Path

import jinja2
import nbformat
from katex import KATEX, katex_style, write_offline_template
from nbclient import NotebookClient
from nbconvert import HTMLExporter
from nbconvert.filters import markdown2html

HERE = Path(__file__).parent
FIGURE = "image/png"


SHARP = "%config InlineBackend.figure_format = 'retina'"  # figures of twice as many pixels


def executed(notebook: nbformat.NotebookNode) -> nbformat.NotebookNode:
    """The notebook with its outputs: up to a minute of two cores. An error in a cell raises."""
    notebook.cells.insert(0, nbformat.v4.new_code_cell(SHARP))
    with tempfile.TemporaryDirectory() as folder:
        client = NotebookClient(
            notebook, timeout=300, resources={"metadata": {"path": folder}}, kernel_name="python3"
        )
        client.execute()
    del notebook.cells[0]
    return notebook


def as_html(notebook: nbformat.NotebookNode, title: str) -> str:
    """One page with everything in it."""
    with tempfile.TemporaryDirectory() as folder:
        write_offline_template(Path(folder) / "offline")
        exporter = HTMLExporter(extra_template_basedirs=[folder], template_name="offline")
        notebook.metadata["title"] = title
        page, _ = exporter.from_notebook_node(notebook)
    return page


def as_slides(notebook: nbformat.NotebookNode, title: str) -> str:
    """A page of slides: the goals, the question, every figure with what there is to see in it, the
    boxed formulas, the exercises, and what one can do now.
    """
    template = jinja2.Environment(
        loader=jinja2.FileSystemLoader(HERE), autoescape=True, undefined=jinja2.StrictUndefined
    ).get_template("slides.html")
    return template.render(
        title=title,
        slides=slides_of(notebook),
        katex_style=katex_style(),
        katex=(KATEX / "katex.min.js").read_text(),
        mathematics=(HERE / "offline" / "mathematics.js").read_text(),
    )


def slides_of(notebook: nbformat.NotebookNode) -> list[dict[str, str]]:
    """Of each slide its heading, and its text, picture, description, and answer, where it has them.

    What is text is HTML made of the notebook's own Markdown.
    """
    slides: list[dict[str, str]] = []
    heading = ""
    for place, cell in enumerate(notebook.cells):
        if cell.cell_type == "markdown":
            for paragraph in re.split(r"\n\s*\n", cell.source):
                if found := re.match(r"#+ (.*)", paragraph):
                    heading = found[1]
                slides += slides_of_paragraph(paragraph, heading)
        else:
            following = notebook.cells[place + 1 : place + 2]
            slides += slides_of_figures(cell, heading, following[0].source if following else "")
    return slides


def slides_of_paragraph(paragraph: str, heading: str) -> list[dict[str, str]]:
    if paragraph.startswith("# "):
        return [{"heading": heading, "kind": "title"}]
    for start, name in (
        ("**Goals.**", "Goals"),
        ("**Question.**", "Question"),
        ("**What you can do now.**", "What you can do now"),
    ):
        if paragraph.startswith(start):
            return [slide(name, paragraph.removeprefix(start))]
    if found := re.match(r"\*\*(\d), (\w+)\.\*\*", paragraph):
        return [slide(f"Exercise {found[1]}: {found[2]}", paragraph[found.end() :])]
    if r"\boxed" in paragraph:
        return [slide(heading, paragraph)]
    return []


def slides_of_figures(
    cell: nbformat.NotebookNode, heading: str, following: str
) -> list[dict[str, str]]:
    """One for each picture that a cell draws; `following` is the text that comes after the cell."""
    look = re.search(r"\*\*What do you see\?\*\*(.*?)(?:\n\s*\n|\Z)", following, re.DOTALL)
    alt = cell.metadata.get("mystnb", {}).get("image", {}).get("alt", "")
    return [
        {
            "heading": heading,
            "kind": "figure",
            "picture": "".join(output.data[FIGURE].split()),
            "alt": alt,
            "answer": html_of(look[1]) if look else "",
        }
        for output in cell.outputs
        if FIGURE in output.get("data", {})
    ]


def slide(heading: str, text: str) -> dict[str, str]:
    return {"heading": heading, "kind": "text", "text": html_of(text)}


def html_of(markdown: str) -> str:
    links = re.compile(r"\[([^\]]+)\]\([^)]*\)")  # a deck is handed on without its neighbours
    return markdown2html(links.sub(r"\1", markdown.strip()))


def title_of(notebook: nbformat.NotebookNode) -> str:
    return re.search(r"^# (.*)$", notebook.cells[0].source, re.MULTILINE)[1]
