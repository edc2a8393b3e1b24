"""A determinant that is worked out before its logarithm.

det W is a product of D numbers, and float32 ends at 1e-45: the log of 0 is minus infinity.
It is right in float64, and also in float32 as long as D is small and W is near a rotation.
Seen in: glow-pytorch (chaiyujin) issue 7, pytorch issue 18448 (logdet by way of det).
"""

from __future__ import annotations

import numpy as np

from glowlite.testing.museum.parameter import Parameter

LAW = "float32_agrees_with_float64"
SHAPE = (16,)


class Clean:
    """y = x W, (N, D), with log|det W|, in the precision of W."""

    def __init__(self, w: np.ndarray) -> None:
        self.w = Parameter(w)

    def parameters(self) -> dict[str, Parameter]:
        return {"w": self.w}

    def cast(self, dtype: type[np.floating]) -> Clean:
        layer = type(self)(self.w.value)
        layer.w.value, layer.w.grad = layer.w.value.astype(dtype), layer.w.grad.astype(dtype)
        return layer

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
        with np.errstate(divide="ignore"):
            return float(np.log(np.abs(np.linalg.det(self.w.value))))


def clean(seed: int, kind: type[Clean] = Clean) -> Clean:
    rng = np.random.default_rng(seed)
    rotation = np.linalg.qr(rng.standard_normal((16, 16)))[0]
    return kind(rotation @ np.diag(10.0 ** rng.uniform(-3.3, -3.0, 16)))


def broken(seed: int) -> Clean:
    return clean(seed, Broken)
