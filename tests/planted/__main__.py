"""python -m tests.planted [MODULE ...]: plant every bug of the tables, or of those named, and see a test fail for each.

python -m tests.planted --overview: print the laws, how many bugs break each, and what kills them, for
docs/contributing.md.
"""

from __future__ import annotations

import itertools
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from . import Bug, overview, tables

ROOT = Path(__file__).parents[2]
LEFT_OUT = shutil.ignore_patterns(
    ".git", ".venv*", "__pycache__", ".*_cache", ".hypothesis", "build", "_build", "runs"
)
SECONDS = 300  # a bug may make a test hang
PASSED, FAILED = 0, 1  # exit codes of pytest
NOT_RUN = "NOT RUN"
TIMES = itertools.count(int(time.time()))


def run_tests(tree: Path, tests: list[str]) -> tuple[int | None, str, str]:
    """Run tests in a copy of the tree: pytest's exit code, None if the time ran out; the test that failed; the output."""
    bytecode = {"PYTHONDONTWRITEBYTECODE": "", "PYTHONPYCACHEPREFIX": str(tree.parent / "bytecode")}
    environment = {**os.environ, "PYTHONPATH": str(tree), **bytecode}
    arguments = ["-xq", "-n0", "-p", "no:cacheprovider", "--no-header", "-rfE", "--tb=line", *tests]
    try:
        done = subprocess.run(
            [sys.executable, "-m", "pytest", *arguments],
            cwd=tree, env=environment, capture_output=True, text=True, timeout=SECONDS,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        return None, f"the limit of {SECONDS} seconds", ""
    failed = re.search(r"^(?:FAILED|ERROR) (.+?)(?: - |$)", done.stdout, re.MULTILINE)
    return done.returncode, failed[1] if failed else "", done.stdout + done.stderr


def write(path: Path, text: str) -> None:
    """Write a source file, with a time of its own: Python takes bytecode by the second and the size of its source."""
    path.write_text(text)
    written = next(TIMES)
    os.utime(path, (written, written))


def verdict(tree: Path, bug: Bug) -> tuple[str, str]:
    """Whether the bug is killed, and by what. The tree is as it was afterwards."""
    path = tree / "glowlite" / bug.file
    text = path.read_text()
    assert text.count(bug.old) == 1, (
        f"{bug.file}: the text of {bug.what!r} does not occur exactly once"
    )
    write(path, text.replace(bug.old, bug.new))
    try:
        code, test, _ = run_tests(tree, list(bug.tests))
    finally:
        write(path, text)
    if code in (FAILED, None):
        return "killed", test
    return ("SURVIVED", "") if code == PASSED else (NOT_RUN, f"pytest ended with {code}")


def main(chosen: list[str]) -> int:
    if chosen == ["--overview"]:
        print(overview())
        return 0
    found = tables()
    if unknown := [name for name in chosen if name not in found]:
        print(f"no table {', '.join(unknown)}; there are {', '.join(found)}", file=sys.stderr)
        return 2
    missed = 0
    with tempfile.TemporaryDirectory() as folder:
        tree = Path(folder) / "tree"
        shutil.copytree(ROOT, tree, ignore=LEFT_OUT)
        for name in chosen or found:
            bugs = found[name]
            code, _, output = run_tests(
                tree, list(dict.fromkeys(test for bug in bugs for test in bug.tests))
            )
            if code != PASSED:
                print(f"{name}: its tests do not pass without a bug:\n{output}")
                missed += len(bugs)
                continue
            for bug in bugs:
                began = time.perf_counter()
                said, by = verdict(tree, bug)
                missed += said != "killed"
                print(
                    f"{bug.law:30} | {bug.what:60} | {said:8} | {by} | {time.perf_counter() - began:.1f} s",
                    flush=True,
                )
    print("every planted bug is killed" if not missed else f"{missed} planted bugs are not killed")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
