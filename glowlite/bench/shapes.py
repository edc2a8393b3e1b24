"""The speed of matrix products with this network's shapes, compared with a large square product.

A coupling network has three layers, and a training step computes three matrix products for each:
forward, and the gradients with respect to its inputs and its weights. The first layer has few rows
and the last one few columns, and BLAS multiplies such matrices below its best rate.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from glowlite.bench import work
from glowlite.bench.rounds import Times

if TYPE_CHECKING:
    from glowlite.bench.job import Job

TURN = 0.005  # least duration of a turn, in seconds
Repeated = Callable[[int], object]


@dataclass(frozen=True)
class Shape:
    """A product (rows, inner) times (inner, columns), which runs on `side_by_side` threads in
    parallel.
    """

    level: int
    layer: str
    way: str
    rows: int
    inner: int
    columns: int
    side_by_side: int = 1

    def __str__(self) -> str:
        return f"level {self.level}, {self.layer}, {self.way}"

    @property
    def flops(self) -> float:
        return 2.0 * self.rows * self.inner * self.columns * self.side_by_side


def shape_of(key: tuple[str, str], operands: tuple[Any, Any, Any], level: int, n: int = 1) -> Shape:
    """Return the shape of one of `work.network_products`, of which n run in parallel."""
    a, b, _ = operands
    return Shape(level, *key, a.shape[0], a.shape[1], b.shape[1], n)


def measure(job: Job, square: int, rounds: int) -> dict[str, Any]:
    """Measure the rates of all shapes, on a job's tiles and threads; `square`: the side of the
    square matrices.

    Cost: a turn of a few milliseconds per shape and round, in this process.
    """
    workers, tasks = job.workers(), dict[Shape, Repeated]()

    def side_by_side(products: list[tuple[Any, Any, Any]]) -> Repeated:
        def run(times: int) -> None:
            def repeat(product: tuple[Any, Any, Any]) -> None:
                a, b, out = product
                for _ in range(times):
                    workers.matmul(a, b, out=out)

            workers.map(repeat, products)

        return run

    for i, level in enumerate(work.levels(job.config)):
        columns = work.columns_of_tiles(job, level)[: job.threads]
        made = [work.network_products(job.config, level, n) for n in columns]
        for key in made[0]:
            shape = shape_of(key, made[0][key], i, len(made))
            tasks[shape] = side_by_side([each[key] for each in made])
    large = Shape(-1, "square", "", square, square, square, job.threads)
    rng = np.random.default_rng(0)
    matrices = rng.standard_normal((3, square, square), np.float32)
    rooms = [np.empty_like(matrices[0]) for _ in range(job.threads)]
    tasks[large] = side_by_side([(matrices[0], matrices[1], room) for room in rooms])
    with workers:
        times = _in_turns(tasks, rounds)
    return figures(times, large)


def _in_turns(tasks: Mapping[Shape, Repeated], rounds: int) -> dict[Shape, Times]:
    """Return the seconds of one run of each task, as the mean of a turn, round after round."""
    repeats = {}
    for shape, task in tasks.items():
        task(1)
        repeats[shape] = max(1, math.ceil(TURN / _seconds(task, 1)))
    found: dict[Shape, list[float]] = {shape: [] for shape in tasks}
    for _ in range(rounds):
        for shape, task in tasks.items():
            found[shape].append(_seconds(task, repeats[shape]))
    return {shape: Times(seconds) for shape, seconds in found.items()}


def _seconds(task: Repeated, times: int) -> float:
    began = time.perf_counter()
    task(times)
    return (time.perf_counter() - began) / times


def figures(times: Mapping[Shape, Times], square: Shape) -> dict[str, Any]:
    """Return JSON values: GFLOP/s, and the fraction of the square product's rate, per round."""
    rows = [
        {
            "level": shape.level,
            "layer": shape.layer,
            "way": shape.way,
            "rows": shape.rows,
            "inner": shape.inner,
            "columns": shape.columns,
            "gflops": shape.flops / each.median / 1e9,
            "of_square": shape.flops / square.flops * times[square].ratio_to(each),
        }
        for shape, each in times.items()
        if shape != square
    ]
    best = square.flops / times[square].median / 1e9
    return {"square": square.rows, "square_gflops": best, "products": rows}


def lines(found: Mapping[str, Any]) -> list[str]:
    """Return one row per layer and level, with one column for each kind of product."""
    cells: dict[str, list[str]] = {}
    for p in found["products"]:
        size = f"{p['rows']}x{p['inner']}x{p['columns']}"
        cells.setdefault(f"level {p['level']}, {p['layer']}", [28 * " "] * len(work.WAYS))[
            work.WAYS.index(p["way"])
        ] = f"{size:>16}{p['gflops']:6.0f}{100 * p['of_square']:5.0f}%"
    square = f"{found['square']}x{found['square']}"
    return [
        "",
        f"products by shape, GFLOP/s, and of the rate of {square} beside them,"
        f" {found['square_gflops']:.0f}:",
        f"{'':16}" + "".join(f"{way:>28}" for way in work.WAYS),
        *(f"{name:16}{''.join(ways)}" for name, ways in cells.items()),
    ]
