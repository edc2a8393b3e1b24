"""What a teacher is given: marks of what was handed in, pages and slides that are read offline.

Needs what the extra `tutorials` brings; skipped where it is missing.
"""

import csv
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

pytest.importorskip("nbclient")
pytest.importorskip("nbconvert")
TUTORIALS = Path(__file__).parent.parent / "tutorials"
sys.path.insert(0, str(TUTORIALS))

import marking  # noqa: E402
import pages  # noqa: E402
from browser import chromium  # noqa: E402

STUB, CHECK = "answer = None", "assert answer == limit, 'Count again.'"


def cell(source, identity, *tags):
    made = nbformat.v4.new_code_cell(source, id=identity)
    made.metadata["tags"] = list(tags)
    return made


def original():
    """Three exercises with one answer, 3."""
    cells = [cell("limit = 3", "cell-00")]
    for number in range(3):
        cells += [
            cell(STUB, f"exercise-{number}", "exercise"),
            cell(CHECK, f"check-{number}", "check"),
        ]
    made = nbformat.v4.new_notebook(cells=cells)
    made.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3"}
    return made


def handed_in(*answers):
    made = original()
    for number, answer in enumerate(answers):
        made.cells[1 + 2 * number].source = answer
    return made


def write(path, notebook):
    path.parent.mkdir(parents=True, exist_ok=True)
    nbformat.write(notebook, path)


@pytest.fixture(scope="module")
def marks(tmp_path_factory):
    """{student: their mark}, of one class."""
    folder = tmp_path_factory.mktemp("class")
    write(folder / "anna" / "01_counting.ipynb", handed_in("answer = 3", "answer = 4"))
    cheat = handed_in("answer = 5", "answer = 6", "answer = 7")
    cheat.cells[0].source = "limit = 5"
    for place in (2, 4, 6):
        cheat.cells[place].source = "print('right')"
    write(folder / "ben_01_counting (1).ipynb", cheat)
    helped = handed_in("answer = helper()", "answer = helper() - 1", "while True: pass")
    helped.cells.insert(1, nbformat.v4.new_code_cell("def helper():\n    return 3"))
    write(folder / "carla" / "01_counting.ipynb", helped)
    renamed = handed_in("raise OSError('no file')", "answer = 3", "answer = 3")
    for place, each in enumerate(renamed.cells):
        each.id = f"other-{place}"
    write(folder / "dora" / "my 01_counting.ipynb", renamed)
    (folder / "emil_01_counting.ipynb").write_text("{not json")
    (folder / "notes.ipynb").write_text("of no notebook of ours")
    found = marking.mark_folder(folder, {"01_counting": original()}, seconds=3)
    return {mark.student: mark for mark in found}


def of(mark):
    return [solved for solved, _ in mark.exercises]


def test_every_notebook_of_the_class_is_marked(marks):
    assert list(marks) == ["anna", "ben", "carla", "dora my", "emil"]


def test_right_wrong_and_untouched_are_told_apart(marks):
    assert of(marks["anna"]) == ["yes", "no", "-"]
    assert marks["anna"].exercises[1][1] == "Count again."


def test_checks_and_layers_are_those_of_the_original(marks):
    assert of(marks["ben"]) == ["no", "no", "no"]


def test_cells_that_a_student_added_run_in_their_place(marks):
    assert of(marks["carla"])[:2] == ["yes", "no"]


def test_what_never_ends_is_ended(marks):
    assert marks["carla"].exercises[2] == ("no", "it took longer than it may")


def test_exercises_are_found_by_their_order_where_ids_are_lost(marks):
    assert of(marks["dora my"]) == ["no", "yes", "yes"]
    assert marks["dora my"].exercises[0][1] == "OSError: no file"


def test_what_is_no_notebook_is_said_to_be_none(marks):
    assert of(marks["emil"]) == ["no"] * 3
    assert "not a notebook" in marks["emil"].exercises[0][1]


def test_the_table_has_a_line_per_notebook_and_each_reason_once(marks):
    lines = marking.table(list(marks.values())).splitlines()
    assert lines[1].split() == ["anna", "01_counting", "yes", "no", "-", "1", "of", "3"]
    assert sum("exercise 1, 2, 3: not a notebook" in line for line in lines) == 1


def notebooks(*options):
    return subprocess.run(
        [sys.executable, TUTORIALS / "notebooks.py", *map(str, options)],
        capture_output=True,
        text=True,
    )


def test_a_solution_handed_in_is_marked_by_the_command(tmp_path):
    copies = notebooks("--student", tmp_path / "class", "--only", "01")
    assert copies.returncode == 0, copies.stderr
    path = tmp_path / "class" / "01_change_of_variables.ipynb"
    copy = nbformat.read(path, as_version=4)
    solved = nbformat.read(TUTORIALS / path.name, as_version=4)
    solutions = [cell for cell in solved.cells if "solution" in cell.metadata.get("tags", [])]
    exercises = [cell for cell in copy.cells if "exercise" in cell.metadata.get("tags", [])]
    for exercise, solution in zip(exercises[:2], solutions, strict=False):
        exercise.source = solution.source
    write(tmp_path / "in" / "anna" / path.name, copy)
    done = notebooks("--mark", tmp_path / "in", "--only", "01", "--csv", tmp_path / "marks.csv")
    assert done.returncode == 0, done.stderr
    assert done.stdout.split()[-6:] == ["yes", "yes", "-", "2", "of", "3"]
    with (tmp_path / "marks.csv").open() as file:
        assert [row[3] for row in csv.reader(file)] == ["solved", "yes", "yes", "-"]


@pytest.mark.parametrize(
    "options, said",
    [
        (["--mark", "nowhere"], "--mark nowhere: no such folder"),
        (["--mark", ".", "--seconds", "0"], "--seconds 0: at least 1"),
        (["--only", "77"], "--only 77: no such notebook; there are 01 02"),
        (["--slides", TUTORIALS], "choose another folder"),
    ],
)
def test_a_mistake_is_answered_by_one_line(options, said):
    done = notebooks(*options)
    assert done.returncode == 2 and said in done.stderr.splitlines()[-1]


def test_a_folder_without_notebooks_is_no_class(tmp_path):
    done = notebooks("--mark", tmp_path)
    assert done.returncode == 1 and "no notebook there is named as 01_" in done.stderr


FORMULAS = """# 1. Counting

**Goals.** You count to $n < 3$.

$$\\boxed{\\;n = \\sum_{k=1}^{n} 1\\;}$$

`$not$` mathematics, and [a link](02_other.md)."""
LOOK = "**What do you see?** It is $x^2$. One sees it.\n\nMore text."


@pytest.fixture(scope="module")
def drawn():
    """A notebook with formulas, a figure and a check, executed."""
    made = original()
    for place in (1, 3, 5):
        made.cells[place].source = "answer = 3"
    made.cells[2].metadata["jupyter"] = {"source_hidden": True}
    figure = cell("import matplotlib.pyplot as plt\nplt.plot([1, 2]);", "figure")
    figure.metadata["mystnb"] = {"image": {"alt": "a line that rises"}}
    text = nbformat.v4.new_markdown_cell
    made.cells = [text(FORMULAS, id="text-0"), figure, text(LOOK, id="text-1"), *made.cells]
    return pages.executed(made)


@pytest.mark.parametrize("kind", [pages.as_html, pages.as_slides])
def test_a_page_asks_for_nothing_and_shows_its_mathematics(kind, drawn, tmp_path):
    (tmp_path / "page.html").write_text(kind(drawn, "1. Counting"))
    requests, errors = [], []
    with chromium() as browser:
        page = browser.new_page()
        page.on("request", lambda request: requests.append(request.url))
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.on("console", lambda message: errors.append(message.text))
        page.goto((tmp_path / "page.html").as_uri())
        assert page.locator(".katex").count() == 3 and not page.locator(".katex-error").count()
        assert page.locator("img[src^=data]").count() == 1
        assert page.title() == "1. Counting"
    assert not errors and not [url for url in requests if not url.startswith(("file:", "data:"))]


def test_a_page_folds_up_its_checks(drawn):
    page = pages.as_html(drawn, "1. Counting")
    assert page.count("<summary>Show the check</summary>") == 1


def test_slides_are_turned_by_keys(drawn, tmp_path):
    (tmp_path / "slides.html").write_text(pages.as_slides(drawn, "1. Counting"))
    with chromium() as browser:
        page = browser.new_page()
        page.goto((tmp_path / "slides.html").as_uri())
        shown = []
        for key in ("ArrowRight", "ArrowRight", "ArrowRight", "ArrowRight", "Home"):
            shown.append(page.inner_text("section.shown :is(h1, h2)"))
            page.keyboard.press(key)
        assert shown == ["1. Counting", "Goals", "1. Counting", "1. Counting", "1. Counting"]
        assert page.inner_text("#place") == "1 of 4"
        page.keyboard.press("End")
        assert page.get_attribute("section.shown img", "alt") == "a line that rises"
        page.keyboard.press("a")
        assert "One sees it." in page.inner_text("section.shown details")
        page.emulate_media(media="print")
        assert page.locator("section:visible").count() == 4
