"""Results as a table for the terminal, as JSON, and as JUnit XML."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any
from xml.etree import ElementTree

import numpy as np

from glowlite.testing.comparison import Comparison
from glowlite.testing.laws import DATE, VERSION
from glowlite.testing.results import (
    BROKEN,
    EXPECTED,
    HELD,
    NOT_APPLIED,
    UNDECIDED,
    UNEXPECTED,
    Report,
    Result,
    Subject,
)

MARKS = {
    HELD: "held",
    BROKEN: "BROKEN",
    EXPECTED: "broken, as expected",
    UNEXPECTED: "HELD, NOT AS EXPECTED",
    UNDECIDED: "UNDECIDED",
    NOT_APPLIED: "-",
}
# laws that break others when broken: which one to fix first
FIRST = (
    "nothing_passed_in_is_changed",
    "calls_leave_no_trace",
    "samples_are_independent",
    "inverse_of_forward",
    "backward_stands_alone",
    "backward_rebuilds_the_input",
    "logdet_is_that_of_the_jacobian",
    "state_survives_saving",
)
SPARSE = 6  # at most so many entries are written one by one
SHORT = 80  # longest reason in the table, in characters


def heading(subject: Subject, seeds: Sequence[int]) -> str:
    shape = ", ".join(map(str, ("N", *subject.shape)))
    plural = "seed" if len(seeds) == 1 else "seeds"
    return (
        f"{subject.name}, x ({shape}), {plural} {', '.join(map(str, seeds))};"
        f" laws {VERSION} of {DATE}"
    )


def row(result: Result) -> str:
    """Return one line of the table: the law, its verdict, and the error."""
    return f"  {result.law.name:34}{MARKS[result.verdict]:22}{_how_much(result)}".rstrip()


def _how_much(result: Result) -> str:
    if result.verdict in (NOT_APPLIED, UNDECIDED):
        text = result.message
        return text if len(text) <= SHORT else f"{text[: SHORT - 3]}..."
    if result.comparison is None:
        return "exactly" if result.verdict == HELD else "see below"
    found = result.comparison
    text = f"off by {found.error:.1e}, allowed {found.allowed:.1e}"
    if result.verdict == HELD:
        return text
    entry = f", entry {list(found.index)}" if found.index else ""
    return f"{text}{entry}, seed {result.seed}"


def details(report: Report) -> list[str]:
    """Return lines for every broken law: its statement, what was found, and how to reproduce it."""
    lines: list[str] = []
    for result in report.results:
        if result.verdict in (BROKEN, EXPECTED):
            lines += ["", *_story(report, result)]
        elif result.verdict == UNEXPECTED:
            lines += [
                "",
                f"{result.law.name}: expected to be broken ({result.reason}), but it holds:"
                " remove it from the list",
            ]
        elif result.verdict == UNDECIDED:
            lines += ["", f"{result.law.name}: {result.message}"]
    return lines


def _story(report: Report, result: Result) -> list[str]:
    lines = [f"{result.law.name} is broken", f"  the law: {result.law.says}"]
    if result.reason:
        lines.append(f"  expected: {result.reason}")
    lines.append(f"  found:   {result.message}")
    lines.append(f"  often:   {result.law.often}")
    if result.law.error_probability:
        chance = result.law.error_probability
        lines.append(f"           (the probability of a false alarm is {chance:.0e})")
    if result.x is not None:
        lines.append(f"  seed:    {result.seed}")
        lines.append(f"  batch:   {_shown(result.x)}, the smallest that was found")
        if result.condition is not None:
            lines.append(f"  under:   {_shown(result.condition)}")
        lines.append(f"  again:   {again(report, result)}")
    return lines


def _shown(x: np.ndarray) -> str:
    if x.size <= 16:
        return str(x.tolist())
    places = np.argwhere(x)
    if len(places) > SPARSE:
        return f"of shape {x.shape}, see the line below"
    entries = [f"x{list(map(int, at))} = {float(x[tuple(at)])}" for at in places]
    return f"zeros of shape {x.shape}" + (f" except {', '.join(entries)}" if entries else "")


def again(report: Report, result: Result) -> str:
    """Return a line of Python that reproduces the failure."""
    assert result.x is not None
    maker = report.subject.maker(result.seed or 0)
    options = "" if maker.framework == "auto" else f', framework="{maker.framework}"'
    given = "" if result.condition is None else ", condition=c"
    names = "import numpy as np; from glowlite.testing import check_layer, load; "
    c = "" if result.condition is None else f"c = {array_code(result.condition)}; "
    name, shape = _quoted(report.subject.name), report.subject.shape
    return (
        f"{names}{c}make = load({name}, seed={result.seed}{options}{given}); "
        f"check_layer(make.initialised({shape}), {array_code(result.x)},"
        f' "{result.law.name}", load({name}, {(result.seed or 0) + 1}{options}{given}){given})'
    )


def _quoted(name: str) -> str:
    """Return the name as Python writes it, in double quotes if possible, since the shell uses
    single quotes.
    """
    return f'"{name}"' if name.isprintable() and not set(name) & {'"', "\\"} else ascii(name)


def array_code(x: np.ndarray) -> str:
    """Return a NumPy expression for x."""
    if x.size > 16 and np.count_nonzero(x) == 0:
        return f"np.zeros({x.shape})"
    if x.size > 16 and np.count_nonzero(x) <= SPARSE:
        # one sum of unit vectors, so that it remains one expression
        places = np.flatnonzero(x)
        values = [float(v) for v in x.ravel()[places]]
        return (
            f"np.bincount({[int(i) for i in places]}, {values}, {x.size})"
            f".reshape{tuple(map(int, x.shape))}"
        )
    return f"np.array({x.tolist()})"


def begin_with(report: Report) -> list[str]:
    """Return a line that says which of several broken laws to look at first."""
    broken = [result.law.name for result in report.results if result.verdict == BROKEN]
    first = next((name for name in FIRST if name in broken), None)
    if len(broken) < 2 or first is None:
        return []
    return [f"begin with {first}: the same mistake can break the others"]


def summary(report: Report) -> str:
    words = [
        f"{report.count(verdict)} {name}"
        for verdict, name in (
            (HELD, "held"),
            (BROKEN, "broken"),
            (EXPECTED, "broken as expected"),
            (UNEXPECTED, "held although expected to be broken"),
            (UNDECIDED, "undecided"),
            (NOT_APPLIED, "not applicable"),
        )
        if report.count(verdict) or verdict in (HELD, BROKEN)
    ]
    return f"{len(report.results)} laws: {', '.join(words)}"


def as_json(report: Report) -> str:
    """Return the whole report; `x` as nested lists."""
    return json.dumps(
        {
            "laws": {"version": VERSION, "date": DATE},
            "subject": report.subject.name,
            "shape": list(report.subject.shape),
            "seeds": report.seeds,
            "exit_code": report.exit_code,
            "results": [_as_dict(report, result) for result in report.results],
        },
        indent=1,
        allow_nan=False,
    )


def _as_dict(report: Report, result: Result) -> dict[str, Any]:
    found: dict[str, Any] = {
        "law": result.law.name,
        "level": result.law.level,
        "says": result.law.says,
        "error_probability": result.law.error_probability,
        "verdict": result.verdict,
        "message": result.message,
        "seconds": round(result.seconds, 3),
    }
    if result.comparison is not None:
        found["comparison"] = _numbers(result.comparison)
    if result.reason:
        found["reason"] = result.reason
    if result.x is not None:
        found |= {"seed": result.seed, "x": result.x.tolist(), "again": again(report, result)}
        if result.condition is not None:
            found["condition"] = result.condition.tolist()
    return found


def _numbers(comparison: Comparison) -> dict[str, Any]:
    """Convert numbers; non-finite ones become null, since JSON cannot represent them."""
    numbers = {name: getattr(comparison, name) for name in ("error", "allowed", "got", "expected")}
    finite = {name: value if np.isfinite(value) else None for name, value in numbers.items()}
    return {"what": comparison.what, **finite, "index": list(comparison.index)}


def as_junit(report: Report) -> str:
    """Return one test case per law, as continuous integration servers read them."""
    results = report.results
    name = _plain(report.subject.name)
    suite = ElementTree.Element(
        "testsuite",
        name=name,
        tests=str(len(results)),
        failures=str(report.count(BROKEN, UNEXPECTED)),
        errors=str(report.count(UNDECIDED)),
        skipped=str(report.count(NOT_APPLIED, EXPECTED)),
        time=f"{sum(result.seconds for result in results):.3f}",
    )
    for result in results:
        case = ElementTree.SubElement(
            suite,
            "testcase",
            classname=name,
            name=result.law.name,
            time=f"{result.seconds:.3f}",
        )
        tag = {
            BROKEN: "failure",
            UNEXPECTED: "failure",
            UNDECIDED: "error",
            NOT_APPLIED: "skipped",
            EXPECTED: "skipped",
        }.get(result.verdict)
        if tag is not None:
            said = (
                result.message
                or f"it holds, although it was expected to be broken: {result.reason}"
            )
            ElementTree.SubElement(case, tag, message=_plain(said)).text = (
                "\n".join(_plain(line) for line in _story(report, result))
                if result.x is not None
                else None
            )
    return ElementTree.tostring(suite, encoding="unicode", xml_declaration=True) + "\n"


def _plain(text: str) -> str:
    """Remove the characters that XML cannot contain."""
    return "".join(c if c.isprintable() or c in "\n\t" else "?" for c in text)
