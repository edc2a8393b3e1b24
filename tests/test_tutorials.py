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
from tutorial_answers import answers_of

TUTORIALS = Path(__file__).parent.parent / "tutorials"
NOTEBOOKS = sorted(TUTORIALS.glob("[0-9][0-9]*_*.ipynb"))
PARTS = ["layer", "gradient-check", "against-glowlite"]
# What takes long, and what stands for it in the quick profile of Hypothesis. The site is built of
# notebooks as they are.
SHORTER = {
    "04": [("range(60)", "range(12)")],
    "06": [("steps=600", "steps=60")],
    "09b": [("range(201)", "range(26)")],
    "10": [
        ('mpirun(8, "against.py")', 'mpirun(4, "against.py")'),
        ("for n in (2, 8)", "for n in (2, 4)"),
        ('"--steps", "4"', '"--steps", "2"'),
        ('"-m", "glowlite.train"', repr(UNDRAWN)),
    ],
    "11": [
        ("np.random.default_rng(0), 400", "np.random.default_rng(0), 40"),
        ("for _ in range(100)", "for _ in range(10)"),
        ("np.full(100", "np.full(10"),
    ],
    "14": [("STEPS = 80", "STEPS = 20")],
    "15": [("STEPS = 80", "STEPS = 20")],
}


def number_of(path):
    """Of 09a_bits_per_dimension.ipynb, 09a."""
    return path.stem.partition("_")[0]


named = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: number_of(path))


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


def test_there_are_sixteen():
    numbers = [f"{n:02d}" for n in range(1, 9)] + ["09a", "09b"]
    assert [number_of(path) for path in NOTEBOOKS] == numbers + [str(n) for n in range(10, 16)]


@named
def test_every_check_is_tried_on_right_answers_and_on_usual_wrong_ones(path):
    answers = answers_of(number_of(path))
    assert len(answers) == 3
    for of_exercise in answers:
        hints = {hint for _, hint in of_exercise.wrong}
        assert of_exercise.right and len(of_exercise.wrong) >= 3 and len(hints) >= 2


@named
def test_it_says_what_it_is_for_and_what_its_figures_show(path):
    prose = [source(cell) for cell in cells_of(path) if cell["cell_type"] == "markdown"]
    for part in ("**Goals.**", "**Time.**", "**You need.**", "**Question.**"):
        assert part in prose[0], part
    assert "**What you can do now.**" in prose[-1]
    looks = re.findall(r"\*\*What do you see\?\*\*(.*?)(?:\n\n|\Z)", "\n\n".join(prose), re.DOTALL)
    assert len(looks) >= 2  # of the picture at the beginning, and of the plot at the end
    for look in looks:
        sentences = re.findall(r"[.?!](?=\s|\)|$)", look.strip())
        assert 3 <= len(sentences) <= 6, look


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

    answers = iter(answers_of(number_of(path)))
    cells = [cell for cell in cells_of(path) if cell["cell_type"] == "code"]
    shorter = SHORTER.get(number_of(path), [])
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
                others = next(answers)
                for wrong, hint in others.wrong:
                    run(wrong, "a wrong answer")
                    with pytest.raises(AssertionError, match=re.escape(hint)):
                        run(source(cell), f"check, code cell {number}, on {wrong}")
                for right in others.right:
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


def folded(cell):
    return cell["metadata"].get("jupyter", {}).get("source_hidden", False)


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
            if one["cell_type"] == "code":
                assert source(other) == (source(one) if stub is None else stub.rstrip("\n"))
            assert "stub" not in other["metadata"]
            # what gives an answer away is folded up, and an exercise is not
            assert folded(one) == bool({"solution", "check", "plot"} & set(tags(one)))
            assert folded(other) == bool({"check", "plot"} & set(tags(other)))
            assert ("exercise" in tags(other)) == (stub is not None)
            # the line that a folded cell shows
            assert stub is None or source(one).startswith("# one solution\n")


def test_every_link_of_a_student_copy_leads_somewhere(tmp_path):
    subprocess.run([sys.executable, TUTORIALS / "notebooks.py", "--student", tmp_path], check=True)
    for path in sorted(tmp_path.glob("*.ipynb")):
        for cell in cells_of(path):
            if cell["cell_type"] == "markdown":
                for target in re.findall(r"\]\(([^)\s]+)\)", source(cell)):
                    assert target.startswith("https://") or (tmp_path / target).exists(), target
