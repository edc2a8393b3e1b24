"""A division by the standard deviation of a channel that may be constant.

A coupling standardises the half that it reads, without adding anything to the variance.
Random test images always vary; a black border or a mask does not, and 0 / 0 is not a number.
Seen in: FrEIA issue 121 (ActNorm, a channel that always has the same value).
"""

from __future__ import annotations

import numpy as np

from glowlite.testing.museum.parameter import Parameter

LAW = "degenerate_batches"
SHAPE = (2, 2, 2)
PIXELS = (1, 2)


class Clean:
    """a, b = channels 0 and 1, h = (a - mean a) / deviation a over the pixels of a sample.

    y = a, e^s b + t with s = tanh(h w), t = h v; log|det| = sum s.
    """

    eps = 1e-3

    def __init__(self, w: float, v: float) -> None:
        self.w, self.v = Parameter(np.array(w)), Parameter(np.array(v))

    def parameters(self) -> dict[str, Parameter]:
        return {"w": self.w, "v": self.v}

    def standardised(self, a: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        deviation = np.sqrt(a.var(axis=PIXELS, keepdims=True) + self.eps)
        return (a - a.mean(axis=PIXELS, keepdims=True)) / deviation, deviation

    def forward(self, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        a, b = x[..., 0], x[..., 1]  # (N, H, W)
        h, _ = self.standardised(a)
        s = np.tanh(h * self.w.value)
        return np.stack((a, b * np.exp(s) + h * self.v.value), axis=-1), s.sum(axis=PIXELS)

    def inverse(self, y: np.ndarray) -> np.ndarray:
        h, _ = self.standardised(y[..., 0])
        b = (y[..., 1] - h * self.v.value) * np.exp(-np.tanh(h * self.w.value))
        return np.stack((y[..., 0], b), axis=-1)

    def backward(
        self, y: np.ndarray, dy: np.ndarray, dlogdet: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        h, deviation = self.standardised(y[..., 0])
        s = np.tanh(h * self.w.value)
        ds = dy[..., 1] * (y[..., 1] - h * self.v.value) + dlogdet[:, None, None]
        dz = ds * (1 - s * s)
        self.w.grad[...] += (dz * h).sum()
        self.v.grad[...] += (dy[..., 1] * h).sum()
        dh = dz * self.w.value + dy[..., 1] * self.v.value
        dh = dh - dh.mean(axis=PIXELS, keepdims=True) - h * (dh * h).mean(PIXELS, keepdims=True)
        return self.inverse(y), np.stack((dy[..., 0] + dh / deviation, dy[..., 1] * np.exp(s)), -1)


class Broken(Clean):
    eps = 0.0


def clean(seed: int, kind: type[Clean] = Clean) -> Clean:
    w, v = np.random.default_rng(seed).standard_normal(2)
    return kind(w, v)


def broken(seed: int) -> Clean:
    return clean(seed, Broken)
