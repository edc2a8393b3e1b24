"""The figures of a benchmark."""

from __future__ import annotations

from pathlib import Path
from typing import Any


def draw(report: dict[str, Any], folder: Path) -> list[Path]:
    """step-times.png, shares.png, and memory.png where depths were measured, in `folder`; returns their paths."""
    import matplotlib.pyplot as plt  # slow to import, and only needed here
    from matplotlib.figure import Figure

    folder.mkdir(parents=True, exist_ok=True)
    written = []

    def save(figure: Figure, name: str) -> None:
        figure.savefig(folder / name, dpi=120, bbox_inches="tight")
        plt.close(figure)
        written.append(folder / name)

    steps = report["steps"]
    figure, axes = plt.subplots(figsize=(7, 0.45 * len(steps) + 1.2))
    names = list(steps)[::-1]
    medians = [steps[name]["median_s"] for name in names]
    spread = [[m - steps[n]["min_s"] for m, n in zip(medians, names, strict=True)],
              [steps[n]["max_s"] - m for m, n in zip(medians, names, strict=True)]]  # fmt: skip
    axes.barh(names, medians, xerr=spread, color=["C1" if n in report["rivals"] else "C0" for n in names], capsize=3)
    axes.axvline(report["limit_s"], color="k", linestyle="--", label="limit: four forward passes at the best sgemm rate")
    axes.set_xlabel("seconds a training step: median, least and most")
    axes.set_title(report["title"], fontsize=9)
    axes.legend(fontsize=8, loc="upper center", bbox_to_anchor=(0.5, -0.1 - 0.4 / len(steps)))
    save(figure, "step-times.png")

    figure, axes = plt.subplots(figsize=(7, 1.6))
    left = 0.0
    for name, share in report["shares"].items():
        axes.barh([""], [share], left=left, label=f"{name} {100 * share:.1f}%")
        left += share
    axes.set_xlim(0, 1)
    axes.set_xlabel("share of a step, reversible")
    axes.legend(ncols=3, fontsize=8, loc="lower center", bbox_to_anchor=(0.5, 1.0))
    save(figure, "shares.png")

    if report["memory"]:
        figure, axes = plt.subplots(figsize=(6, 4))
        for policy, points in report["memory"].items():
            depths = [int(k) for k in points]
            axes.plot(depths, [points[k]["step"] / 2**20 for k in points], "o-", label=policy)
        axes.set_xlabel("steps of flow a level, K")
        axes.set_ylabel("MiB beyond parameters, gradients, optimiser")
        axes.set_xticks(depths)
        axes.set_ylim(bottom=0)
        axes.legend()
        axes.set_title(report["title"], fontsize=9)
        save(figure, "memory.png")
    return written
