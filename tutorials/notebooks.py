"""The notebooks from their sources, and copies for students.

    python tutorials/notebooks.py                     # NAME.ipynb beside every NAME.md
    python tutorials/notebooks.py --check             # exit 1 if one is out of step
    python tutorials/notebooks.py --student class/    # copies without solutions, to hand out

A source is a MyST notebook, which Jupyter opens by jupytext. A cell tagged `solution` carries,
under `stub`, what a student finds in its place. The cell tagged `check` after it passes on the
solution and fails on the stub. These cells, and those tagged `plot`, are folded up.
"""

from __future__ import annotations

import argparse
import re
import sys
from pathlib import Path

try:
    import jupytext
    import nbformat
except ImportError as error:
    sys.exit(f"notebooks.py: {error}; pip install '.[tutorials]' brings it")

HERE = Path(__file__).parent
FOLDED = {"solution", "check", "plot"}
TO_NOTEBOOK = re.compile(r"\]\(([0-9]{2}[a-z]?_\w+)\.md")
TO_DOCS = re.compile(r"\[([^\]]+)\]\(\.\./docs/([\w/]+\.md)[^)]*\)")


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


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--check", action="store_true", help="write nothing; exit 1 if a notebook is out of step"
    )
    parser.add_argument(
        "--student", metavar="DIR", type=Path, help="write copies without solutions to DIR"
    )
    options = parser.parse_args()
    if options.student:
        if options.student.exists() and options.student.resolve() == HERE.resolve():
            parser.error("--student: choose another folder, these are the originals")
        try:
            options.student.mkdir(parents=True, exist_ok=True)
            for source in sources():
                path = options.student / source.with_suffix(".ipynb").name
                path.write_text(text(student_copy(notebook(source))))
                print(path)
        except OSError as error:
            where = f"--student {options.student}: {error.strerror}"
            parser.error(f"{where}; choose a folder that can be written")
        return 0
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
