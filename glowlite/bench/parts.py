"""Where the time of a step goes: matrix products, gather and scatter, optimiser, data, and the
rest.

Matrix products are measured separately (`work.products_alone`), and so are the optimiser and the
data. Gather and scatter are timed around their functions in a real step. The rest is the
difference: element-wise work, sums, Python, waiting.
"""

from __future__ import annotations

import statistics
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from glowlite.bench.candidates import make
from glowlite.bench.figures import REFERENCE
from glowlite.conditioners import scaled_linear
from glowlite.fast import columns

if TYPE_CHECKING:
    from glowlite.bench.job import Job
    from glowlite.bench.rounds import Times

CLOCKED = [
    (columns, "gather"),
    (columns, "scatter"),
    (scaled_linear, "gather"),
    (scaled_linear, "scatter"),
]


def gather_and_scatter_seconds(job: Job, steps: int = 5) -> float:
    """Return the wall-clock seconds of a step spent in gather and scatter: their sum over threads,
    divided by the number of threads.
    """
    step = make(REFERENCE, job)
    step()
    seconds = []
    for _ in range(steps):
        with clocked() as spent:
            step()
        seconds.append(spent[0] / job.threads)
    return statistics.median(seconds)


@contextmanager
def clocked() -> Iterator[list[float]]:
    """In this context, calls of CLOCKED add their seconds to the single number in the list."""
    spent, lock = [0.0], threading.Lock()

    def around(function: Any) -> Any:
        def call(*arguments: Any, **options: Any) -> Any:
            start = time.perf_counter()
            result = function(*arguments, **options)
            with lock:
                spent[0] += time.perf_counter() - start
            return result

        return call

    before = [(module, name, getattr(module, name)) for module, name in CLOCKED]
    for module, name, function in before:
        setattr(module, name, around(function))
    try:
        yield spent
    finally:
        for module, name, function in before:
            setattr(module, name, function)


def shares(
    step: Times, products: Times, optimiser: Times, data: Times, gather_and_scatter: float
) -> dict[str, float]:
    """Return the share of each part of a step and its data; the shares add up to 1."""
    whole = step.median + data.median
    parts = {
        "products": products.median,
        "gather and scatter": gather_and_scatter,
        "optimiser": optimiser.median,
        "data": data.median,
    }
    shared = {name: seconds / whole for name, seconds in parts.items()}
    return {**shared, "element-wise and the rest": 1 - sum(shared.values())}
