"""A 3x3 convolution is a gather and a product, or a product and a scatter; the two are adjoint.

    gather(x)[p, k]  = x[p + k]                 the nine neighbours of every pixel, zero outside the image
    scatter(v)[q]    = sum_k v[q - k, k]        every pixel sends nine values to its neighbours; those sent out are lost

for the taps k in {-1, 0, 1}^2, in the order dy, dx. <gather(x), v> = <x, scatter(v)>: each carries the other's gradient.

With all images in one row, a neighbour is a shift of the whole row: by dx for those beside a pixel, by dy W for those
above and below, so a tap is one shift after the other: few long moves instead of many short ones. What a shift brings
across an edge, from the next row or the next image, is then set to zero: only edges are touched. On a GPU each is one
kernel, a thread for every element of the result.
"""

from __future__ import annotations

from functools import cache, lru_cache

import numpy as np

from glowlite.arrays.backend import Array, Namespace, namespace
from glowlite.arrays.kernels import launch
from glowlite.arrays.layout import pixel_matrix, to_images


def gather(x: Array, border: bool = False) -> Array:
    """(N, H, W, C) -> (N, H, W, 9 C), then, with `border`, 9 more channels: 1 where that neighbour is outside, else 0."""
    return to_images(patch_matrix(x, border), x.shape)


def patch_matrix(x: Array, border: bool = False, ones: bool = False) -> Array:
    """`gather` as a matrix (9 C, P), P = N H W, with `border` 9 rows more; with `ones`, a last row of ones, for a bias."""
    n, h, w, c = x.shape
    pixels = n * h * w
    xp = namespace(x)
    matrix = xp.empty((9 * (c + border) + ones, pixels), x.dtype)
    if xp is not np:
        columns = xp.ascontiguousarray(pixel_matrix(x))
        launch(xp, "gather", *GATHER, matrix.size, columns, matrix, n, h, w, c, border)
        return matrix
    taps = matrix[: 9 * c].reshape(3, 3, c, n, h, w)  # dy, dx, c, n, y, x
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
    if border or ones:
        constant = _constant_rows(n, h, w, x.dtype, namespace(x))
        matrix[9 * c :] = constant[0 if border else 9 : 9 + ones]
    return matrix


def patch_sums(x: Array, patches: Array, out: Array | None = None) -> Array:
    """The sum over all pixels of each row of `patch_matrix`, `patches`, of images x (N, H, W, C): (9 C,)."""
    if namespace(x) is not np:
        return patches.sum(axis=1, out=out)
    return patch_matrix(x.sum(axis=0, keepdims=True)).sum(
        axis=1, out=out
    )  # gather is linear: images first, of which x has fewer


def scatter(patches: Array) -> Array:
    """(N, H, W, 9 C) -> (N, H, W, C)."""
    return scatter_columns(namespace(patches).array(pixel_matrix(patches)), patches.shape)


def scatter_columns(
    sent: Array, image_shape: tuple[int, ...], constant: Array | None = None, onto: Array | None = None
) -> Array:
    """`scatter` of a matrix (9 C, P), P = N H W for `image_shape` = (N, H, W, ...), to whose columns `constant` is added.

    The contents of `sent` are lost. `onto`: images to add the result to.
    """
    n, h, w = image_shape[:3]
    xp = namespace(sent)
    if xp is not np:
        in_place = onto is not None and onto.transpose(3, 0, 1, 2).flags.c_contiguous
        received = pixel_matrix(onto) if in_place else xp.empty((len(sent) // 9, n * h * w), sent.dtype)
        columns = xp.ascontiguousarray(sent)
        added = columns if constant is None else constant
        flags, places = (constant is not None, in_place), (n, h, w, len(received))
        launch(xp, "scatter", *SCATTER, received.size, columns, received, added, *flags, *places)
        result = to_images(received, image_shape)
        if onto is not None and not in_place:
            onto += result
        return result if onto is None else onto
    if constant is not None:  # scatter is linear, and what a constant sends is the same in every image
        everywhere = scatter_columns(np.repeat(constant[:, None], h * w, axis=1), (1, h, w))
        total = scatter_columns(sent, image_shape)
        total += everywhere
        return total
    taps = sent.reshape(3, 3, -1, n, h, w)
    flat = sent.reshape(3, 3, -1, n * h * w)
    # the steps of `patch_matrix` backwards: what was zero sends nothing, what was copied is added
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
    if onto is not None:
        onto += to_images(total, image_shape)
        return onto
    return to_images(total.copy(), image_shape)  # a view would hold on to the whole of `sent`


# Element i of the matrix: row r, pixel p. Rows: 9 c of taps, 9 of the border if it is seen, and one of ones.
GATHER = (
    "const T* x, T* matrix, const int n, const int h, const int w, const int c, const int border",
    """
  const int pixels = n * h * w, p = i % pixels, r = i / pixels;
  const int k = r < 9 * c ? r / c : r - 9 * c;
  const int row = p / w % h + k / 3 - 1, column = p % w + k % 3 - 1;
  const bool outside = row < 0 || row >= h || column < 0 || column >= w;
  if (r < 9 * c)
    matrix[i] = outside ? T(0) : x[r % c * pixels + p + (k / 3 - 1) * w + k % 3 - 1];
  else
    matrix[i] = border && k < 9 ? T(outside) : T(1);
""",
)

# Element i of the result: channel a, pixel q, which tap k reaches from pixel q - k.
SCATTER = (
    "const T* sent, T* received, const T* constant, const int with_constant, const int onto, const int n, const int h,"
    " const int w, const int c",
    """
  const int pixels = n * h * w, q = i % pixels, a = i / pixels;
  T total = 0;
  for (int k = 0; k < 9; ++k) {
    const int row = q / w % h - (k / 3 - 1), column = q % w - (k % 3 - 1);
    if (row >= 0 && row < h && column >= 0 && column < w)
      total += sent[(k * c + a) * pixels + q - (k / 3 - 1) * w - (k % 3 - 1)] + (with_constant ? constant[k * c + a] : T(0));
  }
  received[i] = onto ? received[i] + total : total;
""",
)


@cache
def _outside(height: int, width: int, dtype: np.dtype, xp: Namespace) -> Array:
    """(9, H W): 1 where pixel p + k is outside the image for tap k, else 0. Not to be written to."""
    outside = xp.zeros((3, 3, height, width), dtype)
    outside[0, :, 0] = outside[2, :, -1] = 1
    outside[:, 0, :, 0] = outside[:, 2, :, -1] = 1
    return outside.reshape(9, height * width)


@lru_cache(maxsize=32)
def _constant_rows(images: int, height: int, width: int, dtype: np.dtype, xp: Namespace) -> Array:
    """(10, P): `_outside` for every image, and a row of ones. Not to be written to."""
    rows = xp.ones((10, images * height * width), dtype)
    rows[:9] = xp.tile(_outside(height, width, dtype, xp), images)
    return rows
