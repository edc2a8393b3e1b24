"""How much a result changes when its input changes by rounding: the condition number of a map, by
trial.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

EPS = float(np.finfo(np.float64).eps)
DRAWS = 4


def shaken(a: np.ndarray, seed: int, eps: float = EPS) -> np.ndarray:
    """Multiply every entry by 1 + u eps, u uniform in [-1, 1], as if it had been rounded
    once more.
    """
    return a * (1 + eps * np.random.default_rng([seed, a.size]).uniform(-1, 1, a.shape))


def largest_change(
    result: Callable[[int], np.ndarray], reference: np.ndarray, draws: int = DRAWS
) -> float:
    """Return max|result(seed) - reference| over a few seeds; infinite changes are ignored."""
    changes = [np.abs(np.asarray(result(seed)) - reference) for seed in range(draws)]
    finite = [change[np.isfinite(change)].max(initial=0.0) for change in changes]
    return float(max(finite, default=0.0))
