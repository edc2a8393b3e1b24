"""A log-determinant that is right on one side of a kink only.

Of a leaky ReLU the slope enters the map once and the log-determinant twice, as its square.
The square of 1 is 1: where all test inputs fall on the positive side, nothing is seen.
Seen in: flowjax pull request 170 (the planar layer with a leaky ReLU, found in review).
"""

from __future__ import annotations

import numpy as np

from glowlite.testing.museum.parameter import Parameter

LAW = "logdet_is_that_of_the_jacobian"
SHAPE = (3,)
LEAK = 0.3


class Clean:
    """y = x + k h(w.x + b) w / |w|^2, (N, D), with h a leaky ReLU; log|det| = log(1 + k h').

    k = e^p - 1 > -1, so that w.y + b = (1 + k h') (w.x + b) has the sign of w.x + b.
    """

    def __init__(self, w: np.ndarray, b: float, p: float) -> None:
        self.w, self.b, self.p = Parameter(w), Parameter(np.array(b)), Parameter(np.array(p))

    def parameters(self) -> dict[str, Parameter]:
        return {"w": self.w, "b": self.b, "p": self.p}

    def height(self, x: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """w.x + b, the slope of h there, and w / |w|^2."""
        height = x @ self.w.value + self.b.value
        return height, np.where(height < 0, LEAK, 1.0), self.w.value / (self.w.value**2).sum()

    def log_volume(self, slope: np.ndarray) -> np.ndarray:
        return np.log1p(np.expm1(self.p.value) * slope)

    def forward(self, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        height, slope, along = self.height(x)
        k = np.expm1(self.p.value)
        return x + np.outer(k * slope * height, along), self.log_volume(slope)

    def inverse(self, y: np.ndarray) -> np.ndarray:
        height, slope, along = self.height(y)
        k = np.expm1(self.p.value)
        return y - np.outer(k * slope * height / (1 + k * slope), along)

    def backward(
        self, y: np.ndarray, dy: np.ndarray, dlogdet: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        x, k = self.inverse(y), np.expm1(self.p.value)
        height, slope, along = self.height(x)
        dheight = k * slope * (dy @ along)
        dk = slope * height * (dy @ along) + dlogdet * slope / (1 + k * slope)
        q = (k * slope * height) @ dy  # dL / d(w / |w|^2)
        self.p.grad[...] += dk.sum() * (1 + k)
        self.b.grad[...] += dheight.sum()
        self.w.grad[...] += dheight @ x + q / (self.w.value**2).sum() - 2 * along * (along @ q)
        return x, dy + np.outer(dheight, self.w.value)


class Broken(Clean):
    def log_volume(self, slope: np.ndarray) -> np.ndarray:
        return super().log_volume(slope * slope)


def clean(seed: int, kind: type[Clean] = Clean) -> Clean:
    rng = np.random.default_rng(seed)
    return kind(rng.standard_normal(3), rng.uniform(-0.5, 0.5), rng.uniform(0.5, 1.0))


def broken(seed: int) -> Clean:
    return clean(seed, Broken)
