"""One array, two views: images (N, H, W, C), and a matrix (C, P) whose columns are the P = N H W pixels.

In memory the channels of this library are planes: the channel is the slowest axis, as in (C, N, H, W), though every
array is indexed (N, H, W, C). NumPy keeps the order of memory through element-wise work, slices and concatenation. So
a half of the channels is one block, a per-channel scale is one number a block, a matrix on the channels is one product
W @ pixels, and inner loops are thousands of numbers long instead of six. Any other order gives the same results, slower.
"""

from __future__ import annotations

from glowlite.arrays.backend import Array


def pixel_matrix(x: Array) -> Array:
    """(N, H, W, C) -> (C, N H W): a view where the channels are planes, else a copy."""
    return x.transpose(3, 0, 1, 2).reshape(x.shape[3], -1)


def to_images(columns: Array, shape: tuple[int, ...]) -> Array:
    """(C', N H W) -> (N, H, W, C'), a view; `shape` gives N, H, W."""
    n, h, w = shape[:3]
    return columns.reshape(-1, n, h, w).transpose(1, 2, 3, 0)
