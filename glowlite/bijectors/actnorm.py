r"""Activation normalisation: one scale and one shift a channel (Table 1, row 1).

    y = s * x + b          x = (y - b) / s          log|det| = H W sum_c log|s_c|

Two parametrisations of (s, b), see `docs/paper_and_code.md`:
`paper`: s and b themselves. `openai`: y = (x + b') * exp(3 logs), so s = exp(3 logs) and b = b' s.
"""

from __future__ import annotations

import numpy as np

from glowlite.arrays.backend import Array, namespace
from glowlite.arrays.checks import check_images
from glowlite.arrays.kernels import launch
from glowlite.arrays.layout import pixel_matrix, to_images
from glowlite.arrays.parameters import Parameter
from glowlite.arrays.statistics import LOGS_FACTOR, STD_FLOOR, Total, channel_statistics, of_one
from glowlite.bijectors.base import Bijector, Kept
from glowlite.errors import GlowliteError


class ActNorm(Bijector):
    """Per-channel affine map, started so that the first batch leaves with zero mean and unit variance.

    x, y: (N, H, W, C). Parameters: `scale`, `bias` (paper) or `bias`, `logs` (openai), each (C,). Cost: O(N H W C).
    """

    def __init__(self, channels: int, parametrisation: str = "openai") -> None:
        self.parametrisation = parametrisation
        if parametrisation == "paper":
            self.scale = Parameter(np.ones(channels))
            self.bias = Parameter(np.zeros(channels))
        elif parametrisation == "openai":
            self.bias = Parameter(np.zeros(channels))
            self.logs = Parameter(np.zeros(channels))
        else:
            raise GlowliteError(f"ActNorm: parametrisation must be 'paper' or 'openai', got {parametrisation!r}")

    def scale_and_shift(self) -> tuple[Array, Array, Array]:
        """s, b and log|s|, each (..., C): for a stack of layers, too."""
        if self.parametrisation == "paper":
            s = self.scale.value
            return s, self.bias.value, namespace(s).log(abs(s))
        log_s = LOGS_FACTOR * self.logs.value
        s = namespace(log_s).exp(log_s)
        return s, self.bias.value * s, log_s

    def forward(self, x: Array) -> tuple[Array, Array]:
        check_images("ActNorm.forward", x, len(self.bias.value), self.bias.value.dtype)
        xp = namespace(x)
        s, b, log_s = self.scale_and_shift()
        logdet = x.shape[1] * x.shape[2] * log_s.sum(dtype=xp.float64)
        return scaled_and_shifted(x, s, b), xp.zeros(x.shape[0], xp.float64) + logdet

    def inverse(self, y: Array) -> Array:
        check_images("ActNorm.inverse", y, len(self.bias.value), self.bias.value.dtype)
        s, b, _ = self.scale_and_shift()
        return scaled_and_shifted(y, 1 / s, -b / s) if namespace(y) is not np else (y - b) / s

    def backward(self, y: Array, dy: Array, dlogdet: Array, kept: Kept = None) -> tuple[Array, Array]:
        x = self.inverse(y) if kept is None else kept
        s, _, _ = self.scale_and_shift()
        # y = s x + b:  db = sum dy,  s ds = sum s x dy + H W sum_n dlogdet   (d log|s| / ds = 1/s)
        dx = s * dy
        db = dy.sum(axis=(0, 1, 2))
        s_ds = (dx * x).sum(axis=(0, 1, 2)) + (y.shape[1] * y.shape[2] * dlogdet.sum()).astype(y.dtype)
        self.add_gradients(s_ds, db)
        return x, dx

    def add_gradients(self, s_ds: Array, db: Array) -> None:
        """Add what gradients of s, times s, and of b, each (..., C), mean for the parameters."""
        s, b, _ = self.scale_and_shift()
        if self.parametrisation == "paper":
            self.scale.grad[...] += s_ds / s
            self.bias.grad[...] += db
        else:
            # s = exp(3 logs), b = b' s:  db' = s db,  dlogs = 3 (s ds + b db)
            self.bias.grad[...] += s * db
            self.logs.grad[...] += LOGS_FACTOR * (s_ds + b * db)

    def initialize(self, x: Array, total: Total = of_one) -> Array:
        """Zero mean and unit variance for every channel of `x`. Raises for a channel that is constant over the batch."""
        mean, std = channel_statistics("ActNorm.initialize", x, total)
        if self.parametrisation == "paper":
            self.scale.value[...] = 1.0 / (std + STD_FLOOR)
            self.bias.value[...] = -mean / (std + STD_FLOOR)
        else:
            self.bias.value[...] = -mean
            self.logs.value[...] = -namespace(std).log(std + STD_FLOOR) / LOGS_FACTOR
        return self.forward(x)[0]


def scaled_and_shifted(x: Array, s: Array, b: Array) -> Array:
    """s x + b, one s and one b a channel: (N, H, W, C) and (C,)."""
    xp = namespace(x)
    if xp is np:
        return x * s + b
    columns = xp.ascontiguousarray(pixel_matrix(x))
    y = xp.empty(columns.shape, x.dtype)
    launch(xp, "scale_and_shift", *SCALE_AND_SHIFT, y.size, columns, s, b, y, columns.shape[1])
    return to_images(y, x.shape)


SCALE_AND_SHIFT = (
    "const T* x, const T* s, const T* b, T* y, const int pixels",
    "  y[i] = x[i] * s[i / pixels] + b[i / pixels];\n",
)
