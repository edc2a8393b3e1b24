"""The table of planted bugs holds to the source: no row of it may rot.

Planting them is `python -m tests.planted`.
"""

import ast
import functools
import re
from pathlib import Path

import planted
import pytest

ROOT = Path(__file__).parent.parent
TABLES = planted.tables()


@functools.cache
def named_tests(file: str) -> dict[str, bool]:
    """The tests of a file by name, and whether each takes parameters."""
    functions = [
        node
        for node in ast.parse((ROOT / file).read_text()).body
        if isinstance(node, ast.FunctionDef)
    ]
    return {node.name: bool(node.args.args) for node in functions if node.name.startswith("test_")}


@functools.cache
def meaning(source: str, suffix: str) -> str:
    """What is left of a source without its comments and its layout."""
    if suffix == ".py":
        return ast.dump(ast.parse(source))
    return "".join(re.sub(r"//.*", "", source).split())


@pytest.mark.parametrize("name", TABLES)
def test_every_law_has_bugs_that_differ(name):
    bugs = TABLES[name]
    assert bugs and len({bug.what for bug in bugs}) == len(bugs)
    assert len({(bug.file, bug.old, bug.new) for bug in bugs}) == len(bugs)


@pytest.mark.parametrize("name", TABLES)
def test_every_bug_can_be_planted(name):
    for bug in TABLES[name]:
        source = (ROOT / "glowlite" / bug.file).read_text()
        assert source.count(bug.old) == 1, (
            f"{bug.file}: {source.count(bug.old)} times, for {bug.what!r}:\n{bug.old}"
        )
        suffix, planted_source = Path(bug.file).suffix, source.replace(bug.old, bug.new)
        assert meaning(planted_source, suffix) != meaning(source, suffix), bug.what


@pytest.mark.parametrize("name", TABLES)
def test_every_test_that_is_named_exists(name):
    for bug in TABLES[name]:
        assert bug.tests, bug.what
        for test in bug.tests:
            file, _, rest = test.partition("::")
            function, bracket, _ = rest.partition("[")
            assert function in named_tests(file), f"{bug.what}: no {test}"
            assert not bracket or named_tests(file)[function], (
                f"{bug.what}: {function} takes no parameters"
            )


def test_what_the_table_of_options_leaves_out_is_still_there():
    for file, name, beginning in planted.options.NO_DIFFERENCE:
        lines = [line.strip() for line in (ROOT / "glowlite" / file).read_text().splitlines()]
        assert any(line.startswith(beginning) and name in line for line in lines), (
            f"{file}: {beginning}"
        )


def test_the_overview_in_the_docs_is_that_of_the_tables():
    said = "docs/contributing.md: put in what `python -m tests.planted --overview` prints"
    assert planted.overview() in (ROOT / "docs" / "contributing.md").read_text(), said
