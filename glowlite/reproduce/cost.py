"""The cost of the 1x1 convolution: its time and parameters compared with those of a fixed
permutation.

The paper reports about 7% more time, and few parameters.
"""

from __future__ import annotations

import statistics
from dataclasses import replace

from glowlite.arrays.machine import available_cores
from glowlite.bench.figures import REFERENCE
from glowlite.bench.job import Job
from glowlite.bench.rounds import measure
from glowlite.models.config import GlowConfig
from glowlite.models.glow import Glow
from glowlite.reproduce.experiment import ExperimentSettings
from glowlite.reproduce.planned_run import PlannedRun
from glowlite.reproduce.report import Report, Table

JOBS = {
    "16x16x3, K=8, L=2, width 128, batch 32": (GlowConfig((16, 16, 3), K=8, L=2), 32),
    "32x32x3, K=8, L=3, width 512, batch 16": (GlowConfig((32, 32, 3), K=8, L=3, width=512), 16),
}
ROUNDS, TILE = 21, 4.0


def plan(settings: ExperimentSettings) -> list[PlannedRun]:
    return []


def report(settings: ExperimentSettings, runs: list[PlannedRun]) -> Report:
    rows = []
    for name, (config, batch) in JOBS.items():
        found = {}
        for permutation in ("shuffle", "conv1x1"):
            own = replace(config, permutation=permutation)
            found[permutation] = own, Job(own, batch, available_cores(), TILE)
        times = measure(
            {key: job for key, (_, job) in found.items()},
            ROUNDS,
            REFERENCE,
        )
        ratios = [
            a / b for a, b in zip(times["conv1x1"].seconds, times["shuffle"].seconds, strict=True)
        ]
        quarters = statistics.quantiles(ratios, n=4)
        counts = {key: Glow(own).parameter_count() for key, (own, _) in found.items()}
        rows.append(
            [
                name,
                f"{times['shuffle'].median:.4f} s",
                f"{times['conv1x1'].median:.4f} s",
                f"{100 * (statistics.median(ratios) - 1):+.1f}%"
                f" ({100 * (quarters[0] - 1):+.1f} to {100 * (quarters[2] - 1):+.1f})",
                f"{100 * (counts['conv1x1'] / counts['shuffle'] - 1):+.2f}%",
            ]
        )
    return Report(
        "The cost of the 1x1 convolution",
        [
            "Whole training steps, alternating between the two, in separate processes; medians,"
            " and the quartiles of the ratios."
        ],
        [
            Table(
                "A training step",
                ["job", "fixed shuffle", "1x1 convolution", "time", "parameters"],
                rows,
            )
        ],
        [],
        ["python -m glowlite.reproduce cost"],
    )
