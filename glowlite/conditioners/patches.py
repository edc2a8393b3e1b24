"""A 3x3 convolution is a gather and a product, or a product and a scatter; the two are adjoint.

    gather(x)[p, k]  = x[p + k]                 the nine neighbours of every pixel, zero outside the image
    scatter(v)[q]    = sum_k v[q - k, k]        every pixel sends nine values to its neighbours; those sent out are lost

for the taps k in {-1, 0, 1}^2, in the order dy, dx. <gather(x), v> = <x, scatter(v)>: each carries the other's gradient.
"""

from __future__ import annotations

from glowlite.backend import Array, namespace


def gather(x: Array, border: bool = False) -> Array:
    """(N, H, W, C) -> (N, H, W, 9 C'). With `border`, C' = C + 1: one more channel, 1 outside the image and 0 inside."""
    xp = namespace(x)
    n, h, w, c = x.shape
    width = c + border
    padded = xp.zeros((n, h + 2, w + 2, width), x.dtype)
    padded[:, 1:-1, 1:-1, :c] = x
    if border:
        padded[..., c] = 1
        padded[:, 1:-1, 1:-1, c] = 0
    # three neighbours in a row are contiguous in `padded`: 3 C' numbers go at once
    s_n, s_h, s_w, s_c = padded.strides
    rows = xp.lib.stride_tricks.as_strided(
        padded, shape=(n, h, w, 3, 3 * width), strides=(s_n, s_h, s_w, s_h, s_c)
    )  # (N, H, W, dy, dx C'), overlapping, read only
    return xp.ascontiguousarray(rows).reshape(n, h, w, 9 * width)


def scatter(patches: Array) -> Array:
    """(N, H, W, 9 C) -> (N, H, W, C)."""
    xp = namespace(patches)
    n, h, w, nine_c = patches.shape
    taps = patches.reshape(n, h, w, 3, 3, nine_c // 9)
    padded = xp.zeros((n, h + 2, w + 2, nine_c // 9), patches.dtype)
    for dy in range(3):
        for dx in range(3):
            padded[:, dy : dy + h, dx : dx + w] += taps[:, :, :, dy, dx]
    return padded[:, 1:-1, 1:-1]


def taps_from_outside(height: int, width: int, like: Array) -> Array:
    """(H, W, 9): 1 where scatter's tap k reaches pixel q from q - k outside the image, else 0; dtype of `like`."""
    xp = namespace(like)
    inside = scatter(xp.ones((1, height, width, 9 * 9), like.dtype) * xp.eye(9, dtype=like.dtype).ravel())[0]
    return 1 - inside
