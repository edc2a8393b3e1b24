r"""From pixels to a continuous density, and from log-likelihood to bits per dimension (sections 2
and 6).

An 8-bit pixel v becomes one of n_bins = 2^n_bits levels, and uniform noise fills the gap between
two levels:

    x = (floor(v / 2^(8 - n_bits)) + u) / n_bins - 0.5,     u ~ U[0, 1),     x in [-0.5, 0.5)

    bits/dim = -(log p(x) - D ln n_bins) / (D ln 2),     D = H W C

The sign and the scale of the loss are set only in this file. The layers know neither.
"""

from __future__ import annotations

import math
from typing import Any, Protocol

import numpy as np

from glowlite.arrays.arguments import shown
from glowlite.arrays.backend import Array, Namespace, namespace, to_device
from glowlite.arrays.conversion import value_advice
from glowlite.arrays.randomness import normal, uniform
from glowlite.errors import GlowliteError, ShapeError


def check_n_bits(n_bits: int | None) -> int:
    """Return n_bits; raise GlowliteError unless it is 1 to 8."""
    if (
        isinstance(n_bits, bool)
        or not isinstance(n_bits, (int, np.integer))
        or not 1 <= n_bits <= 8
    ):
        raise GlowliteError(f"n_bits must be 1 to 8, got {shown(n_bits)}")
    return int(n_bits)


def quantize(images: Array, n_bits: int) -> Array:
    """Map uint8 images to their levels 0 .. 2^n_bits - 1, uint8. Raises ShapeError for another
    dtype.
    """
    if not hasattr(images, "dtype"):
        raise ShapeError(f"quantize: expected an array of uint8 images, got {shown(images)}")
    if images.dtype != "uint8":
        raise ShapeError(
            f"quantize: expected uint8 images 0..255, got {images.dtype}; {value_advice(images)}"
        )
    return images >> (8 - check_n_bits(n_bits))


def dequantize(images: Array, n_bits: int, noise: Array, xp: Namespace = np) -> Array:
    """Map uint8 images (N, H, W, C) and noise U[0, 1) of the same shape to x in [-0.5, 0.5), with
    the dtype of `noise`.

    Host arrays give an array of `xp`, with one upload. GPU arrays stay on the GPU.
    """
    n_bins = 2 ** check_n_bits(n_bits)
    if getattr(noise, "shape", None) != getattr(images, "shape", None) or noise.dtype not in (
        "float32",
        "float64",
    ):
        raise ShapeError(
            "dequantize: expected noise of the shape of the images, float32 or float64, got"
            f" {shown(noise)}"
        )
    below = np.nextafter(noise.dtype.type(0.5), noise.dtype.type(0))
    x = (quantize(images, n_bits).astype(noise.dtype) + noise) / n_bins
    x = namespace(x).minimum(x - 0.5, below)  # level + noise can round up to the next level
    return to_device(x, xp)


def as_continuous(
    data: Array,
    n_bits: int | None,
    noise: Array | None,
    dtype: Any,
    xp: Namespace = np,
    variational: bool = False,
) -> Array:
    """Return data that have a density: dequantised images or, if n_bits is None, the data
    themselves.

    `variational`: return `middles_and_noise` instead, for a model that makes its own noise.
    """
    if n_bits is None or noise is None:
        return to_device(data, xp).astype(dtype)
    make = middles_and_noise if variational else dequantize
    return make(data, n_bits, noise, xp)


def middles_and_noise(images: Array, n_bits: int, noise: Array, xp: Namespace = np) -> Array:
    """Map uint8 images (N, H, W, C) and noise U[0, 1) of the same shape to (N, H, W, 2C): the
    middles of their levels, then u - 1/2 in (-1/2, 1/2). From these a model makes x itself.

    Noise that rounds to an end of the interval, where its logit is infinite, is replaced by the
    nearest number inside.
    """
    end = np.nextafter(noise.dtype.type(0.5), noise.dtype.type(0))
    middles = dequantize_midpoint(images, n_bits, noise.dtype.name, xp)
    centred = xp.clip(to_device(noise, xp) - noise.dtype.type(0.5), -end, end)
    return xp.concatenate((middles, centred), axis=-1)


def dequantize_midpoint(images: Array, n_bits: int, dtype: str, xp: Namespace = np) -> Array:
    """Map uint8 images (N, H, W, C) to x in (-0.5, 0.5), of `dtype` and `xp`, in the middle of
    their levels: u = 1/2.

    The middle is farthest from both neighbouring levels, so `to_pixels` returns the same level even
    if x has rounding errors.
    """
    return (to_device(quantize(images, n_bits), xp).astype(dtype) + 0.5) / 2**n_bits - 0.5


def dequantization_noise(
    seed: int, purpose: str, index: int, start: int, shape: tuple[int, ...], dtype: str
) -> Array:
    """Draw U[0, 1) for the samples start .. start + N - 1 of batch `index`.

    The numbers do not depend on which process draws them.
    """
    return uniform(seed, purpose, index, start, shape, dtype)


def to_pixels(x: Array, n_bits: int) -> Array:
    """Map x (...) to uint8 pixels: the level that contains x, clipped, shown as the middle of its
    2^(8 - n_bits) values.
    """
    if getattr(getattr(x, "dtype", None), "kind", "") != "f":
        raise ShapeError(f"to_pixels: expected floating images, about [-0.5, 0.5), got {shown(x)}")
    xp = namespace(x)
    n_bins = 2 ** check_n_bits(n_bits)
    level = xp.clip(xp.floor((x + 0.5) * n_bins), 0, n_bins - 1)
    step = 256 // n_bins
    return (level * step + step // 2 * (n_bits < 8)).astype(xp.uint8)


def bits_per_dim(log_prob: Array, dimensions: int, n_bits: int | None) -> Array:
    """Convert log_prob (N,), nats, to bits/dim (N,).

    For dequantised x it is the bits/dim of the discrete images, an upper bound in expectation. With
    `n_bits` None, for continuous data, it is that of their density, and can be negative.
    """
    levels = 0.0 if n_bits is None else dimensions * math.log(2 ** check_n_bits(n_bits))
    return -(log_prob - levels) / (dimensions * math.log(2))


def nats(bits: Array, dimensions: int, n_bits: int) -> Array:
    """Convert bits/dim (N,) to log p(x) (N,), nats: the inverse of `bits_per_dim`.

    The density is that of pixels scaled to [0, 1]. It equals that of x in [-0.5, 0.5), which
    differs only by a shift.
    """
    return dimensions * math.log(2) * (check_n_bits(n_bits) - bits)


class Base(Protocol):
    """The distribution of the latents, a list of arrays (N, ...) whose components are
    independent.
    """

    def log_prob(self, latents: list[Array]) -> Array:
        """Return the log-density of each sample, (N,), float64, nats."""

    def gradient(self, latents: list[Array]) -> list[Array]:
        """Return d log_prob / d latents, with the shapes and the dtype of the latents."""

    def sample(self, seed: int, level: int, shape: tuple[int, ...], dtype: str) -> np.ndarray:
        """Return noise of `shape` (n, ...) for latent number `level`. A larger n only appends
        samples.
        """


class Normal:
    """N(0, I)."""

    def log_prob(self, latents: list[Array]) -> Array:
        return sum((log_normal(z) for z in latents[1:]), start=log_normal(latents[0]))

    def gradient(self, latents: list[Array]) -> list[Array]:
        return [-z for z in latents]  # log p = -z^2 / 2 + a constant

    def sample(self, seed: int, level: int, shape: tuple[int, ...], dtype: str) -> np.ndarray:
        return normal(seed, "sample", level, shape, dtype)


class Logistic:
    """The logistic distribution with scale 1: p(z) = s(z) (1 - s(z)), where s is the sigmoid. Its
    tails are heavier than a Gaussian's.
    """

    def log_prob(self, latents: list[Array]) -> Array:
        return sum((_log_logistic(z) for z in latents[1:]), start=_log_logistic(latents[0]))

    def gradient(self, latents: list[Array]) -> list[Array]:
        return [-namespace(z).tanh(z / 2) for z in latents]  # d log p / dz = 1 - 2 s(z)

    def sample(self, seed: int, level: int, shape: tuple[int, ...], dtype: str) -> np.ndarray:
        u = uniform(seed, "sample", level, 0, shape, "float64") + 2.0**-54  # in (0, 1)
        return (np.log(u) - np.log1p(-u)).astype(dtype)


def _log_logistic(z: Array) -> Array:
    """Return (N,), float64. It uses |z| in place of z, which gives the same value and avoids
    overflow.
    """
    xp = namespace(z)
    size = abs(z.reshape(len(z), -1)).astype(xp.float64)
    return -(size + 2 * xp.log1p(xp.exp(-size))).sum(axis=1)


def log_normal(z: Array) -> Array:
    """Return log N(z; 0, I) of each sample, (N,), float64, nats."""
    xp = namespace(z)
    z = z.reshape(len(z), -1)
    return -0.5 * (xp.square(z).sum(axis=1, dtype=xp.float64) + z.shape[1] * math.log(2 * math.pi))


def loss_gradients(
    latents: list[Array], batch: int, base: Base | None = None
) -> tuple[list[Array], Array]:
    """Return d loss / d latents and d loss / d logdet (N,), where loss is the mean bits/dim over
    `batch` samples.

    log p(x) = log p_base(latents) + log|det|, so d log p / d log|det| = 1, and d log p / d latents
    is the gradient of the base, N(0, I) by default. `batch` can be larger than the number of
    samples here, for a batch that is split over processes.
    """
    xp = namespace(latents[0])
    dimensions = sum(z[0].size for z in latents)
    scale = -1.0 / (batch * dimensions * math.log(2))  # d loss / d log p
    gradient = (base or Normal()).gradient(latents)
    return [d * scale for d in gradient], xp.full(len(latents[0]), scale)


def check_finite(where: str, value: float) -> float:
    """Return value; raise GlowliteError that says where a NaN or an infinity occurred."""
    if not math.isfinite(value):
        raise GlowliteError(
            f"{where} is {value}: lower the learning rate, clip the gradient, or warm up for longer"
        )
    return value
