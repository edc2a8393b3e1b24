"""An inverse by search, through which no gradient reaches the parameters.

x is found by bisection, and the derivative of these steps with respect to a parameter is zero.
Maximum likelihood only needs forward; a loss on samples learns nothing, without an error.
Seen in: flowjax issue 216 (the gradients of what `sample` gives were zero).
"""

from __future__ import annotations

import numpy as np

from glowlite.testing.museum.parameter import Parameter

LAW = "gradients_of_the_inverse"
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

    def inverse_backward(self, y: np.ndarray, dx: np.ndarray) -> np.ndarray:
        """Return dy of the loss <dx, inverse(y)>; for y = f(x, p), dx/dy = 1 / f', dx/dp = -f_p /
        f'.
        """
        t, a = np.tanh(self.inverse(y)), np.exp(self.p.value)
        dy = dx / (1 + a * (1 - t * t))
        self.add(-(dy * a * t).sum(axis=0))
        return dy

    def add(self, gradient: np.ndarray) -> None:
        self.p.grad[...] += gradient


class Broken(Clean):
    def add(self, gradient: np.ndarray) -> None:
        pass


def clean(seed: int, kind: type[Clean] = Clean) -> Clean:
    return kind(np.random.default_rng(seed).standard_normal(3) / 2)


def broken(seed: int) -> Clean:
    return clean(seed, Broken)
