"""python -m glowlite.laws MODULE:NAME: hold any flow, in any framework, to the laws of one; a table
of what held and what is broken, with the smallest x that shows it.
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

LONGEST_LIST = 1 << 16  # bytes of a file of expected failures
LONGEST_SHAPE, LONGEST_SIDE = 60, 1 << 16  # characters; numbers on a side
LONGEST_SAID = 300  # characters of another program's error
OWN = Path(report_of.__file__).parents[1]  # the folder of glowlite
IN_FLOAT32 = "float32_agrees_with_float64"
USAGE = "NAME is a layer, a model, or a function that makes one (of a seed, if it takes one)"


def parse_arguments(arguments: list[str] | None = None) -> argparse.Namespace:
    parser = Parser("laws", f"Hold a flow to its laws. {USAGE}.")
    add = parser.add_argument
    add("name", metavar="MODULE:NAME", nargs="?", help="or FILE.py:NAME; what is tested")
    add("--list", action="store_true", help="say what the laws are, and end")
    add("--framework", choices=FRAMEWORKS, default="auto", help="what the layer is written in")
    add(
        "--shape",
        type=_shape,
        help="of one sample of x, such as 3 or 8,8,3; default: what the layer or its module says"
        " (event_shape, SHAPE)",
    )
    add(
        "--condition-shape",
        type=_shape,
        help="of one sample's condition, for a layer that takes one",
    )
    add(
        "--dtype",
        choices=("float64", "float32"),
        default="float64",
        help="float32: only the law that compares the two, since the others need float64's digits",
    )
    add("--seeds", type=at_least(1, int, 1000), default=2, help="how many: 0, 1, ...")
    add("--only", metavar="LAWS", help="these laws or levels, with commas between them")
    add(
        "--expect-fail",
        metavar="FILE",
        type=Path,
        help='a TOML file of lines law = "reason", or of such lines under [NAME]; one that holds'
        " after all is an error",
    )
    add("--json", metavar="FILE", type=Path, help="write all results there")
    add("--junit", metavar="FILE", type=Path, help="write them there as JUnit's XML")
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
            f"{shortened(text)!r} is not a shape: whole numbers from 1 to {LONGEST_SIDE:,} with"
            " commas between, such as 3 or 8,8,3"
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
        except OSError as error:  # of stdout, not of the layer
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
    """Raise OutputError, before any work, where the results could not be written."""
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
                errs = f" (It errs with probability {chance:.0e}.)" if chance else ""
                say(f"  {law.name:34}{law.says}{errs}")


def _laws(options: argparse.Namespace) -> list[Law]:
    names = [name.strip() for name in (options.only or "").split(",") if name.strip()]
    if options.only is not None and not names:
        raise GlowliteError("--only: no law is named; --list shows them")
    try:
        laws = chosen(names) if names else list(LAWS)
    except ValueError as error:
        raise GlowliteError(f"--only: {str(error).partition(';')[0]}; --list shows them") from None
    if options.dtype == "float64":
        return laws
    laws = [law for law in laws if law.name == IN_FLOAT32]
    if not laws:
        raise GlowliteError(f"--dtype float32: of the laws it has {IN_FLOAT32} alone; name that")
    return laws


def _expected(path: Path | None, laws: list[Law], of: str) -> dict[str, str]:
    """Reasons by law, from a TOML file: all of it, or, where it has tables, that of the name."""
    if path is None:
        return {}
    try:
        found = tomllib.loads(read_bytes(path, LONGEST_LIST).decode())
    except (ValueError, RecursionError) as error:
        raise GlowliteError(f"--expect-fail {path}: not valid TOML: {error}") from None
    try:
        reasons = reasons_by_law(found, of)
    except ValueError as error:
        hint = "; --list shows them" if str(error).startswith("no law") else ""
        raise GlowliteError(f"--expect-fail {path}: {error}{hint}") from None
    return {law.name: reasons[law.name] for law in laws if law.name in reasons}


def _subject(options: argparse.Namespace) -> Subject:
    """What is to be tested. Raises GlowliteError where it cannot be made, or called once."""
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
                raise GlowliteError(f"{name}: --shape is needed, of one sample of x, such as 3")
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
    """Only a map that keeps the number of numbers can be inverted, and has a determinant."""
    if y.size != x.size or len(y) != len(x):
        raise GlowliteError(
            f"{name}: forward makes y of shape {y.shape} of x of shape {x.shape}, as many numbers"
            " would be needed: give --shape, of one sample of x"
        )


def _own_shape(thing: Any, *names: str) -> tuple[int, ...] | None:
    """The shape that the thing, or its module, gives under one of these names."""
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
    """Whatever the code under test raises where no law catches it is one line, with its place.

    That it ends the program, or its test, is no end of this one.
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
    except Exception:  # of its __str__
        message = "(no words)"
    kind = type(error).__name__
    return f"{name}: it cannot be run: {kind}{': ' * bool(message)}{message}{_place(error)}"


def _place(error: BaseException) -> str:
    """Where it was raised, in a file that can be looked at; a SyntaxError says that itself."""
    frames = traceback.extract_tb(error.__traceback__)
    if isinstance(error, SyntaxError) or not frames:
        return ""
    return f" ({Path(frames[-1].filename).name}, line {frames[-1].lineno})"
