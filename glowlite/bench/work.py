"""The work of a step: its floating-point operations, and its matrix products on their own.

A forward pass is, a level of N h w pixels of C channels, K times: the coupling network's three products and the 1x1
convolution; and the prior of the split. An addition and a multiplication are two operations. The border channel, which is
known beforehand, is not counted, nor is anything element-wise. A training step in constant memory is four forward passes:
forward, the networks again in backward, and the gradients by their inputs and by their weights.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from glowlite.bench.job import Job
from glowlite.models.config import GlowConfig

PASSES = {"reversible": 4, "anchored": 4, "stored": 3}


@dataclass(frozen=True)
class LevelWork:
    """pixels: h w of one image; channels: of the flow; given, raw: of a coupling network's input and output."""

    pixels: int
    channels: int
    given: int
    raw: int


def levels(config: GlowConfig) -> list[LevelWork]:
    height, width, channels = config.image_shape
    found = []
    for i in range(config.L):
        c = channels << (i + 2)
        found.append(LevelWork((height * width) >> (2 * i + 2), c, c // 2, c if config.coupling == "affine" else c // 2))
    return found


def forward_flops(config: GlowConfig, images: int) -> float:
    """Of the matrix products of one forward pass over `images`."""
    total = 0.0
    for i, level in enumerate(levels(config)):
        network = config.width * (9 * level.given + config.width + 9 * level.raw)
        total += config.K * level.pixels * (network + level.channels**2)
        if i < config.L - 1 and config.split_prior == "learned":
            total += level.pixels * 9 * level.given * level.channels
    return 2.0 * images * total


def products_alone(job: Job, training: bool) -> Callable[[], None]:
    """A function that runs the coupling networks' products of a step (or of one inverse pass) and nothing else.

    On the tiles and threads of the real step, in its shapes, from and into memory that is there already.
    """
    workers, config, rng = job.workers(), job.config, np.random.default_rng(0)
    matmul = workers.matmul

    def some(*shape: int) -> np.ndarray:
        return 0.01 * rng.standard_normal(shape, np.float32)

    def networks(level: LevelWork, columns: int) -> Callable[[], None]:
        taps, width, sent = 9 * level.given, config.width, 9 * level.raw
        rows = taps + 9 * (config.border == "all") + 1
        W1, W2, W3 = some(rows, width), some(width, width), some(width, sent)
        patches, h1, h2, out = some(rows, columns), some(width, columns), some(width, columns), some(sent, columns)
        dh1, dh2, dpatches = some(width, columns), some(width, columns), some(taps, columns)
        dW1, dW2, dW3 = some(rows, width), some(width, width), some(width, sent)

        def forward() -> None:
            matmul(W1.T, patches, out=h1)
            matmul(W2.T, h1, out=h2)
            matmul(W3.T, h2, out=out)

        def step() -> None:
            forward()
            forward()
            matmul(W3, out, out=dh2)
            matmul(W2, dh2, out=dh1)
            matmul(patches, dh1.T, out=dW1)
            matmul(h1, dh2.T, out=dW2)
            matmul(h2, out.T, out=dW3)
            matmul(W1[:taps], dh1, out=dpatches)

        return step if training else forward

    tasks: list[list[Callable[[], None]]] = []
    for level in levels(config):
        tiles = workers.tiles(job.batch, level.pixels, config.width)
        if len(tiles) > 1:
            columns = [(tile.stop - tile.start) * level.pixels for tile in tiles]
        else:
            columns = [block.stop - block.start for block in workers.blocks(1, level.pixels, config.width)]
        made = [networks(level, n) for n in columns[: job.threads]]  # as many as run side by side
        tasks.append([made[i % len(made)] for i in range(len(columns))])

    def repeat(task: Callable[[], None]) -> None:
        for _ in range(config.K):
            task()

    def run() -> None:
        with workers:
            for level_tasks in tasks:
                workers.map(repeat, level_tasks)

    return run
