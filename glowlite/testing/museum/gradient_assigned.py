"""A gradient that is assigned where it should be added.

The backward pass overwrites the gradient, and so also that of an earlier call.
One use of a layer per batch works; with shared weights or a batch in parts, a part is lost.
Of a kind that is seen in Paddle issue 1805 (overwritten where branches meet), not a flow.
"""

from __future__ import annotations

import numpy as np

from glowlite.testing.museum.parameter import Parameter

LAW = "gradients_add"
SHAPE = (3,)


class Clean:
    """y = x W, (N, D), with log|det W|."""

    def __init__(self, w: np.ndarray) -> None:
        self.w = Parameter(w)

    def parameters(self) -> dict[str, Parameter]:
        return {"w": self.w}

    def forward(self, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return x @ self.w.value, np.full(len(x), np.linalg.slogdet(self.w.value)[1])

    def inverse(self, y: np.ndarray) -> np.ndarray:
        return y @ np.linalg.inv(self.w.value)

    def add(self, gradient: np.ndarray) -> None:
        self.w.grad[...] += gradient

    def backward(
        self, y: np.ndarray, dy: np.ndarray, dlogdet: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        x = self.inverse(y)
        # d log|det W| / dW = W^-T
        self.add(x.T @ dy + dlogdet.sum() * np.linalg.inv(self.w.value).T)
        return x, dy @ self.w.value.T


class Broken(Clean):
    def add(self, gradient: np.ndarray) -> None:
        self.w.grad[...] = gradient


def clean(seed: int, kind: type[Clean] = Clean) -> Clean:
    return kind(np.eye(3) + np.random.default_rng(seed).standard_normal((3, 3)) / 4)


def broken(seed: int) -> Clean:
    return clean(seed, Broken)
