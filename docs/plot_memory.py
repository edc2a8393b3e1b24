"""Measure the peak memory of a training step against depth, for each memory policy, and plot it.

    python docs/plot_memory.py docs/images/memory.png

What is counted: everything NumPy allocates between the start and the end of a step (tracemalloc),
beyond the parameters, the gradients and the optimiser's state, which are there before. 32x32x3,
batch 16, L = 3, width 64, float32. One thread: with more, which tiles are in work at the same
moment is left to chance.
"""

from __future__ import annotations

import sys
import tracemalloc

import numpy as np
from matplotlib.figure import Figure

from glowlite import Glow, GlowConfig, Memory
from glowlite.fast.threads import Workers
from glowlite.objective import loss_gradients

DEPTHS = (4, 8, 16, 32, 64)
POLICIES = ("reversible", "anchored:4", "stored")


def peak_mib(K: int, policy: str) -> float:
    """MiB at the peak of the second step: the first fills what is made once."""
    model = Glow(
        GlowConfig((32, 32, 3), K=K, width=64), memory=Memory.parse(policy), workers=Workers(1)
    )
    x = np.random.default_rng(0).random((16, 32, 32, 3), np.float32) - np.float32(0.5)
    model.initialize(x)
    peak = 0
    for _ in range(2):
        tracemalloc.start()
        latents, _, kept = model.forward_with_cache(x)
        model.backward(latents, *loss_gradients(latents, len(x)), kept)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        del latents, kept
    return peak / 2**20


def main(path: str) -> None:
    figure = Figure(figsize=(6.4, 4.0), layout="constrained")
    axes = figure.subplots()
    for policy in POLICIES:
        peaks = [peak_mib(K, policy) for K in DEPTHS]
        print(
            f"{policy:12}",
            *(f"K={K}: {peak:7.1f} MiB" for K, peak in zip(DEPTHS, peaks, strict=True)),
        )
        axes.plot(DEPTHS, peaks, "o-", label=policy)
    axes.set(
        xscale="log",
        yscale="log",
        xlabel="steps of flow per level, K",
        ylabel="peak MiB beyond the parameters",
    )
    axes.set_xticks(DEPTHS, [str(K) for K in DEPTHS])
    axes.minorticks_off()
    axes.grid(alpha=0.3)
    axes.legend()
    figure.savefig(path, dpi=150)


if __name__ == "__main__":
    main(*sys.argv[1:])
