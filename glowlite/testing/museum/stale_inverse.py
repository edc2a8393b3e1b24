"""A cache that keeps the inverse of a weight after the weight has changed.

W^-1 is cached for speed; after an optimiser's step, or after loading, it is that of the old W.
Training runs forward, which uses W itself; only samples are wrong, and more so with every step.
Seen in: nessai pull request 167 (the cache of LULinear after loading), bayesflow pull request 520.
"""

from __future__ import annotations

import numpy as np

from glowlite.testing.museum.parameter import Parameter

LAW = "caches_follow_parameters"
SHAPE = (3,)


class Clean:
    """y = x W, (N, D), with log|det W|. It keeps W^-1 as long as W has the same bytes."""

    def __init__(self, w: np.ndarray) -> None:
        self.w = Parameter(w)
        self.kept_of = b""
        self.kept: np.ndarray = np.zeros((0, 0))

    def parameters(self) -> dict[str, Parameter]:
        return {"w": self.w}

    def inverse_of_w(self) -> np.ndarray:
        if self.kept_of != self.w.value.tobytes():
            self.keep()
        return self.kept

    def keep(self) -> None:
        self.kept_of, self.kept = self.w.value.tobytes(), np.linalg.inv(self.w.value)
        self.kept.setflags(write=False)

    def forward(self, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return x @ self.w.value, np.full(len(x), np.linalg.slogdet(self.w.value)[1])

    def inverse(self, y: np.ndarray) -> np.ndarray:
        return y @ self.inverse_of_w()

    def backward(
        self, y: np.ndarray, dy: np.ndarray, dlogdet: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        x = self.inverse(y)
        # d log|det W| / dW = W^-T
        self.w.grad[...] += x.T @ dy + dlogdet.sum() * self.inverse_of_w().T
        return x, dy @ self.w.value.T


class Broken(Clean):
    def inverse_of_w(self) -> np.ndarray:
        if self.kept.size == 0:
            self.keep()
        return self.kept


def clean(seed: int, kind: type[Clean] = Clean) -> Clean:
    return kind(np.eye(3) + np.random.default_rng(seed).standard_normal((3, 3)) / 4)


def broken(seed: int) -> Clean:
    return clean(seed, Broken)
