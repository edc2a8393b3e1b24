"""What a budget of memory costs and gives: peak memory against depth, and time and peak memory
against the budget.

    python docs/plot_memory.py docs/images        # memory-depth.png, memory-budget.png

Peak memory is all that NumPy allocates in a step (tracemalloc), beyond the parameters, the
gradients and the optimiser's state, which are there before. It is taken with one thread: with more,
which tiles are in work at the same moment is left to chance. Times are processor time of whole
steps of training with one thread, which other work on the machine changes little: one budget after
the other, round after round; medians, and the quarter of the rounds on either side.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from glowlite import Glow, GlowConfig, Memory
from glowlite.arrays.backend import Array
from glowlite.reproduce.memory import job, peak_mb
from glowlite.training.optimizers import Adam
from glowlite.training.step import training_step

MB = 2**20
DEPTHS = (4, 8, 16, 32, 64)
OF_DEPTHS = {"0": "#0072b2", "64MB": "#e69f00", "all": "#d55e00"}
BUDGETS = ("0", "8MB", "16MB", "24MB", "32MB", "40MB", "48MB", "56MB", "64MB", "72MB", "all")
ROUNDS = 21


def seconds(model: Glow, x: Array, budgets: tuple[str, ...], rounds: int) -> np.ndarray:
    """Of a step under each budget, (budgets, rounds); a round before them is not counted."""
    optimizer, found = Adam(model.store.theta), np.zeros((len(budgets), rounds + 1))
    for i in range(rounds + 1):
        for j, budget in enumerate(budgets):
            model.memory = Memory.parse(budget)
            model.kept(len(x))  # what is planned once is planned now
            began = time.process_time()
            training_step(model, optimizer, x, 5, lr=0.0)
            found[j, i] = time.process_time() - began
    return found[:, 1:]


def plot_depth(path: Path) -> None:
    """32x32x3, batch 16, L = 3, width 64: peak memory against K under three budgets."""
    figure = Figure(figsize=(6.4, 3.8), layout="constrained")
    axes = figure.subplots()
    for budget, color in OF_DEPTHS.items():
        peaks = []
        for K in DEPTHS:
            peaks.append(peak_mb(*job(GlowConfig((32, 32, 3), K=K, width=64), 16), budget))
            print(f"--memory {budget:5} K = {K:2}: {peaks[-1]:6.1f} MB", flush=True)
        axes.plot(DEPTHS, peaks, "o-", color=color, label=f"--memory {budget}")
    axes.set(xscale="log", yscale="log", xlabel="steps of flow per level, K")
    axes.set(ylabel="peak MB beyond the parameters")
    axes.set_xticks(DEPTHS, [str(K) for K in DEPTHS])
    axes.set_yticks(ticks := (5, 10, 20, 50, 100, 200, 500), [str(tick) for tick in ticks])
    axes.minorticks_off()
    axes.grid(alpha=0.3)
    axes.legend()
    figure.savefig(path, dpi=150)


def plot_budget(path: Path) -> None:
    """The example of docs/memory.md: 16x16x3, K = 8, L = 3, width 128, batch 64."""
    config = GlowConfig((16, 16, 3))
    model, x = job(config, 64)
    peaks, kept = [], []
    for budget in BUDGETS:
        peaks.append(peak_mb(model, x, budget))
        kept.append(model.kept(len(x)).size / MB)
    times = seconds(model, x, BUDGETS, ROUNDS)
    ratios = times / times[0]
    for budget, size, peak, t, ratio in zip(BUDGETS, kept, peaks, times, ratios, strict=True):
        print(
            f"--memory {budget:5} keeps {size:5.1f} MB, peak {peak:6.1f} MB,"
            f" {np.median(t):.4f} s ({t.min():.4f} to {t.max():.4f}),"
            f" {np.median(ratio):.3f} of the time of --memory 0"
        )
    given = [*(Memory.parse(budget).bytes / MB for budget in BUDGETS[:-1]), 80.0]
    figure = Figure(figsize=(9, 3.6), layout="constrained")
    left, right = figure.subplots(1, 2)
    low, middle, high = np.quantile(ratios, (0.25, 0.5, 0.75), axis=1)
    left.plot(given, middle, "o-", color="#0072b2")
    left.fill_between(given, low, high, color="#0072b2", alpha=0.2, lw=0)
    left.set(ylabel="processor time of a step, --memory 0: 1", ylim=(0.65, 1.05))
    right.plot(given, peaks, "o-", color="#d55e00", label="peak")
    bound = [peaks[0] + budget for budget in given]
    right.plot(given, bound, "--", color="0.5", label="that of --memory 0, and the budget")
    right.set(ylabel="peak MB beyond the parameters", ylim=(0, None))
    right.legend()
    for axes in (left, right):
        axes.set(xlabel="--memory")
        axes.set_xticks([*given[:-1:2], given[-1]], [f"{g:.0f}" for g in given[:-1:2]] + ["all"])
        axes.grid(alpha=0.3)
    figure.savefig(path, dpi=150)


def main(folder: str) -> None:
    plot_depth(Path(folder, "memory-depth.png"))
    plot_budget(Path(folder, "memory-budget.png"))


if __name__ == "__main__":
    main(*sys.argv[1:])
