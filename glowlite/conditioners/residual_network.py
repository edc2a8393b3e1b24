r"""RealNVP's network: residual blocks, with a skip connection to the output after each.

    h = conv3x3(relu([u, -u])), u = norm(x)                          s = conv1x1(h)
    a block:  h = h + conv3x3(relu(norm(conv3x3(relu(norm(h))))))    s = s + conv1x1(h)
    out = conv1x1(relu(norm(s)))

Every norm is a batch normalisation, and every convolution has normalised weights. In training, the
output of a sample depends on the statistics of the whole batch.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from glowlite.arrays.arguments import shown
from glowlite.arrays.backend import Array, namespace
from glowlite.arrays.checks import check_images
from glowlite.arrays.parameters import Parameter, Parameterized, map_part
from glowlite.arrays.statistics import SumOverProcesses, this_process
from glowlite.conditioners.base import Cache, Conditioner
from glowlite.conditioners.batch_norm import NetworkBatchNorm
from glowlite.conditioners.weight_norm import STARTS, WeightNormConv
from glowlite.errors import GlowliteError

Norm = NetworkBatchNorm | None


class ResidualNetwork(Conditioner):
    """x: (N, H, W, C_in) -> out: (N, H, W, C_out).

    `width`: the channels of h and s. `blocks`: number of residual blocks. `mask`: whether the last
    channel of x is a mask, which is neither normalised nor negated. `doubled`: u is 2 norm(x).
    `batch_norm`: False leaves out every norm; `gain`, `eps`, `unbiased` are passed to
    NetworkBatchNorm. `trains_g`: train g in `all` convolutions, or only in `some`, those that no
    norm follows directly; other g are fixed at 1. `start`: initialisation of the weights, `authors`
    or `torch`, see WeightNormConv, or `zero`: like `authors`, but the output starts at 0. Cost: 2 N
    H W width (18 C_in + (19 blocks + 1) width + C_out) FLOPs.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        width: int,
        blocks: int,
        rng: np.random.Generator,
        mask: bool = False,
        doubled: bool = False,
        batch_norm: bool = True,
        gain: bool = False,
        eps: float = 1e-4,
        unbiased: bool = False,
        trains_g: str = "some",
        start: str = "authors",
    ) -> None:
        if trains_g not in ("all", "some"):
            raise GlowliteError(
                f"ResidualNetwork: trains_g must be 'all' or 'some', got {trains_g!r}"
            )
        if start not in STARTS:
            raise GlowliteError(
                f"ResidualNetwork: start must be one of {', '.join(STARTS)}, got {shown(start)}"
            )
        self.in_channels, self.width, self.doubled = in_channels, width, doubled
        self.inputs = in_channels - mask

        def norm(channels: int) -> Norm:
            return NetworkBatchNorm(channels, eps, gain, unbiased) if batch_norm else None

        def conv(side: int, n: int, m: int, trained: bool = True, **more: Any) -> WeightNormConv:
            options = {"start": "torch" if start == "torch" else "authors", **more}
            return WeightNormConv.drawn(side, n, m, rng, trained or trains_g == "all", **options)

        self.norm_in = norm(self.inputs)
        self.conv_in = conv(3, self.inputs + in_channels, width, False)
        self.skip_in = conv(1, width, width)
        self.blocks = [ResidualBlock(width, norm, conv) for _ in range(blocks)]
        self.norm_out = norm(width)
        self.conv_out = conv(1, width, out_channels, start=start)

    def forward(self, x: Array) -> tuple[Array, Cache]:
        self.check(x)
        a_in, cache_in = self.enter(x)
        h = self.conv_in.forward(a_in)
        s = self.skip_in.forward(h)
        hs, block_caches = [h], []
        for block in self.blocks:
            h, block_cache = block.forward(h)
            s = s + block.skip.forward(h)
            hs.append(h)
            block_caches.append(block_cache)
        a_out, cache_out = activate(self.norm_out, s)
        out = self.conv_out.forward(a_out)
        return out, (a_in, cache_in, hs, block_caches, a_out, cache_out)

    def backward(self, dh: Array, cache: Cache) -> Array:
        a_in, cache_in, hs, block_caches, a_out, cache_out = cache
        da_out = self.conv_out.backward(dh, a_out)
        ds = activate_backward(self.norm_out, da_out, a_out, cache_out)
        dh = 0  # gradient of the last h, without what comes through its skip
        for block, h, block_cache in reversed(
            list(zip(self.blocks, hs[1:], block_caches, strict=True))
        ):
            dh = block.backward(dh + block.skip.backward(ds, h), block_cache)
        dh = dh + self.skip_in.backward(ds, hs[0])
        return self.enter_backward(self.conv_in.backward(dh, a_in), a_in, cache_in)

    def enter(self, x: Array) -> tuple[Array, Cache]:
        """Return relu([u, -u, mask]), and the cache of the norm."""
        xp = namespace(x)
        u, mask = x[..., : self.inputs], x[..., self.inputs :]
        u, cache = (u, None) if self.norm_in is None else self.norm_in.forward(u)
        u = 2 * u if self.doubled else u
        return xp.maximum(xp.concatenate((u, -u, mask), axis=-1), 0), cache

    def enter_backward(self, da: Array, a: Array, cache: Cache) -> Array:
        """Return dx: back through the ReLU, the pair u and -u, and the norm."""
        dv, c = da * (a > 0), self.inputs
        du = dv[..., :c] - dv[..., c : 2 * c]  # u occurs as u and as -u
        du = 2 * du if self.doubled else du
        du = du if self.norm_in is None else self.norm_in.backward(du, cache)
        return namespace(da).concatenate((du, dv[..., 2 * c :]), axis=-1)

    def initialize(self, x: Array, total: SumOverProcesses = this_process) -> Array:
        """Set all running statistics from the batch x. Returns out."""

        def starting(part: Any) -> Any:
            if isinstance(part, NetworkBatchNorm):
                return _Starting(part, total)
            return part if isinstance(part, Parameter) else map_part(part, starting)

        return ResidualNetwork.forward(map_part(self, starting), x)[0]

    def check(self, x: Array) -> None:
        check_images("ResidualNetwork", x, self.in_channels, self.conv_in.v.value.dtype)


class ResidualBlock(Parameterized):
    """h -> h + conv2(relu(norm2(conv1(relu(norm1(h)))))), and a `skip` that runs beside it."""

    def __init__(
        self, width: int, norm: Callable[[int], Norm], conv: Callable[..., WeightNormConv]
    ) -> None:
        self.norm1 = norm(width)
        # norm2 would remove a bias
        self.conv1 = conv(3, width, width, False, has_bias=self.norm1 is None)
        self.norm2 = norm(width)
        self.conv2 = conv(3, width, width)
        self.skip = conv(1, width, width)

    def forward(self, h: Array) -> tuple[Array, Cache]:
        a1, cache1 = activate(self.norm1, h)
        r = self.conv1.forward(a1)
        a2, cache2 = activate(self.norm2, r)
        return h + self.conv2.forward(a2), (a1, cache1, a2, cache2)

    def backward(self, dh: Array, cache: Cache) -> Array:
        a1, cache1, a2, cache2 = cache
        da2 = self.conv2.backward(dh, a2)
        dr = activate_backward(self.norm2, da2, a2, cache2)
        da1 = self.conv1.backward(dr, a1)
        return dh + activate_backward(self.norm1, da1, a1, cache1)


def activate(norm: Norm, x: Array) -> tuple[Array, Cache]:
    """Return relu(norm(x)), and the cache of the norm."""
    y, cache = (x, None) if norm is None else norm.forward(x)
    return namespace(y).maximum(y, 0), cache


def activate_backward(norm: Norm, da: Array, a: Array, cache: Cache) -> Array:
    """Return dx; gradients of the norm are added."""
    dy = da * (a > 0)
    return dy if norm is None else norm.backward(dy, cache)


class _Starting:
    """A norm whose forward sets its running statistics, as `initialize` does."""

    def __init__(self, norm: NetworkBatchNorm, total: SumOverProcesses) -> None:
        self.norm, self.total = norm, total

    def forward(self, x: Array) -> tuple[Array, Cache]:
        return self.norm.initialize(x, self.total), None
