"""Means over seeds, their standard errors, and whether a difference is one.

n seeds: mean +- t s / sqrt(n), t the 97.5% quantile of Student's distribution of n - 1 degrees,
which holds the true mean with a probability of 95%, if runs are normally distributed.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Mean:
    """Of `n` values; `error`: the standard error, NaN for one value."""

    value: float
    error: float
    n: int

    @classmethod
    def of(cls, values: Sequence[float]) -> Mean:
        array = np.asarray(values, float)
        n = len(array)
        error = float(array.std(ddof=1)) / math.sqrt(n) if n > 1 else math.nan
        return cls(float(array.mean()), error, n)

    @property
    def half_width(self) -> float:
        """Of the interval of 95%; infinite for one value."""
        from scipy.stats import t  # here alone: it takes longer to import than all of glowlite

        return float(t.ppf(0.975, self.n - 1)) * self.error if self.n > 1 else math.inf

    def __str__(self) -> str:
        return f"{self.value:.4f} ± {self.error:.4f}" if self.n > 1 else f"{self.value:.4f}"


def differences(a: Sequence[float], b: Sequence[float]) -> Mean:
    """The mean of b - a, seed by seed."""
    return Mean.of([y - x for x, y in zip(a, b, strict=True)])


def verdict(difference: Mean) -> str:
    """Of a claim that `difference`, which is to be above 0, is so."""
    if difference.value - difference.half_width > 0:
        return "holds"
    if difference.value + difference.half_width < 0:
        return "does not hold"
    return "undecided"
