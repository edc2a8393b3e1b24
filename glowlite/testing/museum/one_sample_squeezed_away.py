"""A log-determinant that loses its axis in a batch of one.

The sum keeps an axis of length 1, and `squeeze` removes every such axis, including that of N.
Batches from a loader usually have more samples; the last one, or a single picture, may not.
Of a kind that `squeeze` without an axis invites wherever a batch may be of one.
"""

from __future__ import annotations

import numpy as np

from glowlite.testing.museum.parameter import Parameter

LAW = "degenerate_batches"
SHAPE = (3,)


class Clean:
    """y = sinh(x) e^log_s, (N, D), with log|det| = sum (log cosh x + log_s)."""

    def __init__(self, log_s: np.ndarray) -> None:
        self.log_s = Parameter(log_s)

    def parameters(self) -> dict[str, Parameter]:
        return {"log_s": self.log_s}

    def without_axis(self, logdet: np.ndarray) -> np.ndarray:
        return logdet.squeeze(axis=1)

    def forward(self, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        logdet = (np.log(np.cosh(x)) + self.log_s.value).sum(axis=1, keepdims=True)  # (N, 1)
        return np.sinh(x) * np.exp(self.log_s.value), self.without_axis(logdet)

    def inverse(self, y: np.ndarray) -> np.ndarray:
        return np.arcsinh(y * np.exp(-self.log_s.value))

    def backward(
        self, y: np.ndarray, dy: np.ndarray, dlogdet: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        x = self.inverse(y)
        self.log_s.grad[...] += (dy * y).sum(axis=0) + dlogdet.sum()
        dx = dy * np.cosh(x) * np.exp(self.log_s.value) + dlogdet[:, None] * np.tanh(x)
        return x, dx


class Broken(Clean):
    def without_axis(self, logdet: np.ndarray) -> np.ndarray:
        return logdet.squeeze()


def clean(seed: int, kind: type[Clean] = Clean) -> Clean:
    return kind(np.random.default_rng(seed).standard_normal(3) / 2)


def broken(seed: int) -> Clean:
    return clean(seed, Broken)
