"""Gather, scatter and ReLU on a CPU, with few long memory moves instead of many short ones.

With all images in one row, a neighbour is a shift of the whole row: by dx for neighbours to the
side, by dy W for those above and below. So a tap is one shift after the other. Values that a shift
moves across an edge, from the next row or the next image, are then set to zero, which touches only
the edges.

The columns here have the nine taps of all channels first, then, with a border, its nine rows, and
then, if wanted, a row of ones, so that a product adds a bias.
"""

from __future__ import annotations

from functools import cache, lru_cache

import numpy as np

from glowlite.arrays.backend import Array
from glowlite.arrays.layout import pixel_matrix, to_images
from glowlite.conditioners.gather_scatter import outside


def gather(x: Array, with_border: bool = False, ones: bool = False) -> Array:
    """Gather images (N, H, W, C) into columns (9 C [+ 9] [+ 1], P), P = N H W."""
    n, h, w, c = x.shape
    pixels = n * h * w
    columns = np.empty((9 * (c + with_border) + ones, pixels), x.dtype)
    taps = columns[: 9 * c].reshape(3, 3, c, n, h, w)  # dy, dx, c, n, y, x
    flat = taps.reshape(3, 3, c, pixels)
    flat[1, 1] = pixel_matrix(x)
    flat[1, 0, :, 1:] = flat[1, 1, :, :-1]
    flat[1, 2, :, :-1] = flat[1, 1, :, 1:]
    taps[1, 0, ..., 0] = 0
    taps[1, 2, ..., -1] = 0
    flat[0, ..., w:] = flat[1, ..., :-w]
    flat[2, ..., :-w] = flat[1, ..., w:]
    taps[0, ..., 0, :] = 0
    taps[2, ..., -1, :] = 0
    if with_border or ones:
        constant = _constant_rows(n, h, w, x.dtype)
        columns[9 * c :] = constant[0 if with_border else 9 : 9 + ones]
    return columns


def column_sums(x: Array, columns: Array) -> Array:
    """Return the sum over all pixels of each row of `columns`, gathered from images x (N, H, W, C):
    (9 C,).
    """
    # gather is linear, so the images, which are smaller, are added up first
    return gather(x.sum(axis=0, keepdims=True)).sum(axis=1)


def scatter(columns: Array, image_shape: tuple[int, ...], constant: Array | None = None) -> Array:
    """Scatter columns (9 C, P), to each of which `constant` (9 C,) is added, into images (N, H, W,
    C).

    `image_shape`: (N, H, W, ...). The contents of `columns` are lost.
    """
    n, h, w = image_shape[:3]
    if (
        constant is not None
    ):  # scatter is linear, and a constant contributes the same to every image
        everywhere = scatter(np.repeat(constant[:, None], h * w, axis=1), (1, h, w))
        total = scatter(columns, image_shape)
        total += everywhere
        return total
    taps = columns.reshape(3, 3, -1, n, h, w)
    flat = columns.reshape(3, 3, -1, n * h * w)
    # the steps of `gather` in reverse: zeros send nothing, copies are added
    taps[:, 0, ..., 0] = 0
    taps[:, 2, ..., -1] = 0
    rows = flat[:, 1]
    rows[..., :-1] += flat[:, 0, :, 1:]
    rows[..., 1:] += flat[:, 2, :, :-1]
    taps[0, 1, ..., 0, :] = 0
    taps[2, 1, ..., -1, :] = 0
    total = rows[1]
    total[:, :-w] += rows[0, :, w:]
    total[:, w:] += rows[2, :, :-w]
    return to_images(total.copy(), (n, h, w, 0))  # a view would keep all of `columns` alive


def relu(h: Array, bias: Array | None = None) -> Array:
    """Return max(h + bias, 0), in the memory of h (rows, P); one bias per row."""
    if bias is not None:
        h += bias[:, None]
    return np.maximum(h, 0, out=h)


def relu_backward(dh: Array, h: Array) -> Array:
    """Backpropagate dh through a ReLU whose output was h, in the memory of dh."""
    dh *= h > 0
    return dh


@cache
def _outside(height: int, width: int, dtype: np.dtype) -> Array:
    """Return (9, H W), read-only."""
    return outside(height, width, dtype, np)


@lru_cache(maxsize=32)
def _constant_rows(images: int, height: int, width: int, dtype: np.dtype) -> Array:
    """Return (10, P), read-only: `_outside` for every image, and a row of ones."""
    rows = np.ones((10, images * height * width), dtype)
    rows[:9] = np.tile(_outside(height, width, dtype), images)
    return rows
