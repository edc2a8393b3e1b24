"""A numerical inverse that looks for x in a fixed interval.

The root is found by bisection of [-4, 4]; if x lies outside, the end of the interval is returned.
Standard normal data seldom lie outside, and there is no error: a bisection always terminates.
Of a kind that inverses by bisection invite; deepul issue 7 quotes one with [-20, 20].
"""

from __future__ import annotations

import numpy as np

from glowlite.testing.museum.parameter import Parameter

LAW = "tails_and_edges"
SHAPE = (3,)


class Clean:
    """y = x + a tanh x with a = e^p, (N, D); log|det| = sum log(1 + a / cosh^2 x)."""

    def __init__(self, p: np.ndarray) -> None:
        self.p = Parameter(p)

    def parameters(self) -> dict[str, Parameter]:
        return {"p": self.p}

    def bracket(self, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return an interval that contains x: |y - x| < a."""
        return y - np.exp(self.p.value), y + np.exp(self.p.value)

    def forward(self, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        a, t = np.exp(self.p.value), np.tanh(x)
        return x + a * t, np.log1p(a * (1 - t * t)).sum(axis=1)

    def inverse(self, y: np.ndarray) -> np.ndarray:
        low, high = self.bracket(y)
        for _ in range(60):
            middle = (low + high) / 2
            left = self.forward(middle)[0] < y
            low, high = np.where(left, middle, low), np.where(left, high, middle)
        return (low + high) / 2

    def backward(
        self, y: np.ndarray, dy: np.ndarray, dlogdet: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        x, a = self.inverse(y), np.exp(self.p.value)
        t = np.tanh(x)
        slope = 1 + a * (1 - t * t)
        dslope = dlogdet[:, None] / slope
        self.p.grad[...] += a * (dy * t + dslope * (1 - t * t)).sum(axis=0)
        return x, dy * slope - dslope * a * 2 * t * (1 - t * t)


class Broken(Clean):
    def bracket(self, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return np.full(y.shape, -4.0), np.full(y.shape, 4.0)


def clean(seed: int, kind: type[Clean] = Clean) -> Clean:
    return kind(np.random.default_rng(seed).standard_normal(3) / 2)


def broken(seed: int) -> Clean:
    return clean(seed, Broken)
