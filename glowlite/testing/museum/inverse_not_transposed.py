"""A gradient of log|det W| that is W^-1 in place of W^-T.

The derivative with respect to W[i, j] is entry (j, i) of the inverse; the transpose is missing.
It is right for a symmetric or diagonal W, and almost right near the identity.
Of a kind that hand-written gradients invite; near it: pyro issue 685 (a triangular scale).
"""

from __future__ import annotations

import numpy as np

from glowlite.testing.museum.parameter import Parameter

LAW = "gradients_through_logdet"
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

    def dlogdet_by_w(self) -> np.ndarray:
        return np.linalg.inv(self.w.value).T

    def backward(
        self, y: np.ndarray, dy: np.ndarray, dlogdet: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        x = self.inverse(y)
        self.w.grad[...] += x.T @ dy + dlogdet.sum() * self.dlogdet_by_w()
        return x, dy @ self.w.value.T


class Broken(Clean):
    def dlogdet_by_w(self) -> np.ndarray:
        return np.linalg.inv(self.w.value)


def clean(seed: int, kind: type[Clean] = Clean) -> Clean:
    return kind(np.eye(3) + np.random.default_rng(seed).standard_normal((3, 3)) / 4)


def broken(seed: int) -> Clean:
    return clean(seed, Broken)
