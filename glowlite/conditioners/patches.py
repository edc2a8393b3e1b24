"""A 3x3 convolution is a gather and a product, or a product and a scatter; the two are adjoint.

    gather(x)[p, k]  = x[p + k]                 the nine neighbours of every pixel, zero outside the image
    scatter(v)[q]    = sum_k v[q - k, k]        every pixel sends nine values to its neighbours; those sent out are lost

for the taps k in {-1, 0, 1}^2, in the order dy, dx. <gather(x), v> = <x, scatter(v)>: each carries the other's gradient.

With all images in one row, a tap is a shift of the whole row by dy W + dx: nine long moves instead of many short ones.
What a shift brings across an edge, from the next row or the next image, is then set right: only edges are touched.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache

import numpy as np

from glowlite.backend import Array, Namespace, namespace
from glowlite.pixels import pixel_matrix, to_images

CENTRE = 4  # of the nine taps, the one that does not move


def gather(x: Array, border: bool = False) -> Array:
    """(N, H, W, C) -> (N, H, W, 9 C'). With `border`, C' = C + 1: one more channel, 1 outside the image and 0 inside."""
    return to_images(patch_matrix(x, border), x.shape)


def patch_matrix(x: Array, border: bool = False, ones: bool = False) -> Array:
    """`gather` as a matrix (9 C', P), P = N H W. With `ones`, a last row of ones: what a bias is multiplied with."""
    n, h, w, c = x.shape
    row = pixel_matrix(x)  # (C, P)
    matrix = namespace(x).empty((9 * (c + border) + ones, n * h * w), x.dtype)
    patches = matrix[: len(matrix) - ones].reshape(9, c + border, -1)
    for k, here, there in _shifts(n * h * w, w):
        patches[k, :c, here] = row[:, there]
    for edge in _edges(patches[:, :c].reshape(3, 3, c, n, h, w)):
        edge[...] = 0
    if border:
        patches[:, c].reshape(9, n, h * w)[...] = _outside(h, w, x.dtype, namespace(x))[:, None]
    if ones:
        matrix[-1] = 1
    return matrix


def scatter(patches: Array) -> Array:
    """(N, H, W, 9 C) -> (N, H, W, C)."""
    return scatter_columns(namespace(patches).array(pixel_matrix(patches)), patches.shape)


def scatter_columns(sent: Array, image_shape: tuple[int, ...]) -> Array:
    """`scatter` of (9 C, P) or (9, C, P), P = N H W for `image_shape` = (N, H, W, ...); contents are lost. -> a view."""
    n, h, w = image_shape[:3]
    pixels = n * h * w
    sent = sent.reshape(9, -1, pixels)  # a view, of a slice (9, C, P) as well
    for edge in _edges(sent.reshape(3, 3, -1, n, h, w)):  # sent from p to p + k outside the image
        edge[...] = 0
    total = sent[CENTRE]
    for k, here, there in _shifts(pixels, w):
        if k != CENTRE:
            total[:, there] += sent[k, :, here]
    return to_images(total, image_shape)


@cache
def _shifts(pixels: int, width: int) -> list[tuple[int, slice, slice]]:
    """k, and the pixels p and p + k, for those whose shifted index exists at all."""
    shifts = []
    for k in range(9):
        shift = (k // 3 - 1) * width + k % 3 - 1
        here = slice(max(0, -shift), max(0, pixels - max(0, shift)))
        shifts.append((k, here, slice(here.start + shift, max(here.start, here.stop) + shift)))
    return shifts


def _edges(neighbours: Array) -> Iterator[Array]:
    """Views of (3, 3, C, N, H, W) whose entries [dy, dx, c, n, y, x] have (y + dy, x + dx) outside the image."""
    yield neighbours[0, :, :, :, 0]
    yield neighbours[2, :, :, :, -1]
    yield neighbours[:, 0, :, :, :, 0]
    yield neighbours[:, 2, :, :, :, -1]


def taps_from_outside(height: int, width: int, like: Array) -> Array:
    """(9, H W): 1 where scatter's tap k reaches pixel q from q - k outside the image, else 0; dtype of `like`."""
    return _outside(height, width, like.dtype, namespace(like))[::-1]


@cache
def _outside(height: int, width: int, dtype: np.dtype, xp: Namespace) -> Array:
    """(9, H W): 1 where pixel p + k is outside the image for tap k, else 0. Not to be written to."""
    outside = xp.zeros((3, 3, 1, 1, height, width), dtype)
    for edge in _edges(outside):
        edge[...] = 1
    return outside.reshape(9, height * width)
