"""Gather, scatter and ReLU on a GPU: one kernel each, with one thread per element of the result.

They have the same names as the functions in `glowlite.fast.columns`, which describes them.
"""

from __future__ import annotations

from glowlite.arrays.backend import Array, namespace
from glowlite.arrays.layout import pixel_matrix, to_images
from glowlite.fast.cuda.launch import launch


def gather(x: Array, with_border: bool = False, ones: bool = False) -> Array:
    xp = namespace(x)
    n, h, w, c = x.shape
    columns = xp.empty((9 * (c + with_border) + ones, n * h * w), x.dtype)
    pixels = xp.ascontiguousarray(pixel_matrix(x))
    launch(xp, "gather", *GATHER, columns.size, pixels, columns, n, h, w, c, with_border)
    return columns


def column_sums(x: Array, columns: Array) -> Array:
    return columns.sum(axis=1)


def scatter(
    columns: Array,
    image_shape: tuple[int, ...],
    constant: Array | None = None,
    onto: Array | None = None,
) -> Array:
    """`onto`: images, with channels as planes, to which the result is added."""
    n, h, w = image_shape[:3]
    xp = namespace(columns)
    shape = (len(columns) // 9, n * h * w)
    image = xp.empty(shape, columns.dtype) if onto is None else pixel_matrix(onto)
    outgoing = xp.ascontiguousarray(columns)
    added = outgoing if constant is None else constant
    flags, places = (constant is not None, onto is not None), (n, h, w, len(image))
    launch(xp, "scatter", *SCATTER, image.size, outgoing, image, added, *flags, *places)
    return to_images(image, (n, h, w, 0))


def relu(h: Array, bias: Array | None = None) -> Array:
    xp = namespace(h)
    if bias is None:
        return xp.maximum(h, 0, out=h)
    launch(xp, "bias_relu", *BIAS_RELU, h.size, h, bias, h.shape[1])
    return h


def relu_backward(dh: Array, h: Array) -> Array:
    launch(namespace(h), "relu_backward", *RELU_BACKWARD, dh.size, dh, h)
    return dh


# Element i of the matrix: row r, pixel p. Rows: 9 c taps, 9 for the border if it is used, and one
# of ones.
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
    "const T* outgoing, T* image, const T* constant, const int with_constant, const int onto, const"
    " int n, const int h, const int w, const int c",
    """
  const int pixels = n * h * w, q = i % pixels, a = i / pixels;
  T total = 0;
  for (int k = 0; k < 9; ++k) {
    const int row = q / w % h - (k / 3 - 1), column = q % w - (k % 3 - 1);
    if (row >= 0 && row < h && column >= 0 && column < w)
      total += outgoing[(k * c + a) * pixels + q - (k / 3 - 1) * w - (k % 3 - 1)]
        + (with_constant ? constant[k * c + a] : T(0));
  }
  image[i] = onto ? image[i] + total : total;
""",
)

BIAS_RELU = (
    "T* h, const T* bias, const int columns",
    """
  const T sum = h[i] + bias[i / columns];
  h[i] = sum > T(0) ? sum : sum != sum ? sum : T(0);
""",
)

RELU_BACKWARD = ("T* dh, const T* h", "  if (!(h[i] > T(0))) dh[i] *= T(0);\n")
