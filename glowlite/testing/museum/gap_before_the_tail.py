"""A curve that ends before its tail begins.

Each bin has a least height, subtracted before the softmax divides the rest, and not added back.
Every x has a y that maps back to it; but values of y in the gap come from no x and do not.
Of a kind that splines of bins with a least size invite; near it: FrEIA pull request 160.
"""

from __future__ import annotations

import numpy as np

from glowlite.testing.museum.parameter import Parameter

LAW = "forward_of_inverse"
SHAPE = (96,)
BINS, LEAST = 4, 0.15


class Clean:
    """y = piecewise linear from [-1, 1] to [-1, 1], and y = x beyond, (N, D).

    BINS bins of equal width; each gets at least 2 LEAST of the height 2, and a softmax divides the
    rest. log|det| = sum log slope.
    """

    def __init__(self, raw: np.ndarray) -> None:
        self.raw = Parameter(raw)

    def parameters(self) -> dict[str, Parameter]:
        return {"raw": self.raw}

    def shares(self) -> np.ndarray:
        weights = np.exp(self.raw.value - self.raw.value.max())
        return weights / weights.sum()

    def heights(self) -> np.ndarray:
        return 2 * (LEAST + (1 - BINS * LEAST) * self.shares())

    def bins(self, x: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return for each x the bin, its left edge, and the height at that edge."""
        k = np.clip(np.floor((x + 1) * BINS / 2), 0, BINS - 1).astype(int)
        heights = self.heights()
        return k, (2 * k / BINS - 1).astype(x.dtype), (heights.cumsum() - heights)[k] - 1

    def forward(self, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        inside, (k, left, bottom) = np.abs(x) < 1, self.bins(x)
        slope = self.heights()[k] * BINS / 2
        logdet = (np.log(slope) * inside).sum(axis=1)
        return np.where(inside, bottom + slope * (x - left), x), logdet

    def inverse(self, y: np.ndarray) -> np.ndarray:
        k = np.clip(np.searchsorted(self.heights().cumsum() - 1, y), 0, BINS - 1)
        _, left, bottom = self.bins((2 * k + 1) / BINS - 1)  # at the middle of a bin
        x = left + (y - bottom) / (self.heights()[k] * BINS / 2)
        return np.where(np.abs(y) < 1, x, y)

    def backward(
        self, y: np.ndarray, dy: np.ndarray, dlogdet: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        x, heights = self.inverse(y), self.heights()
        inside, k = np.abs(x) < 1, self.bins(x)[0]
        part = np.clip((x[..., None] + 1) * BINS / 2 - np.arange(BINS), 0, 1)  # dy / dheights
        dheights = ((dy * inside)[..., None] * part).sum(axis=(0, 1))
        np.add.at(dheights, k, dlogdet[:, None] * inside / heights[k])
        dshares = 2 * (1 - BINS * LEAST) * dheights
        self.raw.grad[...] += self.shares() * (dshares - self.shares() @ dshares)
        return x, dy * np.where(inside, heights[k] * BINS / 2, 1.0)


class Broken(Clean):
    def heights(self) -> np.ndarray:
        return 2 * (1 - BINS * LEAST) * self.shares()


def clean(seed: int, kind: type[Clean] = Clean) -> Clean:
    return kind(np.random.default_rng(seed).standard_normal(BINS))


def broken(seed: int) -> Clean:
    return clean(seed, Broken)
