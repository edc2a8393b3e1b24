"""Random numbers that depend on what they are for, and not on who draws them.

A counter-based generator (Philox) is keyed by the seed and a purpose, and its counter set by
position; so any part of a stream can be drawn alone, and a batch cut over several processes gets
the numbers that one process would draw.
"""

from __future__ import annotations

import zlib
from math import prod

import numpy as np

WORDS = 4  # a Philox counter stands for four 64-bit words


def generator(seed: int, purpose: str, *index: int) -> np.random.Generator:
    """The stream of `purpose` (`shuffle`, `dequantize`, ...) under `seed`.

    `index`: an epoch, a step.
    """
    key = np.random.SeedSequence([seed, zlib.crc32(purpose.encode()), *index]).generate_state(
        2, np.uint64
    )
    return np.random.Generator(np.random.Philox(key=key))


def uniform(
    seed: int, purpose: str, index: int, start: int, shape: tuple[int, ...], dtype: str
) -> np.ndarray:
    """U[0, 1) of `shape` (N, ...), for samples start .. start + N - 1 of the stream: each sample
    has its own part of it.
    """
    rng = generator(seed, purpose, index)
    size = prod(shape[1:])
    blocks = -(-size // WORDS)  # one 64-bit word a number, for either dtype
    bits = rng.bit_generator
    assert isinstance(bits, np.random.Philox)
    bits.advance(start * blocks)
    numbers = rng.random(shape[0] * blocks * WORDS).reshape(shape[0], -1)[:, :size]
    return _below_one(numbers.astype(dtype)).reshape(shape)


def normal(seed: int, purpose: str, index: int, shape: tuple[int, ...], dtype: str) -> np.ndarray:
    """N(0, 1) of `shape`; drawn in float64 and rounded, so that float32 and float64 runs see the
    same noise.
    """
    return generator(seed, purpose, index).standard_normal(shape).astype(dtype)


def _below_one(u: np.ndarray) -> np.ndarray:
    """Rounding to float32 may give 1.0, which is outside [0, 1): the largest number below it stands
    for it.
    """
    return np.minimum(u, np.nextafter(u.dtype.type(1), u.dtype.type(0)))
