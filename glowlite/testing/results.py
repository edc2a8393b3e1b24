"""The results of testing a layer against each law."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from glowlite.testing.case import Case
from glowlite.testing.check import decide
from glowlite.testing.comparison import Broken, Comparison, DoesNotApply, Undecided
from glowlite.testing.laws import LAWS, Law
from glowlite.testing.load import Maker, batch
from glowlite.testing.smallest import smallest

HELD, BROKEN, EXPECTED = "held", "broken", "broken as expected"
UNEXPECTED, UNDECIDED, NOT_APPLIED = "held unexpectedly", "undecided", "does not apply"
VERDICTS = (HELD, BROKEN, EXPECTED, UNEXPECTED, UNDECIDED, NOT_APPLIED)
BATCH = 3
# relative to the first error: a smaller x with less error than this does not show the mistake
SHRUNK = 1e-3


@dataclass(frozen=True)
class Result:
    """The result of one law: its verdict, one of VERDICTS, and the comparison over all seeds that
    came closest to the allowed error, or exceeded it most.

    message: what broke, or why the law does not apply. seed, x, condition: the smallest case found
    that breaks it. reason: why it was expected to break.
    """

    law: Law
    verdict: str
    comparison: Comparison | None = None
    message: str = ""
    seed: int | None = None
    x: np.ndarray | None = None
    condition: np.ndarray | None = None
    reason: str = ""
    seconds: float = 0.0


@dataclass(frozen=True)
class Subject:
    """The subject of a test: a name, `maker(seed)`, and the shape (...) of one sample of x."""

    name: str
    maker: Callable[[int], Maker]
    shape: tuple[int, ...]
    condition_shape: tuple[int, ...] | None = None

    def condition(self, seed: int) -> np.ndarray | None:
        """(BATCH, *condition_shape), normal."""
        if self.condition_shape is None:
            return None
        rng = np.random.default_rng([seed, 1])
        return rng.standard_normal((BATCH, *self.condition_shape))

    def x(self, seed: int, layer: Any) -> np.ndarray:
        """Return (BATCH, *shape), drawn by `batch`."""
        return batch(layer, BATCH, self.shape, np.random.default_rng([seed, 0]))

    def case(
        self,
        seed: int,
        x: np.ndarray | None = None,
        domain: tuple[float, float] | None = None,
    ) -> Case:
        """Return a Case with a new layer at x, by default the batch of the seed, whose `make` uses
        the next seed.
        """
        maker = self.maker(seed)
        layer = maker.initialised(self.shape)
        x = self.x(seed, layer) if x is None else x
        condition = self.condition(seed)
        given = None if condition is None else condition[: len(x)]

        def again() -> Any:
            return maker.initialised(self.shape, anew=True)

        return Case(layer, x, self.maker(seed + 1), given, domain, again)


@dataclass
class Report:
    """The results of one subject, in the order of the laws."""

    subject: Subject
    seeds: list[int]
    results: list[Result] = field(default_factory=list)

    def count(self, *verdicts: str) -> int:
        return sum(result.verdict in verdicts for result in self.results)

    @property
    def exit_code(self) -> int:
        """0: no law is broken. 1: a law is broken, or a law expected to be broken holds. 2: the
        numbers could not decide.
        """
        if self.count(BROKEN, UNEXPECTED):
            return 1
        return 2 if self.count(UNDECIDED) else 0


def hold(
    subject: Subject,
    laws: Iterable[Law] = LAWS,
    seeds: Iterable[int] = (0, 1),
    expected: Mapping[str, str] | None = None,
    seen: Callable[[Result], None] = lambda result: None,
    shrink: bool = True,
) -> Report:
    """Test the subject against each law at every seed, with a new layer each time.

    expected: reasons, by name, of laws that are expected to be broken. seen: called with each
    result as soon as it is known. shrink: look for the smallest x that breaks a law.
    """
    report = Report(subject, list(seeds))
    for law in laws:
        begun = time.perf_counter()
        result = _one(subject, law, report.seeds, shrink)
        reason = (expected or {}).get(law.name)
        if reason is not None:
            verdict = {BROKEN: EXPECTED, HELD: UNEXPECTED}.get(result.verdict, result.verdict)
            result = replace(result, verdict=verdict, reason=reason)
        result = replace(result, seconds=time.perf_counter() - begun)
        report.results.append(result)
        seen(result)
    return report


def _one(subject: Subject, law: Law, seeds: list[int], shrink: bool) -> Result:
    """Combine the seeds: broken if broken at one seed, else undecided if undecided at one, else
    held if it held at one.
    """
    worst: Comparison | None = None
    unsure: Result | None = None
    reasons: list[str] = []
    for seed in seeds:
        case = subject.case(seed)
        try:
            found = decide(law, case)
        except DoesNotApply as error:
            reasons.append(str(error))
            continue
        except Undecided as error:
            unsure = unsure or Result(law, UNDECIDED, message=str(error), seed=seed)
            continue
        except Broken as error:
            if shrink:
                return _smallest(subject, law, seed, case, error)
            return Result(law, BROKEN, error.comparison, str(error), seed, case.x, case.condition)
        if found is not None and (worst is None or found.share > worst.share):
            worst = found
    if unsure is not None:
        return unsure
    if len(reasons) == len(seeds):
        return Result(law, NOT_APPLIED, message=reasons[0])
    return Result(law, HELD, worst)


def _smallest(subject: Subject, law: Law, seed: int, case: Case, error: Broken) -> Result:
    """Return the result at the smallest x that still breaks the law."""
    errors: dict[bytes, Broken] = {}

    def breaks(x: np.ndarray) -> bool:
        try:
            decide(law, subject.case(seed, x, case.domain))
        except Broken as broken:
            errors[_key(x)] = broken
            return _as_broken(broken, error)
        except (Undecided, DoesNotApply):
            return False
        return False

    x = smallest(breaks, case.x, case.domain)
    error = errors.get(_key(x), error)
    condition = None if case.condition is None else case.condition[: len(x)]
    return Result(law, BROKEN, error.comparison, str(error), seed, x, condition)


def _as_broken(found: Broken, first: Broken) -> bool:
    """Whether this is the mistake that was found first, and not rounding error that is large
    relative to zeros.
    """
    if found.comparison is None or first.comparison is None:
        return (found.comparison is None) == (first.comparison is None)
    same = _without_numbers(found.comparison.what) == _without_numbers(first.comparison.what)
    return same and found.comparison.error >= SHRUNK * first.comparison.error


def _without_numbers(what: str) -> str:
    """Return the words of a comparison, which may name a sample or an x, without numbers."""
    return re.sub(r"[^a-z ]|\be\b", "", re.sub(r"\[.*?\]", "", what))


def _key(x: np.ndarray) -> bytes:
    return repr(x.shape).encode() + x.tobytes()
