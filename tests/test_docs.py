"""What the README and the docs say works: their Python runs, their commands are understood,
their links lead somewhere.
"""

import importlib
import importlib.util
import json
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from small_runs import SMALL, command, environment, nothing_drawn
from test_floors import FLOOR_OF

ROOT = Path(__file__).parent.parent
PAGES = [
    ROOT / "README.md",
    *sorted((ROOT / "docs").glob("*.md")),
    *sorted((ROOT / "docs" / "layers").glob("*.md")),
    *sorted((ROOT / "docs" / "models").glob("*.md")),
]
PAGES += [*sorted((ROOT / "docs" / "api").glob("*.md")), *sorted((ROOT / "tutorials").glob("*.md"))]
BLOCK = re.compile(r"^```(\w*) ?([^\n]*)\n(.*?)^```", re.DOTALL | re.MULTILINE)
# what the blocks ```python torch ... need: they run where that is installed
FRAMEWORKS = {"torch": ("torch", "normflows"), "jax": ("jax",)}
PARSERS = {
    "train": "glowlite.commands.option_sources",
    "bench": "glowlite.bench.__main__",
    "reproduce": "glowlite.reproduce.command",
}


def name(path):
    return path.relative_to(ROOT).as_posix()


def python_of(page, needs):
    return "\n\n".join(
        body
        for language, rest, body in BLOCK.findall(page.read_text())
        if (language, rest) == ("python", needs)
    )


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """The folder of a run, to stand for the reader's."""
    folder = tmp_path_factory.mktemp("reader")
    with nothing_drawn():
        done = command(folder, *SMALL, "--out", "run")
    assert done.returncode == 0, done.stderr
    return folder / "run"


# It runs code in a child of its own, to which glowlite is imported, and nothing else: most pages
# take less time than that import. Of each it says how the child ended; the child says the rest.
FORKS = """
import json, os, sys
import glowlite

def begin(job):
    os.chdir(job["folder"])
    for descriptor, path in ((0, os.devnull), (1, job["said"]), (2, job["said"])):
        os.dup2(os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND), descriptor)
    main = vars(sys.modules["__main__"])
    code, builtins = compile(job["code"], "page", "exec"), main["__builtins__"]
    main.clear()
    main.update(__name__="__main__", __builtins__=builtins)
    exec(code, main)

while line := sys.stdin.readline():
    child = os.fork()
    if child == 0:
        begin(json.loads(line))
        break
    print(os.waitpid(child, 0)[1], flush=True)
"""


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """A function of code and a folder, which runs it there by a Python of its own."""
    said = tmp_path_factory.mktemp("said") / "by-a-page.txt"
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen([sys.executable, "-c", FORKS], env=environment(), **pipes) as forks:

        def run(code, folder):
            said.write_text("")
            job = {"code": code, "folder": str(folder), "said": str(said)}
            print(json.dumps(job), file=forks.stdin, flush=True)
            assert forks.stdout.readline() == "0\n", said.read_text()

        yield run


def test_a_page_that_fails_is_seen(runs, tmp_path):
    """By what it says, whether it forgets an import or ends itself; and the next one runs."""
    for code in ("glowlite", "import glowlite\nnp", "raise SystemExit('this is not defined')"):
        with pytest.raises(AssertionError, match="is not defined"):
            runs(code, tmp_path)
    runs("import glowlite\nopen('here', 'w')", tmp_path)
    assert (tmp_path / "here").exists()


# that of the README runs in test_readme.py
RUN = [page for page in PAGES if python_of(page, "") and page.name != "README.md"]


@pytest.mark.parametrize("page", RUN, ids=name)
def test_the_python_of_a_page_runs(page, tmp_path, trained, runs):
    code = python_of(page, "")
    for run in set(re.findall(r'"(runs/\w+)', code)):
        shutil.copytree(trained, tmp_path / run)
    runs(code, tmp_path)


@pytest.mark.parametrize(
    ("page", "framework"),
    [(page, framework) for page in PAGES for framework in FRAMEWORKS if python_of(page, framework)],
    ids=lambda value: value if isinstance(value, str) else name(value),
)
def test_the_python_of_a_page_that_uses_a_framework_runs(page, framework, tmp_path, runs):
    missing = [n for n in FRAMEWORKS[framework] if importlib.util.find_spec(n) is None]
    if missing:
        pytest.skip(f"needs {', '.join(missing)}")
    runs(python_of(page, framework), tmp_path)


def commands():
    """Every `python -m glowlite.PROGRAM ...` of a page,
    up to a comment or the end of a span of code.
    """
    for page in PAGES:
        for program, line in re.findall(
            r"python -m glowlite\.([a-z_.]*[a-z])\b((?:\\\n|[^\n`#&|;])*)", page.read_text()
        ):
            if program != "interop":  # its files are those of tests/test_interop.py
                yield pytest.param(
                    program,
                    line.replace("\\\n", " ").strip(" .,:)"),
                    id=f"{name(page)}: {program}{line}"[:90],
                )


@pytest.mark.parametrize(("program", "line"), list(commands()))
def test_the_commands_are_understood(program, line):
    # glowlite/train.py is only a door
    where = "glowlite" if "." in program else "glowlite.commands"
    module = importlib.import_module(PARSERS.get(program, f"{where}.{program}"))
    if hasattr(module, "parse_arguments"):
        words = shlex.split(line)
        options = vars(module.parse_arguments(words))  # or exits
        named = {
            word.partition("=")[0].removeprefix("--").removeprefix("no-")
            for word in words
            if word.startswith("--")
        }
        assert {name.replace("-", "_") for name in named} <= set(options)
        if words and not words[0].startswith("-"):  # an argument has its place
            assert any(
                words[0] == value or (isinstance(value, list) and words[0] in value)
                for value in options.values()
            )
    else:
        assert not line  # a program without options


def anchors(page):
    """The names of a page's headings, as GitHub and the site make them."""
    text = BLOCK.sub("", page.read_text())
    titles = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_links_lead_somewhere(page):
    text = BLOCK.sub("", page.read_text())
    for link in re.findall(r"\]\(([^)\s]+)\)", text):
        if "://" in link:
            assert link.startswith("https://")
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        if target.parent == ROOT / "docs" / "tutorials":  # the site brings them there
            target = ROOT / "tutorials" / target.relative_to(ROOT / "docs" / "tutorials")
        # and makes a page of every folder
        if target.parent == ROOT / "docs" / "api" and target.stem != "index":
            target = ROOT / "glowlite" / target.stem
        assert target.exists(), f"{link}: no such file"
        assert not anchor or anchor in anchors(target), f"{link}: no such heading"


def test_the_map_in_the_readme_has_a_row_for_every_floor():
    """From the ground up, as imports go; `testing` stands last,
    since it imports nothing of the rest.
    """
    text = (ROOT / "README.md").read_text().partition("## Map of the code")[2]
    rows = [
        re.findall(r"`(\w+)[/.]", row) for row in re.findall(r"^\| (`[^|]*) \|", text, re.MULTILINE)
    ]
    *named, last = [name for row in rows for name in row]
    assert last == "testing" and sorted([*named, last]) == sorted(FLOOR_OF)
    assert [FLOOR_OF[name] for name in named] == sorted(FLOOR_OF[name] for name in named)


def test_the_drawing_of_the_floors_shows_every_one(monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "docs" / "figures")
    rows = [names.split() for names, _ in reversed(importlib.import_module("draw").FLOORS)]
    named = [name for row in rows for name in row]
    assert sorted(named) == sorted(FLOOR_OF)
    assert [FLOOR_OF[name] for name in named] == sorted(FLOOR_OF[name] for name in named)


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_files_that_are_named_are_there(page):
    """By their whole place, below `glowlite/`, or beside another that is named: then by the name
    alone.
    """
    whole = page.read_text()
    text = BLOCK.sub("", whole)
    written = set(re.findall(r'"([a-z0-9_/]+\.py)"', whole))  # by the code of a notebook
    for path in set(re.findall(r"`([a-z0-9_/]+\.py)`", text)) - written:
        found = [*ROOT.glob(path), *ROOT.glob(f"glowlite/{path}")]
        if "/" not in path:
            found += [*ROOT.glob(f"glowlite/**/{path}"), *ROOT.glob(f"tests/**/{path}")]
        assert found, f"{path}: no such file"
