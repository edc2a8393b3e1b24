"""The experiments by name, with what they take by default."""

from __future__ import annotations

from glowlite.reproduce import cost, figure3, figure9, memory, paper_size, stability, table2
from glowlite.reproduce.experiment import Experiment

SMALL = {"K": 4, "width": 64, "n_bits": 8, "batch": 64, "lr": 0.002}
FACES = {
    "L": 3, "batch": 64, "lr": 0.002, "beta2": 0.999, "warmup": 50, "decay": "constant",
    "average": 0.99,
}  # fmt: skip

EXPERIMENTS = {
    each.name: each
    for each in (
        Experiment(
            "figure3",
            "the 1x1 convolution against a fixed shuffle and reversing, for both couplings",
            "20 minutes",
            {"data": "fashion", "seeds": 3, "steps": 1500, "model": SMALL},
            figure3.plan,
            figure3.report,
            paper_size.figure3,
        ),
        Experiment(
            "figure9",
            "depth: models of one level, of two, and so on",
            "15 minutes",
            {"data": "fashion", "seeds": 3, "steps": 1500, "model": SMALL},
            figure9.plan,
            figure9.report,
            paper_size.figure9,
        ),
        Experiment(
            "table2",
            "bits/dim as published, and of the runs that are named",
            "seconds a run",
            {"data": "fashion", "seeds": 1, "steps": 1, "model": {}},
            table2.plan,
            table2.report,
            paper_size.table2,
        ),
        Experiment(
            "cost",
            "time and parameters of the 1x1 convolution, beside a fixed shuffle",
            "2 minutes",
            {"data": "fashion", "seeds": 1, "steps": 1, "model": {}},
            cost.plan,
            cost.report,
        ),
        Experiment(
            "stability",
            "which scale of a coupling keeps samples finite",
            "15 minutes",
            {"data": "faces", "seeds": 1, "steps": 1500, "model": FACES},
            stability.plan,
            stability.report,
        ),
        Experiment(
            "memory",
            "memory of a training step against depth",
            "2 minutes",
            {"data": "fashion", "seeds": 1, "steps": 1, "model": {}},
            memory.plan,
            memory.report,
        ),
    )
}
