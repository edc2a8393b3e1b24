"""One array, two views: images (N, H, W, C), and a matrix (C, P) whose columns are the P = N H W
pixels.

Vectors (N, C) are images of one pixel: (C, N). In memory, channels are planes: the channel is the
slowest axis, as in (C, N, H, W), although every array is indexed (N, H, W, C). NumPy preserves
memory order in element-wise work, slices and concatenation. So half of the channels is one block, a
scale per channel is one number per block, a matrix on the channels is one product W @ pixels, and
inner loops have thousands of numbers instead of six. Any other order gives the same results, but is
slower.
"""

from __future__ import annotations

import math

from glowlite.arrays.backend import Array, namespace


def pixel_matrix(x: Array) -> Array:
    """Reshape (N, ..., C) to (C, P): a view if the channels are planes, otherwise a copy."""
    # transpose, since moveaxis is written in Python and takes ten times as long
    return x.transpose(x.ndim - 1, *range(x.ndim - 1)).reshape(x.shape[-1], -1)


def to_images(columns: Array, shape: tuple[int, ...]) -> Array:
    """Reshape (C', P) to (N, ..., C'), a view; `shape`, (N, ..., any), gives everything except the
    channels.
    """
    return columns.reshape(-1, *shape[:-1]).transpose(*range(1, len(shape)), 0)


def positions(x: Array) -> int:
    """Return the number of pixels per sample of x (N, ..., C): H W for an image, 1 for a vector."""
    return math.prod(x.shape[1:-1])


def per_sample(values: Array, like: Array) -> Array:
    """Return values (N,) in the dtype of `like` (N, ...), shaped to broadcast against it."""
    return values.astype(like.dtype).reshape(-1, *[1] * (like.ndim - 1))


def sum_per_sample(x: Array) -> Array:
    """Return the sum of each sample of x (N, ...), (N,), computed in float64."""
    return x.sum(axis=tuple(range(1, x.ndim)), dtype=namespace(x).float64)


def interleaved(even: Array, odd: Array) -> Array:
    """Channels even_0, odd_0, even_1, ...: (N, ..., C/2) twice -> (N, ..., C), stored as planes
    like every array here.
    """
    xp = namespace(even)
    *places, half = even.shape
    both = to_images(xp.empty((2 * half, *places), even.dtype), (*places, 2 * half))
    both[..., 0::2], both[..., 1::2] = even, odd
    return both
