r"""A weight-normalised convolution on blocks of images, one block at a time.

    y[p] = sum_k w_k^T z[p + k] over the taps k: nine, or only the pixel itself

The backward pass gathers once for both products. Where y has as many channels as z, or fewer, with
G = gather(dy), G_k[q] = dy[q + k]:

    dz[q] = sum_k w_{-k} G_k[q]          dw_{-k} = sum_q z[q] G_k[q]^T

and where z has fewer, with those of z, as in WeightNormConv.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from glowlite.arrays.backend import Array
from glowlite.arrays.layout import pixel_matrix, to_images
from glowlite.arrays.slices import in_order
from glowlite.conditioners.weight_norm import WeightNormConv
from glowlite.fast.columns import gather, scatter


@dataclass(frozen=True)
class Block:
    """A block of images of a batch: its `index`, its `columns`, its `shape` (n, H, W, any)."""

    index: int
    columns: slice
    shape: tuple[int, ...]


class BlockedConv:
    """`conv` during one pass, with its current weights.

    `matmul`: the function for matrix products. `blocks`: number of blocks.
    """

    def __init__(self, conv: WeightNormConv, matmul: Any, blocks: int) -> None:
        self.conv, self.matmul, self.weight = conv, matmul, conv.weight()
        taps, self.inputs, self.outputs = self.weight.shape
        self.is_3x3, self.gathers_z = taps == 9, self.inputs < self.outputs
        # w_{-k}, (C_in, taps C_out)
        self.turned = self.weight[::-1].transpose(1, 0, 2).reshape(self.inputs, -1)
        self.gradients: list[Any] = [None] * blocks  # of w and b

    def forward(self, block: Block, z: Array, out: Array) -> Array:
        """Return y (C_out, p) in `out`, from z (C_in, p)."""
        columns = gather(to_images(z, block.shape)) if self.is_3x3 else z
        self.matmul(self.weight.reshape(-1, self.outputs).T, columns, out=out)
        if self.conv.bias is not None:
            out += self.conv.bias.value[:, None]
        return out

    def backward(self, block: Block, dy: Array, z: Array) -> Array:
        """Return dz (C_in, p); the block's contribution to the gradients is stored."""
        if self.is_3x3 and self.gathers_z:
            columns = gather(to_images(z, block.shape))
            dw = self.matmul(columns, dy.T).reshape(self.weight.shape)
            dcolumns = self.matmul(self.weight.reshape(-1, self.outputs), dy)
            dz = pixel_matrix(scatter(dcolumns, block.shape))
        else:
            columns = gather(to_images(dy, block.shape)) if self.is_3x3 else dy
            turned = self.matmul(z, columns.T).reshape(self.inputs, -1, self.outputs)
            dw = turned.transpose(1, 0, 2)[::-1]
            dz = self.matmul(self.turned, columns)
        self.gradients[block.index] = dw, dy.sum(axis=1)
        return dz

    def add_gradients(self) -> None:
        """Add the contributions of all blocks to the parameters' gradients, in the order of the
        blocks.
        """
        dw, dbias = (in_order(parts) for parts in zip(*self.gradients, strict=True))
        self.conv.add_gradients(dw)
        if self.conv.bias is not None:
            self.conv.bias.grad[...] += dbias
