"""Numbers within an interval (low, high), of which either end may be infinite."""

from __future__ import annotations

import numpy as np

Ends = tuple[float, float]
EVERYWHERE = (-np.inf, np.inf)


def reflected(x: np.ndarray, ends: Ends) -> np.ndarray:
    """x, with what lies beyond an end mirrored there."""
    low, high = ends
    if np.isfinite(low) and np.isfinite(high):
        return low + (high - low) * np.abs(((x - low) / (high - low) + 1) % 2 - 1)
    if np.isfinite(low):
        return low + np.abs(x - low)
    return high - np.abs(high - x) if np.isfinite(high) else x


def drawn(shape: tuple[int, ...], ends: Ends, rng: np.random.Generator) -> np.ndarray:
    """Normal numbers; uniform ones between two ends; normal ones on one side of a single end."""
    low, high = ends
    if np.isfinite(low) and np.isfinite(high):
        return low + (high - low) * rng.uniform(0.02, 0.98, shape)
    end = low if np.isfinite(low) else high
    x = rng.standard_normal(shape)
    return reflected(end + x, ends) if np.isfinite(end) else x


def room(y: np.ndarray, ends: Ends) -> np.ndarray:
    """How far each number is from the nearer end, or 1 where that is farther."""
    return np.minimum(1.0, np.minimum(y - ends[0], ends[1] - y))
