"""One array, two views: images (N, H, W, C), and a matrix (C, P) whose columns are the P = N H W
pixels.

Vectors (N, C) are images of one pixel: (C, N). In memory the channels of this library are planes:
the channel is the slowest axis, as in (C, N, H, W), though every array is indexed (N, H, W, C).
NumPy keeps the order of memory through element-wise work, slices and concatenation. So a half of
the channels is one block, a per-channel scale is one number per block, a matrix on the channels is
one product W @ pixels, and inner loops are thousands of numbers long instead of six. Any other
order gives the same results, slower.
"""

from __future__ import annotations

import math

from glowlite.arrays.backend import Array, namespace


def pixel_matrix(x: Array) -> Array:
    """(N, ..., C) -> (C, P): a view where the channels are planes, else a copy."""
    # transpose, and not moveaxis, which is Python and takes ten times as long
    return x.transpose(x.ndim - 1, *range(x.ndim - 1)).reshape(x.shape[-1], -1)


def to_images(columns: Array, shape: tuple[int, ...]) -> Array:
    """(C', P) -> (N, ..., C'), a view; `shape`, (N, ..., any), gives all but the channels."""
    return columns.reshape(-1, *shape[:-1]).transpose(*range(1, len(shape)), 0)


def positions(x: Array) -> int:
    """How many pixels a sample of x (N, ..., C) has: H W of an image, 1 of a vector."""
    return math.prod(x.shape[1:-1])


def per_sample(values: Array, like: Array) -> Array:
    """values (N,) in the dtype of `like` (N, ...), shaped to be broadcast against it."""
    return values.astype(like.dtype).reshape(-1, *[1] * (like.ndim - 1))


def sum_per_sample(x: Array) -> Array:
    """The sum of each sample of x (N, ...), (N,), taken in float64."""
    return x.sum(axis=tuple(range(1, x.ndim)), dtype=namespace(x).float64)


def interleaved(even: Array, odd: Array) -> Array:
    """Channels even_0, odd_0, even_1, ...: (N, ..., C/2) twice -> (N, ..., C), in planes as every
    array here.
    """
    xp = namespace(even)
    *places, half = even.shape
    both = to_images(xp.empty((2 * half, *places), even.dtype), (*places, 2 * half))
    both[..., 0::2], both[..., 1::2] = even, odd
    return both
