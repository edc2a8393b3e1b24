"""python -m glowlite.laws MODULE:NAME: test any flow, in any framework, against the laws of a flow.
It prints a table of the laws that hold and those that are broken, with the smallest x that shows
each failure.
"""

from __future__ import annotations

import argparse
import os
import sys
import tomllib
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from glowlite.commands.program import Parser, at_least
from glowlite.errors import GlowliteError, OutputError
from glowlite.files.inputs import read_bytes
from glowlite.files.outputs import JUNIT, LAWS_JSON, check_output, output
from glowlite.terminal import say, shortened
from glowlite.testing import report as report_of
from glowlite.testing.comparison import Broken
from glowlite.testing.expected import reasons_by_law
from glowlite.testing.frameworks import FRAMEWORKS
from glowlite.testing.laws import DATE, LAWS, LEVELS, VERSION, Law, chosen
from glowlite.testing.load import CannotLoad, Maker, find
from glowlite.testing.results import Subject, hold

LONGEST_LIST = 1 << 16  # size limit of a file of expected failures, in bytes
LONGEST_SHAPE, LONGEST_SIDE = 60, 1 << 16  # characters of a shape; largest length of one axis
LONGEST_SAID = 300  # characters of another program's error message
OWN = Path(report_of.__file__).parents[1]  # glowlite's folder
IN_FLOAT32 = "float32_agrees_with_float64"
USAGE = (
    "NAME is a layer, a model, or a function that makes one (from a seed, if it takes an argument)"
)


def parse_arguments(arguments: list[str] | None = None) -> argparse.Namespace:
    parser = Parser("laws", f"Test a flow against its laws. {USAGE}.")
    add = parser.add_argument
    add("name", metavar="MODULE:NAME", nargs="?", help="what to test; also FILE.py:NAME")
    add("--list", action="store_true", help="list the laws and exit")
    add(
        "--framework",
        choices=FRAMEWORKS,
        default="auto",
        help="the framework that the layer is written in",
    )
    add(
        "--shape",
        type=_shape,
        help="shape of one sample of x, such as 3 or 8,8,3; default: what the layer or its module"
        " declares (event_shape, SHAPE)",
    )
    add(
        "--condition-shape",
        type=_shape,
        help="shape of one sample's condition, for a layer that takes one",
    )
    add(
        "--dtype",
        choices=("float64", "float32"),
        default="float64",
        help="float32: run only the law that compares float32 with float64; the other laws need"
        " float64",
    )
    add("--seeds", type=at_least(1, int, 1000), default=2, help="how many seeds to test: 0, 1, ...")
    add("--only", metavar="LAWS", help="test only these laws or levels, separated by commas")
    add(
        "--expect-fail",
        metavar="FILE",
        type=Path,
        help='a TOML file with lines law = "reason", possibly under [NAME]; it is an error if'
        " such a law holds after all",
    )
    add("--json", metavar="FILE", type=Path, help="write all results to this JSON file")
    add("--junit", metavar="FILE", type=Path, help="write the results to this file as JUnit XML")
    options = parser.parse_args(arguments)
    if not options.name and not options.list:
        parser.error("MODULE:NAME is missing")
    return options


def _shape(text: str) -> tuple[int, ...]:
    parts = text.replace("x", ",").split(",") if len(text) <= LONGEST_SHAPE else ()
    try:
        shape = tuple(int(part) for part in parts if part.strip())
    except ValueError:
        shape = ()
    if not shape or min(shape) < 1 or max(shape) > LONGEST_SIDE:
        raise argparse.ArgumentTypeError(
            f"{shortened(text)!r} is not a shape: expected whole numbers from 1 to"
            f" {LONGEST_SIDE:,} separated by commas, such as 3 or 8,8,3"
        )
    return shape


def main(arguments: list[str] | None = None) -> int:
    options = parse_arguments(arguments)
    if options.list:
        _list()
        return 0
    laws = _laws(options)
    expected = _expected(options.expect_fail, laws, options.name.rpartition(":")[2])
    _check_outputs(options)
    subject = _subject(options)
    level = ""

    def seen(result: Any) -> None:
        nonlocal level
        try:
            if result.law.level != level:
                level = result.law.level
                say(level)
            say(report_of.row(result))
        except OSError as error:  # an error of stdout, not of the layer
            raise GlowliteError(f"standard output: {error.strerror}") from None

    seeds = range(options.seeds)
    say(report_of.heading(subject, seeds))
    with _their_errors(options.name):
        report = hold(subject, laws, seeds, expected, seen)
    for line in report_of.details(report):
        say(line)
    say("")
    say(report_of.summary(report))
    for line in report_of.begin_with(report):
        say(line)
    if options.json is not None:
        with output("--json", options.json, LAWS_JSON) as file:
            file.write(report_of.as_json(report).encode())
    if options.junit is not None:
        with output("--junit", options.junit, JUNIT) as file:
            file.write(report_of.as_junit(report).encode())
    return report.exit_code


def _check_outputs(options: argparse.Namespace) -> None:
    """Raise OutputError, before any work, if the results cannot be written."""
    if options.json is not None:
        check_output("--json", options.json, LAWS_JSON)
    if options.junit is not None:
        check_output("--junit", options.junit, JUNIT)
    if options.json and options.junit and _is_same(options.json, options.junit):
        raise OutputError(f"--json and --junit are both {options.junit}; name another file")


def _is_same(one: Path, other: Path) -> bool:
    return os.path.realpath(one) == os.path.realpath(other)


def _list() -> None:
    say(f"laws {VERSION} of {DATE}")
    for level in LEVELS:
        say(level)
        for law in LAWS:
            if law.level == level:
                chance = law.error_probability
                errs = f" (Its probability of a false alarm is {chance:.0e}.)" if chance else ""
                say(f"  {law.name:34}{law.says}{errs}")


def _laws(options: argparse.Namespace) -> list[Law]:
    names = [name.strip() for name in (options.only or "").split(",") if name.strip()]
    if options.only is not None and not names:
        raise GlowliteError("--only: no law is named; --list shows the laws")
    try:
        laws = chosen(names) if names else list(LAWS)
    except ValueError as error:
        raise GlowliteError(
            f"--only: {str(error).partition(';')[0]}; --list shows the laws"
        ) from None
    if options.dtype == "float64":
        return laws
    laws = [law for law in laws if law.name == IN_FLOAT32]
    if not laws:
        raise GlowliteError(
            f"--dtype float32: the only law in float32 is {IN_FLOAT32}; name that one"
        )
    return laws


def _expected(path: Path | None, laws: list[Law], of: str) -> dict[str, str]:
    """Return the reasons by law from a TOML file: the whole file, or, if it has tables, the table
    of this name.
    """
    if path is None:
        return {}
    try:
        found = tomllib.loads(read_bytes(path, LONGEST_LIST).decode())
    except (ValueError, RecursionError) as error:
        raise GlowliteError(f"--expect-fail {path}: not valid TOML: {error}") from None
    try:
        reasons = reasons_by_law(found, of)
    except ValueError as error:
        hint = "; --list shows the laws" if str(error).startswith("no law") else ""
        raise GlowliteError(f"--expect-fail {path}: {error}{hint}") from None
    return {law.name: reasons[law.name] for law in laws if law.name in reasons}


def _subject(options: argparse.Namespace) -> Subject:
    """Return what is to be tested. Raises GlowliteError if it cannot be made or cannot be called
    once.
    """
    name = options.name
    with _their_errors(name):
        thing = find(name)
    shape = options.shape or _own_shape(thing, "SHAPE", "event_shape")
    condition_shape = options.condition_shape or _own_shape(thing, "CONDITION_SHAPE")

    def maker(seed: int) -> Maker:
        return Maker(thing, seed, options.framework, subject.condition(seed))

    subject = Subject(name, maker, shape or (), condition_shape)
    with _their_errors(name):
        if shape is None:
            shape = _own_shape(maker(0).initialised(None), "event_shape")
            if shape is None:
                raise GlowliteError(
                    f"{name}: --shape is needed: the shape of one sample of x, such as 3"
                )
            subject = Subject(name, maker, shape, condition_shape)
        case = subject.case(0)
        if case.is_map:
            _check_size(name, case.x, case.forward(case.x)[0])
        elif not callable(getattr(case.layer, "log_prob", None)):
            raise GlowliteError(
                f"{name}: neither a map (forward, inverse) nor a density (log_prob)"
            )
    return subject


def _check_size(name: str, x: np.ndarray, y: np.ndarray) -> None:
    """Only a map whose output has as many numbers as its input has an inverse and a determinant."""
    if y.size != x.size or len(y) != len(x):
        raise GlowliteError(
            f"{name}: forward turns x of shape {x.shape} into y of shape {y.shape}, but both must"
            " have equally many numbers: give --shape, the shape of one sample of x"
        )


def _own_shape(thing: Any, *names: str) -> tuple[int, ...] | None:
    """Return the shape that the object or its module declares under one of these names."""
    module = sys.modules.get(getattr(thing, "__module__", "") or "")
    for place in (thing, module):
        for name in names:
            found = getattr(place, name, None)
            if isinstance(found, (tuple, list)) and all(_is_size(n) for n in found):
                return tuple(int(n) for n in found)
    return None


def _is_size(n: Any) -> bool:
    return isinstance(n, (int, np.integer)) and int(n) >= 1


@contextmanager
def _their_errors(name: str) -> Iterator[None]:
    """Turn any exception of the code under test that no law catches into one line with its place.

    Even SystemExit, or the exceptions with which pytest ends a test, do not end this program.
    """
    try:
        yield
    except (GlowliteError, KeyboardInterrupt):
        raise
    except MemoryError as error:
        raise GlowliteError(f"{name}: out of memory: {error or 'no details'}") from None
    except CannotLoad as error:
        raise GlowliteError(f"{error}") from None
    except BaseException as error:
        told_here = isinstance(error, (TypeError, Broken)) and not _is_theirs(error)
        raise GlowliteError(f"{name}: {error}" if told_here else _said(name, error)) from None


def _is_theirs(error: BaseException) -> bool:
    frames = traceback.extract_tb(error.__traceback__)
    return not frames or not Path(frames[-1].filename).is_relative_to(OWN)


def _said(name: str, error: BaseException) -> str:
    try:
        message = shortened(error, LONGEST_SAID)
    except Exception:  # raised by its __str__
        message = "(no message)"
    kind = type(error).__name__
    return f"{name}: it cannot be run: {kind}{': ' * bool(message)}{message}{_place(error)}"


def _place(error: BaseException) -> str:
    """Return where it was raised, in a file that one can open. A SyntaxError already says so
    itself.
    """
    frames = traceback.extract_tb(error.__traceback__)
    if isinstance(error, SyntaxError) or not frames:
        return ""
    return f" ({Path(frames[-1].filename).name}, line {frames[-1].lineno})"
