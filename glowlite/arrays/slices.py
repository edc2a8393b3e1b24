"""Divide a range of things or a long vector into slices that cover everything once, in order."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from glowlite.arrays.backend import Array

# pieces of a flat vector: small enough for the cache, and long enough that threads do not wait for
# each other
CHUNK = 1 << 17


def chunks(vector: Array, on_device: int = 0) -> list[slice]:
    """Return slices of a flat host vector in pieces of CHUNK.

    A vector on a device comes in pieces of `on_device`, by default a single one.
    """
    size = CHUNK if isinstance(vector, np.ndarray) else on_device or max(1, vector.size)
    return [slice(start, start + size) for start in range(0, vector.size, size)]


def cut(length: int, count: int) -> list[slice]:
    """Return `count` slices of 0 .. length, as equal as possible."""
    return [slice(a, b) for a, b in pairwise(i * length // count for i in range(count + 1))]


def in_order(parts: tuple[Array, ...]) -> Array:
    """Return the sum of the parts, added from first to last."""
    total = parts[0]
    for part in parts[1:]:
        total += part
    return total
