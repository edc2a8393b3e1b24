"""A backward pass that takes its numbers from the last forward pass.

The layer stores the network's output, and the backward pass uses it for any y that it is given.
Forward, backward, step in a loop works; with two batches at a time, one gets the other's output.
Of a kind that layers invite which keep activations for their own backward pass.
"""

from __future__ import annotations

import numpy as np

from glowlite.testing.museum.parameter import Parameter

LAW = "backward_stands_alone"
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

    def s_again(self, a: np.ndarray) -> np.ndarray:
        return np.tanh(a @ self.w.value)

    def backward(
        self, y: np.ndarray, dy: np.ndarray, dlogdet: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        a, b, da, db = y[:, :2], y[:, 2:], dy[:, :2], dy[:, 2:]
        s = self.s_again(a)
        dh = (db * b + dlogdet[:, None]) * (1 - s * s)
        self.w.grad[...] += a.T @ dh
        dx = np.concatenate((da + dh @ self.w.value.T, db * np.exp(s)), axis=1)
        return self.inverse(y), dx


class Broken(Clean):
    def forward(self, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        self.s = np.tanh(x[:, :2] @ self.w.value)
        return super().forward(x)

    def s_again(self, a: np.ndarray) -> np.ndarray:
        return self.s


def clean(seed: int, kind: type[Clean] = Clean) -> Clean:
    return kind(np.random.default_rng(seed).standard_normal((2, 2)))


def broken(seed: int) -> Clean:
    return clean(seed, Broken)
