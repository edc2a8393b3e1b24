"""An image that is flattened in the order in which it lies in memory.

For a transposed image this order differs from that of the same numbers in C order.
Generated and loaded arrays are in C order; the output of another layer may not be.
Of a kind that NumPy allows; near it: GenerativeZoo issue 56 (there PyTorch refuses the view).
"""

from __future__ import annotations

import numpy as np

from glowlite.testing.museum.parameter import Parameter

LAW = "memory_order_does_not_matter"
SHAPE = (2, 3, 1)


class Clean:
    """y = x W for all numbers of an image together, (N, H, W, C), with log|det W|."""

    def __init__(self, w: np.ndarray) -> None:
        self.w = Parameter(w)

    def parameters(self) -> dict[str, Parameter]:
        return {"w": self.w}

    def flat(self, x: np.ndarray) -> np.ndarray:
        return x.reshape(len(x), -1)

    def forward(self, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        logdet = np.full(len(x), np.linalg.slogdet(self.w.value)[1])
        return (self.flat(x) @ self.w.value).reshape(x.shape), logdet

    def inverse(self, y: np.ndarray) -> np.ndarray:
        return (self.flat(y) @ np.linalg.inv(self.w.value)).reshape(y.shape)

    def backward(
        self, y: np.ndarray, dy: np.ndarray, dlogdet: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        x = self.inverse(y)
        self.w.grad[...] += self.flat(x).T @ self.flat(dy)
        self.w.grad[...] += dlogdet.sum() * np.linalg.inv(self.w.value).T
        return x, (self.flat(dy) @ self.w.value.T).reshape(y.shape)


class Broken(Clean):
    def flat(self, x: np.ndarray) -> np.ndarray:
        return x.ravel(order="K").reshape(len(x), -1)


def clean(seed: int, kind: type[Clean] = Clean) -> Clean:
    return kind(np.eye(6) + np.random.default_rng(seed).standard_normal((6, 6)) / 6)


def broken(seed: int) -> Clean:
    return clean(seed, Broken)
