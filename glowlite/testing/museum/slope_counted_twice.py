"""A log-determinant that is right on one side of a kink only.

The slope of a leaky ReLU enters the map once, but the log-determinant twice, as its square.
The square of 1 is 1, so nothing is wrong if all test inputs are on the positive side.
Seen in: flowjax pull request 170 (the planar layer with a leaky ReLU, found in review).
"""

from __future__ import annotations

import numpy as np

from glowlite.testing.museum.parameter import Parameter

LAW = "logdet_is_that_of_the_jacobian"
SHAPE = (4,)


class Clean:
    """y = (x - c) s, (N, D), with s = 1 where x >= c and e^p below; log|det| = sum log s."""

    def __init__(self, c: np.ndarray, p: np.ndarray) -> None:
        self.c, self.p = Parameter(c), Parameter(p)

    def parameters(self) -> dict[str, Parameter]:
        return {"c": self.c, "p": self.p}

    def log_slope(self, below: np.ndarray) -> np.ndarray:
        return np.where(below, self.p.value, 0.0)

    def log_volume(self, below: np.ndarray) -> np.ndarray:
        return self.log_slope(below).sum(axis=1)

    def forward(self, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        below = x < self.c.value
        return (x - self.c.value) * np.exp(self.log_slope(below)), self.log_volume(below)

    def inverse(self, y: np.ndarray) -> np.ndarray:
        return y * np.exp(-self.log_slope(y < 0)) + self.c.value

    def backward(
        self, y: np.ndarray, dy: np.ndarray, dlogdet: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        dx = dy * np.exp(self.log_slope(y < 0))
        self.c.grad[...] -= dx.sum(axis=0)
        self.p.grad[...] += ((dy * y + dlogdet[:, None]) * (y < 0)).sum(axis=0)
        return self.inverse(y), dx


class Broken(Clean):
    def log_volume(self, below: np.ndarray) -> np.ndarray:
        return 2 * super().log_volume(below)


def clean(seed: int, kind: type[Clean] = Clean) -> Clean:
    rng = np.random.default_rng(seed)
    return kind(rng.uniform(-0.5, 0.5, 4), rng.uniform(-1.5, -0.5, 4))


def broken(seed: int) -> Clean:
    return clean(seed, Broken)
