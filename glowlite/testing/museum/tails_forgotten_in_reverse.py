"""A curve with straight tails, whose inverse knows only the curve.

Outside [-B, B] the forward map is the identity; the inverse searches in [-B, B] for every y.
Few samples are outside [-B, B], and the training set is only mapped forward.
Seen in: pyro issue 3139 (Spline, inputs out of the interval in reverse).
"""

from __future__ import annotations

import numpy as np

from glowlite.testing.museum.parameter import Parameter

LAW = "tails_and_edges"
SHAPE = (3,)
B = 3.0


class Clean:
    """y = x + a x (1 - u^2)^2 with u = x / B, |a| < 1, (N, D); y = x where |x| >= B."""

    def __init__(self, w: np.ndarray) -> None:
        self.w = Parameter(w)  # a = tanh w

    def parameters(self) -> dict[str, Parameter]:
        return {"w": self.w}

    def bump(self, x: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return x (1 - u^2)^2 and its first two derivatives; zero in the tails."""
        u, inside = x / B, np.abs(x) < B
        bump, first = x * (1 - u**2) ** 2, 1 - 6 * u**2 + 5 * u**4
        return bump * inside, first * inside, (20 * u**3 - 12 * u) / B * inside

    def forward(self, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        a = np.tanh(self.w.value)
        bump, first, _ = self.bump(x)
        return x + a * bump, np.log1p(a * first).sum(axis=1)

    def within(self, y: np.ndarray) -> np.ndarray:
        """Return x in [-B, B], by bisection."""
        low, high = np.full_like(y, -B), np.full_like(y, B)
        for _ in range(60):
            middle = (low + high) / 2
            left = self.forward(middle)[0] < y
            low, high = np.where(left, middle, low), np.where(left, high, middle)
        return (low + high) / 2

    def inverse(self, y: np.ndarray) -> np.ndarray:
        return np.where(np.abs(y) < B, self.within(y), y)

    def backward(
        self, y: np.ndarray, dy: np.ndarray, dlogdet: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        x, a = self.inverse(y), np.tanh(self.w.value)
        bump, first, second = self.bump(x)
        dslope = dlogdet[:, None] / (1 + a * first)
        self.w.grad[...] += (dy * bump + dslope * first).sum(axis=0) * (1 - a * a)
        return x, dy * (1 + a * first) + dslope * a * second


class Broken(Clean):
    def inverse(self, y: np.ndarray) -> np.ndarray:
        return self.within(y)


def clean(seed: int, kind: type[Clean] = Clean) -> Clean:
    return kind(np.random.default_rng(seed).uniform(-1.2, 1.2, 3))


def broken(seed: int) -> Clean:
    return clean(seed, Broken)
