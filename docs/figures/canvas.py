"""Boxes, arrows and words on white, in one palette that the colour-blind can tell apart."""

from __future__ import annotations

from pathlib import Path

import matplotlib
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch

matplotlib.rcParams.update(
    {"svg.hashsalt": "glowlite", "svg.fonttype": "path", "font.family": "DejaVu Sans"}
)

BLUE, RED, GREEN, PINK, YELLOW = "#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00"
GREY, LIGHT, INK = "#888888", "#eeeeee", "#222222"


class Canvas:
    """A drawing `width` by `height` units, a unit 1/10 inch; (0, 0) is the lower left corner."""

    def __init__(self, width: float, height: float) -> None:
        self.figure = Figure(figsize=(width / 10, height / 10))
        self.axes = self.figure.add_axes((0, 0, 1, 1), xlim=(0, width), ylim=(0, height))
        self.axes.axis("off")
        self.box(0.4, 0.4, width - 0.8, height - 0.8, "", "white", edge="#dddddd", order=0)

    def box(
        self,
        x,
        y,
        width,
        height,
        text="",
        color=LIGHT,
        size=9,
        edge=INK,
        ink=None,
        order=2,
        bold=False,
    ):
        corners = f"round,pad=0,rounding_size={min(0.8, width / 4, height / 4)}"
        patch = FancyBboxPatch(
            (x, y), width, height, corners, facecolor=color, edgecolor=edge, lw=1, zorder=order
        )
        self.axes.add_patch(patch)
        ink = ink or ("white" if color in (BLUE, RED, GREEN, INK, GREY) else INK)
        self.text(x + width / 2, y + height / 2, text, size, ink, order=order + 1, bold=bold)

    def text(
        self,
        x,
        y,
        text,
        size=9,
        color=INK,
        across="center",
        up="center",
        order=5,
        bold=False,
        turn=0,
    ):
        style = {"weight": "bold" if bold else "normal", "rotation": turn, "linespacing": 1.35}
        self.axes.text(x, y, text, size=size, color=color, ha=across, va=up, zorder=order, **style)

    def arrow(self, start, end, color=INK, style="-|>", lines="-", bend=0.0, thick=1.4, order=3):
        curve = f"arc3,rad={bend}"
        self.axes.add_patch(
            FancyArrowPatch(
                start, end, arrowstyle=style, mutation_scale=11, color=color, linestyle=lines,
                connectionstyle=curve, lw=thick, shrinkA=0, shrinkB=0, zorder=order,
            )
        )  # fmt: skip

    def line(self, xs, ys, color=INK, lines="-", thick=1.2, order=2):
        self.axes.plot(xs, ys, color=color, ls=lines, lw=thick, zorder=order)

    def save(self, path: Path) -> None:
        self.figure.savefig(
            path,
            metadata={"Date": None} if path.suffix == ".svg" else None,
            transparent=True,
            dpi=110,
        )
