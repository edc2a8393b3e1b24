"""What students have handed in, run and marked.

An exercise is solved when the check of the *original* notebook passes on the student's cell. So a
check, or a layer, that a student has changed does not count; cells that a student has added do
run, each in its place. A mark says that a check has passed, and not how good the answer is.

This runs the students' code, with your rights: do it under an account, or in a container, that
has nothing to lose.
"""

from __future__ import annotations

import re
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import DeadKernelError

SOLVED, UNSOLVED, UNTOUCHED = "yes", "no", "-"


@dataclass(frozen=True)
class Mark:
    """Of one notebook of one student: per exercise SOLVED, UNSOLVED or UNTOUCHED, and what the
    check said of it.
    """

    student: str
    notebook: str
    exercises: list[tuple[str, str]]

    @property
    def solved(self) -> int:
        return sum(mark == SOLVED for mark, _ in self.exercises)


def mark_folder(
    folder: Path, originals: dict[str, nbformat.NotebookNode], seconds: int
) -> list[Mark]:
    """Every notebook below `folder` whose name contains that of an original, as
    anna/01_change_of_variables.ipynb or anna_01_change_of_variables.ipynb does, in order of
    student and notebook. `seconds` is the limit for each cell.
    """
    found = []
    for path in sorted(folder.rglob("*.ipynb")):
        names = [name for name in originals if name in path.stem]
        if names and ".ipynb_checkpoints" not in path.parts:
            found.append((student_of(path, names[0], folder), names[0], path))
    marks = []
    for student, name, path in sorted(found):
        print(f"{student}: {name} ...", file=sys.stderr, flush=True)
        marks.append(Mark(student, name, mark(read(path), originals[name], seconds)))
    return marks


def student_of(path: Path, name: str, folder: Path) -> str:
    """What a file is called besides the notebook's name, or else the folder that it is in."""
    besides = re.sub(r" *\(\d+\)$", "", path.stem)  # the number that browsers give to a second copy
    besides = besides.replace(name, "").strip("_- .")
    parent = path.parent.relative_to(folder).as_posix()
    return " ".join(part for part in (parent if parent != "." else "", besides) if part) or "?"


def read(path: Path) -> nbformat.NotebookNode | str:
    """The notebook, or why it cannot be read."""
    try:
        return nbformat.read(path, as_version=4)
    except Exception as error:  # nbformat lets through whatever its parsers raise
        return (
            f"not a notebook: {str(error).splitlines()[0] if str(error) else type(error).__name__}"
        )


def mark(
    handed_in: nbformat.NotebookNode | str, original: nbformat.NotebookNode, seconds: int
) -> list[tuple[str, str]]:
    exercises = [cell for cell in original.cells if is_tagged(cell, "exercise")]
    if isinstance(handed_in, str):
        return [(UNSOLVED, handed_in)] * len(exercises)
    merged = merge(handed_in, original)
    run(merged, seconds)
    stubs = {cell.id: cell.source.strip() for cell in exercises}
    marks = []
    for place, cell in enumerate(merged.cells):
        if not is_tagged(cell, "exercise"):
            continue
        check = next(after for after in merged.cells[place:] if is_tagged(after, "check"))
        failure = error_of(cell) or error_of(check)
        if check.execution_count is None:  # the kernel died on the way
            failure = "it was not run to its end"
        if cell.source.strip() == stubs[cell.id]:
            marks.append((UNTOUCHED, "nothing was written"))
        else:
            marks.append((UNSOLVED, failure) if failure else (SOLVED, ""))
    return marks


def merge(
    handed_in: nbformat.NotebookNode, original: nbformat.NotebookNode
) -> nbformat.NotebookNode:
    """The original with the student's exercises in it, and the cells that the student has added
    after those that they stand after.

    Cells are matched by their ids, which editors keep; where they do not, exercises by their order.
    """
    theirs = {cell.get("id"): cell for cell in handed_in.cells}
    exercises = [cell for cell in original.cells if is_tagged(cell, "exercise")]
    if not any(cell.id in theirs for cell in exercises):
        tagged = [cell for cell in handed_in.cells if is_tagged(cell, "exercise")]
        theirs = {mine.id: cell for mine, cell in zip(exercises, tagged, strict=False)}
    known = {cell.id for cell in original.cells}
    added: dict[str, list[nbformat.NotebookNode]] = {}
    last = original.cells[0].id
    for cell in handed_in.cells:
        if cell.get("id") in known:
            last = cell.id
        elif cell.cell_type == "code" and not ({"exercise", "check"} & tags(cell)):
            added.setdefault(last, []).append(nbformat.v4.new_code_cell(cell.source))
    merged = nbformat.v4.new_notebook(metadata=original.metadata)
    for cell in original.cells:
        copy = nbformat.from_dict(cell)
        if is_tagged(cell, "exercise") and cell.id in theirs:
            copy.source = theirs[cell.id].source
        merged.cells.append(copy)
        merged.cells += added.get(cell.id, [])
    return merged


def run(notebook: nbformat.NotebookNode, seconds: int) -> None:
    """Run every cell, whatever the one before has raised; one that takes too long is ended."""
    with tempfile.TemporaryDirectory() as folder:
        client = NotebookClient(
            notebook,
            timeout=seconds,
            interrupt_on_timeout=True,
            allow_errors=True,
            kernel_name="python3",
            resources={"metadata": {"path": folder}},
        )
        try:
            client.execute()
        except DeadKernelError:
            print("the kernel died", file=sys.stderr)


def error_of(cell: nbformat.NotebookNode) -> str:
    """What a cell has raised, on one line; '' where it has raised nothing."""
    for output in cell.get("outputs", []):
        if output.output_type == "error":
            if output.ename == "KeyboardInterrupt":
                return "it took longer than it may"
            said = " ".join(re.sub(r"\x1b\[[0-9;]*m", "", output.evalue).split())
            return said if output.ename == "AssertionError" else f"{output.ename}: {said}"
    return ""


def tags(cell: nbformat.NotebookNode) -> set[str]:
    return set(cell.metadata.get("tags", []))


def is_tagged(cell: nbformat.NotebookNode, tag: str) -> bool:
    return tag in tags(cell)


def table(marks: list[Mark]) -> str:
    """A line per notebook, then what was said of each exercise that is not solved."""
    rows = [("student", "notebook", "1", "2", "3", "solved")]
    for one in marks:
        each = [mark for mark, _ in one.exercises]
        rows.append((one.student, one.notebook, *each, f"{one.solved} of {len(each)}"))
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip() for row in rows
    ]
    for one in marks:
        reasons: dict[str, list[str]] = {}  # one that all three share stands once
        for number, (mark, said) in enumerate(one.exercises, 1):
            if mark == UNSOLVED:
                reasons.setdefault(said, []).append(str(number))
        for said, numbers in reasons.items():
            lines.append(f"\n{one.student}, {one.notebook}, exercise {', '.join(numbers)}: {said}")
    return "\n".join(lines)


def as_csv_rows(marks: list[Mark]) -> list[list[str]]:
    """A heading, then a row per exercise."""
    rows = [["student", "notebook", "exercise", "solved", "what the check said"]]
    for one in marks:
        for number, (mark, said) in enumerate(one.exercises, 1):
            rows.append([one.student, one.notebook, str(number), mark, said])
    return rows
