"""How many things are shared out, or a long vector is taken in pieces: slices that cover all, once,
in order.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from glowlite.arrays.backend import Array

# of a flat vector: near the cache, and long enough for threads not to wait for each other
CHUNK = 1 << 17


def chunks(vector: Array, on_device: int = 0) -> list[slice]:
    """A flat vector on the host in pieces of CHUNK.

    A vector on a device comes in pieces of `on_device`, by default a single one.
    """
    size = CHUNK if isinstance(vector, np.ndarray) else on_device or max(1, vector.size)
    return [slice(start, start + size) for start in range(0, vector.size, size)]


def cut(length: int, count: int) -> list[slice]:
    """`count` slices of 0 .. length, as equal as can be."""
    return [slice(a, b) for a, b in pairwise(i * length // count for i in range(count + 1))]


def in_order(parts: tuple[Array, ...]) -> Array:
    """The sum of the parts, first to last."""
    total = parts[0]
    for part in parts[1:]:
        total += part
    return total
