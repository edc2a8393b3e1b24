r"""Invertible 1x1 convolution: one matrix mixes the channels of every pixel (Table 1, row 2;
equations 9 to 11).

    y = W x at every pixel          x = W^-1 y          log|det| = H W log|det W|

`Invertible1x1Conv` trains W itself; `Invertible1x1ConvLU` trains the factors of W = P L (U +
diag(s)), equation 10, whose log|det W| is sum log|s|, equation 11. Both start from the same random
rotation, with log|det W| = 0.
"""

from __future__ import annotations

from abc import abstractmethod

import numpy as np

from glowlite.arrays.backend import Array, namespace
from glowlite.arrays.checks import check_channels
from glowlite.arrays.layout import pixel_matrix, positions, to_images
from glowlite.arrays.parameters import Constant, Parameter
from glowlite.bijectors.base import Bijector, Cache, zero_logdet
from glowlite.errors import GlowliteError


def random_rotation(channels: int, rng: np.random.Generator) -> np.ndarray:
    """Return a (C, C) orthogonal matrix from the uniform (Haar) distribution: Q in the QR
    decomposition of a Gaussian matrix, with the signs that make R's diagonal positive.
    """
    q, r = np.linalg.qr(rng.standard_normal((channels, channels)))
    return np.asarray(q * np.sign(np.diag(r)))


def inverse(W: Array) -> Array:
    """Return W^-1 of one matrix or of each matrix of a stack (..., C, C), computed in float64.

    Raises GlowliteError if a matrix has no inverse.
    """
    xp = namespace(W)
    try:
        return xp.linalg.inv(W.astype(xp.float64)).astype(W.dtype)
    except np.linalg.LinAlgError:
        raise GlowliteError(
            "a 1x1 convolution is singular and has no inverse; lower --lr, or use --permutation lu"
        ) from None


class ChannelMixing(Bijector):
    """y = W x at every pixel, W from the parameters. x, y: (N, H, W, C) or (N, C).

    Cost: O(N H W C^2 + C^3).

    Methods that use only the parameters work along the last axes, so they also work for a stack of
    layers.
    """

    @abstractmethod
    def matrix(self) -> Array:
        """Return W, (..., C, C), in the dtype of the parameters."""

    @abstractmethod
    def log_abs_det(self) -> Array:
        """Return log|det W|, (...), float64."""

    @abstractmethod
    def add_gradients(self, dW: Array, dlog_abs_det: Array, W_inverse: Array) -> None:
        """Convert gradients with respect to W, (..., C, C), and log|det W|, (...) or 0-d, and add
        them to those of the parameters.
        """

    def inverse_matrix(self) -> Array:
        """Return W^-1, computed in float64."""
        return inverse(self.matrix())

    def forward(self, x: Array) -> tuple[Array, Array]:
        W = self.matrix()
        check_channels(f"{type(self).__name__}.forward", x, len(W), W.dtype)
        logdet = zero_logdet(x) + positions(x) * self.log_abs_det()
        return to_images(W @ pixel_matrix(x), x.shape), logdet

    def inverse(self, y: Array) -> Array:
        W_inverse = self.inverse_matrix()
        check_channels(f"{type(self).__name__}.inverse", y, len(W_inverse), W_inverse.dtype)
        return to_images(W_inverse @ pixel_matrix(y), y.shape)

    def backward(
        self, y: Array, dy: Array, dlogdet: Array, cache: Cache = None
    ) -> tuple[Array, Array]:
        W, W_inverse = self.matrix(), self.inverse_matrix()
        check_channels(f"{type(self).__name__}.backward", y, len(W), W.dtype)
        x = to_images(W_inverse @ pixel_matrix(y), y.shape) if cache is None else cache
        # y_i = W_ij x_j:  dW_ij = sum dy_i x_j,  dx_j = sum dy_i W_ij
        dW = pixel_matrix(dy) @ pixel_matrix(x).T
        self.add_gradients(dW, positions(y) * dlogdet.sum(), W_inverse)
        return x, to_images(W.T @ pixel_matrix(dy), dy.shape)


class Invertible1x1Conv(ChannelMixing):
    """The plain form: `weight` (C, C) is W."""

    def __init__(self, channels: int, rng: np.random.Generator) -> None:
        self.weight = Parameter(random_rotation(channels, rng))

    def matrix(self) -> Array:
        return self.weight.value

    def log_abs_det(self) -> Array:
        xp = namespace(self.weight.value)
        return xp.linalg.slogdet(self.weight.value.astype(xp.float64))[1]

    def add_gradients(self, dW: Array, dlog_abs_det: Array, W_inverse: Array) -> None:
        # d log|det W| / dW = W^-T
        self.weight.grad[...] += dW + dlog_abs_det.astype(dW.dtype)[
            ..., None, None
        ] * W_inverse.swapaxes(-1, -2)


class Invertible1x1ConvLU(ChannelMixing):
    """W = P L (U + diag(s)): `lower` and `upper` (C, C), of which only the strict triangles are
    used, and `log_s` (C,).

    P and the signs of s are set at initialisation and then fixed: `rows` (C,) stores P, as (P M)[i]
    = M[rows[i]].
    """

    def __init__(self, channels: int, rng: np.random.Generator) -> None:
        self.channels = channels
        import scipy.linalg  # takes longer to import than all of glowlite, and is needed only here

        permutation, lower, upper = scipy.linalg.lu(random_rotation(channels, rng))
        s = np.diag(upper)
        self.rows = Constant(permutation.argmax(axis=1))
        self.sign_s = Constant(np.sign(s))
        self.lower = Parameter(np.tril(lower, -1))
        self.upper = Parameter(np.triu(upper, 1))
        self.log_s = Parameter(np.log(np.abs(s)))

    def factors(self) -> tuple[Array, Array, Array]:
        """Return P L and U + diag(s), both (..., C, C), and s, (..., C)."""
        xp = namespace(self.log_s.value)
        s = self.sign_s.value * xp.exp(self.log_s.value)
        one = xp.eye(self.channels, dtype=s.dtype)
        PL = _rows_of(xp.tril(self.lower.value, -1) + one, self.rows.value)
        return PL, xp.triu(self.upper.value, 1) + one * s[..., None], s

    def matrix(self) -> Array:
        PL, Us, _ = self.factors()
        return PL @ Us

    def log_abs_det(self) -> Array:
        # equation 11
        return self.log_s.value.sum(axis=-1, dtype=namespace(self.log_s.value).float64)

    def add_gradients(self, dW: Array, dlog_abs_det: Array, W_inverse: Array) -> None:
        # W = P L Us:  dL = P^T dW Us^T,  dUs = (P L)^T dW
        # ds is the diagonal of dUs, and dlog_s = s ds + dlog|det|
        xp = namespace(dW)
        PL, Us, s = self.factors()
        dUs = PL.swapaxes(-1, -2) @ dW
        dL = _rows_of(dW @ Us.swapaxes(-1, -2), self.rows.value.argsort(axis=-1))
        self.lower.grad[...] += xp.tril(dL, -1)
        self.upper.grad[...] += xp.triu(dUs, 1)
        ds = xp.diagonal(dUs, axis1=-2, axis2=-1)
        self.log_s.grad[...] += ds * s + dlog_abs_det.astype(dW.dtype)[..., None]


def _rows_of(matrix: Array, rows: Array) -> Array:
    """Return the matrix whose row i is matrix[rows[i]], for (..., C, C) and (..., C)."""
    return namespace(matrix).take_along_axis(matrix, rows[..., None], axis=-2)
