"""The range of x, as a pair (low, high): all numbers, a half line, or an interval. The ends do not
belong to it.
"""

from __future__ import annotations

import numpy as np

EVERYWHERE = (-np.inf, np.inf)


def has_ends(domain: tuple[float, float]) -> tuple[bool, bool]:
    """Whether it has a lower end, and an upper end."""
    return bool(np.isfinite(domain[0])), bool(np.isfinite(domain[1]))


def is_inside(x: np.ndarray, domain: tuple[float, float]) -> bool:
    return bool(((x > domain[0]) & (x < domain[1])).all())


def within(x: np.ndarray, domain: tuple[float, float]) -> np.ndarray:
    """Return x, with values beyond an end reflected at that end."""
    low, high = domain
    match has_ends(domain):
        case True, True:
            return low + (high - low) * np.abs(((x - low) / (high - low) + 1) % 2 - 1)
        case True, False:
            return low + np.abs(x - low)
        case False, True:
            return high - np.abs(high - x)
    return x


def drawn(
    shape: tuple[int, ...], domain: tuple[float, float], rng: np.random.Generator
) -> np.ndarray:
    """Draw normal numbers; between two ends uniform ones; with a single end, log-normal distances
    from it.
    """
    low, high = domain
    match has_ends(domain):
        case True, True:
            return low + (high - low) * rng.uniform(0.02, 0.98, shape)
        case True, False:
            return low + np.exp(rng.standard_normal(shape))
        case False, True:
            return high - np.exp(rng.standard_normal(shape))
    return rng.standard_normal(shape)
