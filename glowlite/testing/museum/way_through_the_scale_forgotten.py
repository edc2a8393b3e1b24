"""A gradient that leaves out one of the ways a parameter acts.

The scale affects the log-determinant and y, but its gradient leaves out the path through y.
The loss still falls, through the other path; a density is fitted, but not the best one.
Of a kind that hand-written gradients invite; near it: glow-pytorch (chaiyujin) pull request 6.
"""

from __future__ import annotations

import numpy as np

from glowlite.testing.museum.parameter import Parameter

LAW = "gradients_through_y"
SHAPE = (4,)


class Clean:
    """a, b = halves of x (N, 4), y = a, e^s b with s = tanh(a w); log|det| = sum s."""

    def __init__(self, w: np.ndarray) -> None:
        self.w = Parameter(w)

    def parameters(self) -> dict[str, Parameter]:
        return {"w": self.w}

    def forward(self, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        a, b = x[:, :2], x[:, 2:]
        s = np.tanh(a @ self.w.value)
        return np.concatenate((a, b * np.exp(s)), axis=1), s.sum(axis=1)

    def inverse(self, y: np.ndarray) -> np.ndarray:
        a, b = y[:, :2], y[:, 2:]
        return np.concatenate((a, b * np.exp(-np.tanh(a @ self.w.value))), axis=1)

    def ds(self, yb: np.ndarray, dyb: np.ndarray, dlogdet: np.ndarray) -> np.ndarray:
        return dyb * yb + dlogdet[:, None]  # dy / ds = y, dlogdet / ds = 1

    def backward(
        self, y: np.ndarray, dy: np.ndarray, dlogdet: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        a, da, db = y[:, :2], dy[:, :2], dy[:, 2:]
        s = np.tanh(a @ self.w.value)
        dh = self.ds(y[:, 2:], db, dlogdet) * (1 - s * s)
        self.w.grad[...] += a.T @ dh
        dx = np.concatenate((da + dh @ self.w.value.T, db * np.exp(s)), axis=1)
        return self.inverse(y), dx


class Broken(Clean):
    def ds(self, yb: np.ndarray, dyb: np.ndarray, dlogdet: np.ndarray) -> np.ndarray:
        return np.repeat(dlogdet[:, None], 2, axis=1)


def clean(seed: int, kind: type[Clean] = Clean) -> Clean:
    return kind(np.random.default_rng(seed).standard_normal((2, 2)))


def broken(seed: int) -> Clean:
    return clean(seed, Broken)
