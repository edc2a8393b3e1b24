"""The notebooks from their sources, and copies for students.

    python tutorials/notebooks.py                     # NAME.ipynb beside every NAME.md
    python tutorials/notebooks.py --check             # exit 1 if one is out of step
    python tutorials/notebooks.py --student class/    # copies without solutions, to hand out
    python tutorials/notebooks.py --mark handed-in/   # a table of who has solved what
    python tutorials/notebooks.py --html pages/       # every notebook, executed, as a page
    python tutorials/notebooks.py --slides slides/    # every notebook's figures as slides

A source is a MyST notebook, which Jupyter opens by jupytext. A cell tagged `solution` carries,
under `stub`, what a student finds in its place. The cell tagged `check` after it passes on the
solution and fails on the stub. These cells, and those tagged `plot`, are folded up.
"""

from __future__ import annotations

import argparse
import csv
import re
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path


def missing(error: ImportError) -> str:
    return f"notebooks.py: {error}; pip install '.[tutorials]' brings it"


try:
    import jupytext
    import nbformat
    from katex import write_offline_template
except ImportError as error:
    sys.exit(missing(error))

HERE = Path(__file__).parent
WRITERS = {
    "student": "copies without solutions",
    "html": "each notebook, executed, as a page",
    "slides": "slides of each notebook's figures",
}
FOLDED = {"solution", "check", "plot"}
TO_NOTEBOOK = re.compile(r"\]\(([0-9]{2}[a-z]?_\w+)\.md")
TO_DOCS = re.compile(r"\[([^\]]+)\]\(\.\./docs/([\w/]+\.md)[^)]*\)")


@contextmanager
def needed_packages() -> Iterator[None]:
    """Around an import: what is missing is said in one line."""
    try:
        yield
    except ImportError as error:
        sys.exit(missing(error))


def sources() -> list[Path]:
    return sorted(HERE.glob("[0-9][0-9]*_*.md"))


def notebook(source: Path) -> nbformat.NotebookNode:
    """The notebook of a source, without outputs; cells are numbered, so that the same source gives
    the same bytes.
    """
    made = jupytext.read(source)
    for number, cell in enumerate(made.cells):
        cell["id"] = f"cell-{number:02d}"
        if FOLDED & set(cell.metadata.get("tags", [])):
            cell.metadata["jupyter"] = {"source_hidden": True}
        if cell.cell_type == "markdown":
            cell.source = TO_NOTEBOOK.sub(r"](\1.ipynb", cell.source)
    made.metadata.pop("jupytext", None)
    made.nbformat, made.nbformat_minor = 4, 5
    return made


def student_copy(made: nbformat.NotebookNode) -> nbformat.NotebookNode:
    """The same notebook with the stub of each solution in its place, and without links to the pages
    of docs/, which a student does not have.
    """
    for cell in made.cells:
        if cell.cell_type == "markdown":
            cell.source = TO_DOCS.sub(r"\1 (`docs/\2` in glowlite's repository)", cell.source)
        if "solution" in cell.metadata.get("tags", []):
            cell.source = cell.metadata.pop("stub").rstrip("\n")
            cell.metadata["tags"] = ["exercise"]
            del cell.metadata["jupyter"]  # solutions are folded up, exercises are not
    return made


def text(made: nbformat.NotebookNode) -> str:
    nbformat.validate(made)
    return nbformat.writes(made) + "\n"


def marked(
    parser: argparse.ArgumentParser, options: argparse.Namespace, chosen: Iterable[Path]
) -> int:
    """Print the table of --mark; 1 if no notebook was found."""
    with needed_packages():
        from marking import as_csv_rows, mark_folder, table

    if not options.mark.is_dir():
        parser.error(f"--mark {options.mark}: no such folder")
    if options.seconds < 1:
        parser.error(f"--seconds {options.seconds}: at least 1")
    originals = {source.stem: student_copy(notebook(source)) for source in chosen}
    marks = mark_folder(options.mark, originals, options.seconds)
    if not marks:
        names = ", ".join(originals)
        print(f"--mark {options.mark}: no notebook there is named as {names}", file=sys.stderr)
        return 1
    print(table(marks))
    if options.csv:
        try:
            with options.csv.open("w", newline="") as file:
                csv.writer(file).writerows(as_csv_rows(marks))
        except OSError as error:
            parser.error(
                f"--csv {options.csv}: {error.strerror}; choose a file that can be written"
            )
    return 0


def written(
    parser: argparse.ArgumentParser, kind: str, folder: Path, chosen: Iterable[Path]
) -> int:
    """Write what --student, --html or --slides asks for, and print the name of each file."""
    if folder.exists() and folder.resolve() == HERE.resolve():
        parser.error(f"--{kind}: choose another folder, these are the originals")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if kind != "student":
            with needed_packages():
                from pages import as_html, as_slides, executed, title_of
        else:
            write_offline_template(folder / "offline")
        for source in chosen:
            made = notebook(source)
            if kind == "student":
                path = folder / f"{source.stem}.ipynb"
                path.write_text(text(student_copy(made)))
            else:
                path = folder / f"{source.stem}.html"
                title = title_of(made)
                path.write_text((as_html if kind == "html" else as_slides)(executed(made), title))
            print(path, flush=True)
    except OSError as error:
        where = f"--{kind} {folder}: {error.strerror}"
        parser.error(f"{where}; choose a folder that can be written")
    return 0


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--check", action="store_true", help="write nothing; exit 1 if a notebook is out of step"
    )
    for name, what in WRITERS.items():
        parser.add_argument(f"--{name}", metavar="DIR", type=Path, help=f"write {what} to DIR")
    parser.add_argument(
        "--mark", metavar="FOLDER", type=Path, help="run and mark the notebooks below FOLDER"
    )
    parser.add_argument("--csv", metavar="FILE", type=Path, help="with --mark: a table for a sheet")
    parser.add_argument(
        "--seconds", metavar="N", type=int, default=120, help="with --mark: limit per cell (120)"
    )
    parser.add_argument(
        "--only", metavar="NN", nargs="+", help="these notebooks only, as in --only 01 09a"
    )
    options = parser.parse_args()
    chosen = {source.stem.partition("_")[0]: source for source in sources()}
    if options.only:
        for number in options.only:
            if number not in chosen:
                parser.error(f"--only {number}: no such notebook; there are {' '.join(chosen)}")
        chosen = {number: chosen[number] for number in options.only}
    if options.mark:
        return marked(parser, options, chosen.values())
    for name in WRITERS:
        if folder := getattr(options, name):
            return written(parser, name, folder, chosen.values())
    late = [
        s
        for s in sources()
        if not (p := s.with_suffix(".ipynb")).exists() or p.read_text() != text(notebook(s))
    ]
    for source in late:
        if options.check:
            late_one = f"{source.stem}.ipynb is not what {source.name} says"
            print(f"{late_one}: run python tutorials/notebooks.py", file=sys.stderr)
        else:
            source.with_suffix(".ipynb").write_text(text(notebook(source)))
            print(source.with_suffix(".ipynb").name)
    return 1 if options.check and late else 0


if __name__ == "__main__":
    sys.exit(main())
