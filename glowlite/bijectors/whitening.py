r"""ZCA whitening: subtract the mean and multiply by a symmetric matrix that removes all
correlations and, subject to that, changes the data as little as possible.

    covariance + ridge I = U diag(e^{-2 s}) U^T
    y = U diag(e^s) U^T (x - mean)          x = U diag(e^{-s}) U^T y + mean
    log|det| = sum s

NICE was trained on whitened SVHN and CIFAR-10. The log-determinant is part of the likelihood of x.
"""

from __future__ import annotations

from typing import Self

import numpy as np

from glowlite.arrays.arguments import real_number, whole_number
from glowlite.arrays.backend import Array, namespace
from glowlite.arrays.parameters import Constant
from glowlite.arrays.statistics import SumOverProcesses, this_process
from glowlite.bijectors.base import Bijector, Cache, zero_logdet
from glowlite.errors import GlowliteError, ShapeError

RIDGE = 1e-5
ROWS = 1024  # samples per block when second moments are computed in float64


class Whitening(Bijector):
    """x, y: (N, ...) with D = `dimensions` numbers per sample.

    Constants, saved and not trained: `mean` (D,), `rotation` (D, D), which is U, and `log_scale`
    (D,), which is s; the map is the identity until `from_data`, or `initialize` with the first
    batch, computes them from data. `ridge`: added to every eigenvalue of the covariance, in squared
    units of x, so that the map stays invertible even with a pixel that never varies, or with fewer
    samples than D. Where x has variance v, y has v / (v + ridge). The default is that of the UFLDL
    tutorial for data in about [-1, 1]. Dequantisation alone gives 8-bit images in [-0.5, 0.5) a
    variance of 1.3e-6.

    Cost: 2 N D^2 for N samples, and N D^2 + O(D^3) once, with D^2 numbers to add up over processes.
    U is orthogonal up to rounding, and so the inverse is exact up to rounding: save it with at
    least float32.
    """

    def __init__(self, dimensions: int, ridge: float = RIDGE) -> None:
        dimensions = whole_number("Whitening", "dimensions", dimensions, 1)
        self.ridge = real_number("Whitening", "ridge", ridge)
        self.mean = Constant(np.zeros(dimensions))
        self.rotation = Constant(np.eye(dimensions))
        self.log_scale = Constant(np.zeros(dimensions))
        self.has_seen_data = False

    @classmethod
    def from_data(
        cls, x: Array, ridge: float = RIDGE, total: SumOverProcesses = this_process
    ) -> Self:
        """Return the whitening of the data x (N, ...). If several processes each have a part of the
        data, `total` adds up their vectors. `initialize` does not change it.
        """
        layer = cls(x[0].size, ridge)
        layer.take_from(x, total)
        return layer

    def initialize(self, x: Array, total: SumOverProcesses = this_process) -> Array:
        if not self.has_seen_data:
            self.take_from(x, total)
        return self.forward(x)[0]

    def take_from(self, x: Array, total: SumOverProcesses = this_process) -> None:
        """Set the constants from x (N, ...).

        Raises GlowliteError if x is not finite, or if the covariance has no inverse and there is no
        ridge.
        """
        self._check("take_from", x)
        xp = namespace(x)
        mean, covariance = _moments(x, total)
        if not bool(xp.isfinite(covariance).all()):
            raise GlowliteError("Whitening: the data contain numbers that are not finite")
        eigenvalues, rotation = xp.linalg.eigh(covariance)
        # a zero eigenvalue can come out slightly negative
        eigenvalues = xp.maximum(eigenvalues, 0) + self.ridge
        if not float(eigenvalues.min()) > 0:
            raise GlowliteError(
                "Whitening: the covariance of the data has no inverse; give a ridge above 0, such"
                f" as {RIDGE:g}"
            )
        for constant, value in (
            (self.mean, mean),
            (self.rotation, rotation),
            (self.log_scale, -xp.log(eigenvalues) / 2),
        ):
            constant.value = value.astype(constant.value.dtype)
        self.has_seen_data = True

    def forward(self, x: Array) -> tuple[Array, Array]:
        self._check("forward", x)
        s = self.log_scale.value
        logdet = zero_logdet(x) + s.sum(dtype=namespace(x).float64)
        return self._scaled(x.reshape(len(x), -1) - self.mean.value, s).reshape(x.shape), logdet

    def inverse(self, y: Array) -> Array:
        self._check("inverse", y)
        x = self._scaled(y.reshape(len(y), -1), -self.log_scale.value) + self.mean.value
        return x.reshape(y.shape)

    def backward(
        self, y: Array, dy: Array, dlogdet: Array, cache: Cache = None
    ) -> tuple[Array, Array]:
        # y = (x - mean) W with W = U diag(e^s) U^T, which is its own transpose: dx = dy W
        x = self.inverse(y) if cache is None else cache
        dx = self._scaled(dy.reshape(len(y), -1), self.log_scale.value)
        return x, dx.reshape(y.shape)

    def _scaled(self, rows: Array, s: Array) -> Array:
        """Return rows (N, D) times U diag(e^s) U^T."""
        U = self.rotation.value
        return (rows @ U * namespace(s).exp(s)) @ U.T

    def _check(self, where: str, x: Array) -> None:
        D = self.mean.value.size
        if x.ndim < 2 or not len(x) or x[0].size != D:
            raise ShapeError(
                f"Whitening.{where}: expected an array (N, ...) of {D} numbers per sample, got"
                f" {tuple(x.shape)}"
            )


def _moments(x: Array, total: SumOverProcesses) -> tuple[Array, Array]:
    """Return mean (D,) and covariance (D, D) of x (N, ...), float64."""
    xp = namespace(x)
    parts = [x[i : i + ROWS].reshape(-1, x[0].size) for i in range(0, len(x), ROWS)]
    count = total(xp.full(1, float(len(x))))
    mean = total(sum(part.sum(axis=0, dtype=xp.float64) for part in parts)) / count
    D = mean.size
    second = xp.zeros((D, D))
    for part in parts:
        centred = part - mean
        second = second + centred.T @ centred
    return mean, total(second.ravel()).reshape(D, D) / count
