"""Couplings on a GPU: one kernel per pass, over all channels.

This file has what they share, and the additive coupling.
"""

from __future__ import annotations

from glowlite.arrays.backend import Array, namespace
from glowlite.arrays.layout import pixel_matrix, to_images
from glowlite.bijectors.base import Cache, zero_logdet
from glowlite.bijectors.coupling import AdditiveCoupling, Coupling
from glowlite.fast.cuda.columns import scatter
from glowlite.fast.cuda.launch import launch


class CudaCoupling(Coupling):
    """What the couplings share: the gradient through the network is added by the scatter kernel."""

    def backward(
        self, y: Array, dy: Array, dlogdet: Array, cache: Cache = None
    ) -> tuple[Array, Array]:
        if not hasattr(self.net, "backward_columns"):
            return super().backward(y, dy, dlogdet, cache)
        y1, _ = self.halves(y)
        x, net_output, net_cache = (None, *self.net.forward(y1)) if cache is None else cache
        x, dx, dnet_output = self.transform_backward(y, net_output, dy, dlogdet, x)
        dx1, _ = self.halves(dx)
        dcolumns = self.net.backward_columns(dnet_output, net_cache)
        scatter(dcolumns, dx1.shape, onto=dx1)
        return x, dx


class CudaAdditiveCoupling(CudaCoupling, AdditiveCoupling):
    """An AdditiveCoupling with the same parameters; see there."""

    computed_together = True  # together with the other steps of a level

    def transform(self, x: Array, net_output: Array) -> tuple[Array, Array]:
        return self._moved(x, net_output, 1.0), zero_logdet(x)

    def transform_inverse(self, y: Array, net_output: Array) -> Array:
        return self._moved(y, net_output, -1.0)

    def transform_backward(
        self, y: Array, net_output: Array, dy: Array, dlogdet: Array, x: Array | None
    ) -> tuple[Array, Array, Array]:
        dx = planes_like(dy)
        dx[...] = dy
        return self.transform_inverse(y, net_output) if x is None else x, dx, self.halves(dy)[1]

    def _moved(self, x: Array, net_output: Array, sign: float) -> Array:
        """Return x2 + sign net_output beside x1."""
        moved = planes_like(x)
        run_kernel(self, "additive", ADDITIVE, x, x, net_output, moved, sign)
        return moved


def run_kernel(
    coupling: Coupling, name: str, kernel: tuple[str, str], like: Array, *arguments: Array | float
) -> None:
    """Launch a kernel over the elements of one half: i = channel a, pixel p.

    In its body, `stays` and `changes` are their places in an array of all channels.
    """
    xp, half = namespace(like), like.shape[-1] // 2
    pixels = like[..., 0].size
    parameters, body = kernel
    passed = [
        xp.ascontiguousarray(pixel_matrix(a) if a.ndim > 1 else a) if hasattr(a, "ndim") else a
        for a in arguments
    ]
    launch(
        xp, name, f"{parameters}, const int pixels, const int half, const int"
                  " second", PLACES + body,
        half * pixels, *passed, pixels, half, coupling.changed == "second",
    )  # fmt: skip


def planes_like(x: Array) -> Array:
    """Return an array with the shape of x whose channels are planes; see
    `glowlite.arrays.layout`.
    """
    return to_images(namespace(x).empty((x.shape[-1], x[..., 0].size), x.dtype), x.shape)


# Element i of a half: channel a, pixel p, and its place in an array of all channels.
PLACES = """
  const int a = i / pixels, p = i % pixels;
  const int stays = (second ? a : half + a) * pixels + p;
  const int changes = (second ? half + a : a) * pixels + p;
"""

ADDITIVE = (
    "const T* x, const T* net_output, T* y, const double sign",
    """
  y[stays] = x[stays];
  y[changes] = x[changes] + T(sign) * net_output[i];
""",
)
