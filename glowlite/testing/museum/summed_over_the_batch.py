"""A log-determinant summed over the batch as well.

The log-scales (N, D) are summed over both axes, so every sample gets the sum over all samples.
It is right for a batch of one; averaged in a loss, it looks like a different learning rate.
Seen in: semi-supervised-pytorch issue 21; cnn-toys issue 10 has tests for a batch of one only.
"""

from __future__ import annotations

import numpy as np

from glowlite.testing.museum.parameter import Parameter

LAW = "samples_are_independent"
SHAPE = (4,)


class Clean:
    """a, b = halves of x (N, 4), y = a, e^s b with s = tanh(a w); log|det| = sum s."""

    def __init__(self, w: np.ndarray) -> None:
        self.w = Parameter(w)

    def parameters(self) -> dict[str, Parameter]:
        return {"w": self.w}

    def total(self, s: np.ndarray) -> np.ndarray:
        return s.sum(axis=1)

    def forward(self, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        a, b = x[:, :2], x[:, 2:]
        s = np.tanh(a @ self.w.value)
        return np.concatenate((a, b * np.exp(s)), axis=1), self.total(s)

    def inverse(self, y: np.ndarray) -> np.ndarray:
        a, b = y[:, :2], y[:, 2:]
        return np.concatenate((a, b * np.exp(-np.tanh(a @ self.w.value))), axis=1)

    def backward(
        self, y: np.ndarray, dy: np.ndarray, dlogdet: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        a, b, da, db = y[:, :2], y[:, 2:], dy[:, :2], dy[:, 2:]
        s = np.tanh(a @ self.w.value)
        dh = (db * b + dlogdet[:, None]) * (1 - s * s)
        self.w.grad[...] += a.T @ dh
        dx = np.concatenate((da + dh @ self.w.value.T, db * np.exp(s)), axis=1)
        return self.inverse(y), dx


class Broken(Clean):
    def total(self, s: np.ndarray) -> np.ndarray:
        return np.full(len(s), s.sum())


def clean(seed: int, kind: type[Clean] = Clean) -> Clean:
    return kind(np.random.default_rng(seed).standard_normal((2, 2)))


def broken(seed: int) -> Clean:
    return clean(seed, Broken)
