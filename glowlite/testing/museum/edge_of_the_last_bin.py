"""An index that runs out of the table at the right edge.

Bins are closed on the left, the interval on both sides, so its last point gets the bin number K.
Random numbers are never on an edge; clipped values, counts and white pixels often are.
Seen in: nflows issue 79 (rational quadratic splines, an input equal to the right bound).
"""

from __future__ import annotations

import numpy as np

from glowlite.testing.museum.parameter import Parameter

LAW = "tails_and_edges"
SHAPE = (3,)
SIDE = 2  # knots at -2, -1, 0, 1, 2


class Clean:
    """y = piecewise linear on [-2, 2], with slope e^log_s in each unit bin, (N, D).

    Below -2 y = x, and above 2 y = x + const, so that the pieces meet. log|det| = sum log slope.
    """

    def __init__(self, log_s: np.ndarray) -> None:
        self.log_s = Parameter(log_s)

    def parameters(self) -> dict[str, Parameter]:
        return {"log_s": self.log_s}

    def knots(self) -> np.ndarray:
        return np.concatenate(([0.0], np.exp(self.log_s.value).cumsum())) - SIDE

    def bins(self, x: np.ndarray) -> np.ndarray:
        """Return the bins of x in [-2, 2]."""
        return np.minimum(np.floor(x).astype(int) + SIDE, 2 * SIDE - 1)

    def forward(self, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        y, logs, inside = x.copy(), np.zeros(x.shape), np.abs(x) <= SIDE
        k = self.bins(x[inside])
        logs[inside] = self.log_s.value[k]
        y[inside] = self.knots()[k] + np.exp(self.log_s.value[k]) * (x[inside] - k + SIDE)
        y[x > SIDE] += self.knots()[-1] - SIDE
        return y, logs.sum(axis=1)

    def inverse(self, y: np.ndarray) -> np.ndarray:
        knots = self.knots()
        x = np.interp(y, knots, np.arange(-SIDE, SIDE + 1.0))
        return np.where(y < knots[0], y, np.where(y > knots[-1], y - knots[-1] + SIDE, x))

    def backward(
        self, y: np.ndarray, dy: np.ndarray, dlogdet: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        x, s = self.inverse(y), np.exp(self.log_s.value)
        inside, slopes = np.abs(x) <= SIDE, np.ones(x.shape)
        k = self.bins(x[inside])
        slopes[inside] = s[k]
        # fraction of each bin to the left of x
        part = np.clip(x[..., None] + SIDE - np.arange(2 * SIDE), 0, 1)
        self.log_s.grad[...] += s * (dy[..., None] * part).sum(axis=(0, 1))
        np.add.at(self.log_s.grad, k, np.broadcast_to(dlogdet[:, None], x.shape)[inside])
        return x, dy * slopes


class Broken(Clean):
    def bins(self, x: np.ndarray) -> np.ndarray:
        return np.floor(x).astype(int) + SIDE


def clean(seed: int, kind: type[Clean] = Clean) -> Clean:
    return kind(np.random.default_rng(seed).standard_normal(2 * SIDE) / 2)


def broken(seed: int) -> Clean:
    return clean(seed, Broken)
