"""A backward pass that rebuilds the input in the memory of the output.

To save memory the shift is subtracted in place, so the caller's y becomes x.
Code that no longer needs y works; code that logs y, or runs backward again, gets another array.
Of a kind that saving memory invites; near it: memcnn issue 71, nflows issue 89 (in place).
"""

from __future__ import annotations

import numpy as np

from glowlite.testing.museum.parameter import Parameter

LAW = "nothing_passed_in_is_changed"
SHAPE = (4,)


class Clean:
    """a, b = halves of x (N, 4), y = a, b + tanh(a w); log|det| = 0."""

    def __init__(self, w: np.ndarray) -> None:
        self.w = Parameter(w)

    def parameters(self) -> dict[str, Parameter]:
        return {"w": self.w}

    def forward(self, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        y = x.copy()
        y[:, 2:] += np.tanh(x[:, :2] @ self.w.value)
        return y, np.zeros(len(x))

    def undone(self, y: np.ndarray) -> np.ndarray:
        """Return the x of y, in the memory of y."""
        y[:, 2:] -= np.tanh(y[:, :2] @ self.w.value)
        return y

    def inverse(self, y: np.ndarray) -> np.ndarray:
        return self.undone(y.copy())

    def rebuilt(self, y: np.ndarray) -> np.ndarray:
        return self.inverse(y)

    def backward(
        self, y: np.ndarray, dy: np.ndarray, dlogdet: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        a, dx = y[:, :2], dy.copy()
        dh = dy[:, 2:] * (1 - np.tanh(a @ self.w.value) ** 2)
        self.w.grad[...] += a.T @ dh
        dx[:, :2] += dh @ self.w.value.T
        return self.rebuilt(y), dx


class Broken(Clean):
    def rebuilt(self, y: np.ndarray) -> np.ndarray:
        return self.undone(y)


def clean(seed: int, kind: type[Clean] = Clean) -> Clean:
    return kind(np.random.default_rng(seed).standard_normal((2, 2)))


def broken(seed: int) -> Clean:
    return clean(seed, Broken)
