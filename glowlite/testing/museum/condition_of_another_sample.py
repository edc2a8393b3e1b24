"""A condition that is taken from another sample of the batch.

Two pieces of code sort the samples and the conditions, and their orders differ.
One condition for all samples, or a batch of one, works; the losses of a batch look as usual.
Seen in: pzflow pull request 65 (order of samples); near it: conditional-flow-matching issue 172.
"""

from __future__ import annotations

from copy import copy

import numpy as np

from glowlite.testing.museum.parameter import Buffer, Parameter

LAW = "condition_acts"
SHAPE = (3,)
CONDITION_SHAPE = (2,)


class Clean:
    """y = e^s x + t, (N, D), with s = tanh(c w + p), t = c v + q of a condition c (N, 2) or (1, 2).

    Until one is given, c = 0.
    """

    def __init__(self, w: np.ndarray, v: np.ndarray, p: np.ndarray, q: np.ndarray) -> None:
        self.w, self.v, self.p, self.q = Parameter(w), Parameter(v), Parameter(p), Parameter(q)
        self.condition = Buffer(np.zeros((1, 2)))

    def parameters(self) -> dict[str, Parameter]:
        return {"w": self.w, "v": self.v, "p": self.p, "q": self.q}

    def given(self, condition: np.ndarray) -> Clean:
        """Return this layer at a condition; the parameters are shared, not copied."""
        layer = copy(self)
        layer.condition = Buffer(condition)
        return layer

    def scale_and_shift(self, n: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        c = np.broadcast_to(self.condition.value, (n, 2))
        s = np.tanh(c @ self.w.value + self.p.value)
        return c, s, c @ self.v.value + self.q.value  # (N, 2), (N, D), (N, D)

    def forward(self, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        _, s, t = self.scale_and_shift(len(x))
        return x * np.exp(s) + t, s.sum(axis=1)

    def inverse(self, y: np.ndarray) -> np.ndarray:
        _, s, t = self.scale_and_shift(len(y))
        return (y - t) * np.exp(-s)

    def backward(
        self, y: np.ndarray, dy: np.ndarray, dlogdet: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        c, s, t = self.scale_and_shift(len(y))
        dz = (dy * (y - t) + dlogdet[:, None]) * (1 - s * s)
        self.w.grad[...] += c.T @ dz
        self.p.grad[...] += dz.sum(axis=0)
        self.v.grad[...] += c.T @ dy
        self.q.grad[...] += dy.sum(axis=0)
        return self.inverse(y), dy * np.exp(s)


class Broken(Clean):
    def given(self, condition: np.ndarray) -> Clean:
        return super().given(condition[::-1])


def clean(seed: int, kind: type[Clean] = Clean) -> Clean:
    rng = np.random.default_rng(seed)
    return kind(*rng.standard_normal((2, 2, 3)), *rng.standard_normal((2, 3)))


def broken(seed: int) -> Clean:
    return clean(seed, Broken)
