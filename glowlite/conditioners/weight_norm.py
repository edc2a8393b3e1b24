r"""Convolutions whose weights have a direction v and a length g, per output channel c.

    w_c = g_c v_c / ||v_c||          y = w^T columns(x) + b

`columns` are the nine neighbours of each pixel (0 outside the image), or only the pixel itself: see
`gather_scatter`. There is no epsilon: v = 0 has no direction.
"""

from __future__ import annotations

import numpy as np

from glowlite.arrays.arguments import shown
from glowlite.arrays.backend import Array, namespace
from glowlite.arrays.layout import pixel_matrix, to_images
from glowlite.arrays.parameters import Parameter, Parameterized
from glowlite.conditioners.gather_scatter import gather, scatter
from glowlite.errors import GlowliteError

STARTS = ("authors", "torch", "zero")


class WeightNormConv(Parameterized):
    """x: (N, H, W, C_in) -> y: (N, H, W, C_out), of side 1 or 3, padded with zeros.

    `v`: (side^2, C_in, C_out), taps in the order dy, dx. `g` (C_out,) is trained; None fixes it at
    1. `bias`, (C_out,), is trained; None fixes it at 0.
    """

    def __init__(
        self, v: np.ndarray, g: np.ndarray | None = None, bias: np.ndarray | None = None
    ) -> None:
        self.v = Parameter(v)
        self.g = None if g is None else Parameter(g)
        self.bias = None if bias is None else Parameter(bias)

    @property
    def is_3x3(self) -> bool:
        return len(self.v.value) == 9

    def direction(self) -> tuple[Array, Array]:
        """Return v / ||v||, with the shape of v, and ||v||, (C_out,)."""
        xp, v = namespace(self.v.value), self.v.value
        norm = xp.sqrt(xp.square(v).sum(axis=(0, 1)))
        return v / norm, norm

    def weight(self) -> Array:
        """Return w, with the shape of v."""
        direction, _ = self.direction()
        return direction if self.g is None else direction * self.g.value

    def columns(self, x: Array) -> Array:
        """(side^2 C_in, P)."""
        return gather(x) if self.is_3x3 else pixel_matrix(x)

    def forward(self, x: Array) -> Array:
        w = self.weight()
        y = w.reshape(-1, w.shape[-1]).T @ self.columns(x)
        if self.bias is not None:
            y += self.bias.value[:, None]
        return to_images(y, x.shape)

    def backward(self, dy: Array, x: Array) -> Array:
        """Return dx, given the input of `forward`; gradients of the parameters are added."""
        w, dy_matrix = self.weight(), pixel_matrix(dy)
        # y = w^T columns + b:  dw = columns dy^T,  dcolumns = w dy,  db = sum dy
        self.add_gradients((self.columns(x) @ dy_matrix.T).reshape(w.shape))
        if self.bias is not None:
            self.bias.grad[...] += dy_matrix.sum(axis=1)
        dcolumns = w.reshape(-1, w.shape[-1]) @ dy_matrix
        return scatter(dcolumns, x.shape) if self.is_3x3 else to_images(dcolumns, x.shape)

    def add_gradients(self, dw: Array) -> None:
        """Convert a gradient with respect to w, and add it to those of v and g."""
        direction, norm = self.direction()
        # w = g n, n = v/||v||, dn/dv = (1 - n n^T)/||v||: the part along v does not turn v dg = n .
        # dw,  dv = g/||v|| (dw - n (n . dw))
        along = (direction * dw).sum(axis=(0, 1))
        slope = 1 / norm if self.g is None else self.g.value / norm
        self.v.grad[...] += slope * (dw - direction * along)
        if self.g is not None:
            self.g.grad[...] += along

    @classmethod
    def drawn(
        cls,
        side: int,
        in_channels: int,
        out_channels: int,
        rng: np.random.Generator,
        trains_g: bool = True,
        has_bias: bool = True,
        start: str = "authors",
    ) -> WeightNormConv:
        """Return a convolution whose v is drawn from U(-r, r); `start` determines r, for n = C_in
        and k = side^2 taps:

        authors   r = sqrt(2 / n),    g = r sqrt(n k / 12), which is half of ||v||,  b = 0
        torch     r = 1 / sqrt(n k),  g = ||v||,                                     b ~ U(-r, r)
        zero      as authors, but g = 0: its output starts at 0

        Raises GlowliteError for any other word.
        """
        if start not in STARTS:
            raise GlowliteError(
                f"WeightNormConv: start must be one of {', '.join(STARTS)}, got {shown(start)}"
            )
        taps = side * side
        r = 1 / np.sqrt(in_channels * taps) if start == "torch" else np.sqrt(2 / in_channels)
        v = rng.uniform(-r, r, (taps, in_channels, out_channels))
        g = {
            "authors": np.full(out_channels, r * np.sqrt(in_channels * taps / 12)),
            "torch": np.sqrt(np.square(v).sum(axis=(0, 1))),
            "zero": np.zeros(out_channels),
        }[start]
        bias = rng.uniform(-r, r, out_channels) if start == "torch" else np.zeros(out_channels)
        return cls(v, g if trains_g else None, bias if has_bias else None)
