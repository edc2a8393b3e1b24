"""The plots of a benchmark."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from glowlite.bench.figures import REFERENCE
from glowlite.drawing.plots import add_legend, figure_at, shortened
from glowlite.files.outputs import make_folder

SAVING: dict[str, Any] = {"option": "--plots", "layout": None, "dpi": 120, "bbox_inches": "tight"}


def draw(report: dict[str, Any], folder: Path) -> list[Path]:
    """Write to `folder`: step-times.png, shares.png, memory.png if depths were measured, and
    budget.png if budgets were.

    Returns their paths.
    """
    make_folder("--plots", folder)
    written = [folder / "step-times.png", folder / "shares.png"]
    _draw_step_times(report, written[0])
    _draw_shares(report, written[1])
    if report["memory"]:
        written.append(folder / "memory.png")
        _draw_memory(report, written[-1])
    if report["budgets"]:
        written.append(folder / "budget.png")
        _draw_budgets(report, written[-1])
    return written


def _draw_step_times(report: dict[str, Any], path: Path) -> None:
    steps = report["steps"]
    names = list(steps)[::-1]
    medians = [steps[name]["median_s"] for name in names]
    spread = [[m - steps[n]["min_s"] for m, n in zip(medians, names, strict=True)],
              [steps[n]["max_s"] - m for m, n in zip(medians, names, strict=True)]]  # fmt: skip
    colors = ["C1" if name in report["rivals"] else "C0" for name in names]
    with figure_at(path, 7, 0.45 * len(steps) + 1.2, **SAVING) as figure:
        axes = figure.subplots()
        axes.barh(
            [shortened(name) for name in names], medians, xerr=spread, color=colors, capsize=3
        )
        axes.plot(
            [steps[name]["limit_s"] for name in names],
            range(len(names)),
            "k|",
            markersize=14,
            label="limit: its matrix products at the best sgemm rate",
        )
        axes.set_xlabel("seconds per training step: median, minimum and maximum")
        axes.set_title(report["title"], fontsize=9)
        axes.legend(fontsize=8, loc="upper center", bbox_to_anchor=(0.5, -0.1 - 0.4 / len(steps)))


def _draw_shares(report: dict[str, Any], path: Path) -> None:
    with figure_at(path, 7, 1.6, **SAVING) as figure:
        axes, left, names = figure.subplots(), 0.0, []
        for name, share in report["shares"].items():
            axes.barh([""], [share], left=left, label="part")
            names.append(f"{name} {100 * share:.1f}%")
            left += share
        axes.set_xlim(0, 1)
        axes.set_xlabel(f"share of a step, {REFERENCE}")
        add_legend(axes, names, ncols=3, fontsize=8, loc="lower center", bbox_to_anchor=(0.5, 1.0))


def _draw_memory(report: dict[str, Any], path: Path) -> None:
    with figure_at(path, 6, 4, **SAVING) as figure:
        axes = figure.subplots()
        for name, points in report["memory"].items():
            depths = [int(k) for k in points]
            axes.plot(depths, [points[k]["step"] / 2**20 for k in points], "o-", label=name)
        axes.set_xlabel("steps of flow per level, K")
        axes.set_ylabel("MiB beyond parameters, gradients, optimiser")
        axes.set_xticks(depths)
        axes.set_ylim(bottom=0)
        axes.legend()
        axes.set_title(report["title"], fontsize=9)


def _draw_budgets(report: dict[str, Any], path: Path) -> None:
    """Plot both against the bytes that are kept, since a budget larger than everything is not used
    completely.
    """
    points = sorted(report["budgets"].items(), key=lambda point: point[1]["kept_bytes"])
    kept = [p["kept_bytes"] / 2**20 for _, p in points]
    with figure_at(path, 6, 4, **SAVING) as figure:
        times = figure.subplots()
        times.plot(kept, [p["median_s"] for _, p in points], "o-", color="C0", label="time")
        times.set_xlabel("MiB kept from forward to backward; budget above")
        times.set_ylabel("seconds per training step, median", color="C0")
        times.set_ylim(bottom=0)
        memory = times.twinx()
        memory.plot(kept, [p["peak_bytes"] / 2**20 for _, p in points], "s--", color="C1")
        memory.set_ylabel("MiB at the peak beyond parameters", color="C1")
        memory.set_ylim(bottom=0)
        above = times.secondary_xaxis("top")
        above.set_xticks(kept, [name for name, _ in points], fontsize=8)
        times.set_title(report["title"], fontsize=9, pad=10)
