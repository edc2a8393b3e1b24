"""ReLU with a bias, and its derivative, in place: one pass over an array on a GPU, where NumPy takes two.

h = max(h + b, 0)         dh = dh where h > 0, else 0         b: one number a row of h, (rows, pixels)
"""

from __future__ import annotations

import numpy as np

from glowlite.arrays.backend import Array, namespace
from glowlite.arrays.kernels import launch


def relu(h: Array, bias: Array | None = None) -> Array:
    """max(h + bias, 0), in the memory of h (rows, pixels), which is contiguous."""
    xp = namespace(h)
    if bias is None:
        return xp.maximum(h, 0, out=h)
    if xp is not np:
        launch(xp, "bias_relu", *BIAS_RELU, h.size, h, bias, h.shape[1])
        return h
    h += bias[:, None]
    return xp.maximum(h, 0, out=h)


def relu_backward(dh: Array, h: Array) -> Array:
    """dh behind a ReLU whose output was h, in the memory of dh; both contiguous and of one shape."""
    xp = namespace(h)
    if xp is not np:
        launch(xp, "relu_backward", *RELU_BACKWARD, h.size, dh, h)
        return dh
    dh *= h > 0
    return dh


BIAS_RELU = (
    "T* h, const T* bias, const int columns",
    """
  const T sum = h[i] + bias[i / columns];
  h[i] = sum > T(0) ? sum : sum != sum ? sum : T(0);
""",
)

RELU_BACKWARD = ("T* dh, const T* h", "  if (!(h[i] > T(0))) dh[i] *= T(0);\n")
