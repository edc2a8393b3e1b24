"""Bugs that are planted on purpose, and the tests that have to notice them: a table for each law, one file each.

A module here holds `BUGS`, a list of `Bug`. `python -m tests.planted [MODULE ...]` plants them one at a time in a copy of
the tree and says which test killed each.
"""

from __future__ import annotations

import importlib
import pkgutil
import re
from dataclasses import dataclass

SHOWN = 5  # bugs of a law in the overview


@dataclass(frozen=True)
class Bug:
    """One mistake in the source.

    law: the law that it breaks, in a few words. what: the mistake, in a few words. file: the file that it is made in, under
    glowlite/. old, new: text of that file, which occurs there exactly once, and what stands there instead. tests: the
    tests that must fail then, as pytest names them from the root of the tree, such as
    `tests/test_draws.py::test_ranks_draw_what_one_process_would[2]`.
    """

    law: str
    what: str
    file: str
    old: str
    new: str
    tests: tuple[str, ...]


def tables() -> dict[str, list[Bug]]:
    """The bugs of every module of this package, by the name of the module."""
    names = sorted(
        module.name for module in pkgutil.iter_modules(__path__) if not module.name.startswith("_")
    )
    return {name: importlib.import_module(f"{__name__}.{name}").BUGS for name in names}


def overview() -> str:
    """A Markdown table of the laws: how many bugs break each, some of them, and the files of the tests that kill them."""
    lines = ["| law | bugs | for instance | killed by |", "|---|---|---|---|"]
    for name, bugs in tables().items():
        for law in dict.fromkeys(bug.law for bug in bugs):
            rows = [bug for bug in bugs if bug.law == law]
            examples = rows[:: max(1, len(rows) // SHOWN)][:SHOWN]
            some = "; ".join(re.sub(r" at \d+:\d+", "", bug.what) for bug in examples).replace(
                "|", "\\|"
            )
            files = sorted(
                {
                    test.partition("::")[0].removeprefix("tests/")
                    for bug in rows
                    for test in bug.tests
                }
            )
            lines.append(
                f"| {law} (`{name}`) | {len(rows)} | {some} | {', '.join(f'`{file}`' for file in files)} |"
            )
    return "\n".join(lines)
