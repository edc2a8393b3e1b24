"""Every notebook has all its parts, runs, and judges its exercises;
a notebook is what its source says.
"""

import json
import re
import subprocess
import sys
import time
from pathlib import Path

import matplotlib
import matplotlib.pyplot as plt
import pytest
from hypothesis import settings
from small_runs import UNDRAWN
from threadpoolctl import threadpool_limits
from tutorial_answers import ANSWERS

TUTORIALS = Path(__file__).parent.parent / "tutorials"
NOTEBOOKS = sorted(TUTORIALS.glob("[0-9][0-9]_*.ipynb"))
PARTS = ["layer", "gradient-check", "against-glowlite"]
# What takes long, and what stands for it in the quick profile of Hypothesis. The site is built of
# notebooks as they are.
SHORTER = {
    "04": [("range(60)", "range(12)")],
    "06": [("steps=600", "steps=60")],
    "09": [("range(301)", "range(26)")],
    "10": [
        ('mpirun(8, "against.py")', 'mpirun(4, "against.py")'),
        ('count("agrees") == 8', 'count("agrees") == 4'),
        ("for n in (2, 8)", "for n in (2, 4)"),
        ("--steps 5", "--steps 2"),
        ('"-m", "glowlite.train"', repr(UNDRAWN)),
    ],
    "11": [
        ("np.random.default_rng(0), 400", "np.random.default_rng(0), 40"),
        ("for _ in range(100)", "for _ in range(10)"),
        ("np.full(100", "np.full(10"),
    ],
}
named = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem[:2])


def cells_of(path):
    return json.loads(path.read_text())["cells"]


def tags(cell):
    return cell["metadata"].get("tags", [])


def source(cell):
    return "".join(cell["source"])


def replaced(text, pairs):
    for whole, shorter in pairs:
        text = text.replace(whole, shorter)
    return text


def test_there_are_twelve():
    assert [path.stem[:2] for path in NOTEBOOKS] == [f"{n:02d}" for n in range(1, 13)]


@named
def test_it_has_every_part_and_is_short(path):
    cells = cells_of(path)
    prose = "\n".join(source(cell) for cell in cells if cell["cell_type"] == "markdown")
    words = len(re.sub(r"\$\$.*?\$\$|\$[^$]*\$|```.*?```", " ", prose, flags=re.DOTALL).split())
    assert len(cells) <= 25 and words <= 1250, f"{len(cells)} cells, {words} words"
    assert prose.startswith("# ") and "**Question.**" in prose
    assert all(
        heading in prose
        for heading in ("\n## Picture", "\n## Derivation", "\n## Exercises", "**Next.**")
    )
    assert all(
        f"**{n}, {kind}.**" in prose for n, kind in ((1, "predict"), (2, "break"), (3, "extend"))
    )
    code = [cell for cell in cells if cell["cell_type"] == "code"]
    assert all(sum(part in tags(cell) for cell in code) == 1 for part in PARTS)
    assert [sum(kind in tags(cell) for cell in code) for kind in ("solution", "check")] == [3, 3]
    (layer,) = (cell for cell in code if "layer" in tags(cell))
    assert sum(bool(line.strip()) for line in source(layer).splitlines()) <= 25
    assert all(not cell["outputs"] and cell["execution_count"] is None for cell in code)


@named
def test_it_runs_within_a_minute_and_checks_pass_on_solutions_and_fail_on_stubs(
    path, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    matplotlib.use("agg")
    began = time.process_time()  # of this process: other work on the machine does not count
    names = {"__name__": "__main__"}

    def run(text, what):
        exec(compile(text, f"{path.stem}: {what}", "exec"), names)

    answers = iter(ANSWERS.get(path.stem[:2], []))
    cells = [cell for cell in cells_of(path) if cell["cell_type"] == "code"]
    shorter = SHORTER.get(path.stem[:2], [])
    assert all(sum(source(cell).count(whole) for cell in cells) == 1 for whole, _ in shorter)
    if settings().max_examples >= 50:
        shorter = []
    with threadpool_limits(
        1, "blas"
    ):  # whose threads wait for each other where others use the cores as well
        for number, cell in enumerate(cells):
            if "check" in tags(cell):
                solution = cells[number - 1]
                run(solution["metadata"]["stub"], f"stub of code cell {number - 1}")
                with pytest.raises(AssertionError, match=r"\w"):  # with words for the student
                    run(source(cell), f"check, code cell {number}, on the stub")
                others = next(answers, None)
                for wrong, hint in others.wrong if others else []:
                    run(wrong, "a wrong answer")
                    with pytest.raises(AssertionError, match=re.escape(hint)):
                        run(source(cell), f"check, code cell {number}, on {wrong}")
                for right in others.right if others else []:
                    run(right, "a right answer")
                    run(source(cell), f"check, code cell {number}, on {right}")
                run(source(solution), f"solution, code cell {number - 1}")
            run(replaced(source(cell), shorter), f"code cell {number}")
            plt.close("all")
    assert time.process_time() - began < 2 * 60  # a minute of two cores


def test_notebooks_and_sources_are_in_step():
    done = subprocess.run(
        [sys.executable, TUTORIALS / "notebooks.py", "--check"], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr


def test_a_student_copy_has_stubs_and_no_solutions(tmp_path):
    copies = subprocess.run(
        [sys.executable, TUTORIALS / "notebooks.py", "--student", tmp_path / "class"],
        capture_output=True,
        text=True,
    )
    assert copies.returncode == 0, copies.stderr
    for path in NOTEBOOKS:
        original, copy = cells_of(path), cells_of(tmp_path / "class" / path.name)
        assert len(original) == len(copy)
        for one, other in zip(original, copy):
            stub = one["metadata"].get("stub")
            assert source(other) == (source(one) if stub is None else stub.rstrip("\n"))
            # and nothing is folded up
            assert "stub" not in other["metadata"] and "jupyter" not in other["metadata"]
            assert (stub is None) == ("jupyter" not in one["metadata"])
            # the line that a folded cell shows
            assert stub is None or source(one).startswith("# one solution\n")
