"""Random numbers that depend on their purpose, and not on the process that draws them.

A counter-based generator (Philox) is keyed with the seed and a purpose, and its counter is set by
position. So any part of a stream can be drawn on its own, and a batch split over several processes
gets the numbers that one process would draw.
"""

from __future__ import annotations

import zlib
from math import prod

import numpy as np

WORDS = 4  # a Philox counter value gives four 64-bit words


def generator(seed: int, purpose: str, *index: int) -> np.random.Generator:
    """Return the random stream for a `purpose` (`shuffle`, `dequantize`, ...) and a `seed`.

    `index`: for example, an epoch or a step.
    """
    key = np.random.SeedSequence([seed, zlib.crc32(purpose.encode()), *index]).generate_state(
        2, np.uint64
    )
    return np.random.Generator(np.random.Philox(key=key))


def uniform(
    seed: int, purpose: str, index: int, start: int, shape: tuple[int, ...], dtype: str
) -> np.ndarray:
    """Draw U[0, 1) of `shape` (N, ...) for samples start .. start + N - 1 of the stream; each
    sample has its own part of it.
    """
    rng = generator(seed, purpose, index)
    size = prod(shape[1:])
    blocks = -(-size // WORDS)  # one 64-bit word per number, for both dtypes
    bits = rng.bit_generator
    assert isinstance(bits, np.random.Philox)
    bits.advance(start * blocks)
    numbers = rng.random(shape[0] * blocks * WORDS).reshape(shape[0], -1)[:, :size]
    return _below_one(numbers.astype(dtype)).reshape(shape)


def normal(seed: int, purpose: str, index: int, shape: tuple[int, ...], dtype: str) -> np.ndarray:
    """Draw N(0, 1) of `shape`, in float64 and then rounded, so that float32 and float64 runs get
    the same noise.
    """
    return generator(seed, purpose, index).standard_normal(shape).astype(dtype)


def _below_one(u: np.ndarray) -> np.ndarray:
    """Replace 1.0, which rounding to float32 may give, by the largest number below it, so that all
    are in [0, 1).
    """
    return np.minimum(u, np.nextafter(u.dtype.type(1), u.dtype.type(0)))
