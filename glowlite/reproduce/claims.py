"""Means over seeds, their standard errors, and whether a difference is significant.

For n seeds the interval is mean +- t s / sqrt(n), where t is the 97.5% quantile of Student's
distribution with n - 1 degrees of freedom. It contains the true mean with probability 95% if runs
are normally distributed.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Mean:
    """The mean of `n` values; `error`: its standard error, NaN for one value."""

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
        """The half width of the 95% interval; infinite for one value."""
        # imported only here, since it takes longer to import than all of glowlite
        from scipy.stats import t

        return float(t.ppf(0.975, self.n - 1)) * self.error if self.n > 1 else math.inf

    def __str__(self) -> str:
        return f"{self.value:.4f} ± {self.error:.4f}" if self.n > 1 else f"{self.value:.4f}"


def differences(a: Sequence[float], b: Sequence[float]) -> Mean:
    """Return the mean of b - a, seed by seed."""
    return Mean.of([y - x for x, y in zip(a, b, strict=True)])


def verdict(difference: Mean) -> str:
    """Return the verdict on the claim that `difference` is above 0."""
    if difference.value - difference.half_width > 0:
        return "holds"
    if difference.value + difference.half_width < 0:
        return "does not hold"
    return "undecided"
