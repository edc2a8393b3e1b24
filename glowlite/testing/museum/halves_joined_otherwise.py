"""A coupling that splits its input one way and joins the halves another way.

The halves are the even and the odd entries, but they are joined one after the other.
For D = 2 both are the same, and such layers are tried there; otherwise samples come out shuffled.
Seen in: karpathy/pytorch-normalizing-flows issues 5 and 10, pull request 1 (AffineHalfFlow).
"""

from __future__ import annotations

import numpy as np

from glowlite.testing.museum.parameter import Parameter

LAW = "inverse_of_forward"
SHAPE = (4,)


class Clean:
    """a = x[even], b = x[odd], y = a, e^s b + t with s = tanh(a w), t = a v; log|det| = sum s."""

    def __init__(self, w: np.ndarray, v: np.ndarray) -> None:
        self.w, self.v = Parameter(w), Parameter(v)

    def parameters(self) -> dict[str, Parameter]:
        return {"w": self.w, "v": self.v}

    def split(self, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return x[:, 0::2], x[:, 1::2]

    def join(self, a: np.ndarray, b: np.ndarray) -> np.ndarray:
        return np.stack((a, b), axis=2).reshape(len(a), -1)  # a0 b0 a1 b1 ...

    def forward(self, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        a, b = self.split(x)
        s = np.tanh(a @ self.w.value)
        return self.join(a, b * np.exp(s) + a @ self.v.value), s.sum(axis=1)

    def inverse(self, y: np.ndarray) -> np.ndarray:
        a, b = self.split(y)
        return self.join(a, (b - a @ self.v.value) * np.exp(-np.tanh(a @ self.w.value)))

    def backward(
        self, y: np.ndarray, dy: np.ndarray, dlogdet: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        (a, b), (da, db) = self.split(y), self.split(dy)
        s = np.tanh(a @ self.w.value)
        dh = (db * (b - a @ self.v.value) + dlogdet[:, None]) * (1 - s * s)
        self.w.grad[...] += a.T @ dh
        self.v.grad[...] += a.T @ db
        da = da + dh @ self.w.value.T + db @ self.v.value.T
        return self.inverse(y), self.join(da, db * np.exp(s))


class Broken(Clean):
    def join(self, a: np.ndarray, b: np.ndarray) -> np.ndarray:
        return np.concatenate((a, b), axis=1)


def clean(seed: int, kind: type[Clean] = Clean) -> Clean:
    w, v = np.random.default_rng(seed).standard_normal((2, 2, 2)) / 2
    return kind(w, v)


def broken(seed: int) -> Clean:
    return clean(seed, Broken)
