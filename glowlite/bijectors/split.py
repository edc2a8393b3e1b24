r"""Split: half of the channels leave as noise, and the prior of that noise depends on the half that
stays (section 3.6).

    z1, z2 = halves of x         eps = (z2 - mean) * exp(-logs),  (mean, logs) = prior(z1)
    z2 = mean + eps * exp(logs)                                   log|det| = -sum logs

So the learned prior N(mean, exp(logs)^2) of z2 is an affine coupling, and eps is N(0, I) under the
model.
"""

from __future__ import annotations

from glowlite.arrays.backend import Array, namespace
from glowlite.arrays.checks import check_half, check_images
from glowlite.arrays.layout import interleaved
from glowlite.arrays.parameters import Parameterized
from glowlite.bijectors.base import zero_logdet
from glowlite.conditioners.zero_conv import ZeroConv


class Split(Parameterized):
    """x: (N, H, W, C) -> h: (N, H, W, C/2), which goes on, and eps: (N, H, W, C/2), which leaves.

    `prior`: one 3x3 convolution C/2 -> C that starts at zero, mean = net_output[0::2],
    logs = net_output[1::2]; None for the fixed prior N(0, I), where eps = z2.
    """

    def __init__(self, channels: int, prior: ZeroConv | None) -> None:
        check_half("Split", channels)
        self.channels = channels
        self.prior = prior

    def forward(self, x: Array) -> tuple[Array, Array, Array]:
        check_images("Split.forward", x, self.channels, x.dtype)
        xp = namespace(x)
        h, z2 = xp.ascontiguousarray(x[..., : self.channels // 2]), x[..., self.channels // 2 :]
        if self.prior is None:
            return h, xp.ascontiguousarray(z2), zero_logdet(x)
        net_output, _ = self.prior.forward(h)
        mean, logs = net_output[..., 0::2], net_output[..., 1::2]
        return h, (z2 - mean) * xp.exp(-logs), -logs.sum(axis=(1, 2, 3), dtype=xp.float64)

    def inverse(self, h: Array, eps: Array) -> Array:
        xp = namespace(h)
        if self.prior is None:
            return xp.concatenate((h, eps), axis=-1)
        net_output, _ = self.prior.forward(h)
        return xp.concatenate(
            (h, net_output[..., 0::2] + eps * xp.exp(net_output[..., 1::2])), axis=-1
        )

    def backward(
        self, h: Array, eps: Array, dh: Array, deps: Array, dlogdet: Array
    ) -> tuple[Array, Array]:
        """Return x and dx; gradients of the prior are added. The prior's network runs once."""
        xp = namespace(h)
        if self.prior is None:
            return xp.concatenate((h, eps), axis=-1), xp.concatenate((dh, deps), axis=-1)
        net_output, cache = self.prior.forward(h)
        scale = xp.exp(net_output[..., 1::2])
        x = xp.concatenate((h, net_output[..., 0::2] + eps * scale), axis=-1)
        # eps = (z2 - mean) / scale:  dz2 = deps / scale,  dmean = -dz2
        # and log|det| = -sum logs:   dlogs = -eps deps - dlogdet
        dz2 = deps / scale
        dnet_output = interleaved(
            -dz2, -eps * deps - dlogdet.astype(net_output.dtype)[:, None, None, None]
        )
        return x, xp.concatenate((dh + self.prior.backward(dnet_output, cache), dz2), axis=-1)
