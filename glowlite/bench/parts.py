"""Where the time of a step goes: products, gather and scatter, optimiser, data, and what is left
for the rest.

Products are measured on their own (`work.products_alone`), the optimiser and the data as well;
gather and scatter by a clock around their functions inside a real step. The rest is the difference:
element-wise work, sums, Python, waiting.
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
    """Seconds of a step that threads spend in gather and scatter, by the wall clock: their sum over
    threads, shared.
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
    """Have calls of CLOCKED inside the block add their seconds to the list's one number."""
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
    """Return the share of each part of a step and its data; they add up to 1."""
    whole = step.median + data.median
    parts = {
        "products": products.median,
        "gather and scatter": gather_and_scatter,
        "optimiser": optimiser.median,
        "data": data.median,
    }
    shared = {name: seconds / whole for name, seconds in parts.items()}
    return {**shared, "element-wise and the rest": 1 - sum(shared.values())}
