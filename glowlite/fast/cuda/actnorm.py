"""ActNorm on a GPU: s x + b in one kernel."""

from __future__ import annotations

from glowlite.arrays.backend import Array, namespace
from glowlite.arrays.checks import check_channels
from glowlite.arrays.layout import pixel_matrix, positions, to_images
from glowlite.bijectors.actnorm import ActNorm
from glowlite.bijectors.base import zero_logdet
from glowlite.fast.cuda.launch import launch


class CudaActNorm(ActNorm):
    """An ActNorm with the same parameters; see there."""

    computed_together = True  # together with the other steps of a level

    def forward(self, x: Array) -> tuple[Array, Array]:
        check_channels("ActNorm.forward", x, len(self.bias.value), self.bias.value.dtype)
        s, b, log_s = self.scale_and_shift()
        logdet = positions(x) * log_s.sum(dtype=namespace(x).float64)
        return scale_and_shift(x, s, b), zero_logdet(x) + logdet

    def inverse(self, y: Array) -> Array:
        check_channels("ActNorm.inverse", y, len(self.bias.value), self.bias.value.dtype)
        s, b, _ = self.scale_and_shift()
        return scale_and_shift(y, 1 / s, -b / s)


def scale_and_shift(x: Array, s: Array, b: Array) -> Array:
    """Return s x + b, with one s and one b per channel: (N, ..., C) and (C,)."""
    xp = namespace(x)
    columns = xp.ascontiguousarray(pixel_matrix(x))
    y = xp.empty(columns.shape, x.dtype)
    launch(xp, "scale_and_shift", *SCALE_AND_SHIFT, y.size, columns, s, b, y, columns.shape[1])
    return to_images(y, x.shape)


SCALE_AND_SHIFT = (
    "const T* x, const T* s, const T* b, T* y, const int pixels",
    "  y[i] = x[i] * s[i / pixels] + b[i / pixels];\n",
)
