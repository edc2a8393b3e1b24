"""Memory against depth: the memory of a training step beyond the parameters, for deeper and deeper
models.

There is one line per budget. With a budget of 0, the memory of a step does not grow; with `all`, it
grows as in other codes. Everything that NumPy allocates in a step is counted (tracemalloc), beyond
parameters, gradients and the optimiser's state, with one thread.
"""

from __future__ import annotations

import tracemalloc

import numpy as np

from glowlite.arrays.backend import Array
from glowlite.bijectors.memory import Memory
from glowlite.drawing.plots import figure_at
from glowlite.fast.threads import Workers
from glowlite.models.config import GlowConfig
from glowlite.models.glow import Glow
from glowlite.objective import loss_gradients
from glowlite.reproduce.experiment import ExperimentSettings
from glowlite.reproduce.planned_run import PlannedRun
from glowlite.reproduce.report import Report, Table

MB = 2**20
DEPTHS = (4, 8, 16, 32)
BUDGETS = {"0": "#0072b2", "64MB": "#e69f00", "all": "#d55e00"}
BATCH = 16


def plan(settings: ExperimentSettings) -> list[PlannedRun]:
    return []


def job(config: GlowConfig, batch: int) -> tuple[Glow, Array]:
    """Return an initialised model and a batch."""
    model = Glow(config, workers=Workers(1))
    x = np.random.default_rng(0).random((batch, *config.image_shape), np.float32) - np.float32(0.5)
    model.initialize(x)
    return model, x


def peak_mb(model: Glow, x: Array, budget: str) -> float:
    """Return MB at the peak of the second step; the first step also makes what is made only
    once.
    """
    model.memory, peak = Memory.parse(budget), 0
    for _ in range(2):
        tracemalloc.start()
        latents, _, cache = model.forward_with_cache(x)
        model.backward(latents, *loss_gradients(latents, len(x)), cache)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        del latents, cache
    return peak / MB


def report(settings: ExperimentSettings, runs: list[PlannedRun]) -> Report:
    peaks: dict[str, list[float]] = {budget: [] for budget in BUDGETS}
    for K in DEPTHS:
        model, x = job(GlowConfig((32, 32, 3), K=K, L=3, width=64), BATCH)
        for budget, found in peaks.items():
            found.append(peak_mb(model, x, budget))
    picture = settings.folder / "memory.png"
    with figure_at(picture, 5, 3.6) as figure:
        axis = figure.subplots()
        for budget, color in BUDGETS.items():
            axis.plot(DEPTHS, peaks[budget], "o-", color=color, label=f"--memory {budget}")
        axis.set_xlabel("K, steps of flow per level")
        axis.set_ylabel("MB of a training step")
        axis.set_ylim(0)
        axis.legend(frameon=False)
    header = ["budget", *(f"K = {K}" for K in DEPTHS)]
    rows = [[budget, *(f"{peak:.1f}" for peak in found)] for budget, found in peaks.items()]
    return Report(
        "Memory against depth",
        [
            f"32x32x3, L=3, width 64, batch {BATCH}: MB at the peak of a step, beyond parameters,"
            " gradients and the optimiser's state."
        ],
        [Table("MB", header, rows)],
        [picture],
        ["python -m glowlite.reproduce memory"],
    )
