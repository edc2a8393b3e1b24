"""python -m glowlite.bench.plan: predict the cost of each preset on a GPU, as Markdown. It is
computed, not measured.

Memory is counted from the code: the arrays that exist at a step's peak, with a budget of 0. The
peak is in the backward pass of a coupling network, when both hidden activations and their gradients
exist, in the last step of a level to be rebuilt. `tests/test_bench.py` compares the count with the
arrays of a real step. If matrices need more memory than activations, the peak is elsewhere: when
the gradients of a whole level are added.

The time is that of a device that does one thing after the other:

    products       each of a step's, four forward passes, at the rate of the card or of its memory,
                   whichever takes longer
    element-wise   bytes read and written by everything else, at the speed of its memory
    launches       which run in parallel: a step takes at least as long as they do
"""

from __future__ import annotations

import argparse
import math
from dataclasses import dataclass, replace
from functools import cache

from glowlite.bench.preset_jobs import SHAPES, preset_job
from glowlite.bench.work import LevelWork, forward_flops, levels, products
from glowlite.commands.program import Parser, run
from glowlite.fast.cuda.launch import MAX_ELEMENTS
from glowlite.models.config import GlowConfig
from glowlite.models.glow import Glow
from glowlite.terminal import say

FLOAT = 4  # bytes
Jobs = dict[str, tuple[GlowConfig, argparse.Namespace]]


@dataclass(frozen=True)
class Card:
    """`float32`, `tf32`: TFLOP/s of dense products; `bandwidth`: GB/s; `memory`: GB.

    These are the manufacturer's figures.
    """

    name: str
    memory: float
    float32: float
    tf32: float
    bandwidth: float


CARDS = (
    Card("RTX 4090, 24 GB", 24, 82.6, 82.6, 1008),
    Card("A100 SXM, 80 GB", 80, 19.5, 156, 2039),
    Card("H100 SXM, 80 GB", 80, 67, 494, 3350),
)
SIZES = (24, 80)  # memory of a card in GB, for the largest batch

# --- all assumptions ---

# the fraction of a card's figures that matrix products, and kernels bound by memory, reach
OF_RATE, OF_BANDWIDTH = 0.7, 0.8
# kernels per flow step, forward and backward together; seconds to launch each
LAUNCHES, LAUNCH_S = 40, 5e-6
CONTEXT = 0.6e9  # bytes for CUDA, cuBLAS with its workspace, and the kernels

# Passes over an array, each a read or a write, besides those of matrix products. Hidden
# activations: in each of two forward passes relu(h1) and relu(h2 + b2), 2 each; in backward those
# of h2 and h1, 3 each, and the sum of db2.
HIDDEN_PASSES = 2 * 2 * 2 + 2 * 3 + 1
# patches: written twice, their gradient read; scattered values: read twice, their gradient written
NINEFOLD_PASSES = 3
# approximate number for arrays as wide as the flow: ActNorm, bias, coupling, halves and joining
# them
THIN_PASSES = 40
VECTOR_PASSES = 16  # Adam 7, the average 3, the norm of the gradient in float64 5, and clearing it


# --- memory, bytes ---


@cache
def parameter_count(config: GlowConfig) -> int:
    """Count the parameters of a model without making it: at any depth, all steps of a level have
    the same number.
    """
    one = Glow(replace(config, K=1)).parameter_count()
    two = Glow(replace(config, K=2)).parameter_count()
    return one + (config.K - 1) * (two - one)


def vectors(config: GlowConfig, average: bool) -> float:
    """Return bytes of theta, the gradient, Adam's two vectors, and the average of the weights."""
    return FLOAT * (4.0 + average) * parameter_count(config)


def hidden_bytes(level: LevelWork, width: int, images: int) -> float:
    """h1, h2, dh1, dh2."""
    return FLOAT * 4.0 * width * level.pixels * images


def thin_bytes(level: LevelWork, config: GlowConfig, images: int) -> float:
    """Return bytes of the patches with their border and ones, their gradient, what was sent back,
    and arrays as wide as the flow.

    These are: y and dy of the level and of the step, and x and dx of the coupling; the output of
    its network, and of an affine coupling the gradient of that.
    """
    ninefold = (
        9 * level.given + 9 * (config.border == "all") + 1 + 9 * level.given + 9 * level.net_output
    )
    flow = 6.0 * level.channels + level.net_output * (2 if config.coupling == "affine" else 1)
    return FLOAT * (ninefold + flow) * level.pixels * images


def matrix_bytes(level: LevelWork, config: GlowConfig) -> float:
    """Return bytes of four stacks of channel matrices of a level, the folded weights of its steps
    and their gradients, and the gradient of one W2.
    """
    taps = 9 * level.given + 9 * (config.border == "all") + 1
    folded = 1.0 * config.width * (taps + 9 * level.net_output)
    return FLOAT * (config.K * (4.0 * level.channels**2 + 2 * folded) + config.width**2)


def step_bytes(config: GlowConfig, images: int) -> float:
    """Count bytes beyond the vectors, at the peak of a step with so many images at a time.

    x, latents and their gradients are included.
    """
    worst = max(
        hidden_bytes(level, config.width, images)
        + thin_bytes(level, config, images)
        + matrix_bytes(level, config)
        for level in levels(config)
    )
    return worst + FLOAT * 3 * config.dimensions * images


def whole_bytes(config: GlowConfig, average: bool, images: int) -> float:
    """Return all bytes of the card's memory that training needs.

    Updates and averages need two more vectors, at another time.
    """
    update = FLOAT * 2.0 * parameter_count(config)
    return vectors(config, average) + max(step_bytes(config, images), update) + CONTEXT


def largest_batch(config: GlowConfig, average: bool, gigabytes: float) -> int:
    """Return the largest number of images at a time on a card; 0 if not even one fits."""
    room = gigabytes * 1e9 - vectors(config, average) - CONTEXT
    if room < FLOAT * 2.0 * parameter_count(config) or room < step_bytes(config, 1):
        return 0
    fits, too_many = 1, MAX_ELEMENTS // largest_array(config) + 1
    while too_many - fits > 1:
        middle = (fits + too_many) // 2
        if step_bytes(config, middle) <= room:
            fits = middle
        else:
            too_many = middle
    return fits


def largest_array(config: GlowConfig) -> int:
    """Return the size per image of the largest array: a hidden activation, patches, or scattered
    values.
    """
    border = config.border == "all"
    return max(
        level.pixels * max(config.width, 9 * (level.given + border) + 1, 9 * level.net_output)
        for level in levels(config)
    )


# --- time, seconds ---


@dataclass(frozen=True)
class Expected:
    """Seconds of an update with a batch split into `parts`, by cause; `seconds`: their total."""

    parts: int
    products: float
    elementwise: float
    launches: float

    @property
    def seconds(self) -> float:
        return max(self.products + self.elementwise, self.launches)

    @property
    def bound_by(self) -> str:
        if self.launches > self.products + self.elementwise:
            return "launches"
        return "products" if self.products > self.elementwise else "element-wise"


def expected(config: GlowConfig, average: bool, batch: int, card: Card, tf32: bool) -> Expected:
    """Return the cost of an update of the weights on a card; the batch is split into as few parts
    as fit into its memory.
    """
    parts = -(-batch // max(1, largest_batch(config, average, card.memory)))
    images = batch / parts
    rate, bandwidth = (
        1e12 * OF_RATE * (card.tf32 if tf32 else card.float32),
        1e9 * OF_BANDWIDTH * card.bandwidth,
    )
    multiplied = 0.0
    for p in products(config):
        n = p.pixels * images
        moved = FLOAT * (p.rows * n + p.inner * n + p.rows * p.inner)
        multiplied += 4 * p.times * max(2 * p.rows * p.inner * n / rate, moved / bandwidth)
    numbers = sum(
        config.K * level.pixels * images * (

            HIDDEN_PASSES * config.width
            + NINEFOLD_PASSES * 9 * (level.given + level.net_output)
            + THIN_PASSES * level.channels
        )
        for level in levels(config)
    )  # fmt: skip
    vector = VECTOR_PASSES * parameter_count(config)
    elementwise = FLOAT * (parts * numbers + vector) / bandwidth
    return Expected(
        parts, parts * multiplied, elementwise, parts * LAUNCHES * LAUNCH_S * config.K * config.L
    )


# --- tables ---


def number(value: float) -> str:
    """Write three digits without an exponent, rounded down from 1,000 on: 0.0321, 1.93, 12.1,
    2,860.
    """
    if value < 1000:
        return f"{value:.3g}"
    unit = 10 ** (int(math.log10(value)) - 2)
    return f"{int(value) // unit * unit:,}"


def one_digit(value: float) -> str:
    """One digit, all that an estimate is worth: 0.03, 3, 80, 3,000."""
    return f"{float(f'{value:.0e}'):,g}"


def one_digit_down(count: int) -> str:
    """One digit, rounded down, so that as many fit: 855 is 800."""
    unit = 10 ** (len(str(count)) - 1)
    return f"{count // unit * unit:,}"


def markdown() -> str:
    """Return the tables: memory of every preset, and its times on every card."""
    jobs = {name: preset_job(name) for name in SHAPES}
    return "\n\n".join([_memory_table(jobs), *(_time_table(jobs, card) for card in CARDS)])


def _memory_table(jobs: Jobs) -> str:
    sizes = " | ".join(f"most images, {size} GB" for size in SIZES)
    lines = [
        "| preset | parameters | TFLOP per image | GB of vectors | MB per image: hidden maps |"
        f" thin | x, latents | {sizes} |",
        "|---" * (7 + len(SIZES)) + "|",
    ]
    for name, (config, options) in jobs.items():
        # the level whose backward needs most: it has the most pixels
        average, first = bool(options.average), levels(config)[0]
        cells = [
            f"{parameter_count(config):,}",
            number(4 * forward_flops(config, 1) / 1e12),
            number(vectors(config, average) / 1e9),
            number(hidden_bytes(first, config.width, 1) / 1e6),
            number(thin_bytes(first, config, 1) / 1e6),
            number(FLOAT * 3e-6 * config.dimensions),
            *(one_digit_down(largest_batch(config, average, size)) for size in SIZES),
        ]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _time_table(jobs: Jobs, card: Card) -> str:
    lines = [
        f"**{card.name}**: {card.float32:g} TFLOP/s in float32, {card.tf32:g} in TF32,"
        f" {card.bandwidth:,g} GB/s",
        "",
        "| preset | images per update | float32: ms | images/s | bound by | TF32: ms | images/s |"
        " bound by |",
        "|---" * 8 + "|",
    ]
    for name, (config, options) in jobs.items():
        cells = [f"{options.batch}"]
        for tf32 in (False, True):
            e = expected(config, bool(options.average), options.batch, card, tf32)
            cells += [one_digit(1e3 * e.seconds), one_digit(options.batch / e.seconds), e.bound_by]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines)


def parse_arguments(arguments: list[str] | None = None) -> argparse.Namespace:
    return Parser(
        "bench.plan", "Predict the cost of each preset on a GPU; it is computed, not measured."
    ).parse_args(arguments)


def main() -> None:
    parse_arguments()
    for line in markdown().splitlines():
        say(line)


if __name__ == "__main__":
    run(main, "bench.plan")
