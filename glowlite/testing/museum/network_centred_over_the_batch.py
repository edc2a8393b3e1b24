"""A network inside a coupling that looks at the whole batch.

Its features are centred over the samples, so the result for one sample depends on the others.
Round trips and gradients within one batch are right; alone or in another batch, results differ.
Seen in: ibinn_imagenet issue 6, normalizing_flows (kamenbliznashki) issue 13 (batch norm).
"""

from __future__ import annotations

import numpy as np

from glowlite.testing.museum.parameter import Parameter

LAW = "samples_are_independent"
SHAPE = (4,)


class Clean:
    """a, b = halves of x (N, 4), y = a, b + h v with h = tanh(a w), centred; log|det| = 0."""

    def __init__(self, w: np.ndarray, v: np.ndarray) -> None:
        self.w, self.v = Parameter(w), Parameter(v)

    def parameters(self) -> dict[str, Parameter]:
        return {"w": self.w, "v": self.v}

    def centred(self, h: np.ndarray) -> np.ndarray:
        return h - h.mean(axis=1, keepdims=True)  # over the features of a sample

    def shift(self, a: np.ndarray) -> np.ndarray:
        return self.centred(np.tanh(a @ self.w.value)) @ self.v.value

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
        h = np.tanh(a @ self.w.value)
        self.v.grad[...] += self.centred(h).T @ db
        dh = self.centred(db @ self.v.value.T) * (1 - h * h)  # centring is its own transpose
        self.w.grad[...] += a.T @ dh
        return self.inverse(y), np.concatenate((da + dh @ self.w.value.T, db), axis=1)


class Broken(Clean):
    def centred(self, h: np.ndarray) -> np.ndarray:
        return h - h.mean(axis=0)


def clean(seed: int, kind: type[Clean] = Clean) -> Clean:
    rng = np.random.default_rng(seed)
    return kind(rng.standard_normal((2, 5)), rng.standard_normal((5, 2)))


def broken(seed: int) -> Clean:
    return clean(seed, Broken)
