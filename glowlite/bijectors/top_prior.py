r"""The learned prior of the last latents, as an affine layer (equation 1 with a learned Gaussian).

    eps = (z - mean) * exp(-logs)         z = mean + eps * exp(logs)         log|det| = -sum logs

mean and logs, (H, W, C), are the output of a 3x3 convolution applied to zeros, as in the original
code: its bias and, with a border channel, a map that varies along the edge. The weights that
multiply zeros never learn anything. They are kept because the original has them: parameter counts
agree, and weights can be converted in both directions.
"""

from __future__ import annotations

from glowlite.arrays.backend import Array, namespace
from glowlite.arrays.checks import check_images
from glowlite.bijectors.base import Bijector, Cache
from glowlite.conditioners.zero_conv import ZeroConv


class TopPrior(Bijector):
    """z, eps: (N, H, W, C).

    `prior`: a ZeroConv from 2C to 2C channels; mean is its first half, logs its second.
    """

    def __init__(self, channels: int, with_border: bool = True, output_scale: bool = True) -> None:
        self.channels = channels
        self.prior = ZeroConv(2 * channels, 2 * channels, with_border, output_scale)

    def mean_and_logs(self, z: Array) -> tuple[Array, Array, Cache]:
        """Return mean and logs, each (1, H, W, C), for the height and width of `z`."""
        check_images("TopPrior", z, self.channels, self.prior.conv.bias.value.dtype)
        zeros = namespace(z).zeros((1, *z.shape[1:3], 2 * self.channels), z.dtype)
        net_output, cache = self.prior.forward(zeros)
        mean, logs = net_output[..., : self.channels], net_output[..., self.channels :]
        return mean, logs, cache

    def forward(self, x: Array) -> tuple[Array, Array]:
        xp = namespace(x)
        mean, logs, _ = self.mean_and_logs(x)
        return (x - mean) * xp.exp(-logs), xp.zeros(len(x), xp.float64) - logs.sum(dtype=xp.float64)

    def inverse(self, y: Array) -> Array:
        mean, logs, _ = self.mean_and_logs(y)
        return mean + y * namespace(y).exp(logs)

    def backward(
        self, y: Array, dy: Array, dlogdet: Array, cache: Cache = None
    ) -> tuple[Array, Array]:
        xp = namespace(y)
        mean, logs, net_cache = self.mean_and_logs(y)
        scale = xp.exp(logs)
        dz = dy / scale
        # as in Split, with one prior for all samples
        dmean = -dz.sum(axis=0, keepdims=True)
        dlogs = -(y * dy).sum(axis=0, keepdims=True) - dlogdet.sum().astype(y.dtype)
        self.prior.backward(xp.concatenate((dmean, dlogs), axis=-1), net_cache)
        return mean + y * scale if cache is None else cache, dz
