"""Dequantisation on a GPU: one kernel where NumPy needs five passes."""

from __future__ import annotations

import numpy as np

from glowlite.arrays.backend import Array, namespace
from glowlite.fast.cuda.launch import launch


def dequantize_on_device(images: Array, n_bits: int, noise: Array) -> Array:
    """Compute `glowlite.objective.dequantize` for GPU arrays, uint8 and floating point, of the same
    shape.
    """
    xp = namespace(images)
    x = xp.empty(images.shape, noise.dtype)
    below = float(np.nextafter(noise.dtype.type(0.5), noise.dtype.type(0)))
    launch(xp, "dequantise", *DEQUANTISE, x.size, noise, images, x, 8 - n_bits, 2**n_bits, below)
    return x


DEQUANTISE = (
    "const T* noise, const unsigned char* images, T* x, const int shift, const int bins, const"
    " double below",
    """
  const T v = (T(images[i] >> shift) + noise[i]) / T(bins) - T(0.5);
  x[i] = v < T(below) ? v : T(below);
""",
)
