"""A condition that is taken and never used.

The argument exists and is passed along, but the network that should use it does not.
The layer runs and is invertible, and its loss falls; it learns one model for all classes.
Seen in: deepul (rll) issue 7 (MaskConv2d never uses cond), normflows issue 9 (no context).
"""

from __future__ import annotations

from copy import copy

import numpy as np

from glowlite.testing.museum.parameter import Buffer, Parameter

LAW = "condition_acts"
SHAPE = (4,)
CONDITION_SHAPE = (2,)


class Clean:
    """a, b = halves of x (N, 4), y = a, b + tanh(a w + c u + p), at a condition c; log|det| = 0.

    Until a condition is given, c = 0.
    """

    def __init__(self, w: np.ndarray, u: np.ndarray, p: np.ndarray) -> None:
        self.w, self.u, self.p = Parameter(w), Parameter(u), Parameter(p)
        self.condition = Buffer(np.zeros((1, 2)))

    def parameters(self) -> dict[str, Parameter]:
        return {"w": self.w, "u": self.u, "p": self.p}

    def given(self, condition: np.ndarray) -> Clean:
        """Return this layer at a condition; the parameters are shared, not copied."""
        layer = copy(self)
        layer.condition = Buffer(condition)
        return layer

    def context(self, n: int) -> np.ndarray:
        return np.broadcast_to(self.condition.value, (n, 2))

    def shift(self, a: np.ndarray) -> np.ndarray:
        return np.tanh(a @ self.w.value + self.context(len(a)) @ self.u.value + self.p.value)

    def forward(self, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        a, b = x[:, :2], x[:, 2:]
        return np.concatenate((a, b + self.shift(a)), axis=1), np.zeros(len(x))

    def inverse(self, y: np.ndarray) -> np.ndarray:
        a, b = y[:, :2], y[:, 2:]
        return np.concatenate((a, b - self.shift(a)), axis=1)

    def backward(
        self, y: np.ndarray, dy: np.ndarray, dlogdet: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        a, da, db = y[:, :2], dy[:, :2], dy[:, 2:]
        dh = db * (1 - self.shift(a) ** 2)
        self.w.grad[...] += a.T @ dh
        self.u.grad[...] += self.context(len(a)).T @ dh
        self.p.grad[...] += dh.sum(axis=0)
        return self.inverse(y), np.concatenate((da + dh @ self.w.value.T, db), axis=1)


class Broken(Clean):
    def context(self, n: int) -> np.ndarray:
        return np.zeros_like(self.condition.value, shape=(n, 2))


def clean(seed: int, kind: type[Clean] = Clean) -> Clean:
    rng = np.random.default_rng(seed)
    w, u = rng.standard_normal((2, 2, 2))
    return kind(w, u, rng.standard_normal(2))


def broken(seed: int) -> Clean:
    return clean(seed, Broken)
