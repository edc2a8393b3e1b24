"""An inverse that returns the log-determinant of the forward map.

The log-determinant of x = f^-1(y) is minus that of f; here the sign is not reversed.
Tests miss it if the log-determinant is zero there, or if they only check the forward direction.
Seen in: flowjax issue 208 (NumericalInverse), pytorch-flows issue 16, NuX issue 10.
"""

from __future__ import annotations

import numpy as np

from glowlite.testing.museum.parameter import Parameter

LAW = "logdet_of_the_inverse"
SHAPE = (3,)


class Clean:
    """y = e^log_s x + b, (N, D), with log|det| = sum log_s."""

    def __init__(self, log_s: np.ndarray, b: np.ndarray) -> None:
        self.log_s, self.b = Parameter(log_s), Parameter(b)

    def parameters(self) -> dict[str, Parameter]:
        return {"log_s": self.log_s, "b": self.b}

    def forward(self, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return x * np.exp(self.log_s.value) + self.b.value, self.logdet(x)

    def inverse(self, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return (y - self.b.value) * np.exp(-self.log_s.value), -self.logdet(y)

    def backward(
        self, y: np.ndarray, dy: np.ndarray, dlogdet: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        self.b.grad[...] += dy.sum(axis=0)
        self.log_s.grad[...] += (dy * (y - self.b.value)).sum(axis=0) + dlogdet.sum()
        return (y - self.b.value) * np.exp(-self.log_s.value), dy * np.exp(self.log_s.value)

    def logdet(self, x: np.ndarray) -> np.ndarray:
        return np.full(len(x), self.log_s.value.sum())


class Broken(Clean):
    def inverse(self, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return (y - self.b.value) * np.exp(-self.log_s.value), self.logdet(y)


def clean(seed: int, kind: type[Clean] = Clean) -> Clean:
    rng = np.random.default_rng(seed)
    return kind(rng.standard_normal(3) / 2, rng.standard_normal(3))


def broken(seed: int) -> Clean:
    return clean(seed, Broken)
