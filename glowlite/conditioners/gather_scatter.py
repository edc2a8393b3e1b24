"""A 3x3 convolution is a gather followed by a matrix product, or a matrix product followed by a
scatter. Gather and scatter are adjoint.

    gather(x)[p, k]  = x[p + k]             the nine neighbours of every pixel, 0 outside the image
    scatter(v)[q]    = sum_k v[q - k, k]    every pixel sends nine values to its neighbours

for the taps k in {-1, 0, 1}^2, in the order dy, dx. Values that scatter sends outside the image are
lost. <gather(x), v> = <x, scatter(v)>: each computes the gradient of the other. Other codes call
them im2col and col2im.
"""

from __future__ import annotations

from glowlite.arrays.backend import Array, Namespace, namespace

# offsets in a padded image; (1, 1) is the pixel itself
TAPS = [(dy, dx) for dy in range(3) for dx in range(3)]


def gather(x: Array, with_border: bool = False) -> Array:
    """Return columns (9 C, P) of images x (N, H, W, C), one column per pixel: its neighbours, tap
    by tap.

    `with_border`: add one channel, the last of each tap, that is 1 outside the image and 0 inside.
    """
    xp = namespace(x)
    n, h, w, c = x.shape
    padded = xp.zeros((c + with_border, n, h + 2, w + 2), x.dtype)
    padded[:c, :, 1:-1, 1:-1] = x.transpose(3, 0, 1, 2)
    if with_border:
        padded[c] = 1
        padded[c, :, 1:-1, 1:-1] = 0
    taps = xp.stack([padded[:, :, dy : dy + h, dx : dx + w] for dy, dx in TAPS])
    return taps.reshape(9 * (c + with_border), n * h * w)


def scatter(columns: Array, shape: tuple[int, ...]) -> Array:
    """Return images (N, H, W, C) from columns (9 C, P), P = N H W, for `shape` = (N, H, W, ...)."""
    n, h, w = shape[:3]
    taps = columns.reshape(9, -1, n, h, w)
    padded = namespace(columns).zeros((taps.shape[1], n, h + 2, w + 2), columns.dtype)
    for tap, (dy, dx) in zip(taps, TAPS, strict=True):
        padded[:, :, dy : dy + h, dx : dx + w] += tap
    return padded[:, :, 1:-1, 1:-1].transpose(1, 2, 3, 0)


def outside(height: int, width: int, dtype: object, xp: Namespace) -> Array:
    """Return (9, H W): 1 where the neighbour of a pixel at tap k is outside the image, else 0."""
    return gather(xp.zeros((1, height, width, 0), dtype), with_border=True)
