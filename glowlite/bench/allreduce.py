"""mpirun -n N python -m glowlite.bench.allreduce: measure the cost of adding up gradients over N
processes, and of gathering three numbers.
"""

from __future__ import annotations

import re
import statistics
import time
from pathlib import Path

import numpy as np

from glowlite.commands.program import Parser, run
from glowlite.distributed.mpi_processes import make_communicator
from glowlite.terminal import say

MEGABYTES = (7, 44, 176)
ROUNDS = 7


def peak_mib() -> float:
    """Return the peak memory of this process if the system tells, else NaN."""
    status = Path("/proc/self/status")
    found = (
        re.search(r"VmHWM:\s+(\d+)", status.read_text(encoding="utf-8"))
        if status.exists()
        else None
    )
    return float("nan") if found is None else int(found[1]) / 1024


def main() -> None:
    Parser(
        "bench.allreduce",
        "Measure the cost of adding up gradients over several processes, and of gathering three"
        " numbers.",
    ).parse_args()
    ranks = make_communicator()
    vectors = {size: np.ones(size * 250_000, np.float32) for size in MEGABYTES}
    before = peak_mib()
    for size, vector in vectors.items():
        sums, allgathers = [], []
        for _ in range(ROUNDS):
            started = time.perf_counter()
            ranks.allgather_numbers(np.zeros(3), "the benchmark")
            allgathers.append(time.perf_counter() - started)
            started = time.perf_counter()
            ranks.allreduce(vector)
            sums.append(time.perf_counter() - started)
            vector.fill(1)
        if ranks.is_root:
            say(
                f"{ranks.size} ranks, {size} MB: {1e3 * statistics.median(sums):.1f} ms, an"
                f" allgather of 3 numbers {1e3 * statistics.median(allgathers):.2f} ms, memory grew"
                f" by {peak_mib() - before:.1f} MiB"
            )


if __name__ == "__main__":
    run(main, "bench.allreduce")
