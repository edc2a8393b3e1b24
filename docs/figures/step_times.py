"""The plot of docs/performance.md, from the tables of that page: a training step beside those of
other implementations. python docs/figures/step_times.py [--out docs/images/step-times.svg]
"""

from __future__ import annotations

import argparse
import re
from pathlib import Path

from matplotlib import rc_context
from matplotlib.figure import Figure

PAGE = Path(__file__).parent.parent / "performance.md"
JOBS = ("32x32x3, width 512", "16x16x3, width 128, batch 32", "16x16x3, width 128, batch 64")
OURS, OTHERS = "#0072b2", "#999999"


def tables(text: str) -> list[dict[str, float]]:
    """{what was timed: time of a step over that of the default}, of each table of steps."""
    found: list[dict[str, float]] = []
    for line in text.partition("## Where a step stands")[2].partition("\n## ")[0].splitlines():
        cells = [cell.strip(" *") for cell in line.strip("|").split("|")]
        if cells[-1] == "of the default's time":
            found.append({})
        elif len(cells) == 6 and re.fullmatch(r"[\d.]+", cells[-1]):
            found[-1][cells[0]] = float(cells[-1])
    return found


def draw(path: Path) -> None:
    jobs = tables(PAGE.read_text())
    # letters stay letters, so that the figures in the plot can be searched for, and tested
    with rc_context({"svg.fonttype": "none", "svg.hashsalt": "glowlite"}):
        figure = Figure(figsize=(9.5, 2.9), layout="constrained")
        for axes, title, job in zip(figure.subplots(1, 3, sharey=True), JOBS, jobs, strict=True):
            names = [name for name in job if name != "memory all"]
            bars = [job[name] for name in names]
            colors = [OURS if name.startswith("memory") else OTHERS for name in names]
            axes.barh(range(len(names)), bars, color=colors)
            for i, ratio in enumerate(bars):
                axes.text(ratio + 0.03, i, f"{ratio:.2f}", va="center", size=9)
            labels = [name.replace("memory", "glowlite, memory") for name in names]
            axes.set_yticks(range(len(names)), labels)
            axes.set(xlim=(0, 2.2), title=title, xlabel="time of a step, default = 1")
            axes.title.set_size(10)
            axes.spines[["top", "right"]].set_visible(False)
        figure.get_axes()[0].invert_yaxis()  # which the three share
        figure.savefig(path, metadata={"Date": None})


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("docs/images/step-times.svg"))
    draw(parser.parse_args().out)
