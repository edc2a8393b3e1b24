"""The smallest input that shows what is broken. Hypothesis looks for it."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from random import Random
from typing import Any

import numpy as np

SECONDS = 6.0
EXAMPLES = 40
# the numbers that are tried, the plainest first, and the same of an interval, as parts of it
NUMBERS = (0.0, 1.0, -1.0, 2.0, -2.0, 3.0, -3.0, 0.5, -0.5, 1.5, -1.5, 2.5, -2.5, 0.25, -0.25)
PARTS = (0.5, 0.25, 0.75, 0.125, 0.875, 0.375, 0.625)


def smallest(
    breaks: Callable[[np.ndarray], bool],
    x: np.ndarray,
    domain: tuple[float, float] = (-np.inf, np.inf),
    seconds: float = SECONDS,
) -> np.ndarray:
    """A batch for which `breaks` is true, as few samples and as plain numbers as are found.

    x (N, ...): one that is known to break. Without Hypothesis, or where nothing simpler breaks, it
    is one sample of x, x rounded, or x itself. Cost: `seconds` at most, and one call more.
    """
    end = time.monotonic() + seconds
    best = x

    def tried(candidate: np.ndarray) -> bool:
        nonlocal best
        if time.monotonic() > end or not breaks(candidate.copy()):
            return False
        if complexity(candidate) < complexity(best):
            best = candidate.copy()
        return True

    rounded = np.clip(np.round(x, 1), *domain)
    for candidate in (x[:1], rounded, rounded[:1], np.round(rounded[:1])):
        if _inside(candidate, domain):
            tried(candidate)
    _by_hypothesis(tried, x.shape, domain)
    return best


def complexity(x: np.ndarray) -> tuple[int, int, int, float]:
    """Samples, entries that are not zero, digits, size."""
    digits = sum(len(repr(float(v))) for v in x.ravel())
    return len(x), int(np.count_nonzero(x)), digits, float(np.abs(x).sum())


def _inside(x: np.ndarray, domain: tuple[float, float]) -> bool:
    low, high = domain
    # the ends of an interval belong to it for some, and not for others
    return bool(((x > low) & (x < high)).all())


def _by_hypothesis(
    breaks: Callable[[np.ndarray], bool], shape: tuple[int, ...], domain: tuple[float, float]
) -> None:
    try:
        import hypothesis
        from hypothesis import strategies as st
        from hypothesis.extra.numpy import arrays
    except ImportError:
        return
    low, high = domain
    bounded = np.isfinite(low) and np.isfinite(high)
    plain = [low + (high - low) * part for part in PARTS] if bounded else list(NUMBERS)
    plain = [number for number in plain if low < number < high]
    if not plain:
        return
    batches: Any = st.integers(1, shape[0]).flatmap(
        lambda n: arrays(
            np.float64, (n, *shape[1:]), elements=st.sampled_from(plain), fill=st.just(plain[0])
        )
    )
    settings = hypothesis.settings(
        max_examples=EXAMPLES,
        deadline=None,
        database=None,
        suppress_health_check=list(hypothesis.HealthCheck),
    )
    # nothing simpler, or no time left: what was found before stands
    with contextlib.suppress(hypothesis.errors.HypothesisException):
        hypothesis.find(batches, breaks, settings=settings, random=Random(0))
