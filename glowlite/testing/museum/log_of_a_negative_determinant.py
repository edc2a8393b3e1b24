"""A logarithm of the determinant where that of its absolute value is meant.

log det W is not a number if det W < 0, although a reflection is as good a map as a rotation.
W starts as a rotation and seldom changes sign; after one such step the loss is not a number.
Seen in: glow-tts issue 17 (Inv1x1Conv, logdet in place of slogdet), aeppl issue 111.
"""

from __future__ import annotations

import numpy as np

from glowlite.testing.museum.parameter import Parameter

LAW = "logdet_of_a_negative_determinant"
SHAPE = (3,)


class Clean:
    """y = x W, (N, D), with log|det W|."""

    def __init__(self, w: np.ndarray) -> None:
        self.w = Parameter(w)

    def parameters(self) -> dict[str, Parameter]:
        return {"w": self.w}

    def log_volume(self) -> float:
        return float(np.linalg.slogdet(self.w.value)[1])

    def forward(self, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return x @ self.w.value, np.full(len(x), self.log_volume())

    def inverse(self, y: np.ndarray) -> np.ndarray:
        return y @ np.linalg.inv(self.w.value)

    def backward(
        self, y: np.ndarray, dy: np.ndarray, dlogdet: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        x = self.inverse(y)
        # d log|det W| / dW = W^-T
        self.w.grad[...] += x.T @ dy + dlogdet.sum() * np.linalg.inv(self.w.value).T
        return x, dy @ self.w.value.T


class Broken(Clean):
    def log_volume(self) -> float:
        with np.errstate(invalid="ignore"):
            return float(np.log(np.linalg.det(self.w.value)))


def clean(seed: int, kind: type[Clean] = Clean) -> Clean:
    w = np.eye(3) + np.random.default_rng(seed).standard_normal((3, 3)) / 4
    w[0] *= np.sign(np.linalg.det(w))  # start with a rotation, as such codes do
    return kind(w)


def broken(seed: int) -> Clean:
    return clean(seed, Broken)
