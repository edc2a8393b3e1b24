"""Bits per dimension without the scale of the pixels.

Pixels 0..255 become x in [0, 1), a division by 256, but the term log 256 is missing.
It is a constant, so training works as usual; but the result is too good, by 8 bits/dim.
Seen in: glow-realnvp-tutorial (MokkeMeguru) issue 2; openai/glow issue 51 asks of such a term.
"""

from __future__ import annotations

import numpy as np

from glowlite.testing.museum.parameter import Parameter

LAW = "bits_per_dim_of_uniform_data"
SHAPE = (2, 2, 1)


class Clean:
    """z = e^log_s (x - b), (N, H, W, 1), with z logistic: log p(z) = -z - 2 log(1 + e^-z)."""

    def __init__(self, log_s: float, b: float) -> None:
        self.log_s, self.b = Parameter(np.array(log_s)), Parameter(np.array(b))

    def parameters(self) -> dict[str, Parameter]:
        return {"log_s": self.log_s, "b": self.b}

    def forward(self, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        logdet = np.full(len(x), x[0].size * float(self.log_s.value))
        return np.exp(self.log_s.value) * (x - self.b.value), logdet

    def inverse(self, z: np.ndarray) -> np.ndarray:
        return z * np.exp(-self.log_s.value) + self.b.value

    def backward(
        self, z: np.ndarray, dz: np.ndarray, dlogdet: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        dx = dz * np.exp(self.log_s.value)
        self.log_s.grad[...] += (dz * z).sum() + z[0].size * dlogdet.sum()
        self.b.grad[...] -= dx.sum()
        return self.inverse(z), dx

    def log_prob(self, x: np.ndarray) -> np.ndarray:
        z, logdet = self.forward(x)
        return logdet - (z + 2 * np.logaddexp(0, -z)).sum(axis=(1, 2, 3))

    def sample(self, n: int, seed: int) -> np.ndarray:
        return self.inverse(np.random.default_rng(seed).logistic(size=(n, *SHAPE)))

    def bits_per_dim(self, images: np.ndarray) -> np.ndarray:
        """Return -log2 of the probability of each image (N, H, W, 1) of bytes, per pixel."""
        log_prob = self.log_prob((images + 0.5) / 256)  # the middle of the bin of width 1/256
        return (self.log_of_the_scale() - log_prob / images[0].size) / np.log(2)

    def log_of_the_scale(self) -> float:
        return float(np.log(256))


class Broken(Clean):
    def log_of_the_scale(self) -> float:
        return 0.0


def clean(seed: int, kind: type[Clean] = Clean) -> Clean:
    rng = np.random.default_rng(seed)
    return kind(rng.uniform(1.5, 2.0), rng.uniform(0.4, 0.6))


def broken(seed: int) -> Clean:
    return clean(seed, Broken)
