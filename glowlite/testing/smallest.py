"""Find the smallest input that shows what is broken, with Hypothesis."""

from __future__ import annotations

import contextlib
import tempfile
import time
from collections.abc import Callable, Iterator
from random import Random
from typing import Any

import numpy as np

from glowlite.testing.domain import EVERYWHERE, has_ends, is_inside

SECONDS = 6.0
EXAMPLES = 40
# the numbers that are tried, simplest first; with one end, distances from it; between two ends,
# fractions of the interval
NUMBERS = (0.0, 1.0, -1.0, 2.0, -2.0, 3.0, -3.0, 0.5, -0.5, 1.5, -1.5, 2.5, -2.5, 0.25, -0.25)
DISTANCES = (1.0, 2.0, 3.0, 0.5, 1.5, 2.5, 0.25)
PARTS = (0.5, 0.25, 0.75, 0.125, 0.875, 0.375, 0.625)


def smallest(
    breaks: Callable[[np.ndarray], bool],
    x: np.ndarray,
    domain: tuple[float, float] = EVERYWHERE,
    seconds: float = SECONDS,
) -> np.ndarray:
    """Return a batch for which `breaks` is true, with as few samples and as simple numbers as can
    be found.

    x (N, ...): a batch that is known to break the law. Without Hypothesis, or if nothing simpler
    breaks it, the result is one sample of x, x rounded, or x itself. Cost: at most `seconds`, plus
    one call.
    """
    end = time.monotonic() + seconds
    best, plainest = x, _plain(domain)[0]

    def tried(candidate: np.ndarray) -> bool:
        nonlocal best
        if time.monotonic() > end or not is_inside(candidate, domain):
            return False
        if not breaks(candidate.copy()):
            return False
        if complexity(candidate, plainest) < complexity(best, plainest):
            best = candidate.copy()
        return True

    rounded = np.clip(np.round(x, 1), *domain)
    for candidate in (x[:1], rounded, rounded[:1], np.round(rounded[:1])):
        tried(candidate)
    _by_hypothesis(tried, x.shape, domain)
    return best


def complexity(x: np.ndarray, plainest: float = 0.0) -> tuple[int, int, int, float]:
    """Return the numbers of samples, of entries that are not the simplest number, and of digits,
    and the distance from it.
    """
    digits = sum(len(repr(float(v)).removesuffix(".0")) for v in x.ravel())
    return len(x), int((x != plainest).sum()), digits, float(np.abs(x - plainest).sum())


def _plain(domain: tuple[float, float]) -> list[float]:
    low, high = domain
    match has_ends(domain):
        case True, True:
            return [low + (high - low) * part for part in PARTS]
        case True, False:
            return [low + distance for distance in DISTANCES]
        case False, True:
            return [high - distance for distance in DISTANCES]
    return list(NUMBERS)


def _by_hypothesis(
    breaks: Callable[[np.ndarray], bool], shape: tuple[int, ...], domain: tuple[float, float]
) -> None:
    try:
        import hypothesis
        from hypothesis import strategies as st
        from hypothesis.extra.numpy import arrays
    except ImportError:
        return
    plain = _plain(domain)
    batches: Any = st.integers(1, shape[0]).flatmap(
        lambda n: arrays(
            np.float64, (n, *shape[1:]), elements=st.sampled_from(plain), fill=st.just(plain[0])
        )
    )
    settings = hypothesis.settings(
        max_examples=EXAMPLES,
        phases=(hypothesis.Phase.generate, hypothesis.Phase.shrink),  # whatever the profile says
        deadline=None,
        database=None,
        suppress_health_check=list(hypothesis.HealthCheck),
    )
    # nothing simpler found, or no time left: keep what was found before
    with _nothing_kept(), contextlib.suppress(hypothesis.errors.HypothesisException):
        hypothesis.find(batches, breaks, settings=settings, random=Random(0))


@contextlib.contextmanager
def _nothing_kept() -> Iterator[None]:
    """Make Hypothesis store its files in a temporary folder, not in the working folder."""
    from hypothesis import configuration

    before = getattr(configuration, "__hypothesis_home_directory", None)
    with tempfile.TemporaryDirectory() as folder:
        configuration.set_hypothesis_home_dir(folder)
        try:
            yield
        finally:
            configuration.set_hypothesis_home_dir(before)
