"""How good a model is on images that it was not trained on."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from glowlite.arrays.arguments import whole_number
from glowlite.arrays.backend import Array, to_host
from glowlite.arrays.randomness import generator
from glowlite.data.images import Images
from glowlite.distributed.communicator import Communicator, OneProcess
from glowlite.objective import as_continuous, bits_per_dim, dequantization_noise

if TYPE_CHECKING:
    from glowlite.flow import Flow

HALF_A_LEVEL = 0.5  # in 8-bit grey levels: a larger reconstruction error changes pixels
BLOCK = 32  # images that an evaluation takes at a time: few, so that every rank has some


def scores(
    model: Flow,
    images: Images,
    n_bits: int | None,
    batch: int,
    seed: int,
    rows: np.ndarray | None = None,
    draws: int = 1,
    ranks: Communicator | None = None,
) -> np.ndarray:
    """Return bits/dim of each image, (N,), float64, for all images or for `rows`. The noise of an
    image does not depend on the batch.

    n_bits: None for data other than images, which are used as they are.

    A different `batch` changes a score only by rounding, by at most 4 K L eps / ln 2, since 4 K L
    products follow one another.

    With several draws u_1 .. u_k of the dequantisation noise, the bound is tighter, by Jensen's
    inequality:

        log P(image) = log E[p(image + u)] >= E[log mean_k p(image + u_k)] >= E[log p(image + u)]

    If the model makes the noise, with density q, p is replaced by p / q (importance sampling).

    A model that was given the classes of all `images` uses those of its rows. Cost: `draws` forward
    passes. Each of the `ranks` computes a share, and all get the whole result.
    """
    log_probs = log_means(_log_prob, (), model, images, n_bits, batch, seed, rows, draws, ranks)
    return bits_per_dim(log_probs, model.dimensions, n_bits)


def _log_prob(model: Flow, x: Array) -> Array:
    return model.log_prob(x)


def log_means(
    log_of: Callable[[Any, Array], Array],
    shape: tuple[int, ...],
    model: Flow,
    images: Images,
    n_bits: int | None,
    batch: int,
    seed: int,
    rows: np.ndarray | None = None,
    draws: int = 1,
    ranks: Communicator | None = None,
) -> np.ndarray:
    """Return, for each image, the logarithm of the mean over draws of the probabilities whose
    logarithms `log_of(model, x)` returns, (n, *shape). The result is (N, *shape), float64; see
    `scores`.
    """
    ranks = ranks or OneProcess()
    batch, draws = (
        whole_number("scores", "batch", batch, 1),
        whole_number("scores", "draws", draws, 1),
    )
    rows = np.arange(len(images)) if rows is None else rows
    blocks = [slice(start, min(start + batch, len(rows))) for start in range(0, len(rows), batch)]
    results = [np.empty((0, *shape))]
    for block in blocks[
        ranks.share(len(blocks))
    ]:  # whole blocks, so that an image always has the same neighbours
        part = images.read(rows[block])
        log_probs, given = [], model.rows(rows[block])
        for draw in range(draws):
            noise = dequantization_noise(
                seed, "evaluate", draw, block.start, part.shape, model.dtype.name
            )
            x = as_continuous(part, n_bits, noise, model.dtype, model.xp, model.variational)
            log_probs.append(to_host(log_of(*given.of_noise(x, n_bits))))
        results.append(np.logaddexp.reduce(log_probs, axis=0) - math.log(draws))
    return ranks.allgather_rows(np.concatenate(results))


def some_rows(count: int, most: int) -> np.ndarray:
    """Return all of `count` rows, or `most` of them, sorted, which depend only on these two
    numbers.
    """
    if count <= most:
        return np.arange(count)
    return np.sort(generator(0, "evaluated", count).permutation(count)[:most])


def evaluate(
    model: Flow,
    images: Images,
    n_bits: int | None,
    batch: int,
    seed: int,
    most: int | None = None,
    ranks: Communicator | None = None,
) -> float:
    """Return mean bits/dim over `images`, or over `most` of them, with one fixed draw of the
    dequantisation noise.
    """
    rows = some_rows(len(images), most or len(images))
    return float(scores(model, images, n_bits, min(batch, BLOCK), seed, rows, ranks=ranks).mean())


def reconstruction_error(model: Flow, images: np.ndarray, n_bits: int | None) -> float:
    """Return the largest |decode(encode(x)) - x| of uint8 images, in 8-bit grey levels; an error of
    0.5 changes a pixel.

    For other data (n_bits None), it is in the unit of the data.
    """
    x = as_continuous(
        images, n_bits, np.full(images.shape, 0.5, model.dtype), model.dtype, model.xp
    )
    error = float(abs(model.decode(model.encode(x)) - x).max()) * 256
    return error if n_bits is not None else error / 256


def sample_images(
    model: Flow, n: int, temperature: float, seed: int, ranks: Communicator | None = None
) -> np.ndarray:
    """Return n samples on the host, (n, H, W, C), floating point. Some can be non-finite if an
    inverse overflows.

    Each of the `ranks` makes whole blocks of `Glow.sample_block`, and all get the images that one
    process would make.
    """
    ranks, block = ranks or OneProcess(), model.sample_block
    blocks = ranks.share(-(-n // block))
    rows = slice(min(n, blocks.start * block), min(n, blocks.stop * block))
    return ranks.allgather_rows(to_host(model.sample(n, temperature, seed, rows)))
