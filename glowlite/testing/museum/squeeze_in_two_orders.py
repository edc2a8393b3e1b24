"""A squeeze whose inverse has the channels in another order.

Blocks of 2 x 2 become channels with the block index inside, and come back with it outside.
Both orders are in use, so each half looks right alone; with one channel the two are the same.
Of a kind that two orders in use invite: openai/glow issue 88, uvadlc_notebooks issue 78.
"""

from __future__ import annotations

import numpy as np

from glowlite.testing.museum.parameter import Parameter

LAW = "inverse_of_forward"
SHAPE = (2, 2, 3)


class Clean:
    """x (N, H, W, C) -> y (N, H/2, W/2, 4 C), times e^log_s; log|det| = H W / 4 sum log_s.

    Channel 4 c + 2 i + j of y is channel c of the pixel (i, j) of a block.
    """

    def __init__(self, log_s: np.ndarray) -> None:
        self.log_s = Parameter(log_s)

    def parameters(self) -> dict[str, Parameter]:
        return {"log_s": self.log_s}

    def squeeze(self, x: np.ndarray) -> np.ndarray:
        n, h, w, c = x.shape
        blocks = x.reshape(n, h // 2, 2, w // 2, 2, c).transpose(0, 1, 3, 5, 2, 4)
        return blocks.reshape(n, h // 2, w // 2, 4 * c)

    def unsqueeze(self, y: np.ndarray) -> np.ndarray:
        n, h, w, c = y.shape
        blocks = y.reshape(n, h, w, c // 4, 2, 2).transpose(0, 1, 4, 2, 5, 3)
        return blocks.reshape(n, 2 * h, 2 * w, c // 4)

    def forward(self, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        y = self.squeeze(x) * np.exp(self.log_s.value)
        return y, np.full(len(x), y.shape[1] * y.shape[2] * self.log_s.value.sum())

    def inverse(self, y: np.ndarray) -> np.ndarray:
        return self.unsqueeze(y * np.exp(-self.log_s.value))

    def backward(
        self, y: np.ndarray, dy: np.ndarray, dlogdet: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        pixels = y.shape[1] * y.shape[2]
        self.log_s.grad[...] += (dy * y).sum(axis=(0, 1, 2)) + pixels * dlogdet.sum()
        return self.inverse(y), self.unsqueeze(dy * np.exp(self.log_s.value))


class Broken(Clean):
    def unsqueeze(self, y: np.ndarray) -> np.ndarray:
        n, h, w, c = y.shape
        blocks = y.reshape(n, h, w, 2, 2, c // 4).transpose(0, 1, 3, 2, 4, 5)
        return blocks.reshape(n, 2 * h, 2 * w, c // 4)


def clean(seed: int, kind: type[Clean] = Clean) -> Clean:
    return kind(np.random.default_rng(seed).standard_normal(12) / 2)


def broken(seed: int) -> Clean:
    return clean(seed, Broken)
