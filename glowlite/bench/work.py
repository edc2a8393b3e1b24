"""The work of a step: its floating-point operations, and its matrix products measured alone.

For a level with N h w pixels of C channels, a forward pass consists of K times the coupling
network's three products and the 1x1 convolution, and the prior of the split. An addition and a
multiplication count as two operations. The border channel, which is known beforehand, is not
counted, and neither is element-wise work. A step of flow that is rebuilt costs four forward passes
in a training step: forward, forward again in backward, and the gradients with respect to inputs and
weights. A step that is kept costs three, since it is not computed again. The prior of a split is
always computed again.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from glowlite.arrays.backend import Array, Namespace, to_device
from glowlite.models.config import GlowConfig

if TYPE_CHECKING:
    from glowlite.bench.job import Job

# cost of a step of flow in a training step, in forward passes of matrix products
REBUILT, KEPT = 4, 3
LAYERS, WAYS = ("first", "middle", "last"), ("forward", "by inputs", "by weights")
Operands = dict[tuple[str, str], tuple[Array, Array, Array]]


@dataclass(frozen=True)
class LevelWork:
    """The sizes of a level: `pixels`, h w of one image; `channels`, those of the flow.

    `given`, `net_output`: channels of a coupling network's input and output.
    """

    pixels: int
    channels: int
    given: int
    net_output: int


def levels(config: GlowConfig) -> list[LevelWork]:
    height, width, channels = config.image_shape
    found = []
    for i in range(config.L):
        c = channels << (i + 2)
        found.append(
            LevelWork(
                (height * width) >> (2 * i + 2),
                c,
                c // 2,
                c if config.coupling == "affine" else c // 2,
            )
        )
    return found


@dataclass(frozen=True)
class Product:
    """A matrix product (rows, inner) times (inner, pixels of all images), `times` times in a
    forward pass.

    `network`: whether it belongs to a coupling network.
    """

    rows: int
    inner: int
    pixels: int
    times: int
    network: bool


def products(config: GlowConfig) -> list[Product]:
    """Return the products of a forward pass; `pixels` are those of one image.

    A training step computes each 4 times, with the same three matrices.
    """
    found = []
    for i, level in enumerate(levels(config)):
        width, taps, outgoing = config.width, 9 * level.given, 9 * level.net_output
        network = [(width, taps), (width, width), (outgoing, width)]
        found += [Product(rows, inner, level.pixels, config.K, True) for rows, inner in network]
        found.append(Product(level.channels, level.channels, level.pixels, config.K, False))
        if i < config.L - 1 and config.split_prior == "learned":
            found.append(Product(9 * level.channels, level.given, level.pixels, 1, False))
    return found


def forward_flops(config: GlowConfig, images: int) -> float:
    """Count the operations of the matrix products of one forward pass over `images`."""
    return 2.0 * images * sum(p.times * p.rows * p.inner * p.pixels for p in products(config))


def network_flops(config: GlowConfig, level: LevelWork, images: int) -> float:
    """Count the operations of one forward pass of one coupling network of a level."""
    inner = 9 * level.given + config.width + 9 * level.net_output
    return 2.0 * images * level.pixels * config.width * inner


def passes(config: GlowConfig, kept: Sequence[int]) -> float:
    """Return the cost of the products of a training step in forward passes, if it keeps so many
    steps of each level: from 3, or a little more with learned priors, to 4.
    """
    saved = 0.0
    for i, level in enumerate(levels(config)):
        mixing = 2.0 * level.pixels * level.channels**2
        saved += kept[i] * (network_flops(config, level, 1) + mixing)
    return REBUILT - (REBUILT - KEPT) * saved / forward_flops(config, 1)


def network_products(
    config: GlowConfig, level: LevelWork, columns: int, xp: Namespace = np
) -> Operands:
    """Return the products of one coupling network of a level in a step: a, b and the memory for a
    b.

    There is one for each layer and kind, in memory of `xp`, for `columns` pixels; `forward` comes
    first.
    """
    rng = np.random.default_rng(0)

    def some(*shape: int) -> Array:
        return to_device(0.01 * rng.standard_normal(shape, np.float32), xp)

    def room(*shape: int) -> Array:
        return xp.empty(shape, xp.float32)

    taps, width, outgoing = 9 * level.given, config.width, 9 * level.net_output
    rows = taps + 9 * (config.border == "all") + 1
    W1, W2, W3 = some(rows, width), some(width, width), some(width, outgoing)
    patches, h1, h2, out = (
        some(rows, columns),
        *(room(n, columns) for n in (width, width, outgoing)),
    )
    dh1, dh2 = room(width, columns), room(width, columns)
    return {  # y = W^T x:  dx = W dy,  dW = x dy^T
        ("first", "forward"): (W1.T, patches, h1),
        ("middle", "forward"): (W2.T, h1, h2),
        ("last", "forward"): (W3.T, h2, out),
        ("last", "by inputs"): (W3, out, dh2),
        ("middle", "by inputs"): (W2, dh2, dh1),
        ("first", "by inputs"): (W1[:taps], dh1, room(taps, columns)),
        ("first", "by weights"): (patches, dh1.T, room(rows, width)),
        ("middle", "by weights"): (h1, dh2.T, room(width, width)),
        ("last", "by weights"): (h2, out.T, room(width, outgoing)),
    }


def run_network(operands: Operands, matmul: Any, forwards: int, backward: bool = True) -> None:
    """Compute a network's products: so many forward passes, then the gradients."""
    for _ in range(forwards):
        for layer in LAYERS:
            a, b, out = operands[layer, "forward"]
            matmul(a, b, out=out)
    for (_, way), (a, b, out) in operands.items():
        if backward and way != "forward":
            matmul(a, b, out=out)


def columns_of_tiles(job: Job, level: LevelWork) -> list[int]:
    """Return the number of pixels of each of a job's tiles, or of each block of its only image."""
    workers, width = job.workers(), job.config.width
    parts = workers.tiles(job.batch, level.pixels, width)
    if len(parts) == 1:
        return [part.stop - part.start for part in workers.blocks(1, level.pixels, width)]
    return [(part.stop - part.start) * level.pixels for part in parts]


def products_alone(job: Job, kept: Sequence[int] | None) -> Callable[[], None]:
    """Return a function that runs only the coupling networks' products of a step that keeps so many
    steps of each level (None: of one inverse pass).

    It uses the tiles, threads and shapes of the real step, and memory that is already allocated.
    """
    workers, K = job.workers(), job.config.K
    tasks: list[list[tuple[Operands, int]]] = []
    for i, level in enumerate(levels(job.config)):
        columns = columns_of_tiles(job, level)
        made = [  # as many as run in parallel
            network_products(job.config, level, n) for n in columns[: job.threads]
        ]
        tasks.append([(made[j % len(made)], kept[i] if kept else 0) for j in range(len(columns))])

    def run_tile(task: tuple[Operands, int]) -> None:
        operands, kept_here = task
        for k in range(K):
            forwards = 1 if kept is None or k < kept_here else 2
            run_network(operands, workers.matmul, forwards, kept is not None)

    def run() -> None:
        with workers:
            for level_tasks in tasks:
                workers.map(run_tile, level_tasks)

    return run


def products_flops(config: GlowConfig, images: int, kept: Sequence[int] | None) -> list[float]:
    """Return the operations of `products_alone` per level."""
    found = []
    for i, level in enumerate(levels(config)):
        times = config.K if kept is None else REBUILT * config.K - (REBUILT - KEPT) * kept[i]
        found.append(times * network_flops(config, level, images))
    return found
