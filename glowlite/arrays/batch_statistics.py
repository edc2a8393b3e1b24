"""Mean and variance per channel for batch normalisation: those of the batch in training, running
ones otherwise.

    running <- running + rate (batch - running)        with every update of the weights

If a batch is split over processes, each uses the statistics of its own share, and the running ones
are updated with their mean.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from glowlite.arrays.backend import Array, namespace
from glowlite.arrays.parameters import Parameterized, Statistic, parts_of

RATE = 0.1  # as in both original codes: 0.9 of the old value is kept


class BatchStatistics(Parameterized):
    """Running `mean` and `variance`, (C,), which start at 0 and 1.

    `unbiased`: the running variance follows the batch variance with n - 1 in the denominator, for n
    values per channel, as in PyTorch. A batch is always normalised with n in the denominator.
    `share`: None in evaluation; in training, the fraction of a batch that this process has.
    """

    share: float | None = None

    def __init__(self, channels: int, rate: float = RATE, unbiased: bool = False) -> None:
        self.mean = Statistic(np.zeros(channels))
        self.variance = Statistic(np.ones(channels))
        self.rate, self.unbiased = rate, unbiased

    @property
    def is_training(self) -> bool:
        return self.share is not None

    def of(self, x: Array) -> tuple[Array, Array]:
        """Return mean and variance, (C,): of x (..., C) in training, the running ones in
        evaluation.
        """
        if not self.is_training:
            return self.mean.value, self.variance.value
        axes = tuple(range(x.ndim - 1))
        mean = x.mean(axis=axes)
        return mean, namespace(x).square(x - mean).mean(axis=axes)

    def follow(self, mean: Array, variance: Array, count: int) -> None:
        """Update the running statistics with those of a batch, of `count` values per channel. Call
        it once per step, where gradients are added. In evaluation it does nothing.
        """
        if self.share is None:
            return
        variance = variance * (count / max(1, count - 1)) if self.unbiased else variance
        weight = self.rate * self.share
        self.mean.change[...] += weight * (mean - self.mean.value)
        self.variance.change[...] += weight * (variance - self.variance.value)

    def start_from(self, mean: Array, variance: Array) -> None:
        """Set the running statistics, for example from the first batch."""
        self.mean.value[...], self.variance.value[...] = mean, variance


@contextmanager
def in_training(part: Any, share: float = 1.0) -> Iterator[None]:
    """In this context, every batch normalisation in `part` uses the statistics of its input batch.

    `share`: the fraction of a whole batch that this is.
    """
    found = [inner for inner in parts_of(part) if isinstance(inner, BatchStatistics)]
    before = [statistics.share for statistics in found]
    for statistics in found:
        statistics.share = share
    try:
        yield
    finally:
        for statistics, outer in zip(found, before, strict=True):
            statistics.share = outer
