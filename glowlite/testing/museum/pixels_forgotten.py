"""A log-determinant that forgets the H W pixels.

A channel's scale acts at each of the H W pixels, so the sum of the log-scales counts H W times.
It is right for vectors, it is only a factor elsewhere, and round trips do not show it.
Seen in: TensorFlow Probability issue 238 (BatchNormalization) and issue 554 (MatvecLU).
"""

from __future__ import annotations

import numpy as np

from glowlite.testing.museum.parameter import Parameter

LAW = "logdet_is_that_of_the_jacobian"
SHAPE = (2, 3, 2)


class Clean:
    """y = e^log_s (x + b) per channel, (N, H, W, C), with log|det| = H W sum log_s."""

    def __init__(self, log_s: np.ndarray, b: np.ndarray) -> None:
        self.log_s, self.b = Parameter(log_s), Parameter(b)

    def parameters(self) -> dict[str, Parameter]:
        return {"log_s": self.log_s, "b": self.b}

    def pixels(self, x: np.ndarray) -> int:
        return x.shape[1] * x.shape[2]

    def forward(self, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        logdet = np.full(len(x), self.pixels(x) * self.log_s.value.sum())
        return (x + self.b.value) * np.exp(self.log_s.value), logdet

    def inverse(self, y: np.ndarray) -> np.ndarray:
        return y * np.exp(-self.log_s.value) - self.b.value

    def backward(
        self, y: np.ndarray, dy: np.ndarray, dlogdet: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        dx = dy * np.exp(self.log_s.value)
        self.b.grad[...] += dx.sum(axis=(0, 1, 2))
        self.log_s.grad[...] += (dy * y).sum(axis=(0, 1, 2)) + self.pixels(y) * dlogdet.sum()
        return self.inverse(y), dx


class Broken(Clean):
    def pixels(self, x: np.ndarray) -> int:
        return 1


def clean(seed: int, kind: type[Clean] = Clean) -> Clean:
    rng = np.random.default_rng(seed)
    return kind(rng.standard_normal(2) / 2, rng.standard_normal(2))


def broken(seed: int) -> Clean:
    return clean(seed, Broken)
