r"""Invertible 1x1 convolution: one matrix mixes the channels of every pixel (Table 1, row 2; equations 9 to 11).

    y = W x at every pixel          x = W^-1 y          log|det| = H W log|det W|

`Invertible1x1Conv` trains W itself; `Invertible1x1ConvLU` trains the factors of W = P L (U + diag(s)), equation 10,
whose log|det W| is sum log|s|, equation 11. Both start from the same random rotation, with log|det W| = 0.
"""

from __future__ import annotations

from abc import abstractmethod

import numpy as np
import scipy.linalg

from glowlite.backend import Array, namespace
from glowlite.bijectors.base import Bijector, Kept
from glowlite.parameters import Constant, Parameter, Parameterized
from glowlite.pixels import pixel_matrix, to_images
from glowlite.shapes import check_images


def random_rotation(channels: int, rng: np.random.Generator) -> np.ndarray:
    """A (C, C) orthogonal matrix, uniform over all (Haar): Q of a Gaussian matrix, signs fixed so that R has none."""
    q, r = np.linalg.qr(rng.standard_normal((channels, channels)))
    return np.asarray(q * np.sign(np.diag(r)))


class ChannelMatrix(Bijector):
    """y = W x for a matrix that is given, with its inverse and log|det W|: what both forms are while they run.

    The gradients by `weight` (C, C) and `log_abs_det` (0-d) are kept apart: they meet in the parameters of a form.
    """

    def __init__(self, W: Array, W_inverse: Array, log_abs_det: Array) -> None:
        self.weight = Parameter(W)
        self.log_abs_det = Parameter(log_abs_det)
        self.W_inverse = W_inverse

    def forward(self, x: Array) -> tuple[Array, Array]:
        xp = namespace(x)
        n, h, w, _ = x.shape
        logdet = xp.zeros(n, xp.float64) + h * w * self.log_abs_det.value
        return to_images(self.weight.value @ pixel_matrix(x), x.shape), logdet

    def inverse(self, y: Array) -> Array:
        return to_images(self.W_inverse @ pixel_matrix(y), y.shape)

    def backward(self, y: Array, dy: Array, dlogdet: Array, kept: Kept = None) -> tuple[Array, Array]:
        x = self.inverse(y) if kept is None else kept
        self.weight.grad[...] += pixel_matrix(dy) @ pixel_matrix(x).T  # y_i = W_ij x_j:  dW_ij = sum dy_i x_j
        self.log_abs_det.grad[...] += y.shape[1] * y.shape[2] * dlogdet.sum()
        return x, to_images(self.weight.value.T @ pixel_matrix(dy), dy.shape)

    def collect_into(self, original: Parameterized) -> None:
        assert isinstance(original, _MatrixForm)
        original.add_gradients(self.weight.grad, self.log_abs_det.grad, self.W_inverse)


class _MatrixForm(Bijector):
    """A parametrisation of W. x, y: (N, H, W, C). Cost: O(N H W C^2 + C^3)."""

    channels: int

    @abstractmethod
    def matrix(self) -> Array:
        """W, (C, C), in the dtype of the parameters."""

    @abstractmethod
    def log_abs_det(self) -> Array:
        """log|det W|, float64, 0-d."""

    @abstractmethod
    def add_gradients(self, dW: Array, dlog_abs_det: Array, W_inverse: Array) -> None:
        """Add what a gradient (C, C) of W and one of log|det W| (0-d) mean for the parameters."""

    def inverse_matrix(self) -> Array:
        """W^-1, taken in float64."""
        W = self.matrix()
        xp = namespace(W)
        return xp.linalg.inv(W.astype(xp.float64)).astype(W.dtype)

    def prepared(self) -> ChannelMatrix:  # type: ignore[override]  # a layer of the same map, of another class
        return ChannelMatrix(self.matrix(), self.inverse_matrix(), self.log_abs_det())

    def _run(self, where: str, x: Array) -> ChannelMatrix:
        now = self.prepared()
        check_images(f"{type(self).__name__}.{where}", x, self.channels, now.weight.value.dtype)
        return now

    def forward(self, x: Array) -> tuple[Array, Array]:
        return self._run("forward", x).forward(x)

    def inverse(self, y: Array) -> Array:
        return self._run("inverse", y).inverse(y)

    def backward(self, y: Array, dy: Array, dlogdet: Array, kept: Kept = None) -> tuple[Array, Array]:
        now = self._run("backward", y)
        x, dx = now.backward(y, dy, dlogdet, kept)
        now.collect_into(self)
        return x, dx


class Invertible1x1Conv(_MatrixForm):
    """The plain form: `weight` (C, C) is W."""

    def __init__(self, channels: int, rng: np.random.Generator) -> None:
        self.channels = channels
        self.weight = Parameter(random_rotation(channels, rng))

    def matrix(self) -> Array:
        return self.weight.value

    def log_abs_det(self) -> Array:
        xp = namespace(self.weight.value)
        return xp.linalg.slogdet(self.weight.value.astype(xp.float64))[1]

    def add_gradients(self, dW: Array, dlog_abs_det: Array, W_inverse: Array) -> None:
        # d log|det W| / dW = W^-T
        self.weight.grad[...] += dW + dlog_abs_det.astype(dW.dtype) * W_inverse.T


class Invertible1x1ConvLU(_MatrixForm):
    """W = P L (U + diag(s)): `lower` and `upper` (C, C), of which only the strict triangles count, `log_s` (C,).

    P and the signs of s are found at the start and then fixed: `rows` (C,) holds (P M)[i] = M[rows[i]].
    """

    def __init__(self, channels: int, rng: np.random.Generator) -> None:
        self.channels = channels
        permutation, lower, upper = scipy.linalg.lu(random_rotation(channels, rng))
        s = np.diag(upper)
        self.rows = Constant(permutation.argmax(axis=1))
        self.sign_s = Constant(np.sign(s))
        self.lower = Parameter(np.tril(lower, -1))
        self.upper = Parameter(np.triu(upper, 1))
        self.log_s = Parameter(np.log(np.abs(s)))

    def factors(self) -> tuple[Array, Array, Array]:
        """P L, U + diag(s), and s."""
        xp = namespace(self.log_s.value)
        s = self.sign_s.value * xp.exp(self.log_s.value)
        L = xp.tril(self.lower.value, -1) + xp.eye(self.channels, dtype=s.dtype)
        return L[self.rows.value], xp.triu(self.upper.value, 1) + xp.diag(s), s

    def matrix(self) -> Array:
        PL, Us, _ = self.factors()
        return PL @ Us

    def log_abs_det(self) -> Array:
        return self.log_s.value.sum(dtype=namespace(self.log_s.value).float64)  # equation 11

    def add_gradients(self, dW: Array, dlog_abs_det: Array, W_inverse: Array) -> None:
        # W = P L Us:  dL = P^T dW Us^T,  dUs = (P L)^T dW;  ds is the diagonal of dUs, and dlog_s = s ds + dlog|det|
        xp = namespace(dW)
        PL, Us, s = self.factors()
        dUs = PL.T @ dW
        self.lower.grad[...] += xp.tril((dW @ Us.T)[self.rows.value.argsort()], -1)
        self.upper.grad[...] += xp.triu(dUs, 1)
        self.log_s.grad[...] += xp.diag(dUs) * s + dlog_abs_det.astype(dW.dtype)
