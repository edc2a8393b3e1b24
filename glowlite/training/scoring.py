"""How good a model is on images it was not trained on."""

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

HALF_A_LEVEL = 0.5  # grey level of 8 bits: an inverse that is off by more changes pixels
BLOCK = 32  # images that an evaluation takes at once: few, so that every rank has some


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
    """bits/dim of each image (N,), float64, of all or of `rows`; every image meets its own noise,
    whatever the batch.

    n_bits: None for data that are no images, which are taken as they are.

    Another `batch` changes a score by rounding: by at most 4 K L eps / ln 2, since 4 K L products
    come one after the other.

    With several draws u_1 .. u_k of the dequantisation noise the bound is tighter, by Jensen's
    inequality:

        log P(image) = log E[p(image + u)] >= E[log mean_k p(image + u_k)] >= E[log p(image + u)]

    Where a model makes the noise, of density q, p / q stands in place of p: importance samples.

    A model that was given the classes of all `images` has those of its rows. Cost: `draws` forward
    passes; `ranks` take a share each, and all of them get the whole result.
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
    """For each image, as `scores` says, the logarithm of the mean over draws of probabilities: of
    those whose logarithms `log_of(model, x)` gives, (n, *shape). (N, *shape), float64.
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
    ]:  # whole blocks, so that an image's neighbours, too, are always the same
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
    """All of `count` rows, or `most` of them that depend on the numbers alone, sorted."""
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
    """Mean bits/dim over `images`, or over `most` of them, with one fixed draw of the
    dequantisation noise.
    """
    rows = some_rows(len(images), most or len(images))
    return float(scores(model, images, n_bits, min(batch, BLOCK), seed, rows, ranks=ranks).mean())


def reconstruction_error(model: Flow, images: np.ndarray, n_bits: int | None) -> float:
    """Largest |decode(encode(x)) - x| of uint8 images, in grey levels of 8 bits: 0.5 of a level
    would change a pixel.

    Of other data, n_bits being None, in their own unit.
    """
    x = as_continuous(
        images, n_bits, np.full(images.shape, 0.5, model.dtype), model.dtype, model.xp
    )
    error = float(abs(model.decode(model.encode(x)) - x).max()) * 256
    return error if n_bits is not None else error / 256


def sample_images(
    model: Flow, n: int, temperature: float, seed: int, ranks: Communicator | None = None
) -> np.ndarray:
    """n samples on the host, (n, H, W, C), floating point; some can be non-finite where an inverse
    overflows.

    `ranks` make whole blocks of `Glow.sample_block`, and all of them get the images that one
    process would make.
    """
    ranks, block = ranks or OneProcess(), model.sample_block
    blocks = ranks.share(-(-n // block))
    rows = slice(min(n, blocks.start * block), min(n, blocks.stop * block))
    return ranks.allgather_rows(to_host(model.sample(n, temperature, seed, rows)))
