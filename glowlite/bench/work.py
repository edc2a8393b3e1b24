"""The work of a step: its floating-point operations, and its matrix products on their own.

A forward pass is, per level of N h w pixels of C channels, K times: the coupling network's three
products and the 1x1 convolution; and the prior of the split. An addition and a multiplication are
two operations. The border channel, which is known beforehand, is not counted, nor is anything
element-wise. A training step in constant memory is four forward passes: forward, the networks again
in backward, and the gradients by their inputs and by their weights.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from glowlite.arrays.backend import Array, Namespace, to_device
from glowlite.models.config import GlowConfig

if TYPE_CHECKING:
    from glowlite.bench.job import Job

PASSES = {"reversible": 4, "anchored": 4, "stored": 3}


@dataclass(frozen=True)
class LevelWork:
    """The sizes of a level: `pixels`, h w of one image; `channels` of the flow.

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
    """A product (rows, inner) times (inner, pixels of all images), `times` in a forward pass.

    `network`: whether it is one of a coupling network.
    """

    rows: int
    inner: int
    pixels: int
    times: int
    network: bool


def products(config: GlowConfig) -> list[Product]:
    """Those of a forward pass; `pixels` are of one image.

    A training step makes 4 of each, with the same three matrices.
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


def network_products(
    config: GlowConfig,
    level: LevelWork,
    columns: int,
    training: bool,
    xp: Namespace = np,
    matmul: Any = None,
) -> Callable[[], None]:
    """A function that runs the products of one coupling network of a level in a step (or in one
    inverse pass), once.

    From and into memory of `xp` that is there already, for `columns` pixels.
    """
    rng, matmul = np.random.default_rng(0), matmul or xp.matmul

    def some(*shape: int) -> Array:
        return to_device(0.01 * rng.standard_normal(shape, np.float32), xp)

    def room(*shape: int) -> Array:
        return xp.empty(shape, xp.float32)

    taps, width, outgoing = 9 * level.given, config.width, 9 * level.net_output
    rows = taps + 9 * (config.border == "all") + 1
    W1, W2, W3, patches = (
        some(rows, width),
        some(width, width),
        some(width, outgoing),
        some(rows, columns),
    )
    h1, h2, out = room(width, columns), room(width, columns), room(outgoing, columns)

    def forward() -> None:
        matmul(W1.T, patches, out=h1)
        matmul(W2.T, h1, out=h2)
        matmul(W3.T, h2, out=out)

    if not training:
        return forward
    dh1, dh2, dpatches = room(width, columns), room(width, columns), room(taps, columns)
    dW1, dW2, dW3 = room(rows, width), room(width, width), room(width, outgoing)

    def step() -> None:
        forward()
        forward()
        matmul(W3, out, out=dh2)
        matmul(W2, dh2, out=dh1)
        matmul(patches, dh1.T, out=dW1)
        matmul(h1, dh2.T, out=dW2)
        matmul(h2, out.T, out=dW3)
        matmul(W1[:taps], dh1, out=dpatches)

    return step


def products_alone(job: Job, training: bool) -> Callable[[], None]:
    """A function that runs the coupling networks' products of a step (or of one inverse pass) and
    nothing else.

    On the tiles and threads of the real step, in its shapes, from and into memory that is there
    already.
    """
    workers, config = job.workers(), job.config
    tasks: list[list[Callable[[], None]]] = []
    for level in levels(config):
        tiles = workers.tiles(job.batch, level.pixels, config.width)
        if len(tiles) > 1:
            columns = [(tile.stop - tile.start) * level.pixels for tile in tiles]
        else:
            columns = [
                block.stop - block.start for block in workers.blocks(1, level.pixels, config.width)
            ]
        made = [  # as many as run side by side
            network_products(config, level, n, training, matmul=workers.matmul)
            for n in columns[: job.threads]
        ]
        tasks.append([made[i % len(made)] for i in range(len(columns))])

    def repeat(task: Callable[[], None]) -> None:
        for _ in range(config.K):
            task()

    def run() -> None:
        with workers:
            for level_tasks in tasks:
                workers.map(repeat, level_tasks)

    return run
