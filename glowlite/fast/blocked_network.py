"""The fast form of RealNVP's network: blocks of images run in parallel and synchronise at every
batch normalisation.

Between two normalisations, each block has one task: the first normalisation, a ReLU, a gather, a
product, and the moments that the second normalisation needs. So the hidden activations of a block
stay in the cache, and a pass keeps only what is normalised: h, r (inside a residual block), and s.
How a batch is split depends only on its shape, and sums over blocks are taken in order. So results
are bitwise equal for any number of threads.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from glowlite.arrays.backend import Array
from glowlite.arrays.layout import pixel_matrix, to_images
from glowlite.conditioners.base import Cache
from glowlite.conditioners.batch_norm import NetworkBatchNorm
from glowlite.conditioners.residual_network import ResidualBlock, ResidualNetwork
from glowlite.conditioners.weight_norm import WeightNormConv
from glowlite.fast.activation import Activation, Moments, Sums, moments
from glowlite.fast.blocked_conv import Block, BlockedConv
from glowlite.fast.threads import Workers

Parts = list[Moments | None]  # moments of what is normalised next, per block
Task = Callable[[Block], Any]


class BlockedResidualNetwork(ResidualNetwork):
    """A ResidualNetwork with the same parameters; see there. `workers`: the threads that run the
    blocks.
    """

    workers: Workers

    def forward(self, x: Array) -> tuple[Array, Cache]:
        self.check(x)
        a_in, cache_in = self.enter(x)
        run, z_in = Pass(self, x), pixel_matrix(a_in)
        conv_in, skip_in = run.conv(self.conv_in), run.conv(self.skip_in)
        h, s = run.empty(self.width), run.empty(self.width)
        norms = [*(block.norm1 for block in self.blocks), self.norm_out]  # of h, ..., h, s

        def begin(b: Block) -> Moments | None:
            conv_in.forward(b, z_in[:, b.columns], h[:, b.columns])
            skip_in.forward(b, h[:, b.columns], s[:, b.columns])
            return moments_for(norms[0], (h if self.blocks else s)[:, b.columns])

        parts, kept = run.map(begin), []
        for i, block in enumerate(self.blocks):
            is_last = i == len(self.blocks) - 1
            inputs = h, s, parts
            h, parts, cache = block_forward(run, block, inputs, norms[i + 1], is_last)
            kept.append(cache)
        act_out, conv_out = Activation(self.norm_out, parts, run.count), run.conv(self.conv_out)
        out = run.empty(conv_out.outputs)

        def end(b: Block) -> None:
            conv_out.forward(b, act_out.behind(act_out.normal(s[:, b.columns])), out[:, b.columns])

        run.map(end)
        return to_images(out, x.shape), (a_in, cache_in, kept, h, act_out, s)

    def backward(self, dh: Array, cache: Cache) -> Array:
        a_in, cache_in, kept, last_h, act_out, s = cache
        run, z_in, dout = Pass(self, dh), pixel_matrix(a_in), pixel_matrix(dh)
        conv_in, skip_in, conv_out = map(run.conv, (self.conv_in, self.skip_in, self.conv_out))
        ds, dh_columns, da_in = run.empty(self.width), run.empty(self.width), run.empty(len(z_in))
        act_out.meet(run.map(lambda b: behind_relu(b, conv_out, act_out, dout, s, ds)))

        def from_out(b: Block) -> None:
            act_out.backward(ds[:, b.columns], s[:, b.columns])
            dh_columns[:, b.columns] = 0

        arrive: Callable[[Block], None] = from_out
        hs = [*(h for _, h, _, _ in kept), last_h]
        for block, block_cache, h in reversed(list(zip(self.blocks, kept, hs[1:], strict=True))):
            arrive = block_backward(run, block, block_cache, h, ds, dh_columns, arrive)

        def begin(b: Block) -> None:
            arrive(b)
            dh_b = dh_columns[:, b.columns]
            dh_b += skip_in.backward(b, ds[:, b.columns], hs[0][:, b.columns])
            da_in[:, b.columns] = conv_in.backward(b, dh_b, z_in[:, b.columns])

        run.map(begin)
        run.add_gradients()
        return self.enter_backward(to_images(da_in, a_in.shape), a_in, cache_in)


class Pass:
    """A batch like x (N, H, W, C) split into blocks, and the convolutions that it passes through.

    `count`: its number of columns.
    """

    def __init__(self, net: BlockedResidualNetwork, x: Array) -> None:
        n, height, width, _ = x.shape
        pixels = height * width
        # the largest array of a block is the gathered one
        tiles = net.workers.tiles(n, pixels, 9 * net.width)
        self.blocks = [
            Block(i, slice(t.start * pixels, t.stop * pixels), (t.stop - t.start, height, width, 0))
            for i, t in enumerate(tiles)
        ]
        self.count, self.dtype, self.workers = n * pixels, x.dtype, net.workers
        self.convs: list[BlockedConv] = []

    def map(self, task: Task) -> list[Any]:
        return self.workers.map(task, self.blocks)

    def conv(self, conv: WeightNormConv) -> BlockedConv:
        self.convs.append(BlockedConv(conv, self.workers.matmul, len(self.blocks)))
        return self.convs[-1]

    def add_gradients(self) -> None:
        for conv in self.convs:
            conv.add_gradients()

    def empty(self, channels: int) -> Array:
        return np.empty((channels, self.count), self.dtype)


def block_forward(
    run: Pass, block: ResidualBlock, inputs: tuple[Array, Array, Parts], norm: Any, is_last: bool
) -> tuple[Array, Parts, Cache]:
    """Return h after a residual block, the moments of what `norm` normalises, and the cache; s, to
    which the block's skip is added, is changed.
    """
    h, s, parts = inputs
    conv1, conv2, skip = (run.conv(conv) for conv in (block.conv1, block.conv2, block.skip))
    act1, r, new = Activation(block.norm1, parts, run.count), run.empty(len(h)), run.empty(len(h))

    def inside(b: Block) -> Moments | None:
        conv1.forward(b, act1.behind(act1.normal(h[:, b.columns])), r[:, b.columns])
        return moments_for(block.norm2, r[:, b.columns])

    act2 = Activation(block.norm2, run.map(inside), run.count)

    def outside(b: Block) -> Moments | None:
        new_b, s_b = new[:, b.columns], s[:, b.columns]
        conv2.forward(b, act2.behind(act2.normal(r[:, b.columns])), new_b)
        new_b += h[:, b.columns]
        s_b += skip.forward(b, new_b, np.empty_like(new_b))
        return moments_for(norm, s_b if is_last else new_b)

    return new, run.map(outside), (act1, h, act2, r)


def block_backward(
    run: Pass,
    block: ResidualBlock,
    cache: Cache,
    h_out: Array,
    ds: Array,
    dh: Array,
    arrive: Callable[[Block], None],
) -> Callable[[Block], None]:
    """Go from dh after a residual block, which is complete once `arrive` has run, to dh before it.
    Returns the function to run next on each block of images.
    """
    act1, h, act2, r = cache
    conv1, conv2, skip = (run.conv(conv) for conv in (block.conv1, block.conv2, block.skip))
    dy = run.empty(len(h))

    def outside(b: Block) -> Sums | None:
        arrive(b)
        dh_b = dh[:, b.columns]
        dh_b += skip.backward(b, ds[:, b.columns], h_out[:, b.columns])
        return behind_relu(b, conv2, act2, dh, r, dy)

    def inside(b: Block) -> Sums | None:
        act2.backward(dy[:, b.columns], r[:, b.columns])  # dr
        return behind_relu(b, conv1, act1, dy, h, dy)

    def depart(b: Block) -> None:
        dh_b = dh[:, b.columns]
        dh_b += act1.backward(dy[:, b.columns], h[:, b.columns])

    act2.meet(run.map(outside))
    act1.meet(run.map(inside))
    return depart


def behind_relu(
    b: Block, conv: BlockedConv, act: Activation, dout: Array, h: Array, dy: Array
) -> Sums | None:
    """Go from dout of conv(act(h)) to dy before the ReLU, and return the sums that the norm
    needs.
    """
    u, dy_b = act.normal(h[:, b.columns]), dy[:, b.columns]
    z = act.behind(u)
    dz = conv.backward(b, dout[:, b.columns], z)
    np.multiply(dz, z > 0, out=dy_b)
    return act.sums(dy_b, u)


def moments_for(norm: NetworkBatchNorm | None, h: Array) -> Moments | None:
    """Return the moments of h if a norm needs them."""
    return moments(h) if norm is not None and norm.statistics.is_training else None
