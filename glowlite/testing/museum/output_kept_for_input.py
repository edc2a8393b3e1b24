"""A layer that may keep its input, and keeps its output.

Forward stores y for the backward pass, where it should store x.
Without storing, x is rebuilt from y and everything is right, and that is what tests usually check.
Seen in: memcnn issues 16 and 29 (a model that trains or not, by whether its input is kept).
"""

from __future__ import annotations

import numpy as np

from glowlite.testing.museum.parameter import Parameter

LAW = "kept_equals_rebuilt"
SHAPE = (3,)


class Clean:
    """y = sinh(x) e^log_s, (N, D), with log|det| = sum (log cosh x + log_s)."""

    def __init__(self, log_s: np.ndarray) -> None:
        self.log_s = Parameter(log_s)

    def parameters(self) -> dict[str, Parameter]:
        return {"log_s": self.log_s}

    def forward(self, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        logdet = (np.log(np.cosh(x)) + self.log_s.value).sum(axis=1)
        return np.sinh(x) * np.exp(self.log_s.value), logdet

    def keep(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        return x

    def forward_with_cache(self, x: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        y, logdet = self.forward(x)
        return y, logdet, self.keep(x, y)

    def inverse(self, y: np.ndarray) -> np.ndarray:
        return np.arcsinh(y * np.exp(-self.log_s.value))

    def backward(
        self, y: np.ndarray, dy: np.ndarray, dlogdet: np.ndarray, kept: np.ndarray | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        x = self.inverse(y) if kept is None else kept.copy()
        self.log_s.grad[...] += (dy * y).sum(axis=0) + dlogdet.sum()
        dx = dy * np.cosh(x) * np.exp(self.log_s.value) + dlogdet[:, None] * np.tanh(x)
        return x, dx


class Broken(Clean):
    def keep(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        return y


def clean(seed: int, kind: type[Clean] = Clean) -> Clean:
    return kind(np.random.default_rng(seed).standard_normal(3) / 2)


def broken(seed: int) -> Clean:
    return clean(seed, Broken)
